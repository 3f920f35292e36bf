# Memory of a walsender that runs this library is bounded, whatever transactions, values and metadata are. Each
# amount of work is streamed twice at the same time, once by test_decoding, which has next to nothing of its own:
# what takes more than that is ours. CARBONITE_ROUNDS multiplies the amounts.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use StreamTest;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'memory of processes is read from /proc' unless -r '/proc/self/status' && slurp_file('/proc/self/status') =~ /RssAnon/;

my $rounds = $ENV{CARBONITE_ROUNDS} || 1;
my $megabyte = 1024;    # in kB
my $node = stream_node('main', "logical_decoding_work_mem = '4MB'\nsynchronous_commit = off\nmax_locks_per_transaction = 500\nmax_wal_size = '4GB'\nlog_statement = none\n");
my $streams = $node->safe_psql('postgres', 'SHOW server_version_num') >= 140000;
my $tables = 1100 * $rounds;
$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a text, b numeric, c jsonb)', i); IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END \$\$");
$node->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE rabbits (id int PRIMARY KEY, name text);
	CREATE TABLE large (id int PRIMARY KEY, body text);
	ALTER TABLE large ALTER body SET STORAGE EXTERNAL;});

# The streams: name => slot, walsender, the most memory that it had.
my %streams;

sub start
{
	my ($name, $plugin, @options) = @_;
	create_slot($node, 'postgres', $name, 0, $plugin);
	my $client = IPC::Run::start([ receive_command($node, 'postgres', $name, '/dev/null', undef, @options) ], '<', \undef, '>', '/dev/null',
		'2>', $node->basedir . "/$name.err", IPC::Run::timeout(2 * $StreamTest::patience * $rounds));
	$node->poll_query_until('postgres', "SELECT active FROM pg_replication_slots WHERE slot_name = '$name'") or die "no stream $name";
	$streams{$name} = { client => $client, pid => $node->safe_psql('postgres', "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$name'") };
	return;
}

# Private memory of a process in kB.
sub memory { my ($pid) = @_; return slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/ ? $1 : 0; }

# What a stream has, or has had, beyond what test_decoding has now, or has ever had: what was needed once may stay
# allocated.
my $ever = 0;
sub beyond { my ($result, $name, $when) = @_; return $result->{$when}{$name} - ($when eq 'now' ? $result->{now}{base} : $ever); }

# Does some work, and waits until all streams have sent it. Returns what each has in the end, and has had at most.
sub stream
{
	my ($what, @sql) = @_;
	my %most = map { $_ => 0 } keys %streams;
	my $began = time;
	$node->safe_psql('postgres', $_) for @sql;
	my $target = $node->safe_psql('postgres', q{SELECT pg_logical_emit_message(false, 'end', ''); SELECT pg_current_wal_flush_lsn() FROM pg_switch_wal();}) =~ s/.*\n//r;
	my $look = 0;
	while (1)
	{
		for my $name (keys %streams)
		{
			my $now = memory($streams{$name}{pid});
			$most{$name} = $now if $now > $most{$name};
		}
		last if time - $look > 0.2 && ($look = time)
		  && $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_replication WHERE sent_lsn >= '$target'") == keys %streams;
		die "$what takes too long" if time - $began > $StreamTest::patience * $rounds;
		sleep(0.002);
	}
	my %now = map { $_ => memory($streams{$_}{pid}) } keys %streams;
	$ever = $most{base} if $most{base} > $ever;
	note sprintf('%.1f s, ', time - $began) . "$what: " . join(', ', map { "$_ $now{$_} kB, at most $most{$_} kB" } sort keys %streams);
	return { now => \%now, most => \%most };
}

# Repeated work leaves nothing behind.
sub leaves_nothing
{
	my ($what, @sql) = @_;
	my $first = stream($what, @sql);
	my $second = stream($what, @sql);
	for my $name (grep { $_ ne 'base' } sort keys %streams)
	{
		my ($growth, $base) = map { $second->{now}{$_} - $first->{now}{$_} } $name, 'base';
		cmp_ok($growth - ($base > 0 ? $base : 0), '<', $megabyte, "$what: $name does not grow");
	}
	return $second;
}

start('base', 'test_decoding', 'include-xids', 'on');
start('whole', 'carbonite');
start('parts', 'carbonite', 'streaming', 'on', 'max-record-bytes', '1000000') if $streams;
my @ours = grep { $_ ne 'base' } sort keys %streams;

#------------------------------------------------------------------------------------------------------------

stream('nothing', 'INSERT INTO rabbits VALUES (0)');
my $rows = 300_000 * $rounds;
my $result = stream("one transaction of $rows rows", qq{
	INSERT INTO rabbits SELECT n, md5(n::text) FROM generate_series(1, $rows) n});
cmp_ok(beyond($result, $_, 'most'), '<', 6 * $megabyte, "a large transaction: $_ takes little") for @ours;
$node->safe_psql('postgres', 'TRUNCATE rabbits');

my $messages = 100_000 * $rounds;
leaves_nothing("$messages messages outside of transactions", "SELECT count(pg_logical_emit_message(false, 'other', 'text' || n)) FROM generate_series(1, $messages) n");
$result = leaves_nothing("$messages messages of a transaction", "SELECT count(pg_logical_emit_message(true, 'other', 'text' || n)) FROM generate_series(1, $messages) n");
cmp_ok(beyond($result, $_, 'most'), '<', 6 * $megabyte, "messages: $_ takes little") for @ours;

my $transactions = 10_000 * $rounds;
leaves_nothing("$transactions transactions", "CREATE PROCEDURE work() LANGUAGE plpgsql AS \$\$ BEGIN FOR i IN 1 .. $transactions LOOP
	PERFORM carbonite.annotate('{\"a\": 1}'); INSERT INTO rabbits VALUES (-i, 'x'); COMMIT; END LOOP; END \$\$; CALL work(); DROP PROCEDURE work; TRUNCATE rabbits");

#------------------------------------------------------------------------------------------------------------
# Metadata that nobody needs.

my $many = 20_000 * $rounds;
my $deep = 100_000;
my %metadata = (
	'many annotations' => "BEGIN; INSERT INTO rabbits VALUES (1); SELECT count(carbonite.annotate(jsonb_build_object('k' || n, n))) FROM generate_series(1, $many) n;
		INSERT INTO rabbits VALUES (2); COMMIT; TRUNCATE rabbits",
	'an annotation of 1 MB' => q{BEGIN; INSERT INTO rabbits VALUES (1); SELECT carbonite.annotate(jsonb_build_object('k', repeat('x', 1000000)));
		INSERT INTO rabbits VALUES (2); COMMIT; TRUNCATE rabbits},
	'metadata of 1 MB' => q{BEGIN; SELECT length(carbonite.insert_transaction(jsonb_build_object('k', repeat('x', 1000000)))::text); INSERT INTO rabbits VALUES (1); COMMIT; TRUNCATE rabbits},
	'deep annotations' => qq~BEGIN; INSERT INTO rabbits VALUES (1); SELECT pg_logical_emit_message(true, 'carbonite', '{"a":' || repeat('[', $deep) || repeat(']', $deep) || '}');
		SELECT pg_logical_emit_message(true, 'carbonite', '{"a":' || repeat('[', 500) || repeat(']', 500) || '}');
		SELECT pg_logical_emit_message(true, 'carbonite', '{"a": '); SELECT pg_logical_emit_message(true, 'carbonite', '\\x7b00ff'::bytea);
		INSERT INTO rabbits VALUES (2); COMMIT; TRUNCATE rabbits~,
	'annotations between changes' => q{BEGIN; DO $$ BEGIN FOR i IN 1 .. 2000 LOOP
		PERFORM carbonite.annotate(jsonb_build_object('key ' || i, i)); INSERT INTO rabbits VALUES (i, repeat('x', 2000)); END LOOP; END $$; COMMIT; TRUNCATE rabbits},
	'annotations of subtransactions' => q{BEGIN; DO $$ BEGIN FOR i IN 1 .. 1000 LOOP BEGIN
		PERFORM carbonite.annotate(jsonb_build_object('key ' || i, i)); INSERT INTO rabbits VALUES (i, repeat(md5(i::text), 400)); EXCEPTION WHEN others THEN NULL; END; END LOOP; END $$; COMMIT; TRUNCATE rabbits});
for my $what (sort keys %metadata)
{
	$result = leaves_nothing($what, $metadata{$what});
	cmp_ok(beyond($result, $_, 'most'), '<', 20 * $megabyte, "$what: $_ takes little") for @ours;
}

#------------------------------------------------------------------------------------------------------------
# Tables: what is known of them is forgotten when there are many.

# their rows of the table triggers are read for each of them
$node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT carbonite.install_trigger(('t' || n)::regclass, filtered_columns => '{a}') FROM generate_series(1, 250) n) x});
$result = stream("$tables tables", "DO \$\$ BEGIN FOR i IN 1 .. $tables LOOP EXECUTE format('INSERT INTO t%s VALUES (1, ''a'', 1.5, ''{}'')', i); IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END \$\$");
# PostgreSQL's own caches of the tables' indexes have no bound
cmp_ok(beyond($result, $_, 'now'), '<', 16 * $megabyte + 4 * $tables, "$_ keeps a bounded number of tables") for @ours;

#------------------------------------------------------------------------------------------------------------
# A large value.

my $body = 'x' x 30_000_000;
create_slot($node, 'postgres', 'digest');
my $large = "INSERT INTO large SELECT 1, repeat('x', 30000000); UPDATE large SET body = body || 'y'; DELETE FROM large";
leaves_nothing('a value of 30 MB', $large);
my @lines = grep { /"change"/ } split /\n/, $node->safe_psql('postgres',
	q{SELECT left(data, 2000) FROM pg_logical_slot_get_changes('digest', NULL, NULL, 'max-record-bytes', '1000000')});
like($lines[0], qr/"key":\["1"\],"data":\{"id":1\},"omitted":\{"bytes":30000000,"columns":\{"body":\{"bytes":30000000,"sha256":"${\ sha256_hex($body)}"\}\}\}/, 'its digest stands for it');
like($lines[1], qr/"op":"update".*"sha256":"${\ sha256_hex("${body}y")}"/, 'also in updates');
like($lines[2], qr/"op":"delete".*"data":\{"id":1\}/, 'and deletes go on');

unlike(slurp_file($node->logfile), qr/ERROR|PANIC|TRAP|terminated by signal/, 'no error was met');
$_->{client}->kill_kill for values %streams;
$node->stop;
done_testing();
