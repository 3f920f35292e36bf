# Real clients, as their authors publish them: psycopg2, JDBC, pg_recvlogical and, from npm, pg-logical-replication follow
# the same work, crash in the middle, lose their server, and go on. Each has every record once and in order, as the SQL
# interface has them, and those are what the audit tables say. pgcopydb copies a database while it changes. A client that
# is not installed is left out; Debian has them as: python3-psycopg2, libpostgresql-jdbc-java, default-jdk-headless,
# nodejs, npm, pgcopydb.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamTest;
use Test::More;

my $programs = "$FindBin::Bin/../clients";
my $jar = '/usr/share/java/postgresql.jar';
my $patience = 100;

# Servers where the plugin wal2json is this library.
sub make_node
{
	my ($name) = @_;
	my $node = stream_node($name, "listen_addresses = '127.0.0.1'\n" . q{dynamic_library_path = '$libdir/carbonite_plugins:$libdir'} . "\n");
	return $node if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'}) eq '0';
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'wal2json, carbonite'\n");
	$node->reload;
	return $node;
}

sub works { my @command = @_; return eval { IPC::Run::run(\@command, '<', \undef, '>', \my $output, '2>', \my $error, IPC::Run::timeout($patience)) }; }

my @started;

# Starts a command that is to end by itself.
sub start
{
	my ($command, %environment) = @_;
	my $output = '';
	local @ENV{ keys %environment } = values %environment;
	push @started, IPC::Run::start($command, '<', \undef, '>', \$output, '2>&1', IPC::Run::timeout($patience));
	return { output => \$output, run => $started[-1] };
}

# Nobody outlives a test that dies.
END { my $status = $?; eval { $_->kill_kill(grace => 5) } for grep { $_->pumpable } @started; $? = $status; }

# Waits for it. The first is true if it succeeded, the second if it did what clients do here in place of a crash.
sub finish { my ($started) = @_; return eval { $started->{run}->finish } ? 1 : 0; }
sub crashes { my ($started) = @_; return !finish($started) && eval { $started->{run}->result(0) } == 42; }

sub start_psql
{
	my ($node, $database, $script) = @_;
	return start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-c', $script ]);
}

my $node = make_node('main');
sub sql { return $node->safe_psql('shop', $_[0]); }

#------------------------------------------------------------------------------------------------------------
# pgcopydb takes its time, most of it asleep: it runs beside the others.

my $why_not = !works('pgcopydb', '--version') ? 'pgcopydb is not installed (Debian: pgcopydb)'
  : $node->safe_psql('postgres', 'SHOW server_version_num') >= 160000 ? 'the tested pgcopydb copies servers up to PostgreSQL 15' : undef;
my ($copied, $copy, @copied_work);

# Two faults of pgcopydb 0.10 must not be met, which it has with any plugin: it makes SQL without escapes for apostrophes,
# and leaves out transactions that begin in one file of the WAL and end in another.
sub copied_work
{
	my ($session) = @_;
	return map { my $first = 10000 * $session + 100 * $_; qq{
		INSERT INTO orders SELECT $first + n, e'a "new" \\\\ ü', n % 5, NULL, now(), '{"a": [1, null]}', n % 2 = 0 FROM generate_series(0, 49) n;
		UPDATE orders SET quantity = quantity + 1, placed = NULL WHERE id % 20 = $_ AND id % 2 = $session % 2;
		UPDATE orders SET id = -id WHERE id = $first;
		DELETE FROM orders WHERE id IN ($first + 1, 20 * $_ + $session);
		SELECT pg_sleep(0.1);} } 1 .. 20;
}

sub pgcopydb_uri { my ($database) = @_; return 'postgresql:///' . $database . '?host=' . $copied->host . '&port=' . $copied->port; }

sub pgcopydb { return ('pgcopydb', @_, '--source', pgcopydb_uri('source')); }

unless ($why_not)
{
	my ($help, $error);
	IPC::Run::run([ 'pgcopydb', 'clone', '--help' ], '>', \$help, '2>', \$error);
	$copied = make_node('copied');
	$copied->safe_psql('postgres', "CREATE DATABASE $_") for 'source', 'target';
	$copied->safe_psql('source', q{
		CREATE TABLE orders (id int PRIMARY KEY, item text, quantity int, price numeric(10,2), placed timestamptz, details jsonb, paid boolean);
		INSERT INTO orders SELECT n, 'ordered', 1, n * 1.1, now(), '{}', true FROM generate_series(1, 1000) n;
		CREATE TABLE beats (at timestamptz PRIMARY KEY);
		SELECT pg_switch_wal()});
	# `timeout` also ends the processes that pgcopydb starts
	$copy = start([ 'timeout', '--kill-after=2', $patience, pgcopydb('clone', '--follow', ("$help$error" =~ /--plugin/ ? ('--plugin', 'wal2json') : ())), '--target', pgcopydb_uri('target'),
		'--dir', $copied->basedir . '/copy' ], HOME => $copied->basedir, XDG_DATA_HOME => $copied->basedir);
	$copied->poll_query_until('source', q{SELECT count(*) = 1 FROM pg_replication_slots}) or diag ${ $copy->{output} };
	@copied_work = map { my $session = $_; start_psql($copied, 'source', join('', map { "BEGIN; $_ COMMIT;" } copied_work($session))) } 1, 2;
}

#------------------------------------------------------------------------------------------------------------
# The clients, and their slots.

my $directory = $node->basedir;
my $database = 'host=' . $node->host . ' port=' . $node->port . ' dbname=shop user=' . $node->safe_psql('postgres', 'SELECT current_user');
my %database = $database =~ /(\w+)=(\S+)/g;
my $json = encode_json({ host => $database{host}, port => $database{port}, database => 'shop', user => $database{user} });
my ($python) = grep { works($_, '-c', 'import psycopg2') } 'python3', '/usr/bin/python3';
mkdir "$directory/$_" for 'java', 'node';

# Installs what package-lock.json pins; undef, or why not.
sub install_npm_packages
{
	return 'node and npm are not installed (Debian: nodejs, npm)' unless works('node', '--version') && works('npm', '--version');
	copy("$programs/$_", "$directory/node/$_") for 'package.json', 'package-lock.json';
	local $ENV{HOME} = $directory;
	local $ENV{npm_config_cache} = "$directory/npm";
	return if works('timeout', 20, 'npm', 'ci', '--prefix', "$directory/node", '--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=0', '--fetch-timeout=15000');
	return 'npm cannot install pg-logical-replication: no way to its registry?';
}

my $no_java = -e $jar && works('javac', '-d', "$directory/java", '-cp', $jar, "$programs/JdbcClient.java") ? undef
  : 'the JDBC driver or a JDK is not installed (Debian: libpostgresql-jdbc-java, default-jdk-headless)';
my $no_node = install_npm_packages();
my @node = (environment => { NODE_PATH => "$directory/node/node_modules" }, skip => $no_node);
my @clients = (
	{ name => 'psycopg2', command => [ $python, "$programs/psycopg2_client.py", $database ],
		skip => $python ? undef : 'psycopg2 is not installed (Debian: python3-psycopg2)', makes_slot => 1 },
	{ name => 'jdbc', command => [ 'java', '-XX:TieredStopAtLevel=1', '-cp', "$directory/java:$jar", 'JdbcClient',
			"jdbc:postgresql://127.0.0.1:$database{port}/shop?user=$database{user}" ], skip => $no_java, makes_slot => 1 },
	{ name => 'node', command => [ 'node', "$programs/node_client.js", $json ], @node },
	{ name => 'node_wal2json', command => [ 'node', "$programs/wal2json_client.js", $json ], @node, plugin => 'wal2json', second => 6500 });
my @present = grep { !$_->{skip} } @clients;
$_->{file} = "$directory/$_->{name}.out" for @clients;

sub start_client { my ($client, @lines) = @_; return start([ @{ $client->{command} }, $client->{name}, $client->{file}, @lines ], %{ $client->{environment} // {} }); }

# pg_recvlogical has no memory: what it writes twice is left out afterwards.
my $received = "$directory/pg_recvlogical.out";

sub start_receiving
{
	my @arguments = @_;
	return start([ receive_command($node, 'shop', 'pg_recvlogical', $received, undef, partitions => 'leaf', 'batch-bytes' => 2048),
		'--status-interval', '1', '--fsync-interval', '1', @arguments ]);
}

sub wait_for
{
	my ($what, $condition) = @_;
	my $end = time + $patience;
	until ($condition->()) { if (time > $end) { diag "waited too long for $what"; return 0; } select(undef, undef, undef, 0.02); }
	return 1;
}

# Ends a client that would go on, at once or in good order.
sub stop { my ($started, $signal) = @_; $started->{run}->signal($signal); eval { $started->{run}->finish }; return; }

# Its last line may have no end then, and the next one would follow in it.
sub kill_receiving
{
	stop($_[0], 'KILL');
	my ($whole) = slurp_file($received) =~ /\A(.*\n)/s;
	truncate($received, length($whole)) or die $!;
	return;
}

# The records that a client has, without those that it has twice.
sub records_of
{
	my ($file) = @_;
	my ($done, @records) = ('');
	for my $line (split /\n/, slurp_file($file))
	{
		my $record = decode_json($line);
		my ($high, $low) = map { hex } split /\//, $record->{lsn};
		my $place = sprintf('%08x%08x%020.1f', $high, $low, $record->{seq} // ($record->{kind} eq 'commit' ? 1e15 : 0.5));
		next if $place le $done;
		push @records, $line;
		$done = $place;
	}
	return join('', map { "$_\n" } @records);
}

sub lines_of { my ($file) = @_; return -e $file ? scalar(() = slurp_file($file) =~ /\n/g) : 0; }

#------------------------------------------------------------------------------------------------------------
# What they follow.

sub work
{
	my ($session) = @_;
	return map { my $first = 10000 * $session + 10 * $_; qq{
		BEGIN;
		SELECT carbonite.insert_transaction('{"user": "ü$session", "step": $_}');
		INSERT INTO orders SELECT $first + n, e'it''s "new" \\\\ ü', n % 5, $_ * 1.1, '{"a": [1, null]}' FROM generate_series(0, 4) n;
		UPDATE orders SET quantity = quantity + 1 WHERE id IN ($first, $first - 10);
		SAVEPOINT s;
		DELETE FROM orders WHERE id = $first + 1;
		} . ($_ % 3 ? '' : 'ROLLBACK TO s;') . qq{
		SELECT pg_logical_emit_message(true, 'note', 'step $_'), pg_logical_emit_message(false, 'aside', 'step $_');
		} . ($_ % 7 ? 'COMMIT;' : 'ROLLBACK;') . ($_ % 5 ? '' : 'SELECT pg_sleep(0.05);') } 1 .. 60;
}

my $much = q{
	BEGIN;
	SELECT carbonite.insert_transaction('{"user": "import"}');
	INSERT INTO orders SELECT -n, 'imported', n, n, NULL FROM generate_series(1, 2500) n;
	COMMIT;};

$node->safe_psql('postgres', 'CREATE DATABASE shop');
sql(q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema();
	CREATE TABLE orders (id int PRIMARY KEY, item text, quantity int, price numeric(10,2), details jsonb);
	SELECT carbonite.install_trigger('orders');
	CREATE UNLOGGED TABLE lines (n bigint GENERATED ALWAYS AS IDENTITY, line text)});
create_slot($node, 'shop', 'truth');
create_slot($node, 'shop', $_->{name}, 0, $_->{plugin}) for grep { !$_->{makes_slot} } @present;
ok(works('pg_recvlogical', '-d', $node->connstr('shop'), '-S', 'pg_recvlogical', '--create-slot', '-P', 'carbonite'), 'pg_recvlogical creates a slot');

# They all follow from the beginning, and stop as if they crashed: first in the big transaction.
my @runs = map { start_client($_, 300) } @present;
my $receiving = start_receiving();
my $slots = @present + 2;
$node->poll_query_until('shop', "SELECT count(*) = $slots FROM pg_replication_slots") or diag map { ${ $_->{output} } } @runs;
my @sessions = map { start_psql($node, 'shop', $_ == 1 ? join('', $much, work($_)) : join('', work($_))) } 1 .. 3;
wait_for('pg_recvlogical', sub { lines_of($received) > 300 });
kill_receiving($receiving);
ok(crashes($runs[$_]), "$present[$_]->{name} crashes") or diag ${ $runs[$_]->{output} } for 0 .. $#present;

@runs = map { start_client($_, $_->{second} // 3000) } @present;
$receiving = start_receiving();
ok(finish($_), 'a session has done its work') or diag ${ $_->{output} } for @sessions;
ok(crashes($runs[$_]), "$present[$_]->{name} crashes again") or diag ${ $runs[$_]->{output} } for 0 .. $#present;
wait_for('pg_recvlogical', sub { lines_of($received) > 3000 });
kill_receiving($receiving);

@runs = map { start_client($_) } @present;
$receiving = start_receiving();

# What others do is confirmed, too: the server need not keep its WAL.
my $elsewhere = $node->safe_psql('postgres', 'CREATE TABLE other AS SELECT generate_series(1, 1000); SELECT pg_current_wal_lsn()');
ok($node->poll_query_until('shop', "SELECT count(*) = 0 FROM pg_replication_slots WHERE slot_name <> 'truth' AND confirmed_flush_lsn < '$elsewhere'"),
	'clients confirm what is none of their business')
  or diag $node->safe_psql('shop', "SELECT slot_name, confirmed_flush_lsn, '$elsewhere' FROM pg_replication_slots");
stop($receiving, 'INT');

my $end;
sub all_end
{
	$end = sql(q{SELECT pg_logical_emit_message(false, 'end', '')});
	$receiving = start_receiving('--endpos', $end);
	ok(finish($runs[$_]), "$present[$_]->{name} comes to the end") or diag ${ $runs[$_]->{output} } for 0 .. $#present;
	ok(finish($receiving), 'pg_recvlogical comes to the end') or diag ${ $receiving->{output} };
	return;
}
all_end();

# A server that crashes forgets what was confirmed since its last checkpoint.
$node->stop('immediate');
$node->start;
cmp_ok(sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name <> 'truth' AND confirmed_flush_lsn < '$end'"), '>', 0, 'the server has forgotten something');
@runs = map { start_client($_) } @present;
all_end();
$node->poll_query_until('shop', q{SELECT count(*) = 0 FROM pg_replication_slots WHERE active});

#------------------------------------------------------------------------------------------------------------
# What they have.

# What is written to the WAL without a commit, as cleaning pages is, may be there in part. The SQL interface waits for the
# rest of it, which a commit brings.
sub from_sql
{
	my ($slot, @options) = @_;
	$node->safe_psql('postgres', 'INSERT INTO other VALUES (0)');
	return sql("SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL" . stream_options(@options) . ')') . "\n";
}

my @wal2json = (format => 'wal2json', 'format-version' => 2, 'include-lsn' => 'on', 'include-xids' => 'on', 'include-pk' => 'on',
	'numeric-data-types-as-string' => 'on');
my $truth = from_sql('truth', partitions => 'leaf');

# Compares what a client has, without a page of differences.
sub check
{
	my ($name, $is, $should_be) = @_;
	my @is = split /\n/, $is;
	my @should_be = split /\n/, $should_be;
	my ($first) = grep { ($is[$_] // '') ne ($should_be[$_] // '') } 0 .. ($#is > $#should_be ? $#is : $#should_be);
	ok(!defined $first, "$name has every record once, in order, as it is: " . scalar @should_be)
	  or diag "line $first is:        " . ($is[$first] // 'none') . "\nbut should be: " . ($should_be[$first] // 'none');
	return;
}

load_lines($node, 'shop', 'lines', $truth);
my $told = q{SELECT (r ->> 'xid')::bigint, (row_number() OVER (PARTITION BY r ->> 'xid' ORDER BY n)), r ->> 'op', r -> 'key', r -> 'meta'
	FROM lines, CAST(line AS jsonb) r WHERE r ->> 'kind' = 'change'};
my $recorded = q{SELECT t.xact_id::text::bigint, row_number() OVER (PARTITION BY t.id ORDER BY c.id), c.op::text, to_jsonb(c.table_pk), t.meta
	FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.xact_id = c.transaction_xact_id};
is(sql(qq{SELECT count(*) > 3000 FROM ($told) t}), 't', 'there is much to follow');
is(sql("($told EXCEPT $recorded) UNION ALL ($recorded EXCEPT $told) LIMIT 3"), '', 'the records are those of the audit tables, with their metadata');

check('pg_recvlogical', records_of($received), $truth);
cmp_ok(lines_of($received), '>', scalar(() = $truth =~ /\n/g), '... some came twice');
for my $client (@clients)
{
	SKIP: {
		skip $client->{skip}, 1 if $client->{skip};
		check($client->{name}, slurp_file($client->{file}), $client->{plugin} ? from_sql('truth', @wal2json) : $truth);
	}
}

is(sql(qq{SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name <> 'truth' AND confirmed_flush_lsn < '$end'}), '',
	'everything is confirmed');
is(from_sql($_, partitions => 'leaf'), "\n", "nothing comes again in the slot $_") for 'pg_recvlogical', map { $_->{name} } grep { !$_->{plugin} } @present;

#------------------------------------------------------------------------------------------------------------
# Where pgcopydb is to end.

unless ($why_not)
{
	ok(finish($_), 'a session has changed what is copied') or diag ${ $_->{output} } for @copied_work;
	ok($copied->poll_query_until('source', q{SELECT to_regclass('pgcopydb.sentinel') IS NOT NULL}), 'pgcopydb follows');
	ok(works(pgcopydb(qw(stream sentinel set endpos)), $copied->safe_psql('source', 'SELECT pg_current_wal_lsn()')), '... up to a place');
}

#------------------------------------------------------------------------------------------------------------
# The examples of docs/clients.md print what it shows.

my @blocks = slurp_file("$FindBin::Bin/../../docs/clients.md") =~ /^```(\w*)\n(.*?)^```$/msg;
my ($setup) = grep { /install_trigger/ } @blocks;
my %absent = (python => $clients[0]{skip}, java => $no_java, js => $no_node);
my %names = (python => 'example.py', java => 'Follow.java', js => 'example.js');
my @examples;

$node->safe_psql('postgres', 'CREATE DATABASE example');
while (my ($language, $text) = splice(@blocks, 0, 2))
{
	next unless exists $names{$language};
	my $number = @examples;
	my $plugin = $text =~ s/'cdc2'/'example_$number'/ ? 'wal2json' : 'carbonite';
	$text =~ s/(['"])cdc\1/$1example_$number$1/;
	$text =~ s/dbname=shop/$database =~ s{shop}{example}r/e;
	$text =~ s/\{ database: 'shop' \}/$json =~ s{shop}{example}r/e;
	$text =~ s{localhost:5432/shop}{127.0.0.1:$database{port}/example};
	$text =~ s/"postgres"/"$database{user}"/;
	mkdir "$directory/example_$number";
	append_to_file("$directory/example_$number/$names{$language}", $text);
	push @examples, { language => $language, file => "$directory/example_$number/$names{$language}", shown => $blocks[1] };
	create_slot($node, 'example', "example_$number", 0, $plugin);
}
$node->safe_psql('example', $setup =~ s/^SELECT pg_create.*$//mr);

# Places, numbers and times are never the same.
sub alike { my ($text) = @_; return $text =~ s{[0-9A-F]+/[0-9A-F]+}{PLACE}gr =~ s/"xid":\d+/"xid":NUMBER/gr =~ s/"time":"[^"]+"/"time":"TIME"/gr; }

my %runners = (python => [ $python ], java => [ 'java', '-cp', $jar ], js => [ 'node' ]);
for (grep { !$absent{ $_->{language} } } @examples)
{
	$_->{started} = start([ @{ $runners{ $_->{language} } }, $_->{file} ], %{ $clients[2]{environment} });
}
is(scalar @examples, 4, 'there are examples');
for my $example (@examples)
{
	SKIP: {
		skip $absent{ $example->{language} }, 1 if $absent{ $example->{language} };
		my $output = $example->{started}{output};
		my $lines = () = $example->{shown} =~ /\n/g;
		wait_for('an example', sub { $example->{started}{run}->pump_nb if $example->{started}{run}->pumpable; (() = $$output =~ /\n/g) >= $lines });
		is(alike($$output), alike($example->{shown}), "the example in $example->{language}");
		stop($example->{started}, 'KILL');
	}
}

#------------------------------------------------------------------------------------------------------------
# The copy that pgcopydb made.

SKIP: {
	skip $why_not, 2 if $why_not;
	# it looks for its end when something comes
	wait_for('pgcopydb', sub { $copied->safe_psql('source', 'INSERT INTO beats VALUES (clock_timestamp())'); sleep 1;
		$copy->{run}->pump_nb if $copy->{run}->pumpable; !$copy->{run}->pumpable });
	my $contents = q{SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o};
	ok(finish($copy), 'pgcopydb ends') or diag ${ $copy->{output} };
	is($copied->safe_psql('target', $contents), $copied->safe_psql('source', $contents), 'both databases are equal');
	$copied->stop;
}

$node->stop;
done_testing();
