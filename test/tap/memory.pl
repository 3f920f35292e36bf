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

$node->stop;
done_testing();
