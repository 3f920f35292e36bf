# A dump restores history, configuration and triggers into another cluster, and capture goes on there.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init;
$old->start;
$old->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	SELECT carbonite.install_schema(carbonite_prefix => 'second');
	CREATE TABLE rabbits (id int PRIMARY KEY, name text, "odd, {name}" text);
	SELECT carbonite.install_trigger('rabbits', filtered_columns => ARRAY['odd, {name}'], store_changed_from => true);
	CREATE TABLE before_rename (id int PRIMARY KEY);
	SELECT carbonite.install_trigger('before_rename');
	ALTER TABLE before_rename RENAME TO after_rename;
	CREATE TABLE places (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
	CREATE TABLE places_n PARTITION OF places FOR VALUES IN ('n');
	SELECT carbonite.install_trigger('places');
	SELECT carbonite.install_trigger('places', carbonite_prefix => 'second', "initially" => 'deferred');
	INSERT INTO rabbits VALUES (1, 'Jack', 'secret'), (2, 'Jill', 'secret');
	UPDATE rabbits SET name = 'Jane', "odd, {name}" = 'other' WHERE id = 1;
	INSERT INTO after_rename VALUES (1);
	BEGIN;
	SELECT carbonite.insert_transaction('{"type": "place"}', 'second');
	INSERT INTO places VALUES (1, 'n');
	COMMIT;
	INSERT INTO carbonite_default.outboxes (name, last_transaction_id) VALUES ('mail', 1);
	SELECT carbonite.seal();});

my $content = join ' UNION ALL ', map {
	# what a row of triggers knows of its table is different in each cluster
	"SELECT '$_', count(*), md5(string_agg((to_jsonb(t) - '{known_table,known_columns}'::text[])::text, '|' ORDER BY to_jsonb(t) - '{known_table,known_columns}'::text[])) FROM $_ t"
} map { ("carbonite_default.$_", "second.$_") } qw(transactions changes triggers outboxes settings seals);
my $dumped = $old->safe_psql('postgres', $content);

my $dir = PostgreSQL::Test::Utils::tempdir();
$old->command_ok([ 'pg_dump', '-f', "$dir/plain", '-d', $old->connstr('postgres') ], 'plain dump');
$old->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", '-d', $old->connstr('postgres') ], 'custom dump');
$old->command_ok([ 'pg_dump', '-s', '-f', "$dir/schema", '-d', $old->connstr('postgres') ], 'dump of the schema');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->start;
# Other OIDs than in the old cluster.
$new->safe_psql('postgres', 'CREATE TABLE t' . $_ . ' (id int)') for 1 .. 5;
$new->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain custom schema);
$new->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $new->connstr('plain'), '-f', "$dir/plain" ], 'plain restore');
{
	# In parallel, triggers of a partitioned table may be there before the data of its partitions.
	local $ENV{PGOPTIONS} = '-c session_replication_role=replica';
	$new->command_ok([ 'pg_restore', '-j', '2', '-e', '-d', $new->connstr('custom'), "$dir/custom" ], 'parallel restore');
}
$new->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $new->connstr('schema'), '-f', "$dir/schema" ], 'restore of the schema');

for my $database (qw(plain custom))
{
	is($new->safe_psql($database, $content), $dumped, "$database: every table has what it had");
	is($new->safe_psql($database, q{SELECT count(*) FROM carbonite_default.triggers t JOIN pg_class c ON c.oid = t.table_oid
			WHERE c.relname IN ('rabbits', 'after_rename', 'places')}), 3, "$database: configuration points to its tables");
	$new->safe_psql($database, q{
		UPDATE rabbits SET name = 'Joan', "odd, {name}" = 'third' WHERE id = 2;
		INSERT INTO after_rename VALUES (2);
		BEGIN;
		INSERT INTO places VALUES (2, 'n');
		SELECT carbonite.insert_transaction('{"type": "late"}', 'second');
		COMMIT;});
	is($new->safe_psql($database, q{SELECT op, data, changed_from FROM carbonite.changes('rabbits', '{2}')}),
		qq{insert|{"id": 2, "name": "Jill", "odd, {name}": "[FILTERED]"}|\n}
		  . q{update|{"id": 2, "name": "Joan", "odd, {name}": "[FILTERED]"}|{"name": "Jill", "odd, {name}": "[FILTERED]"}},
		"$database: history goes on");
	is($new->safe_psql($database, q{SELECT count(*), count(DISTINCT id) FROM carbonite_default.changes}), '8|8',
		"$database: ids do not repeat");
	is($new->safe_psql($database, q{SELECT t.meta, c.table_pk FROM second.changes c JOIN second.transactions t ON t.id = c.transaction_id ORDER BY c.id}),
		qq{{"type": "place"}|{1,n}\n{"type": "late"}|{2,n}}, "$database: the second prefix goes on, deferred");
	is($new->safe_psql($database, q{
		SELECT is_intact, problem FROM carbonite.verify();
		SELECT length(carbonite.seal());
		SELECT is_intact, problem, transactions = (SELECT count(*) FROM carbonite_default.transactions) FROM carbonite.verify();
		BEGIN;
		INSERT INTO carbonite_default.transactions (id, xact_id) VALUES (-1, '1');
		SELECT is_intact, problem FROM carbonite.verify();
		ROLLBACK}), "t|\n32\nt||t\nf|added", "$database: what was sealed is intact, and sealing goes on");
	$new->safe_psql($database, q{UPDATE carbonite_default.triggers SET mode = 'ignore' WHERE table_name = 'rabbits';
		DELETE FROM rabbits;});
	is($new->safe_psql($database, q{SELECT count(*) FROM carbonite_default.changes WHERE op = 'delete'}), 0,
		"$database: a change of configuration takes effect");
}

# Without data there is no configuration; installing again supplies it.
my ($status, $stdout, $stderr) = $new->psql('schema', "INSERT INTO rabbits VALUES (1)");
like($stderr, qr/no trigger record in carbonite_default.triggers/, 'schema only: no configuration, no writes');
$new->safe_psql('schema', q{SELECT carbonite.install_trigger('rabbits'); SELECT carbonite.configure_schema('auto');
	INSERT INTO rabbits VALUES (1, 'again');});
is($new->safe_psql('schema', "SELECT data ->> 'name' FROM carbonite_default.changes"), 'again', 'schema only: captures when configured');

# The extension is not dropped from under a prefix by mistake; on purpose, history stays.
($status, $stdout, $stderr) = $new->psql('plain', 'DROP EXTENSION carbonite', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($stderr, qr/2BP01/, 'DROP EXTENSION refuses while a prefix needs it');
$new->safe_psql('plain', 'SET client_min_messages = warning; DROP EXTENSION carbonite CASCADE; INSERT INTO rabbits VALUES (3);');
is($new->safe_psql('plain', 'SELECT count(*) FROM carbonite_default.changes'), 8, 'CASCADE ends capture and keeps history');

$new->stop;
done_testing();
