# An immediate stop in the middle of a transaction: nothing committed is lost, nothing else is there.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE rabbits (id int PRIMARY KEY, name text, age int);
	SELECT carbonite.install_trigger('rabbits');
	INSERT INTO rabbits SELECT n, 'r' || n, 1 FROM generate_series(1, 1000) n;
	UPDATE rabbits SET age = 2 WHERE id <= 500;
	DELETE FROM rabbits WHERE id > 900;
	BEGIN;
	UPDATE rabbits SET name = 'prepared' WHERE id = 1;
	PREPARE TRANSACTION 'later';});

# A session that is in the middle of a transaction when the server stops.
my ($in, $out, $err) = ('', '', '');
my $session = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>', \$err);
$in = q{BEGIN; UPDATE rabbits SET age = 99 WHERE id > 1; INSERT INTO rabbits VALUES (5000, 'lost', 0);
	SELECT count(*) FROM carbonite.fetch_changes();} . "\n";
IPC::Run::pump($session) until $out =~ /\d/;
is($out, "900\n", 'changes are recorded in the open transaction');
my $before = $node->safe_psql('postgres',
	'SELECT count(*), max(id), md5(string_agg(c::text, $$|$$ ORDER BY id)) FROM carbonite_default.changes c');

$node->stop('immediate');
IPC::Run::finish($session);
$node->start;

is($node->safe_psql('postgres',
		'SELECT count(*), max(id), md5(string_agg(c::text, $$|$$ ORDER BY id)) FROM carbonite_default.changes c'),
	$before, 'what was committed is there, and nothing else');
my $agree = q{
	SELECT count(*) FROM (
		SELECT DISTINCT ON (table_pk) op, table_pk, data FROM carbonite_default.changes ORDER BY table_pk, id DESC) last
	FULL JOIN rabbits r ON last.table_pk = ARRAY[r.id::varchar]
	WHERE last.op <> 'delete' AND to_jsonb(r) IS DISTINCT FROM last.data OR last.op = 'delete' AND r.id IS NOT NULL
		OR last.op IS NULL};
is($node->safe_psql('postgres', $agree), 0, 'every row agrees with the last change recorded for it');
$node->safe_psql('postgres', "COMMIT PREPARED 'later'");
is($node->safe_psql('postgres', q{SELECT op, data ->> 'name', t.xact_id = c.transaction_xact_id
		FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id
		WHERE data ->> 'name' = 'prepared'}),
	'update|prepared|t', 'a prepared transaction has its changes');
$node->safe_psql('postgres', "INSERT INTO rabbits VALUES (6000, 'after', 0)");
is($node->safe_psql('postgres', q{SELECT id > (SELECT max(id) FROM carbonite_default.changes WHERE data ->> 'name' <> 'after')
		FROM carbonite_default.changes WHERE data ->> 'name' = 'after'}),
	't', 'capture goes on, with new ids');
is($node->safe_psql('postgres', $agree), 0, 'and every row still agrees');

$node->stop;
done_testing();
