# Changes that arrive by logical replication: not recorded, unless the trigger is ENABLE ALWAYS; and a publication of
# changes cannot write those of a prefix for somebody who could not.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->append_conf('postgresql.conf', "wal_retrieve_retry_interval = 200ms\n");
$subscriber->start;

for my $node ($publisher, $subscriber) {
	$node->safe_psql('postgres', q{
		CREATE EXTENSION carbonite;
		SELECT carbonite.install_schema('auto');
		CREATE TABLE rabbits (id int PRIMARY KEY, name text);
		CREATE TABLE hares (id int PRIMARY KEY, name text);});
}
$subscriber->safe_psql('postgres', q{
	SELECT carbonite.install_trigger('rabbits'), carbonite.install_trigger('hares');
	ALTER TABLE hares ENABLE ALWAYS TRIGGER capture_changes_into_carbonite_default_trigger;
	ALTER TABLE hares ENABLE ALWAYS TRIGGER capture_truncate_to_carbonite_default_trigger;});
$publisher->safe_psql('postgres', 'CREATE PUBLICATION p FOR TABLE rabbits, hares');
my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p");
$subscriber->poll_query_until('postgres', q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel});

$publisher->safe_psql('postgres', q{
	INSERT INTO rabbits VALUES (1, 'Jack');
	BEGIN;
	INSERT INTO hares SELECT n, 'h' FROM generate_series(1, 3) n;
	UPDATE hares SET name = 'x' WHERE id = 1;
	DELETE FROM hares WHERE id = 2;
	COMMIT;
	TRUNCATE hares;});
$publisher->wait_for_catchup('s');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM rabbits'), '1', 'rows arrive');
is($subscriber->safe_psql('postgres', q{SELECT op, table_name, table_pk, command FROM carbonite_default.changes ORDER BY id}),
	join("\n", (map { "insert|hares|{$_}|" } 1 .. 3), 'update|hares|{1}|', 'delete|hares|{2}|', 'delete|hares||TRUNCATE'),
	'those of a table whose trigger is ENABLE ALWAYS are recorded');
is($subscriber->safe_psql('postgres', 'SELECT count(DISTINCT transaction_id), count(DISTINCT transaction_xact_id) FROM carbonite_default.changes'), '2|2', 'by transactions');

# as a superuser may do by hand
is($subscriber->safe_psql('postgres', q{
	SET session_replication_role = replica;
	INSERT INTO rabbits VALUES (2);
	INSERT INTO hares VALUES (7);
	SELECT count(*) FILTER (WHERE table_name = 'rabbits'), count(*) FILTER (WHERE table_pk = '{7}') FROM carbonite_default.changes}),
	'0|1', 'session_replication_role = replica is the same');
is($subscriber->safe_psql('postgres', q{
	BEGIN;
	SET LOCAL session_replication_role = replica;
	SELECT length((carbonite.insert_transaction('{"type": "repair"}')).meta::text) > 0;
	INSERT INTO hares VALUES (8);
	COMMIT;
	SELECT t.meta FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id WHERE c.table_pk = '{8}'}),
	"t\n{\"type\": \"repair\"}", 'insert_transaction() works there, too');
my ($status, $out, $error) = $subscriber->psql('postgres', 'CREATE ROLE app LOGIN; SET ROLE app; SET session_replication_role = replica');
like($error, qr/permission denied/, 'nobody else may');

# somebody who owns a subscription is not the owner of changes
SKIP: {
	skip 'subscriptions are for superusers before PostgreSQL 16', 1
	  if $subscriber->safe_psql('postgres', 'SHOW server_version_num') < 160000;
	$publisher->safe_psql('postgres', q{CREATE PUBLICATION forged FOR TABLE carbonite_default.changes;
		SELECT carbonite.install_trigger('rabbits')});
	$publisher->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('f', 'pgoutput')});
	$subscriber->safe_psql('postgres', 'GRANT pg_create_subscription TO app; GRANT CREATE ON DATABASE postgres TO app;
		GRANT USAGE ON SCHEMA carbonite_default TO app');
	$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION f CONNECTION '$connection' PUBLICATION forged
		WITH (connect = false, slot_name = 'f', password_required = false)");
	$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION f OWNER TO app');
	$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION f ENABLE');
	$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION f REFRESH PUBLICATION WITH (copy_data = false)');
	my $offset = -s $subscriber->logfile;
	$publisher->safe_psql('postgres', q{INSERT INTO rabbits VALUES (99)});
	$subscriber->wait_for_log(qr/cannot SET ROLE|permission denied for table changes/, $offset);
	is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM carbonite_default.changes WHERE table_pk = '{99}'}), '0', 'a subscription cannot write changes');
}

$subscriber->stop;
$publisher->stop;
done_testing();
