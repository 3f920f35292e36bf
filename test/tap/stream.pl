# The stream format: records that fit the schema in docs/, and values that are those of capture, whatever the
# settings of the database are.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use JsonSchema;
use PostgreSQL::Test::Utils;
use StreamTest;
use Test::More;

my $json = JSON::PP->new->utf8;
my $schema = $json->decode(slurp_file("$FindBin::RealBin/../../docs/stream-format.schema.json"));
my $node = stream_node('main', "max_prepared_transactions = 5\n");
my $major = $node->safe_psql('postgres', q{SELECT current_setting('server_version_num')::int / 10000});
my $database = 'stream';

sub sql { return $node->safe_psql($database, $_[0]); }

# The records that a slot has, decoded; each is valid.
sub records
{
	my ($slot, @options) = @_;
	my $text = sql("SELECT data FROM pg_logical_slot_get_changes('$slot', NULL, NULL" . stream_options(@options) . ')');
	my @records = map { $json->decode($_) } split /\n/, $text;
	my @errors = map { JsonSchema::errors($schema, $schema, $_, 'record') } @records;

	is(join("\n", @errors[0 .. ($#errors > 3 ? 3 : $#errors)]), '', "$slot: records fit the schema");
	return @records;
}

sub changes { return grep { $_->{kind} eq 'change' } @_; }

$node->safe_psql('postgres', "CREATE DATABASE $database");
# settings that change the text of values
$node->safe_psql('postgres', "ALTER DATABASE $database SET $_") foreach "datestyle = 'German, DMY'", q{timezone = 'Asia/Kathmandu'},
	q{intervalstyle = 'iso_8601'}, q{bytea_output = 'escape'}, 'extra_float_digits = -15';
sql(q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE TYPE mood AS ENUM ('sad', 'very happy');
	CREATE TYPE pair AS (a int, "B c" text);
	CREATE DOMAIN positive AS numeric(8,2) CHECK (value > 0);
	CREATE DOMAIN pair_domain AS pair;
	CREATE TABLE everything (
		id int, at timestamptz, "Quo""ted, co\lumn" text, i2 smallint, i8 bigint, f4 real, f8 float8, n numeric, n2 numeric(12,4),
		b boolean, t text, vc varchar(50), c char(5), nm name, by bytea, d date, tm time, tz timetz, ts timestamp, iv interval,
		u uuid, j json, jb jsonb, ia int[], ta text[], tsa timestamptz[], fa float8[], m mood, ma mood[], p pair, pa pair[], pd pair_domain,
		dom positive, r int4range, tr tstzrange, ip inet, ci cidr, mac macaddr, bi bit(3), vb varbit, mo money, x xml, o oid,
		pt point, tsv tsvector, lsn pg_lsn, ba bytea[], na numeric[],
		PRIMARY KEY (id, at)
	);
	ALTER TABLE everything REPLICA IDENTITY FULL;
	SELECT carbonite.install_trigger('everything', store_changed_from => true, primary_key_columns => '{id,at,by}');
	SELECT pg_create_logical_replication_slot('types', 'carbonite');
});
my $canonical = q{SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1;};
sql($canonical . q{
	INSERT INTO everything (id, at) VALUES (1, '2026-01-31 10:00:00.5+01');
	INSERT INTO everything VALUES (2, '1999-12-31 23:59:59.999999-08', e'tab\t"quote" \\\\ é 😀 \u0001', -32768, 9223372036854775807, 1.1, 0.1,
		12345678901234567890.000100, -0.5, true, e'line\nline\r', 'x', 'ab', 'name', '\x00ff10', '2026-02-28', '13:00:00.000001',
		'13:00:00+05:30', '0044-03-15 12:00:00 BC', '1 year 2 months 3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
		'{ "b" : [ 1.50, 1e3, "\u00e9 \/" , null ], "a" : "x\ny" }', '{"b": [1.50, 1e3, "é"], "a": {}}', '{{1,2},{3,NULL}}', '{a,"b,c",NULL,""}',
		'{2026-01-31 10:00+01,infinity}', '{1.5,NaN,-Infinity}', 'very happy', '{sad,NULL}', '(1,"x y")', '{"(1,)","(,z)"}', '(2,d)',
		12.50, '[1,5)', '[2026-01-01 00:00+01,)', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '101', '11', '12.34', '<a>b</a>', 4294967295,
		'(1.5,2)', 'a:1 b:2', '0/16B3748', '{"\\\\x00ff",NULL}', '{1.10,NULL,NaN}');
	INSERT INTO everything (id, at, f4, f8, n, d, ts, fa, na, iv, j, jb) VALUES
		(3, 'infinity', 'NaN', 'Infinity', 'NaN', '-infinity', 'infinity', '{}', '{}', '-1 day', 'null', 'null'),
		(4, '-infinity', '-Infinity', 1e-300, 0.000, '0001-01-01 BC', '294276-12-31 23:59:59.999999', '{1e20,1e-7}', '{1e20}', '0', '"s"', '"s"'),
		(5, '4713-01-01 00:00:00+00 BC', 1e38, 1e308, 1e100, '5874897-12-31', '10000-01-01', NULL, NULL, '-178000000 years', '3', '3'),
		(6, '9999-12-31 23:59:59+00', -0.0, -0.0, -1e-20, '9999-12-31', '0001-01-01', NULL, NULL, NULL, 'true', '[[],{},[{}]]');
	UPDATE everything SET t = 'changed', n = 12345678901234567890.0001, jb = '{"a": {}, "b": [1.5, 1000, "é"]}', f8 = 0.2 WHERE id = 2;
	UPDATE everything SET id = 20, j = '{"a":"x\ny","b":[1.5,1000,"\u00e9 /",null]}', by = '\x01' WHERE id = 2;
	DELETE FROM everything WHERE id IN (1, 20);
});
my @records = records('types');
is(scalar(changes(@records)), 10, 'every change is there');


# A fresh run of the same statements, compared inside the server, so that numbers keep their digits.
sql($canonical . q{
	TRUNCATE everything;
	SELECT pg_create_logical_replication_slot('compare', 'carbonite');
});
sql($canonical . q{
	INSERT INTO everything (id, at, n, f8, by, jb, iv, tsa) SELECT i, timestamptz '2000-01-01+00' + i * interval '1.234567 hours', i / 7.0 * 10.0 ^ (i % 40 - 20), 1.0 / i, decode(md5(i::text), 'hex'),
		jsonb_build_object('a', i / 3.0, 'b', array[i, null]), make_interval(secs => i / 3.0, days => -i), array[now() + i * interval '1 day'] FROM generate_series(1, 200) i;
	UPDATE everything SET n = n * 1.0, t = 'x', f8 = -f8 WHERE id % 3 = 0;
	UPDATE everything SET n = n + 1e-30 WHERE id % 5 = 0;
	DELETE FROM everything WHERE id % 7 = 0;
});
my $differences = sql(q{
	WITH stream AS (
		SELECT data::jsonb AS r, row_number() OVER (ORDER BY n) AS n
		FROM pg_logical_slot_get_changes('compare', NULL, NULL) WITH ORDINALITY AS g (lsn, xid, data, n)
		WHERE data::jsonb ->> 'kind' = 'change'
	), captured AS (
		SELECT c.*, row_number() OVER (ORDER BY c.id) AS n
		FROM carbonite_default.changes c WHERE c.id > (SELECT max(id) FROM carbonite_default.changes WHERE command = 'TRUNCATE')
	)
	SELECT count(*) FILTER (WHERE s.r ->> 'op' = c.op::text AND s.r -> 'data' = c.data AND s.r -> 'key' = to_jsonb(c.table_pk)
			AND (c.op <> 'update' OR s.r -> 'old' = c.changed_from)
			AND (c.op <> 'update' OR ARRAY(SELECT jsonb_array_elements_text(s.r -> 'changed') ORDER BY 1) = ARRAY(SELECT unnest(c.changed)::text ORDER BY 1))
			AND (s.r ->> 'xid')::numeric = c.transaction_xact_id::text::numeric AND s.r ->> 'table' = c.table_name),
		count(*), count(c.id), count(s.r)
	FROM stream s FULL JOIN captured c USING (n)
});
my ($equal, $all, $captured, $streamed) = split /\|/, $differences;
is("$equal of $captured, $streamed", "$all of $all, $all", 'the stream has the operations, keys, rows, changed columns and old values that capture has');

# Every type: the values of the first records, as capture has them.
sql($canonical . q{SELECT pg_create_logical_replication_slot('all_types', 'carbonite')});
sql($canonical . q{
	INSERT INTO everything SELECT (r).* FROM (SELECT jsonb_populate_record(NULL::everything, c.data) r FROM carbonite_default.changes c
		WHERE c.op = 'insert' AND c.id <= (SELECT min(id) FROM carbonite_default.changes WHERE command = 'TRUNCATE')) s
		WHERE (r).at NOT IN (SELECT at FROM everything)
});
is(sql(q{
	WITH stream AS (
		SELECT data::jsonb AS r FROM pg_logical_slot_get_changes('all_types', NULL, NULL) WHERE data::jsonb ->> 'kind' = 'change'
	)
	SELECT count(*) || ' ' || count(*) FILTER (WHERE EXISTS (
		SELECT FROM carbonite_default.changes c WHERE c.data = s.r -> 'data' AND to_jsonb(c.table_pk) = s.r -> 'key' AND c.transaction_xact_id::text = s.r ->> 'xid'))
	FROM stream s
}), '6 6', 'values of all types are those of capture');

# What only JSON can say, and its exact text.
sql(q{
	CREATE TABLE texts (id int PRIMARY KEY, j json, f float8, n numeric, "we""ird" text);
	SELECT pg_create_logical_replication_slot('texts', 'carbonite');
	INSERT INTO texts VALUES (1, e'{ "a" : 1.500 ,\n "a" : "\\\\u0000 \\\\"x y\\\\" " }', 1e-7, '1e-10', e'\x07');
});
my $text = '"data":{"id":1,"j":{"a":1.500,"a":"\u0000 \"x y\" "},"f":1e-07,"n":0.0000000001,"we\"ird":"\u0007"}';
like(sql(q{SELECT string_agg(data, '') FROM pg_logical_slot_get_changes('texts', NULL, NULL)}), qr/\Q$text\E/, 'json keeps its text but for space between tokens');

# TOAST, rows without a key, and what the WAL does not have.
sql(q{
	CREATE TABLE big (id int PRIMARY KEY, small int, large text, other bytea);
	CREATE TABLE keyless (a int, b text);
	CREATE TABLE nothing (a int PRIMARY KEY, b text);
	ALTER TABLE nothing REPLICA IDENTITY NOTHING;
	ALTER TABLE big ALTER large SET STORAGE EXTERNAL;
	INSERT INTO big VALUES (1, 1, repeat('x', 20000), '\x01');
	INSERT INTO keyless VALUES (1, 'x');
	INSERT INTO nothing VALUES (1, 'x');
	SELECT pg_create_logical_replication_slot('toast', 'carbonite');
	UPDATE big SET small = 2;
	ALTER TABLE big REPLICA IDENTITY FULL;
	UPDATE big SET small = 3;
	UPDATE keyless SET b = 'y';
	DELETE FROM keyless;
	UPDATE nothing SET b = 'y';
	DELETE FROM nothing;
	ALTER TABLE big REPLICA IDENTITY DEFAULT;
	UPDATE big SET id = 2;
	DELETE FROM big;
});
@records = changes(records('toast'));
is_deeply([ $records[0]{unchanged}, exists $records[0]{data}{large} ? 1 : 0, $records[0]{data}{small} ], [ ['large'], 0, 2 ], 'an unchanged value that the WAL does not have is told');
is_deeply([ $records[1]{unchanged}, length $records[1]{data}{large}, $records[1]{changed}, $records[1]{old} ], [ undef, 20000, ['small'], { small => 2 } ], 'a full replica identity fills it');
is_deeply([ @{ $records[2] }{qw(op key data changed)} ], [ 'update', undef, { a => 1, b => 'y' }, undef ], 'an update of a table without a key is there');
is_deeply([ @{ $records[3] }{qw(op key data partial)} ], [ 'delete', undef, undef, JSON::PP::true ], 'so is a delete');
is_deeply([ @{ $records[4] }{qw(op key data)}, @{ $records[5] }{qw(op key data)} ], [ 'update', ['1'], { a => 1, b => 'y' }, 'delete', undef, undef ], 'and those of a table without replica identity');
is_deeply([ @{ $records[6] }{qw(key old_key old unchanged)} ], [ ['2'], ['1'], { id => 1 }, ['large'] ], 'a changed key has its old one');
is_deeply([ @{ $records[7] }{qw(key data partial)} ], [ ['2'], { id => 2 }, JSON::PP::true ], 'a delete has what the WAL has');

# Records that are too large give way.
sql(q{
	SELECT pg_create_logical_replication_slot('large', 'carbonite');
	INSERT INTO big VALUES (3, 7, repeat('y', 100000), decode(repeat('ab', 50000), 'hex'));
	INSERT INTO big VALUES (4, 7, repeat(e'\x01', 50000), '\x02');
	DELETE FROM big;
	SELECT pg_logical_emit_message(true, 'large', repeat('z', 100000));
});
@records = records('large', 'max-record-bytes', '65536');
is_deeply([ changes(@records) ]->[0]{data}, { id => 3, small => 7 }, 'large values are left out of a record that does not fit');
is([ changes(@records) ]->[0]{omitted}{columns}{large}{sha256}, sql(q{SELECT encode(sha256(repeat('y', 100000)::bytea), 'hex')}), 'their digests are there');
is([ changes(@records) ]->[0]{omitted}{columns}{other}{sha256}, sql(q{SELECT encode(sha256(decode(repeat('ab', 50000), 'hex')), 'hex')}), 'of every one');
is_deeply([ changes(@records) ]->[1]{omitted}{columns}{large}{bytes}, 50000, 'also if only its escaped form is too large');
is([ grep { $_->{kind} eq 'message' } @records ]->[0]{omitted}{bytes}, 100000, 'a large message has a digest');

# Values whose functions fail do not end the stream, and what users wrote does not run in it.
sql(q{
	CREATE TYPE broken AS ENUM ('a', 'b');
	CREATE TYPE cast_type AS (a int);
	CREATE FUNCTION cast_type_to_json(cast_type) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RETURN json_build_object('who', current_user); END $$;
	CREATE CAST (cast_type AS json) WITH FUNCTION cast_type_to_json(cast_type);
	CREATE FUNCTION broken_to_text(broken) RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
	CREATE CAST (broken AS text) WITH FUNCTION broken_to_text(broken);
	CREATE FUNCTION broken_to_json(broken) RETURNS json LANGUAGE sql AS 'SELECT to_json(current_user::text)';
	CREATE CAST (broken AS json) WITH FUNCTION broken_to_json(broken);
	CREATE TABLE failing (id int, before int, f broken, after int, fs broken[], c cast_type, PRIMARY KEY (id, f));
	SELECT pg_create_logical_replication_slot('fails', 'carbonite');
	INSERT INTO failing VALUES (1, 1, 'a', 2, '{a,b}', '(1)');
});
my $user = sql('SELECT current_user');
unlike(sql(q{SELECT string_agg(data, '') FROM pg_logical_slot_peek_changes('fails', NULL, NULL)}), qr/$user/, 'casts by users do not run');
@records = changes(records('fails'));
is_deeply([ @{ $records[0] }{qw(key data)} ], [ [ '1', 'a' ], { id => 1, before => 1, f => 'a', after => 2, fs => '{a,b}', c => { a => 1 } } ], 'their types are shown nevertheless');
sql(q{INSERT INTO failing VALUES (2, 1, 'b', 2, '{a,b}', '(1)'); DELETE FROM pg_enum WHERE enumlabel = 'b'});
@records = changes(records('fails'));
is_deeply($records[0]{data}, { id => 2, before => 1, f => 'b', after => 2, fs => '{a,b}', c => { a => 1 } }, 'types are those of the time');
sql(q{INSERT INTO failing VALUES (3, 1, 'a', 2, '{a,a}', '(1)'); BEGIN; DELETE FROM pg_enum WHERE enumlabel = 'a'; UPDATE failing SET after = 3 WHERE id = 3; COMMIT});
@records = changes(records('fails'));
is_deeply([ @{ $records[1] }{qw(key data failed)} ], [ undef, { id => 3, before => 1, after => 3, c => { a => 1 } }, { map { $_ => { error => '22P03' } } qw(f fs) } ], 'a value whose function fails is told of');

# Truncates, commands, messages, prepared transactions.
sql(q{
	CREATE TABLE parent (id int PRIMARY KEY);
	CREATE TABLE child (id int PRIMARY KEY REFERENCES parent);
	SELECT carbonite.install_trigger('parent', capture_ddl => true);
	SELECT pg_create_logical_replication_slot('kinds', 'carbonite');
	TRUNCATE parent RESTART IDENTITY CASCADE;
	ALTER TABLE parent ADD COLUMN extra text;
	SELECT pg_logical_emit_message(true, 'pre"fix', 'text');
	SELECT pg_logical_emit_message(true, 'binary', '\x00fffe'::bytea);
	SELECT pg_logical_emit_message(false, 'outside', 'of a transaction');
	SELECT pg_logical_emit_message(true, 'last', '');
});
@records = records('kinds');
my %by_kind;
push @{ $by_kind{ $_->{kind} } }, $_ foreach @records;
is_deeply([ map { "$_->{table} $_->{cascade} $_->{restart_identity}" } @{ $by_kind{truncate} } ], [ 'parent 1 1', 'child 1 1' ], 'a truncate of two tables is two records');
is_deeply([ map { "$_->{command} $_->{table} $_->{details}{statement}" } @{ $by_kind{ddl} } ]->[0] =~ /^ALTER TABLE parent\b.*ADD COLUMN extra/s ? 1 : 0, 1, 'a command is a record');
is_deeply([ map { [ @$_{qw(transactional prefix content content_base64)} ] } @{ $by_kind{message} } ],
	[ [ JSON::PP::true, 'pre"fix', 'text', undef ], [ JSON::PP::true, 'binary', undef, 'AP/+' ], [ JSON::PP::false, 'outside', 'of a transaction', undef ],
		[ JSON::PP::true, 'last', '', undef ] ], 'messages are complete');
is(scalar(@{ $by_kind{begin} }), scalar(@{ $by_kind{commit} }), 'every transaction begins and ends');
is(join(' ', map { $_->{records} } @{ $by_kind{commit} }), join(' ', map { my $xid = $_->{xid}; scalar grep { ($_->{xid} // 0) == $xid && $_->{kind} !~ /^(begin|commit)$/ } @records } @{ $by_kind{commit} }), 'a commit counts its records');

# Ids grow.
my @ids = map { my ($high, $low) = split m{/}, $_->{lsn}; [ hex($high) * 2**32 + hex($low), $_->{seq} // ($_->{kind} eq 'begin' ? -1 : 1e12) ] } grep { $_->{kind} ne 'message' || $_->{transactional} } @records;
is(scalar(grep { $ids[ $_ - 1 ][0] > $ids[$_][0] || $ids[ $_ - 1 ][0] == $ids[$_][0] && $ids[ $_ - 1 ][1] >= $ids[$_][1] } 1 .. $#ids), 0, 'LSN and sequence number grow');

# Databases of other encodings: JSON in ASCII.
foreach my $encoding ([ 'LATIN1', e => "\xe9" ], [ 'SQL_ASCII', e => "\xc3\xa9" ], [ 'SQL_ASCII', f => "\xff" ])
{
	my ($name, $slot, $bytes) = @$encoding;
	my $db = lc("enc_${name}_$slot");
	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$name' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	$database = $db;
	my $hex = unpack 'H*', $bytes;
	sql(qq{
		CREATE TABLE t (id int PRIMARY KEY, t text, j json);
		SELECT pg_create_logical_replication_slot('$db', 'carbonite');
		INSERT INTO t VALUES (1, convert_from('\\x22$hex', '$name'), ('{"' || convert_from('\\x$hex', '$name') || '": 1}')::json);
		SELECT pg_logical_emit_message(false, 'x', '\\x$hex'::bytea);
	});
	my @lines = split /\n/, sql("SELECT data FROM pg_logical_slot_get_changes('$db', NULL, NULL)");
	is(scalar(grep { /[^\x20-\x7e]/ } @lines), 0, "$name: all is ASCII");
	my ($change) = changes(map { $json->decode($_) } @lines);
	my $character = $slot eq 'e' ? chr(0xe9) : chr(0xff);
	is_deeply($change->{data}, { id => 1, t => "\"$character", j => { $character => 1 } }, "$name: text is kept");
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');
$node->stop;
done_testing();
