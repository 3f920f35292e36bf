# What a client cannot lift: masks of triggers as they were at the change's place in the WAL, and the policy of its role.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use StreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('main', "shared_preload_libraries = 'carbonite'\ncarbonite.hash_key = 'a key of many characters'\n");
my $slots = 0;
my $secret = 'do not tell';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub canonical { return JSON::PP->new->canonical->allow_nonref->encode($_[0]); }

sub slot { my $slot = 's' . ++$slots; sql("SELECT pg_create_logical_replication_slot('$slot', 'carbonite')"); return $slot; }

# What a slot has, as text.
sub text_of
{
	my ($slot, @options) = @_;
	return sql("SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL" . stream_options(@options) . ')');
}

sub changes_of { return grep { $_->{kind} eq 'change' } map { JSON::PP->new->decode($_) } split /\n/, text_of(@_); }

sub data_of { return join ' ', map { canonical($_->{data}) } changes_of(@_); }

sql(qq{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE people (id int PRIMARY KEY, name text, password text, ssn text, pin int, card text, age int);
	ALTER TABLE people REPLICA IDENTITY FULL;
	SELECT carbonite.install_trigger('people', excluded_columns => '{age}', filtered_columns => '{password}', hashed_columns => '{ssn,pin}',
		masks => '{"card": {"last": 4}}', store_changed_from => true);
});
my $slot = slot();
sql(qq{
	INSERT INTO people VALUES (1, 'Ann', '$secret', '$secret', 47110815, '1234567812345678', 990033);
	UPDATE people SET password = '$secret 2', ssn = '$secret 2', age = 990034 WHERE id = 1;
	UPDATE people SET id = 2;
	DELETE FROM people;
});
is(sql(qq{
	WITH stream AS (SELECT data::jsonb r, row_number() OVER () n FROM pg_logical_slot_peek_changes('$slot', NULL, NULL) WHERE data::jsonb ->> 'kind' = 'change')
	SELECT count(*) || ' ' || count(*) FILTER (WHERE s.r -> 'data' = c.data AND s.r -> 'key' = to_jsonb(c.table_pk) AND (c.op <> 'update' OR s.r -> 'old' = c.changed_from))
	FROM stream s JOIN (SELECT *, row_number() OVER (ORDER BY id) n FROM carbonite_default.changes) c USING (n)
}), '4 4', 'masks, digests and exclusions are those of capture');
foreach my $options ([ 'format', 'wal2json' ], [ 'format', 'wal2json', 'format-version', '2' ], [ 'format', 'debezium' ], [ 'columns', 'public.people.password,*.*.ssn,*.*.age,*.*.id' ], [ 'audit-tables', 'on' ],
	[ 'audit-tables', 'on', 'tables', 'carbonite_default.*' ], [ 'format', 'debezium', 'audit-tables', 'on' ], [ 'max-record-bytes', '4096' ])
{
	my $text = text_of($slot, @$options);
	unlike($text, qr/$secret|47110815|12345678|99003[34]/, 'no option shows what is masked: ' . join ' ', @$options);
	like($text, qr/Ann|FILTERED/, '... but the rest');
}

# A key column that is masked; a table that is configured but not recorded; a prefix's say about another's table.
sql(qq{
	CREATE TABLE keyed (id text PRIMARY KEY, v int);
	SELECT carbonite.install_trigger('keyed', filtered_columns => '{id}');
	CREATE TABLE untouched (id int PRIMARY KEY, v text);
	INSERT INTO carbonite_default.triggers (table_prefix, table_name, filtered_columns) VALUES ('public', 'untouched', '{v}');
	SELECT carbonite.install_schema('auto', carbonite_prefix => 'second');
	CREATE TABLE shared (id int PRIMARY KEY, a text, b text);
	SELECT carbonite.install_trigger('shared', filtered_columns => '{a}');
	SELECT carbonite.install_trigger('shared', filtered_columns => '{b}', carbonite_prefix => 'second');
});
$slot = slot();
sql(qq{
	INSERT INTO keyed VALUES ('$secret', 1); UPDATE keyed SET id = '$secret 2'; DELETE FROM keyed;
	INSERT INTO untouched VALUES (1, '$secret');
	INSERT INTO shared VALUES (1, '$secret', '$secret');
});
unlike(text_of($slot, 'columns', '*.*.*'), qr/$secret/, 'keys, tables without a trigger and tables of two prefixes are masked');
# what a prefix records in clear is in its own table
unlike(text_of($slot, 'format', 'wal2json', 'audit-tables', 'off'), qr/$secret/, 'also by wal2json');
unlike(text_of($slot, 'format', 'debezium'), qr/$secret/, 'also by debezium');

# A change of configuration counts from its place on, and in its own transaction, too.
sql('CREATE TABLE moving (id int PRIMARY KEY, v text)');
$slot = slot();
sql(qq{
	INSERT INTO moving VALUES (1, 'open');
	SELECT carbonite.install_trigger('moving', filtered_columns => '{v}');
	INSERT INTO moving VALUES (2, '$secret');
	BEGIN; SELECT carbonite.configure_trigger('moving', filtered_columns => '{}'); INSERT INTO moving VALUES (3, 'open'); ROLLBACK;
	INSERT INTO moving VALUES (4, '$secret');
	BEGIN; INSERT INTO moving VALUES (5, '$secret'); SELECT carbonite.configure_trigger('moving', filtered_columns => '{}', excluded_columns => '{}'); INSERT INTO moving VALUES (6, 'open'); COMMIT;
	ALTER TABLE moving RENAME v TO w;
	SELECT carbonite.configure_trigger('moving', filtered_columns => '{w}');
	ALTER TABLE moving RENAME w TO x;
	INSERT INTO moving VALUES (7, '$secret');
});
my $expected = q({"id":1,"v":"open"} {"id":2,"v":"[FILTERED]"} {"id":4,"v":"[FILTERED]"} {"id":5,"v":"[FILTERED]"} {"id":6,"v":"open"} {"id":7,"x":"[FILTERED]"});
is(data_of($slot), $expected, 'configuration is read as it was');
is(data_of($slot), $expected, 'and again');
sql('SELECT carbonite.drop_trigger(\'moving\')');
is(data_of($slot), $expected, 'also when it is gone');

# Partitions.
sql(qq{
	CREATE TABLE parted (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
	CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
	CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b');
	SELECT carbonite.install_trigger('parted', filtered_columns => '{v}');
});
$slot = slot();
sql("INSERT INTO parted VALUES (1, 'a', '$secret'); UPDATE parted SET region = 'b'");
is(join(' ', map { "$_->{table}.$_->{op}.$_->{data}{v}" } grep { $_->{op} ne 'delete' } changes_of($slot)), 'parted.insert.[FILTERED] parted.insert.[FILTERED]', 'partitions are masked, and named as they are recorded');
is(join(' ', map { "$_->{table}.$_->{data}{v}" } grep { $_->{op} ne 'delete' } changes_of($slot, 'partitions', 'leaf')), 'parted_a.[FILTERED] parted_b.[FILTERED]', 'also under their own names');

# A configuration in TOAST, read by a walsender.
sql(qq{
	CREATE TABLE wide (id int PRIMARY KEY, v text);
	SELECT carbonite.install_trigger('wide');
	ALTER TABLE carbonite_default.triggers ALTER masks SET STORAGE EXTERNAL;
	UPDATE carbonite_default.triggers SET masks = jsonb_build_object('v', repeat('#', 10000)) WHERE table_name = 'wide';
});
$slot = slot();
sql("INSERT INTO wide VALUES (1, '$secret')");
my $lines = receive($node, 'postgres', $slot);
like($lines, qr/"v":"#{10000}"/, 'a long mask is read by a walsender');
unlike($lines, qr/$secret/, 'and holds');

# What was configured is gone: nothing of it is shown.
sql(qq{
	SELECT carbonite.install_schema('auto', carbonite_prefix => 'passing');
	CREATE TABLE passed (id int PRIMARY KEY, v text);
	SELECT carbonite.install_trigger('passed', filtered_columns => '{v}', carbonite_prefix => 'passing');
});
$slot = slot();
sql("INSERT INTO passed VALUES (1, '$secret'); UPDATE passed SET v = '$secret 2'");
my (undef, undef, $refused) = $node->psql('postgres', q{\set VERBOSITY sqlstate
SELECT carbonite.drop_schema(cascade => true, carbonite_prefix => 'passing')});
like($refused, qr/55006/, 'a prefix that slots have to read on is not dropped');
sql('DROP SCHEMA passing CASCADE');
is(join(' ', map { canonical([ @$_{qw(op key data withheld)} ]) } changes_of($slot)), '["insert",null,null,true] ["update",null,null,true]', 'without the configuration, values are withheld');
unlike(text_of($slot, 'format', $_), qr/$secret/, "also by $_") foreach qw(wal2json debezium);
sql(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots});
sql(q{SELECT carbonite.install_schema(carbonite_prefix => 'passing'); SELECT carbonite.install_trigger('passed', carbonite_prefix => 'passing')});
$slot = slot();
sql(q{SELECT pg_replication_slot_advance('} . $slot . q{', pg_current_wal_insert_lsn()); SELECT carbonite.drop_schema(cascade => true, carbonite_prefix => 'passing'); CREATE TABLE after_drop (id int PRIMARY KEY); INSERT INTO after_drop VALUES (1)});
is(data_of($slot), '{"id":1}', 'a prefix that was dropped does not stop a stream');

# Roles.
sql(qq{
	CREATE ROLE analyst LOGIN REPLICATION;
	CREATE ROLE team NOLOGIN;
	CREATE ROLE member LOGIN REPLICATION IN ROLE team;
	CREATE ROLE free LOGIN REPLICATION;
	CREATE SCHEMA sales;
	CREATE TABLE sales.orders (id int PRIMARY KEY, total numeric, buyer text);
	CREATE TABLE sales.notes (id int PRIMARY KEY, note text);
	SELECT carbonite.install_trigger('sales.orders', capture_ddl => true);
	SELECT carbonite.allow_stream('analyst', 'sales.orders', columns => 'id,tot*', formats => 'carbonite, wal2json');
	SELECT carbonite.allow_stream('team', 'sales.*', messages => true);
});
$slot = slot();
sql(qq{
	INSERT INTO sales.orders VALUES (1, 9.5, '$secret');
	INSERT INTO sales.notes VALUES (1, '$secret');
	SELECT pg_logical_emit_message(true, 'm', '$secret');
	SELECT pg_logical_emit_message(false, 'm', '$secret');
	ALTER TABLE sales.orders ADD COLUMN more text DEFAULT '$secret';
	DELETE FROM sales.orders;
});

sub as
{
	my ($role, $slot, @options) = @_;
	my ($status, $out, $error) = $node->psql('postgres', "SET ROLE $role; SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL" . stream_options(@options) . ')');
	return $error ? $error : $out;
}

my $seen = as('analyst', $slot);
is(join(' ', map { "$_->{table}:" . canonical($_->{data}) } grep { $_->{kind} eq 'change' } map { JSON::PP->new->decode($_) } split /\n/, $seen),
	'orders:{"id":1,"total":9.5} orders:{"id":1}', 'a role sees what it may');
unlike(as('analyst', $slot, @$_), qr/$secret/, 'and no more: ' . join ' ', @$_) foreach [], [ 'format', 'wal2json' ], [ 'tables', '*.*' ], [ 'columns', '*.*.buyer' ], [ 'audit-tables', 'on' ], [ 'messages', 'on' ];
like(as('analyst', $slot, 'format', 'debezium'), qr/role "analyst" may not read a stream of format debezium/, 'a format that is not allowed is refused');
$seen = as('member', $slot);
like($seen, qr/"buyer":"$secret".*"note":"$secret"/s, 'a member of a role sees what that may');
like($seen, qr/"kind":"message"/, 'messages included');
like(as('free', $slot), qr/"note":"$secret"/, 'a role of which nothing is said sees all');
sql(q{SELECT carbonite.allow_stream('public', '')});
is(as('free', $slot), '', 'unless public may see nothing');
like(as('member', $slot), qr/"note":"$secret"/, 'which adds to what a role may see');
like(text_of($slot), qr/"note":"$secret"/, 'and is not about superusers');
sql(q{SELECT carbonite.forget_stream('public')});
like(as('free', $slot), qr/"note":"$secret"/, 'forgotten');
foreach my $bad ([ q{carbonite.allow_stream('nobody_here', '*.*')}, '42704' ], [ q{carbonite.allow_stream('analyst', 'a.b.c')}, '22023' ], [ q{carbonite.allow_stream('analyst', '*.*', columns => 'a,,b')}, '22023' ],
	[ q{carbonite.allow_stream(NULL, '*.*')}, '22004' ])
{
	my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT $bad->[0]");
	like($error, qr/$bad->[1]/, "$bad->[0] is refused");
}
foreach my $sql (q{carbonite.allow_stream('analyst', '*.*')}, q{carbonite.forget_stream('analyst')}, q{1 FROM carbonite.stream_policies})
{
	my (undef, undef, $error) = $node->psql('postgres', "SET ROLE analyst;\n\\set VERBOSITY sqlstate\nSELECT $sql");
	like($error, qr/42501/, "others may not: $sql");
}

# A stream that is open hears of a new policy.
$slot = slot();
my ($out, $err) = ('', '');
my $file = $node->basedir . '/open_stream';
my $client = IPC::Run::start([ receive_command($node, 'postgres', $slot, $file), '-U', 'analyst' ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
sub wait_for { my ($pattern) = @_; for (1 .. 300) { my $text = -e $file ? slurp_file($file) : ''; return 1 if $text =~ $pattern; select undef, undef, undef, 0.1; } return 0; }
sql(q{INSERT INTO sales.orders VALUES (10, 1, 'x')});
ok(wait_for(qr/"key":\["10"\],"data":\{"id":10,"total":1\}/), 'an open stream');
sql(q{SELECT carbonite.allow_stream('analyst', 'sales.notes')});
sql(q{INSERT INTO sales.notes VALUES (10, 'now')});
ok(wait_for(qr/"note":"now"/), 'hears of a new policy');
sql(q{DELETE FROM carbonite.stream_policies WHERE columns IS NOT NULL});
sql(q{INSERT INTO sales.orders VALUES (11, 1, 'x'); INSERT INTO sales.notes VALUES (11, 'last')});
ok(wait_for(qr/"note":"last"/), 'and of what it loses');
unlike(slurp_file($file), qr/"key":\["11"\],"data":\{"id":11,"total"/, 'at once');
$client->kill_kill;

# The policy is dumped with the database.
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres'), '-a', '-t', 'carbonite.stream_policies' ]);
like($dump, qr/team\tsales\.\*/, 'the policy is in a dump');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');
$node->stop;
done_testing();
