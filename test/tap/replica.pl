# A physical replica has the same rows, answers questions about them, and takes over.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->backup('base');
my $replica = PostgreSQL::Test::Cluster->new('replica');
$replica->init_from_backup($primary, 'base', has_streaming => 1);
$replica->start;

$primary->safe_psql('postgres', q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE rabbits (id int PRIMARY KEY, name text);
	SELECT carbonite.install_trigger('rabbits', store_changed_from => true);
	SET carbonite.meta = '{"by": "primary"}';
	INSERT INTO rabbits SELECT n, repeat(md5(n::text), n) FROM generate_series(1, 300) n;
	UPDATE rabbits SET name = name || 'x' WHERE id % 2 = 0;
	BEGIN; DELETE FROM rabbits; ROLLBACK;
	DELETE FROM rabbits WHERE id % 3 = 0;});
# wait_for_catchup() wants more arguments before PostgreSQL 15 than after
$primary->wait_for_catchup($replica, 'replay', $primary->lsn('insert'));

for my $table (qw(transactions changes triggers settings))
{
	my $query = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM carbonite_default.$table t";
	is($replica->safe_psql('postgres', $query), $primary->safe_psql('postgres', $query), "$table has the same rows");
}
my $indexed = q{SET enable_seqscan = off; SELECT op, changed FROM carbonite.changes('rabbits', '{6}')};
is($replica->safe_psql('postgres', $indexed), "insert|{}\nupdate|{name}\ndelete|{}", 'history is read from the indexes there');
my ($status, $stdout, $stderr) = $replica->psql('postgres', 'SELECT carbonite.insert_transaction()',
	extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($stderr, qr/25006/, 'a transactions row is refused there');
is($replica->safe_psql('postgres', 'SELECT carbonite.current_transaction() IS NULL'), 't', 'and there is no current one');

$primary->stop;
$replica->promote;
$replica->safe_psql('postgres', q{UPDATE rabbits SET name = 'promoted' WHERE id = 1;});
is($replica->safe_psql('postgres', q{SELECT data FROM carbonite.changes('rabbits', '{1}') WHERE op = 'update'}),
	'{"id": 1, "name": "promoted"}', 'capture goes on after promotion');
is($replica->safe_psql('postgres', 'SELECT count(*) = count(DISTINCT id) FROM carbonite_default.changes'), 't', 'ids do not repeat');

$replica->stop;
done_testing();
