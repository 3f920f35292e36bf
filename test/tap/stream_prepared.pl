# Transactions that are sent while they are in progress, several at a time, with savepoints, two-phase commit and
# metadata of which a part is rolled back; and transactions that end while they are being decoded. CARBONITE_SEED
# repeats a run, CARBONITE_ROUNDS makes it longer.
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
my $rounds = $ENV{CARBONITE_ROUNDS} || 250;
diag "CARBONITE_SEED=$seed CARBONITE_ROUNDS=$rounds";
srand($seed);

my $node = stream_node('main', "max_prepared_transactions = 10\nlogical_decoding_work_mem = '64kB'\n");
if ($node->safe_psql('postgres', 'SHOW server_version_num') < 140000)
{
	$node->stop;
	plan skip_all => 'transactions are sent in progress from PostgreSQL 14 on';
}

# Each session has tables of its own, so that none waits for another.
my @tables = map { ("t$_", "full$_") } 1 .. 3;
$node->safe_psql('postgres', 'CREATE DATABASE base');
$node->safe_psql('base', join('', map { qq{
	CREATE TABLE t$_ (id int PRIMARY KEY, body text);
	CREATE TABLE full$_ (id int PRIMARY KEY, body text);
	ALTER TABLE full$_ REPLICA IDENTITY FULL;} } 1 .. 3));
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE base');
$node->safe_psql('copy', slurp_file("$FindBin::RealBin/lib/replay.sql"));
$node->safe_psql('base', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	SELECT carbonite.install_trigger('t1', capture_ddl => true), carbonite.install_trigger('full2');
	CREATE TABLE ticks (at timestamptz);
	CREATE TABLE procedures (id int PRIMARY KEY, p regproc, o regoper, t regtype);
	CREATE TABLE said (session int, xid bigint, word text);
	CREATE SEQUENCE ids;});
create_slot($node, 'base', 'mixed', 1);

#------------------------------------------------------------------------------------------------------------
# Sessions that stay, and do one thing after the other.

my @sessions;
sub start_session
{
	my %session = (in => '', out => '');
	$session{timer} = IPC::Run::timeout($StreamTest::patience);
	$session{run} = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('base') ], '<', \$session{in}, '>', \$session{out}, '2>&1', $session{timer});
	return \%session;
}

# Runs SQL in a session, and returns what it says.
my $turns = 0;
sub in_session
{
	my ($session, $sql) = @_;
	my $turn = 'turn ' . ++$turns;
	$session->{out} = '';
	$session->{timer}->start($StreamTest::patience);
	$session->{in} .= "$sql;\n\\echo $turn\n";
	IPC::Run::pump($session->{run}) until $session->{out} =~ /^$turn$/m;
	die "$sql: $session->{out}" if $session->{out} =~ /ERROR/;
	return $session->{out} =~ s/^$turn\n//mr;
}

# A client that stays, too: what it has of transactions in progress it would get again if it came back.
my ($reader, $file, $place);
sub start_reader
{
	$file = $node->basedir . '/lines' . int(rand(1e9));
	$place = 0;
	$reader = IPC::Run::start([ receive_command($node, 'base', 'mixed', $file, undef, 'streaming', 'on', 'exclude-tables', 'public.ticks,public.said') ],
		'<', \undef, '>', '/dev/null', '2>', "$file.err", IPC::Run::timeout(3 * $StreamTest::patience));
	return;
}

# What is new in the stream. WAL is sent when it is on disk, so something is committed, and then waited for.
my $marks = 0;
sub get
{
	my $mark = ++$marks;
	my $lines = '';
	$node->safe_psql('base', "INSERT INTO ticks VALUES (now()); SELECT pg_logical_emit_message(false, 'mark', '$mark'); INSERT INTO ticks VALUES (now())");
	for (1 .. 100 * $StreamTest::patience)
	{
		my $more = -e $file ? slurp_file($file, $place) : '';
		$place += length($more);
		$lines .= $more;
		last if $lines =~ /"content":"$mark"\}\n/;
		sleep(0.01);
	}
	die 'nothing comes' unless $lines =~ /"content":"$mark"\}\n/;
	# the beginning of a line is left for the next time
	$lines =~ s/([^\n]*)\z//;
	$place -= length($1);
	$lines = join('', grep { !/"prefix":"mark"/ } split /^/, $lines);
	load_lines($node, 'copy', 'replay.records', $lines) if $lines ne '';
	return split /\n/, $lines;
}

sub found { my ($pattern, @lines) = @_; return scalar grep { /$pattern/ } @lines; }
sub rows { my ($table, $count) = @_; return "INSERT INTO $table SELECT nextval('ids'), repeat(md5(random()::text), 30) FROM generate_series(1, $count)"; }
sub meta_of { my ($kind, @lines) = @_; return join(' ', map { /"meta":(\{.*\})\}$/ ? $1 : '{}' } grep { /"kind":"$kind"/ } @lines); }

@sessions = map { start_session() } 1 .. 3;
my ($one, $other, $third) = @sessions;
start_reader();

#------------------------------------------------------------------------------------------------------------
# One after the other.

in_session($one, q{BEGIN; SELECT carbonite.insert_transaction('{"who": "a"}')});
in_session($one, rows('t1', 200));
in_session($other, 'BEGIN');
in_session($other, rows('t2', 200));
my @lines = get();
is(found(qr/"kind":"begin".*"in_progress":true/, @lines), 2, 'two transactions are sent in progress');
is(found(qr/"kind":"change".*"in_progress":true/, @lines), found(qr/"kind":"change"/, @lines), 'their changes say so');
cmp_ok(found(qr/"kind":"change"/, @lines), '>', 300, 'many of them');
is(found(qr/"who":"a"/, @lines), found(qr/"table":"t1"|^[^}]*"begin".*"who"/, @lines), 'changes of one have its metadata, those of the other have not');

in_session($one, 'SAVEPOINT s');
in_session($one, q{SELECT carbonite.annotate('{"lost": 1}'); SELECT carbonite.put_meta('lost', 2)});
in_session($one, rows('full1', 100) . q{; TRUNCATE full1; SELECT pg_logical_emit_message(true, 'ddl', 'ALTER TABLE t3 ADD COLUMN lost int'); ALTER TABLE t1 ADD COLUMN lost int});
in_session($one, rows('full1', 100));
@lines = get();
my @inside = grep { !/"kind":"(begin|commit)"/ } @lines;
is(found(qr/"subxid":\d+/, @inside), scalar(@inside), 'each record of a subtransaction names it');
is(found(qr/"kind":"$_"/, @inside) > 0, 1, "there is a record of kind $_") for qw(change truncate message ddl);
is(found(qr/"lost"/, grep { /"meta":.*"lost":[12]/ } @inside) > 0, 1, 'its metadata counts while it goes on');

in_session($one, 'ROLLBACK TO s');
in_session($one, q{SELECT carbonite.annotate('{"kept": 1}')});
in_session($one, rows('full1', 100));
in_session($other, 'ROLLBACK');
@lines = get();
is(found(qr/"kind":"abort".*"subxid":\d+/, @lines), 1, 'the subtransaction is no more');
is(found(qr/"kind":"abort","xid":\d+\}/, @lines), 1, 'neither is the other transaction');
in_session($one, 'COMMIT');
@lines = (@lines, get());
is(meta_of('commit', @lines), '{"who":"a","kept":1}', 'what the subtransaction has said is not true of the transaction');

# Prepared transactions, sent when they are prepared or in progress before.
for my $size (3, 300)
{
	for my $end ('COMMIT', 'ROLLBACK')
	{
		my $gid = "a \"$size\" $end";
		in_session($one, q{BEGIN; SELECT carbonite.put_meta('size', } . $size . q{)});
		in_session($one, rows('t1', $size) . q{; SAVEPOINT s; SELECT carbonite.annotate('{"lost": 1}'); } . rows('full1', $size) . '; ROLLBACK TO s; ' . rows('full1', $size));
		@lines = get();
		is(found(qr/"in_progress":true/, @lines) > 0, $size == 300, "$size rows: " . ($size == 300 ? 'sent in progress' : 'not sent yet'));
		in_session($one, "PREPARE TRANSACTION '$gid'");
		@lines = (@lines, get());
		is(meta_of('prepare', @lines), "{\"size\":$size}", 'the record that it is prepared has its metadata');
		is(found(qr/"kind":"prepare".*"gid":"a \\"$size\\" $end"/, @lines), 1, 'and its name');
		is(found(qr/"kind":"commit","lsn"[^}]*"xid":(??{ $lines[0] =~ m{"xid":(\d+)} ? $1 : 0 }),/, @lines), 0, 'it is not committed');
		if ($size == 3 && $end eq 'COMMIT')
		{
			# it is not forgotten; sessions and client come back
			$node->restart;
			$_->kill_kill for $reader, map { $_->{run} } @sessions;
			@sessions = ($one, $other, $third) = map { start_session() } 1 .. 3;
			start_reader();
		}
		is(found(qr/"gid".*_prepared"/, get()), 0, 'it has not ended');
		in_session($other, "$end PREPARED '$gid'");
		@lines = get();
		is(found('"kind":"' . lc($end) . '_prepared".*"gid":"a \\\\"' . "$size", @lines), 1, lc($end) . ' of it');
		is(scalar(@lines), 1, 'and nothing else');
	}
}

#------------------------------------------------------------------------------------------------------------
# Anything.

sub pick { return $_[ int(rand(@_)) ]; }
my (%open, %prepared, @said);
my $words = 0;
for my $round (1 .. $rounds)
{
	my $number = 1 + int(rand(3));
	my $session = $sessions[ $number - 1 ];
	my $state = $open{$number} //= { savepoints => 0 };
	my $table = pick("t$number", "full$number");
	my $what = pick(qw(rows rows rows update delete savepoint savepoint back release say say truncate end end get get));
	my $word = ++$words;

	if (!$state->{open}) { in_session($session, 'BEGIN'); $state->{open} = 1; }
	if ($what eq 'rows') { in_session($session, rows($table, pick(1, 20, 60))); }
	elsif ($what eq 'update') { in_session($session, "UPDATE $table SET " . pick('body = body || 1', "id = nextval('ids')") . " WHERE id % 7 = $round % 7"); }
	elsif ($what eq 'delete') { in_session($session, "DELETE FROM $table WHERE id % 11 = $round % 11"); }
	elsif ($what eq 'truncate') { in_session($session, "TRUNCATE $table") if rand() < 0.3; }
	elsif ($what eq 'say')
	{
		in_session($session, pick("SELECT carbonite.put_meta('put$word', $word)",
			"SELECT carbonite.annotate('{\"a$word\": $word}'); INSERT INTO said VALUES ($number, pg_current_xact_id()::text::bigint, 'a$word')"));
	}
	elsif ($what eq 'savepoint') { in_session($session, 'SAVEPOINT s' . ++$state->{savepoints}); }
	elsif ($what eq 'back' && $state->{savepoints} > 0)
	{
		my $to = 1 + int(rand($state->{savepoints}));
		in_session($session, "ROLLBACK TO s$to");
		$state->{savepoints} = $to;
	}
	elsif ($what eq 'release' && $state->{savepoints} > 0) { in_session($session, "RELEASE s$state->{savepoints}"); $state->{savepoints}--; }
	elsif ($what eq 'get') { get(); }
	elsif ($what eq 'end')
	{
		my $end = pick('COMMIT', 'COMMIT', 'ROLLBACK', "PREPARE TRANSACTION 'r$round'");
		in_session($session, $end);
		if ($end =~ /PREPARE/)
		{
			get() if rand() < 0.5;
			in_session($session, pick('COMMIT', 'ROLLBACK') . " PREPARED 'r$round'");
		}
		$open{$number} = { savepoints => 0 };
	}
}
in_session($sessions[ $_ - 1 ], 'COMMIT') for grep { $open{$_}{open} } keys %open;
get();

$node->safe_psql('copy', 'SELECT replay.run()');
is($node->safe_psql('copy', 'SELECT * FROM replay.faults ORDER BY n LIMIT 5'), '', 'every record can be applied');
is($node->safe_psql('copy', 'SELECT count(*) FROM replay.held'), 0, 'every transaction has ended');
note $node->safe_psql('copy', q{SELECT string_agg(kind || ' ' || count, ', ') FROM (
	SELECT r ->> 'kind' || CASE WHEN r ? 'in_progress' THEN ' in progress' ELSE '' END AS kind, count(*) FROM replay.records, CAST(line AS jsonb) AS r GROUP BY 1 ORDER BY 1) k});
for my $table (@tables)
{
	my $query = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY id)) FROM $table t";
	is($node->safe_psql('copy', $query), $node->safe_psql('base', $query), "$table is equal");
}

# What was said at last, and not rolled back.
my %truth = map { split /\|/ } split /\n/, $node->safe_psql('base', q{
	SELECT coalesce(t.xact_id::text::bigint, s.xid), coalesce(s.meta, '{}') || coalesce(t.meta, '{}')
	FROM carbonite_default.transactions t
	FULL JOIN (SELECT xid, jsonb_object_agg(word, substr(word, 2)::int) AS meta FROM said GROUP BY xid) s ON s.xid = t.xact_id::text::bigint});
my $wrong = 0;
my $with = 0;
for my $line (split /\n/, $node->safe_psql('copy', q{SELECT r ->> 'xid', coalesce(r -> 'meta', '{}') FROM replay.records, CAST(line AS jsonb) AS r
	WHERE r ->> 'kind' IN ('commit', 'prepare') AND n > (SELECT max(n) FROM replay.records WHERE line LIKE '%"gid":"a %')}))
{
	my ($xid, $meta) = split /\|/, $line;
	my %words = map { $_ => 1 } ($truth{$xid} // '') =~ /\d+(?=[,}])/g;
	my %told = map { $_ => 1 } $meta =~ /\d+(?=[,}])/g;
	next if !exists $truth{$xid} && $meta ne '{}';    # prepared, and rolled back
	$with++ if %told;
	next if join(" ", sort keys %words) eq join(" ", sort keys %told);
	$wrong++;
	diag "transaction $xid has said $truth{$xid}, but the stream tells $meta";
}
cmp_ok($with, '>', 0, 'transactions have metadata');
is($wrong, 0, 'and all of it');

#------------------------------------------------------------------------------------------------------------
# Thousands of subtransactions with something to say are no burden.

in_session($one, q{BEGIN; DO $$ BEGIN FOR i IN 1 .. 2000 LOOP
	BEGIN PERFORM carbonite.annotate(jsonb_build_object('key ' || i, i)); INSERT INTO t1 VALUES (-i, repeat('x', 500)); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$});
$node->safe_psql('base', q{INSERT INTO ticks VALUES (now())});
@lines = get();
cmp_ok(found(qr/"in_progress":true.*"key 1":1,"key 2":2\b/, @lines), '>', 500, 'thousands of subtransactions with metadata');
cmp_ok((sort { $b <=> $a } map { length } @lines)[0], '<', 300_000, 'of which there is a limit');
in_session($one, 'ROLLBACK');
get();

# A transaction that is rolled back while it is being decoded. Where that is noticed is a matter of luck: where names
# of functions are looked up, it may be in the middle of a record.
my ($broken, $parts) = (0, 0);
my $procedures = $node->safe_psql('base', 'SELECT count(*) FROM pg_proc');
for my $try (1 .. 4)
{
	# a walsender that knows no names yet
	$reader->kill_kill;
	$node->poll_query_until('base', q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'mixed'}) or die 'the slot stays active';
	$node->safe_psql('base', q{SELECT pg_replication_slot_advance('mixed', pg_current_wal_lsn())});
	start_reader();
	get();
	in_session($one, q{BEGIN; INSERT INTO t1 SELECT -n, 'x' FROM generate_series(1, 100) n});
	in_session($one, qq{INSERT INTO procedures SELECT row_number() OVER (), p.oid, o.oid, t.oid FROM (SELECT oid, row_number() OVER (ORDER BY md5(oid::text)) AS n FROM pg_proc) p
		LEFT JOIN (SELECT oid, row_number() OVER () AS n FROM pg_operator) o USING (n) LEFT JOIN (SELECT oid, row_number() OVER () AS n FROM pg_type) t USING (n)});
	$node->safe_psql('copy', 'TRUNCATE replay.records');
	in_session($other, 'INSERT INTO ticks VALUES (now())');
	for (1 .. 1000) { last if -e $file && -s $file > $place; sleep(0.002); }
	sleep(rand(0.02));
	in_session($one, 'ROLLBACK');
	@lines = get();
	$broken += found(qr/^(?!\{"kind":.*\}$)|"failed"/, @lines);
	$parts++ if found(qr/"table":"procedures"/, @lines) < $procedures;
	is($node->safe_psql('copy', q{SELECT count(*) FROM replay.records WHERE line::jsonb ->> 'kind' IS NULL}), 0, "try $try: all is JSON");
}
is($broken, 0, 'every record is whole');
note "decoding of $parts transactions was cut short";

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|leak/, 'no crash, and nothing leaks');
$_->kill_kill for $reader, map { $_->{run} } @sessions;
$node->stop;
done_testing();
