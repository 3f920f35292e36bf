# Sessions as applications and poolers use them: settings made before the library is loaded, many
# transactions in one session, many sessions at once, statements that are cancelled.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE rabbits (id int PRIMARY KEY, n int DEFAULT 0, name text);
	SELECT carbonite.install_trigger('rabbits', excluded_columns => '{name}');});

# What the statements of a new session recorded: metadata and rows.
sub recorded
{
	my ($sql) = @_;
	$node->safe_psql('postgres', 'TRUNCATE rabbits; TRUNCATE carbonite_default.transactions CASCADE;');
	$node->safe_psql('postgres', $sql);
	return $node->safe_psql('postgres', q{SELECT t.meta, c.table_pk FROM carbonite_default.changes c
		JOIN carbonite_default.transactions t ON t.id = c.transaction_id ORDER BY c.id});
}

# The first statement that needs the library loads it, in the middle of a transaction if need be.
is(recorded(q{BEGIN; SET LOCAL carbonite.meta = '{"a": 1}'; INSERT INTO rabbits VALUES (1); COMMIT;
		INSERT INTO rabbits VALUES (2);}),
	qq{{"a": 1}|{1}\n{}|{2}}, 'metadata set before the library is loaded counts, and ends with its transaction');
is(recorded(q{SET carbonite.meta = '{"a": 1}'; INSERT INTO rabbits VALUES (1); RESET carbonite.meta;
		INSERT INTO rabbits VALUES (2);}),
	qq{{"a": 1}|{1}\n{}|{2}}, 'so does metadata of the session');
is(recorded(q{BEGIN; SET LOCAL carbonite_default.override_mode = 'ignore'; INSERT INTO rabbits VALUES (1); COMMIT;
		INSERT INTO rabbits VALUES (2);}),
	'{}|{2}', 'so does an override');
is(recorded(q{BEGIN; SET LOCAL carbonite_default.override_mode = 'ignore'; SAVEPOINT s;
		SET LOCAL carbonite_default.override_mode = 'capture'; INSERT INTO rabbits VALUES (1); ROLLBACK TO s;
		INSERT INTO rabbits VALUES (2); COMMIT; INSERT INTO rabbits VALUES (3);}),
	'{}|{3}', 'a savepoint restores what was set before the library was loaded');
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET carbonite.meta = '{"from": "database"}'});
is(recorded('INSERT INTO rabbits VALUES (1)'), '{"from": "database"}|{1}', 'metadata of a database');
is(recorded(q{SET carbonite.meta = '{"from": "session"}'; INSERT INTO rabbits VALUES (1); DISCARD ALL;
		INSERT INTO rabbits VALUES (2);}),
	qq{{"from": "session"}|{1}\n{"from": "database"}|{2}}, 'DISCARD ALL goes back to it');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET carbonite.meta');
my ($status, $stdout, $stderr) = $node->psql('postgres', q(SET carbonite.meta = '{"a": '; INSERT INTO rabbits VALUES \(9\);),
	extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($stderr, qr/22023: setting carbonite.meta is not valid JSON at character 7/, 'a mistake made before the library is loaded is told');

# A pooler: transactions of many clients in one session.
is(recorded(q{BEGIN; SELECT carbonite.put_meta('client', 1); INSERT INTO rabbits VALUES (1); COMMIT;
		BEGIN; INSERT INTO rabbits VALUES (2); COMMIT;
		BEGIN; SELECT carbonite.put_meta('client', 3); ROLLBACK;
		BEGIN; SELECT carbonite.insert_transaction('{"client": 4}'); INSERT INTO rabbits VALUES (4); COMMIT;
		INSERT INTO rabbits VALUES (5);}),
	qq{{"client": 1}|{1}\n{}|{2}\n{"client": 4}|{4}\n{}|{5}}, 'nothing leaks from one transaction into the next');

# A statement that is cancelled in the middle leaves nothing.
recorded('SELECT 1');
($status, $stdout, $stderr) = $node->psql('postgres',
	q{SET statement_timeout = '100ms'; INSERT INTO rabbits SELECT n FROM generate_series(1, 100000000) n;});
like($stderr, qr/statement timeout/, 'a bulk insert is cancelled');
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM rabbits), (SELECT count(*) FROM carbonite_default.changes),
		(SELECT count(*) FROM carbonite_default.transactions)}), '0|0|0', 'and leaves nothing');

# Many sessions, while the configuration changes.
$node->safe_psql('postgres', 'INSERT INTO rabbits (id) SELECT generate_series(1, 20)');
my $script = $node->basedir . '/script';
append_to_file($script, q{\set id random(1, 20)
\set d random(1, 100)
BEGIN;
SET LOCAL carbonite.meta = '{"d": :d}';
UPDATE rabbits SET n = n + :d WHERE id = :id;
SAVEPOINT s;
UPDATE rabbits SET n = n + 1000000 WHERE id = :id;
ROLLBACK TO s;
UPDATE carbonite_default.triggers SET excluded_columns = '{name}' WHERE :d = 1;
END;
});
$node->command_ok([ 'pgbench', '-n', '-c', '4', '-t', '200', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'four clients with 200 transactions each');
is($node->safe_psql('postgres', q{SELECT count(*) FROM carbonite_default.changes WHERE op = 'update'}), 800, 'each is recorded once');
is($node->safe_psql('postgres', q{SELECT sum((meta ->> 'd')::int) = (SELECT sum(n) FROM rabbits) FROM carbonite_default.transactions}),
	't', 'and the sum of what they said is the sum of the table');
is($node->safe_psql('postgres', q{
		SELECT count(*) FROM rabbits r WHERE n <> (SELECT (data ->> 'n')::int FROM carbonite.changes(r) ORDER BY id DESC LIMIT 1)}),
	0, 'every row is as last recorded');

$node->stop;
done_testing();
