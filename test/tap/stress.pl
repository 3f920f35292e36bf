# Writers with savepoints, and triggers that catch errors, while configuration, columns and indexes change
# under them. In the end the history tells of every row what the table has.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE items (id bigserial PRIMARY KEY, n int, note text);
	SELECT carbonite.install_trigger('items');
	CREATE TABLE parts (id bigserial PRIMARY KEY, item_id bigint REFERENCES items ON DELETE CASCADE, n int);
	SELECT carbonite.install_trigger('parts', store_data => 'changed');
	CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NEW.n % 7 = 0 THEN
			BEGIN
				PERFORM count(*) FROM carbonite_default.changes WHERE transaction_id < 5;
				INSERT INTO parts (item_id, n) VALUES (NEW.id, NEW.n);
				IF NEW.n % 2 = 0 THEN
					RAISE division_by_zero;
				END IF;
			EXCEPTION WHEN division_by_zero THEN
			END;
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER z_disturb AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION disturb();});

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/write", q{
\set k random(1, 30)
\set r random(1, 1000)
BEGIN;
INSERT INTO items (n) SELECT :r + g FROM generate_series(1, :k) g;
SAVEPOINT a;
UPDATE items SET n = n + 1 WHERE id IN (SELECT id FROM items WHERE id % 50 = :r % 50 FOR UPDATE SKIP LOCKED);
DELETE FROM items WHERE id IN (SELECT id FROM items WHERE id % 97 = :r % 97 FOR UPDATE SKIP LOCKED);
ROLLBACK TO a;
UPDATE items SET n = n + 2 WHERE id IN (SELECT id FROM items ORDER BY id DESC LIMIT 20 FOR UPDATE SKIP LOCKED);
DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED);
COMMIT;
});
append_to_file("$dir/change", q{
\set r random(1, 5)
\if :r = 1
SELECT carbonite.configure_trigger('items', store_changed_from => random() < 0.5,
	store_data => CASE WHEN random() < 0.5 THEN 'full' ELSE 'changed' END);
\elif :r = 2
CREATE INDEX CONCURRENTLY IF NOT EXISTS extra ON carbonite_default.changes (op);
\elif :r = 3
DROP INDEX CONCURRENTLY IF EXISTS carbonite_default.extra;
\elif :r = 4
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'items'::regclass AND attname = 'note') THEN
		ALTER TABLE items RENAME note TO remark;
	ELSE
		ALTER TABLE items RENAME remark TO note;
	END IF;
END $$;
\else
ALTER TABLE items ADD IF NOT EXISTS more int;
\endif
});
my @pgbench = ('pgbench', '-n', '-h', $node->host, '-p', $node->port);
my ($output, $errors) = ('', '');
my $writers = IPC::Run::start([ @pgbench, '-c', 4, '-t', 60, '-f', "$dir/write", 'postgres' ], '>', \$output, '2>', \$errors);
$node->command_ok([ @pgbench, '-c', 1, '-t', 60, '-f', "$dir/change", 'postgres' ], 'a session that changes things');
ok($writers->finish, 'four that write') or diag $errors;

my $differences = q{
	WITH last AS (SELECT DISTINCT ON (table_pk) table_pk, op, data FROM carbonite.changes('%1$s', NULL) ORDER BY table_pk, id DESC)
	SELECT count(*) FILTER (WHERE i.id IS NULL AND l.op <> 'delete'),
		count(*) FILTER (WHERE i.id IS NOT NULL AND (l.op = 'delete' OR (l.data ->> 'n')::int <> i.n)),
		count(*) FILTER (WHERE l.table_pk IS NULL)
	FROM last l FULL JOIN %1$s i ON i.id::text = l.table_pk[1]};
is($node->safe_psql('postgres', sprintf $differences, $_), '0|0|0', "$_: every row is as last recorded") for qw(items parts);
is($node->safe_psql('postgres', q{SELECT count(*) FROM carbonite_default.changes c WHERE NOT EXISTS (
		SELECT FROM carbonite_default.transactions t WHERE t.id = c.transaction_id AND t.xact_id = c.transaction_xact_id)}),
	0, 'every change has its transaction');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM carbonite_default.changes WHERE data_is_partial'), '>', 50,
	'many in part');

$node->stop;
done_testing();
