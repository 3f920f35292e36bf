# Streams under fire: the walsender, the client and the server are killed at random moments while transactions go
# on. What arrived in the end is what happened: nothing is lost, what comes again is the same as before, and what
# the client had confirmed does not come again. CARBONITE_SEED chooses the moments, CARBONITE_ROUNDS how many.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use StreamTest;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{CARBONITE_SEED} || int(rand(1_000_000_000));
my $rounds = $ENV{CARBONITE_ROUNDS} || 5;
diag "CARBONITE_SEED=$seed CARBONITE_ROUNDS=$rounds";
srand($seed);

my $node = stream_node('main', "restart_after_crash = on\nwal_sender_timeout = '1s'\nlogical_decoding_work_mem = '64kB'\nlog_statement = none\n");
my $directory = $node->basedir;
$node->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE accounts (id int PRIMARY KEY, n int);
	CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int, body text);
	SELECT carbonite.install_trigger('accounts'), carbonite.install_trigger('log');
	CREATE TABLE arrived (n bigint GENERATED ALWAYS AS IDENTITY, line text);});
create_slot($node, 'postgres', 'kept');
create_slot($node, 'postgres', 'cut');
$node->safe_psql('postgres', 'INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 200) n');

append_to_file("$directory/small.sql", q{\set id random(1, 200)
BEGIN;
SET LOCAL carbonite.meta = '{"client": :client_id}';
UPDATE accounts SET n = n + 1 WHERE id = :id;
SAVEPOINT s;
UPDATE accounts SET n = -1 WHERE id = :id;
ROLLBACK TO s;
INSERT INTO log (client, body) VALUES (:client_id, repeat('x', :id * 5));
DELETE FROM log WHERE id = (SELECT min(id) FROM log WHERE client = :client_id AND random() < 0.1);
END;
});
append_to_file("$directory/large.sql", q{BEGIN;
SET LOCAL carbonite.meta = '{"large": true}';
INSERT INTO log (client, body) SELECT :client_id, md5(n::text) FROM generate_series(1, 150) n;
END;
});

sub start_workload
{
	return IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-R', '150', '-T', '60', '-f', "$directory/small.sql\@30", '-f', "$directory/large.sql\@1",
			'-h', $node->host, '-p', $node->port, 'postgres' ], '<', \undef, '>', '/dev/null', '2>', '/dev/null', IPC::Run::timeout($StreamTest::patience));
}

sub start_client
{
	my ($slot, $file, @options) = @_;
	return IPC::Run::start([ receive_command($node, 'postgres', $slot, $file, undef, @options), '-F', '1', '-s', '1' ],
		'<', \undef, '>', '/dev/null', '2>', "$file.err", IPC::Run::timeout($StreamTest::patience));
}

# Ends a program, if it has not ended, and takes note of that.
sub end
{
	my ($program, $signal) = @_;
	$program->signal($signal);
	eval { $program->finish; 1 } or diag $@;
	return;
}

# The whole lines of a file: the last one may be a part.
sub whole_lines { my ($file) = @_; return -e $file ? slurp_file($file) =~ s/[^\n]*\z//r : ''; }

sub ask { return $node->safe_psql('postgres', $_[0]); }

#------------------------------------------------------------------------------------------------------------
# Rounds.

my $repeated = '';
for my $round (1 .. $rounds)
{
	my $file = "$directory/round$round";
	my $victim = (qw(walsender client server), 'walsender, gently', 'client, gently')[ $round % 5 ];
	my $confirmed = ask(q{SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'kept'});
	my $workload = start_workload();
	my $client = start_client('kept', $file);

	sleep(0.3 + rand(1.6));
	my $pid = ask(q{SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'kept'});
	if ($victim =~ /walsender/ && $pid) { kill(($victim =~ /gently/ ? 'TERM' : 'KILL'), $pid); }
	elsif ($victim eq 'server') { $node->stop('immediate'); }
	end($client, $victim =~ /gently/ ? 'TERM' : 'KILL');
	end($workload, 'TERM');
	$node->start if $victim eq 'server';
	$node->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'kept'}) or die 'no server';

	my $lines = whole_lines($file);
	load_lines($node, 'postgres', 'arrived', $lines);
	note "round $round, $victim: " . ($lines =~ tr/\n//) . " records after $confirmed";
	my $old = ask("SELECT count(*) FROM (SELECT (line::jsonb ->> 'lsn')::pg_lsn AS lsn FROM arrived ORDER BY n DESC LIMIT " . ($lines =~ tr/\n//) . ") x WHERE lsn < '$confirmed'");
	$repeated .= "round $round: $old " if $old > 0;
}
is($repeated, '', 'what was confirmed does not come again');
load_lines($node, 'postgres', 'arrived', receive($node, 'postgres', 'kept'));

#------------------------------------------------------------------------------------------------------------
# What arrived is what happened.

ask(q{CREATE TABLE records AS SELECT DISTINCT ON (r ->> 'lsn', r ->> 'kind', (r ->> 'seq')::bigint) r, line FROM arrived, CAST(line AS jsonb) AS r WHERE r ? 'lsn';
	CREATE VIEW changed AS SELECT (r ->> 'xid')::bigint AS xid, r ->> 'op' AS op, r ->> 'table' AS table_name, ARRAY(SELECT jsonb_array_elements_text(r -> 'key')) AS key,
		CASE WHEN r ->> 'op' <> 'delete' THEN r -> 'data' END AS data, r -> 'meta' AS meta
		FROM records WHERE r ->> 'kind' = 'change' AND r ->> 'table' IN ('accounts', 'log');
	CREATE VIEW recorded AS SELECT c.transaction_xact_id::text::bigint AS xid, c.op::text, c.table_name, c.table_pk AS key,
		CASE WHEN c.op <> 'delete' THEN c.data END AS data, nullif(t.meta, '{}') AS meta
		FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id});
note 'records arrived, different ones: ' . ask(q{SELECT (SELECT count(*) FROM arrived), (SELECT count(*) FROM records)});
cmp_ok(ask('SELECT count(*) FROM recorded'), '>', 500, 'something happened');
is(ask(q{SELECT count(*) FROM (SELECT FROM arrived, CAST(line AS jsonb) AS r WHERE r ? 'lsn'
		GROUP BY r ->> 'lsn', r ->> 'kind', r ->> 'seq' HAVING count(DISTINCT line) > 1) x}), 0, 'what came again was the same as before');
is(ask('SELECT count(*) FROM (SELECT * FROM recorded EXCEPT ALL SELECT * FROM changed) x'), 0, 'nothing is lost');
is(ask('SELECT count(*) FROM (SELECT * FROM changed EXCEPT ALL SELECT * FROM recorded) x'), 0, 'nothing else has come');
is(ask(q{SELECT count(*) FROM (SELECT r ->> 'xid' AS xid, sum((r ->> 'records')::int) AS records, count(*) FILTER (WHERE r ? 'seq') AS count,
		count(*) FILTER (WHERE r ->> 'kind' = 'begin') AS begins, count(*) FILTER (WHERE r ->> 'kind' = 'commit') AS commits
	FROM records WHERE r ? 'xid' GROUP BY 1) x WHERE records <> count OR begins <> 1 OR commits <> 1}), 0, 'every transaction is complete');

#------------------------------------------------------------------------------------------------------------
# A client that is killed in the middle of a large transaction goes on behind the last record that it has.

ask(q{SELECT count(*) FROM pg_logical_slot_get_changes('cut', NULL, NULL)});
ask(q{BEGIN; INSERT INTO log (client, body) VALUES (0, 'before it is said'); SELECT carbonite.put_meta('large', 'very');
	INSERT INTO log (client, body) SELECT 0, md5(n::text) FROM generate_series(1, 10000) n; COMMIT; INSERT INTO log (client) VALUES (1);});
my $all = ask(q{SELECT data FROM pg_logical_slot_peek_changes('cut', NULL, NULL)}) . "\n";
my @all = split /\n/, $all;
sub place { my ($line) = @_; return $line =~ /"lsn":"([^"]+)".*?"seq":(\d+)/ ? "$1/$2" : undef; }

for (1 .. 3)
{
	my $last = 2 + int(rand(10000));
	my $rest = ask("SELECT data FROM pg_logical_slot_peek_changes('cut', NULL, NULL" . stream_options('resume-after', place($all[$last])) . ')');
	my @rest = split /\n/, $rest;
	is(shift(@rest), $all[0], 'a stream that goes on begins the transaction again');
	ok(join("\n", @rest) =~ s/"records":\d+//r eq join("\n", @all[ $last + 1 .. $#all ]) =~ s/"records":\d+//r, "and has the rest behind record $last");
}
my ($lsn) = $all[0] =~ /"lsn":"([^"]+)"/;
my ($end) = $all =~ /"kind":"commit".*?"end_lsn":"([^"]+)"/;
is(ask("SELECT count(*) FROM pg_logical_slot_peek_changes('cut', NULL, NULL" . stream_options('resume-after', $end) . ')'), 3, 'behind the transaction is the next one');

my ($received, $tries) = ('', 0);
while ($received !~ /"kind":"commit"/ && $tries++ < 20)
{
	my $file = "$directory/cut$tries";
	my $last = (grep { defined place($_) } split /\n/, $received)[-1];
	my $client = start_client('cut', $file, 'batch-bytes', 3000, defined $last ? ('resume-after', place($last)) : ());
	my $enough = int(rand(2e6));
	for (1 .. 2000) { last if -e $file && -s $file > $enough || ($tries == 20 || -e $file) && whole_lines($file) =~ /"kind":"commit"/; sleep(0.005); }
	end($client, 'KILL');
	$node->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'cut'}) or die 'the slot stays active';
	$received .= join('', grep { !/"kind":"begin"/ || $received eq '' } map { "$_\n" } split /\n/, whole_lines($file));
	last if ask(qq{SELECT confirmed_flush_lsn > '$lsn' FROM pg_replication_slots WHERE slot_name = 'cut'}) eq 't';
}
note "the large transaction took $tries clients";
my $count = grep { /"kind":"change"/ && /"client":0/ } @all;
my @received = grep { /"kind":"change"/ && /"client":0/ } split /\n/, $received;
is(scalar(@received), $count, 'clients that were killed have every change of it once');
ok(join("\n", @received) eq join("\n", grep { /"kind":"change"/ && /"client":0/ } @all), 'in order');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 6|signal 11/, 'nothing crashed but what was killed');
$node->stop;
done_testing();
