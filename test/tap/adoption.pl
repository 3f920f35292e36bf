# A prefix of the library is adopted, released and adopted again while applications write; a released one is dumped and
# restored where the extension is not.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $fixture = PostgreSQL::Test::Utils::slurp_file('test/compat/fixtures/original.sql');
sql("$fixture;" . q{
	SELECT build_original('trail', 12);
	CREATE TABLE rabbits (id bigserial PRIMARY KEY, n int, done int);
	SELECT audit_original('trail', 'rabbits');
	CREATE EXTENSION carbonite;});

# What the library sends, with a transaction that ends in a rollback now and then.
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/write", q{
\set n random(1, 1000000)
BEGIN;
INSERT INTO trail.transactions (meta, inserted_at) VALUES (jsonb_build_object('n', :n::int), NOW()) ON CONFLICT (id) DO UPDATE SET xact_id = EXCLUDED.xact_id RETURNING id;
INSERT INTO rabbits (n) VALUES (:n::int), (:n::int + 1);
SAVEPOINT a;
UPDATE rabbits SET n = -1 WHERE id = currval('rabbits_id_seq');
ROLLBACK TO a;
UPDATE rabbits SET done = n WHERE id = currval('rabbits_id_seq');
COMMIT;
});
my @pgbench = ('pgbench', '-n', '-h', $node->host, '-p', $node->port);
my ($output, $errors) = ('', '');
my $writers = IPC::Run::start([ @pgbench, '-c', 4, '-t', 500, '-R', 300, '-M', 'prepared', '-f', "$dir/write", 'postgres' ], '>', \$output, '2>', \$errors);

sub wait_for_writes {
	$node->poll_query_until('postgres', 'SELECT count(*) > ' . (sql('SELECT count(*) FROM trail.changes') + 30) . ' FROM trail.changes');
	return;
}
wait_for_writes;
like(sql(q{SELECT carbonite.adopt_schema(carbonite_prefix => 'trail')}), qr/^patch 12/, 'adopted under writers');
wait_for_writes;
like(sql(q{SELECT carbonite.release_schema(carbonite_prefix => 'trail')}), qr/PL\/pgSQL/, 'released under writers');
wait_for_writes;
like(sql(q{SELECT carbonite.adopt_schema(carbonite_prefix => 'trail')}), qr/^patch 12/, 'and adopted again');
ok($writers->finish, 'no writer notices') or diag $errors;
unlike($errors, qr/error|aborted/i, 'none has an error');

is(sql('SELECT count(*), count(DISTINCT transaction_id) FROM trail.changes'), '6000|2000', 'every write of every transaction is recorded');
is(sql(q{SELECT count(*) FROM (SELECT string_agg(op::text, ' ' ORDER BY id) AS ops FROM trail.changes GROUP BY transaction_id) t WHERE ops <> 'insert insert update'}),
	'0', 'in its order');
is(sql(q{SELECT count(*) FROM trail.changes c JOIN trail.transactions t ON t.id = c.transaction_id AND t.xact_id = c.transaction_xact_id
		WHERE (c.data ->> 'n')::int - (t.meta ->> 'n')::int IN (0, 1)}), '6000', 'in its own transaction');
is(sql(q{SELECT count(*) FROM rabbits r JOIN trail.changes c ON c.table_pk = ARRAY[r.id::varchar] AND c.op = CASE WHEN r.done IS NULL THEN 'insert' ELSE 'update' END::trail.change_op
		WHERE c.data = to_jsonb(r)}), '4000', 'as the row is');

# away: a dump of a released prefix needs nothing of ours
sql(q{SELECT carbonite.release_schema(carbonite_prefix => 'trail'); DROP EXTENSION carbonite});
$node->command_ok([ 'pg_dump', '-f', "$dir/dump", '-d', $node->connstr('postgres') ], 'dumped without the extension');
unlike(PostgreSQL::Test::Utils::slurp_file("$dir/dump"), qr/^CREATE EXTENSION.*carbonite|'\$libdir/m, 'the dump does not ask for it');
sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', "$dir/dump" ], 'restored');
is($node->safe_psql('restored', q{
	BEGIN;
	INSERT INTO trail.transactions (meta, inserted_at) VALUES ('{}', NOW());
	INSERT INTO rabbits (n) VALUES (7);
	COMMIT;
	SELECT op, data FROM trail.changes ORDER BY id DESC LIMIT 1}), 'insert|{"n": 7, "id": 4001, "done": null}', 'and records on');

$node->stop;
done_testing();
