# Memory that stays with a session is bounded: by the tables it writes, not by rows, by changes of
# configuration, or by tables that come and go.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_locks_per_transaction = 1000\n");
$node->start;
plan skip_all => 'pg_backend_memory_contexts comes with PostgreSQL 14'
  if $node->safe_psql('postgres', 'SHOW server_version_num') < 140000;

$node->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE rabbits (id int PRIMARY KEY, name text);
	SELECT carbonite.install_trigger('rabbits');});

my $own = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'carbonite%';};
my $all = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts;};

# Prints what a session holds before and after it repeats something, in bytes.
sub growth
{
	my ($sql, $measure) = @_;
	my $output = $node->safe_psql('postgres', "$sql $measure $sql $sql $sql $measure");
	my @bytes = grep { /^\d+$/ } split /\n/, $output;
	note "bytes before and after: @bytes";
	return $bytes[1] - $bytes[0];
}

cmp_ok(growth(q{INSERT INTO rabbits SELECT coalesce((SELECT max(id) FROM rabbits), 0) + n, repeat('x', 100)
	FROM generate_series(1, 50000) n;}, $all), '<', 500_000, 'rows leave nothing behind');

cmp_ok(growth(q{DO $$ BEGIN FOR i IN 1 .. 1000 LOOP
	UPDATE carbonite_default.triggers SET excluded_columns = CASE WHEN i % 2 = 0 THEN '{name}' ELSE '{}' END::varchar[];
	UPDATE rabbits SET name = i::text WHERE id = 1; END LOOP; END $$;}, $own), '<', 100_000,
	'nor do 3000 compiled plans of one table, a thousand in each transaction');

cmp_ok(growth(q{DO $$ BEGIN FOR i IN 1 .. 100 LOOP
	CREATE TEMP TABLE burrow (id int PRIMARY KEY);
	PERFORM carbonite.install_trigger('burrow');
	INSERT INTO burrow VALUES (1);
	PERFORM carbonite.drop_trigger('burrow');
	DROP TABLE burrow; END LOOP; END $$;}, $own), '<', 100_000,
	'nor do 300 tables that were dropped');

# A statement of a million rows, seen by a trigger that fires when all of them were recorded. The
# queue of trigger events is PostgreSQL's, so a table with another trigger needs it too.
$node->safe_psql('postgres', q{
	CREATE TABLE warren (id int PRIMARY KEY, name text);
	CREATE TABLE hutch (LIKE warren INCLUDING ALL);
	SELECT carbonite.install_trigger('warren');
	CREATE FUNCTION do_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE CONSTRAINT TRIGGER do_nothing AFTER INSERT ON hutch FOR EACH ROW EXECUTE FUNCTION do_nothing();
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RAISE INFO 'memory: % %', (SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts
				WHERE name IN ('carbonite rows', 'carbonite writing')),
			substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)')::bigint * 1024;
		RETURN NULL;
	END $$;
	CREATE TRIGGER tell AFTER INSERT ON warren EXECUTE FUNCTION tell();
	CREATE TRIGGER tell AFTER INSERT ON hutch EXECUTE FUNCTION tell();});

sub memory_at_end
{
	my ($table, $rows, $width, $settings) = @_;
	my ($output, $told);
	$node->psql('postgres', "LOAD 'carbonite'; $settings; INSERT INTO $table SELECT n, repeat(md5(n::text), $width) FROM generate_series(1, $rows) n; DELETE FROM $table", stderr => \$told);
	my ($own, $anonymous) = $told =~ /memory: (\d+) (\d+)/;
	note "$rows rows in $table, $settings: rows that wait take $own bytes, the backend in all $anonymous";
	return ($own, $anonymous);
}

my ($none, $without) = memory_at_end('hutch', 1_000_000, 4, 'SET work_mem = 4096');
my ($waiting, $with) = memory_at_end('warren', 1_000_000, 4, 'SET work_mem = 4096');
cmp_ok($waiting, '>', 0, 'rows of a large statement wait');
cmp_ok($waiting, '<', 300_000, 'but few');
cmp_ok($with - $without, '<', 3_000_000, 'a million of them take no more memory than another trigger does');
($waiting) = memory_at_end('warren', 2000, 1000, 'SET carbonite.batch_rows = 1000');
cmp_ok($waiting, '<', 1_500_000, 'a batch of large rows is limited by its bytes');
($waiting) = memory_at_end('warren', 2000, 4, 'SET carbonite.batch_rows = 0');
is($waiting, 0, 'and none wait with batch_rows = 0');

$node->stop;
done_testing();
