# Hashed columns: digests that an independent HMAC confirms, and a key that nobody gets to see.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $key = 'a key for the tests, of 36 characters';
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'carbonite'
carbonite.hash_key = '$key'
log_statement = 'none'
});
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub fails {
	my ($sql, $pattern, $name) = @_;
	my ($status, $out, $error) = $node->psql('postgres', $sql);
	like($error, $pattern, $name);
	unlike("$out$error", qr/a key for|another key/, "$name: the key is not told");
	return;
}

# What the documentation says a digest is: each part with its length in front.
sub digest {
	my ($with, $column, $value, @row_key) = @_;
	my $message = join '', map { defined $_ ? pack('N', length) . $_ : pack('N', 0xFFFFFFFF) } 'public', 'people', $column, $value, @row_key;
	return 'hmac-sha256:' . substr(hmac_sha256_hex('carbonite key', $with), 0, 8) . ':' . hmac_sha256_hex($message, $with);
}

sub recorded {
	my ($what, $where, $more) = (@_, '');
	return sql("SELECT $what FROM (SELECT * FROM carbonite_default.changes c WHERE $where ORDER BY c.id $more) c");
}

sql(q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TABLE people (id int, born date, ssn text, pin int, PRIMARY KEY (id, born));
	SELECT carbonite.install_trigger('people', hashed_columns => '{ssn,pin,born}', store_changed_from => true);
	INSERT INTO people VALUES (1, '2001-02-03', 'same', 1234), (2, '2001-02-03', 'same', 1234), (3, '2001-02-03', NULL, NULL);
});
is(recorded(q{c.data ->> 'ssn'}, q{c.data ->> 'id' = '1'}), digest($key, 'ssn', 'same', '1', '2001-02-03'), 'a digest is the HMAC of table, column, value and key');
is(recorded(q{c.data ->> 'pin'}, q{c.data ->> 'id' = '1'}), digest($key, 'pin', '1234', '1', '2001-02-03'), 'of a number, too');
is(recorded(q{c.data ->> 'ssn'}, q{c.data ->> 'id' = '3'}), digest($key, 'ssn', undef, '3', '2001-02-03'), 'and of null, which is not told');
isnt(recorded(q{c.data ->> 'ssn'}, q{c.data ->> 'id' = '1'}), recorded(q{c.data ->> 'ssn'}, q{c.data ->> 'id' = '2'}), 'equal values of different rows look different');
is(recorded('c.table_pk', q{c.data ->> 'id' = '1'}), '{1,[FILTERED]}', 'a hashed column of the key is masked there');
is(recorded('count(*)', q{c::text ~ 'same|"1234"|2001'}), '0', 'no value is stored');

sql(q{
	SET datestyle = 'German';
	UPDATE people SET pin = 1 WHERE id = 1;
	UPDATE people SET pin = 1234 WHERE id = 1;
});
is(recorded(q{string_agg(c.changed::text, ' ' ORDER BY c.id)}, q{c.op = 'update'}), '{pin} {pin}', 'changes are seen');
is(recorded(q{count(DISTINCT c.data ->> 'ssn') || ' ' || count(DISTINCT c.data ->> 'pin') || ' ' || count(DISTINCT c.data ->> 'born')},
		q{c.data ->> 'id' = '1'}), '1 2 1', 'an unchanged value keeps its digest, whatever the session set');
is(recorded(q{c.changed_from ->> 'pin'}, q{c.op = 'update'}, 'LIMIT 1'), digest($key, 'pin', '1234', '1', '2001-02-03'), 'old values are digests, too');

# a long value, out of line
sql(q{INSERT INTO people VALUES (4, '2001-02-03', repeat('long', 500000), 0)});
is(recorded(q{c.data ->> 'ssn'}, q{c.data ->> 'id' = '4'}), digest($key, 'ssn', 'long' x 500000, '4', '2001-02-03'), 'a value of 2 MB');

# nobody sees the key
is(sql('SHOW carbonite.hash_key'), '********', 'SHOW');
is(sql(q{SELECT current_setting('carbonite.hash_key')}), '********', 'current_setting()');
is(sql(q{SELECT count(*) FROM pg_settings s WHERE s::text LIKE '%a key for%' OR s.name = 'carbonite.hash_key'}), '0', 'pg_settings');
sql('CREATE ROLE other LOGIN; GRANT ALL ON people TO other');
fails('SET ROLE other; SHOW carbonite.hash_key', qr/must be superuser|permission denied/, 'others may not even ask');
fails(q{SET ROLE other; SET carbonite.hash_key = 'another key, long enough'}, qr/permission denied/, 'others cannot set it');
fails(q{ALTER DATABASE postgres SET carbonite.hash_key = 'another key, long enough'}, qr/must not be set for a database/, 'it is refused where everybody could read it');
fails(q{SET carbonite.hash_key = 'a key for'}, qr/too short/, 'a short key');
is(sql(q{SET ROLE other; INSERT INTO people VALUES (5, '2001-02-03', 'x', 1); SELECT 1}), '1', 'others write rows with digests all the same');

# rotation: the digest tells which key it is of
$node->append_conf('postgresql.conf', q{carbonite.hash_key = 'another key, long enough'});
$node->reload;
for (1 .. 100) {
	sql(q{INSERT INTO people SELECT max(id) + 1, '2001-02-03', 'polled', 1 FROM people});
	last if recorded(q{count(DISTINCT split_part(c.data ->> 'ssn', ':', 2))}, 'true') eq '2';
	select undef, undef, undef, 0.1;
}
sql(q{UPDATE people SET pin = 5 WHERE id = 1});
is(recorded(q{c.data ->> 'ssn'}, q{c.data ->> 'id' = '1'}, 'DESC LIMIT 1'), digest('another key, long enough', 'ssn', 'same', '1', '2001-02-03'), 'another key');

# a table whose digests have no key is not recorded in clear, and not at all
$node->append_conf('postgresql.conf', q{carbonite.hash_key = ''});
$node->restart;
fails(q{UPDATE people SET pin = 6 WHERE id = 1}, qr/carbonite\.hash_key is not set.*Column "\w+" of table public\.people/s, 'without a key the write fails');
is(sql('SELECT pin FROM people WHERE id = 1'), '5', 'and changes nothing');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/a key for the tests/, 'the log does not tell the key');

done_testing();
