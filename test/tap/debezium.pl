# The format debezium: every type, kind of change and option, as SQL computes what to expect from the
# rows themselves. That all records are JSON is checked by the server, which reads each of them.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->start;

# Minor releases of August 2026 and later load only the output plugins that a setting lists.
if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'}) > 0)
{
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'carbonite'\n");
	$node->reload;
}
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $json = JSON::PP->new->allow_nonref->allow_bignum(0);

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub literal { my $text = $_[0]; $text =~ s/'/''/g; return "'$text'"; }
sub options { return 'VARIADIC ARRAY[' . join(', ', map { literal($_) } 'format', 'debezium', @_) . ']::text[]'; }

# The records of a slot, decoded.
sub get { return map { $json->decode($_) }
	split /\n/, sql('SELECT data FROM pg_logical_slot_get_changes(\'s\', NULL, NULL, ' . options(@_) . ')'); }
sub skip_all_changes { sql(q{SELECT count(*) FROM pg_logical_slot_get_changes('s', NULL, NULL, 'format', 'debezium')}); return; }

# The records of some SQL, without those of its transaction.
sub changes
{
	my ($do, @options) = @_;
	skip_all_changes();
	sql($do);
	return grep { !exists $_->{status} } get(@options);
}

sub refused
{
	my ($options, $pattern, $name) = @_;
	my ($status, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT * FROM pg_logical_slot_peek_changes('s', NULL, NULL, " . options(@$options) . ');');
	like($err, $pattern, $name);
	return;
}

sql(q{
	CREATE EXTENSION carbonite; CREATE EXTENSION hstore; CREATE EXTENSION citext;
	CREATE TYPE mood AS ENUM ('happy', 'sad "or not"');
	CREATE TYPE pair AS (a int, b text);
	CREATE DOMAIN milliseconds AS timestamp(3);
	CREATE DOMAIN amounts AS numeric(10, 2)[];
	CREATE TABLE types (id int PRIMARY KEY, bool_ bool, int2_ int2, int4_ int4, int8_ int8, oid_ oid, float4_ float4,
		float8_ float8, numeric_ numeric, numeric_20_3 numeric(20, 3), money_ money, text_ text, varchar_ varchar(20),
		char_ char(5), char1 "char", name_ name, citext_ citext, bytea_ bytea, bit1 bit(1), bit12 bit(12), varbit_ varbit,
		varbit1 varbit(1), date_ date, time_ time, time3 time(3), timetz_ timetz, timestamp_ timestamp,
		milliseconds_ milliseconds, timestamptz_ timestamptz, timestamptz0 timestamptz(0), timestamptz3 timestamptz(3),
		interval_ interval, uuid_ uuid, json_ json, jsonb_ jsonb, xml_ xml, inet_ inet, cidr_ cidr, macaddr_ macaddr,
		int4range_ int4range, tstzrange_ tstzrange, point_ point, box_ box, hstore_ hstore, mood_ mood, pair_ pair,
		tsvector_ tsvector, ints int[], grid int[], bigs int8[], texts text[], amounts_ amounts, stamps timestamp(3)[],
		days date[], bools bool[], floats float8[], moods mood[], uuids uuid[], jsons jsonb[], byteas bytea[], bits bit(4)[],
		pairs pair[], hstores hstore[]);
	ALTER TABLE types REPLICA IDENTITY FULL;
	CREATE TABLE got (n bigint, r json);
	ALTER TABLE got REPLICA IDENTITY NOTHING;
	-- the number that bytes in two's complement are
	CREATE FUNCTION number_of(text) RETURNS numeric LANGUAGE sql AS $$
		SELECT sum(get_byte(b, i) * 256::numeric ^ (length(b) - 1 - i))
			- CASE WHEN get_byte(b, 0) >= 128 THEN 256::numeric ^ length(b) ELSE 0 END
		FROM decode($1, 'base64') b, generate_series(0, length(decode($1, 'base64')) - 1) i GROUP BY b $$;
	-- the bits of bytes, the lowest last
	CREATE FUNCTION bits_of(text) RETURNS text LANGUAGE sql STRICT AS $$
		SELECT coalesce(ltrim(string_agg(((get_byte(b, i / 8) >> (i % 8)) & 1)::text, '' ORDER BY i DESC), '0'), '')
		FROM decode($1, 'base64') b, generate_series(0, length(decode($1, 'base64')) * 8 - 1) i $$;
	CREATE FUNCTION bounded(numeric) RETURNS text LANGUAGE sql STRICT AS $$
		SELECT greatest(least($1, 9223372036854775807), -9223372036854775808)::text $$;
	CREATE FUNCTION micros(timestamp) RETURNS numeric LANGUAGE sql AS $$
		SELECT CASE WHEN $1 = 'infinity' THEN 9223372036825200000 WHEN $1 = '-infinity' THEN -9223372036832400000
			ELSE ($1::date - date '1970-01-01') * 86400000000::numeric
				+ round((extract(epoch FROM $1::time) * 1000000)::numeric) END $$;
	CREATE FUNCTION micros(time) RETURNS text LANGUAGE sql AS $$
		SELECT round((extract(epoch FROM $1) * 1000000)::numeric)::text $$;
	CREATE FUNCTION utc(timestamptz, format text) RETURNS text LANGUAGE sql AS $$
		SELECT CASE WHEN $1 IN ('infinity', '-infinity') THEN $1::text ELSE to_char($1 AT TIME ZONE 'UTC', $2) END $$;
	SELECT pg_create_logical_replication_slot('s', 'carbonite')});

#------------------------------------------------------------------------------------------------------------
# Values.

my @rows = (
	q{1, true, -2, 42, 9223372036854775807, 4294967295, 1.1, 0.1, 123456789012345678901234567890.1230, -1234.5, 1234.56,
	  E'tab\tquote"\\ é ☃ 😀', 'varying', 'ch', 'c', 'a name', 'CiText', '\x00ff10fbff', '1', '000010100101', '10110111000',
	  '1', '2018-06-20', '15:13:16.945104', '15:13:16.945', '15:13:16.945104+05:30', '2018-06-20 15:13:16.945104',
	  '2018-06-20 15:13:16.945', '2018-06-20 15:13:16.9451+02', '2018-06-20 15:13:16+02', '2018-06-20 15:13:16.5+02',
	  '1 year 2 mons 3 days -04:05:06.78', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a":  1}', '{"a": [1, "x"], "b": null}',
	  '<a>1</a>', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '[1,5)', '[2020-01-01 00:00+00,)', '(1.5,-2)',
	  '((0,0),(1,1))', 'a=>1, "b\"c\\d"=>NULL, é=>"", "=>"=>"x, y"', 'sad "or not"', '(1,x)', 'a b', '{1,NULL,-3}',
	  '[2:3][0:1]={{1,2},{3,4}}', '{9223372036854775807}', '{a,"b \"c",NULL,""}', '{1.50,-3,NULL}',
	  '{2018-06-20 15:13:16.945,infinity}', '{2018-06-20,1960-01-01}', '{t,f,NULL}', '{1.5,NaN,-Infinity}',
	  '{happy,"sad \"or not\""}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', ARRAY['{"a": "b"}', '1']::jsonb[],
	  ARRAY['\x00ff']::bytea[], '{1010,0001}', ARRAY[(1, 'x"y')::pair], ARRAY['a=>1'::hstore]},
	q{2, false, 32767, -2147483648, -9223372036854775808, 0, 'NaN', 'Infinity', 'NaN', 'NaN', -0.05, '', '', '', '', '', '', '',
	  '0', '000000000000', '', '0', '1960-02-29', '24:00:00', '00:00', '24:00:00+00', '1960-02-29 23:59:59.999999',
	  '0044-03-15 01:02:03.004 BC', '1969-12-31 23:59:59.999999+00', '1900-01-01', '12345-01-01 00:00+00', '-1 mons +2 days',
	  '00000000-0000-0000-0000-000000000000', 'null', '"x"', '', '::1', '::/0', '08:00:2b:01:02:03', 'empty', 'empty',
	  '(Infinity,NaN)', '((0,0),(1,1))', '', 'happy', '(,)', '', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
	  '{}', '{}', '{}', '{}', '{}', '{}'},
	q{3, NULL, NULL, NULL, NULL, NULL, '-Infinity', 1e-300, -0.000, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	  '100000000001', repeat('1', 64)::varbit, NULL, 'infinity', '00:00:00.000001', '23:59:59.999', '23:00-03',
	  'infinity', '-infinity', '-infinity', 'infinity', '0044-03-15 00:00+00 BC', '-178000000 years'},
	q{4, NULL, NULL, NULL, NULL, NULL, 1e-40, -1e300, 1e40, 99999999999999999.999, -92233720368547758.08, NULL, NULL, NULL, NULL,
	  NULL, NULL, NULL, NULL, NULL, NULL, NULL, '-infinity', NULL, NULL, NULL, '294276-12-31 23:59:59.999999', NULL,
	  '294276-12-31 23:59:59.999999+00', NULL, NULL, '00:00:10'});
skip_all_changes();
sql("SET lc_monetary = 'C'; INSERT INTO types VALUES ($_)") foreach @rows;
sql('INSERT INTO types (id) VALUES (5)');
# whatever the settings of the session
my $settings = q{SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'Asia/Kolkata';
	SET extra_float_digits = 0; SET bytea_output = 'escape';};
sql(qq{$settings INSERT INTO got SELECT row_number() OVER (), data::json FROM pg_logical_slot_peek_changes('s', NULL, NULL,
	'format', 'debezium', 'exclude-tables', '*.got')});
is(sql(q{SELECT string_agg(coalesce(r->>'status', r->>'op'), ' ' ORDER BY n) FROM got}), join(' ', ('BEGIN c END') x 5),
	'all records are JSON');
is(sql(q{SELECT bool_and(a.attname = k.key) AND count(*) = 5 * (SELECT count(*) FROM pg_attribute
	WHERE attrelid = 'types'::regclass AND attnum > 0)
	FROM got, json_object_keys(r->'after') WITH ORDINALITY k(key, n)
	LEFT JOIN pg_attribute a ON a.attrelid = 'types'::regclass AND a.attnum = k.n WHERE r->>'op' = 'c'}), 't',
	'rows have all columns, in their order');

# Each column's member as text, or a part of it made comparable, and what it must be.
my $expected = q{VALUES
	('bool_', a->>'bool_', bool_::text), ('int2_', a->>'int2_', int2_::text), ('int4_', a->>'int4_', int4_::text),
	('int8_', a->>'int8_', int8_::text), ('oid_', a->>'oid_', oid_::text), ('float4_', a->>'float4_', float4_::text),
	('float8_', a->>'float8_', float8_::text),
	('numeric_', a->>'numeric_', replace(numeric_::text, 'NaN', 'NAN')),
	('numeric_20_3', a->>'numeric_20_3', replace(numeric_20_3::text, 'NaN', 'NAN')),
	('money_', a->>'money_', money_::numeric::text), ('text_', a->>'text_', text_), ('varchar_', a->>'varchar_', varchar_),
	('char_', a->>'char_', rpad(char_::text, 5)), ('char1', a->>'char1', char1::text), ('name_', a->>'name_', name_::text),
	('citext_', a->>'citext_', citext_::text), ('bytea_', a->>'bytea_', encode(bytea_, 'base64')),
	('bit1', a->>'bit1', CASE bit1 WHEN '1' THEN 'true' WHEN '0' THEN 'false' END),
	('bit12', bits_of(a->>'bit12'), ltrim(bit12::text, '0')), ('varbit_', bits_of(a->>'varbit_'), ltrim(varbit_::text, '0')),
	('varbit1', a->>'varbit1', CASE varbit1 WHEN '1' THEN 'true' WHEN '0' THEN 'false' END),
	('date_', a->>'date_', CASE date_ WHEN 'infinity' THEN '2147483647' WHEN '-infinity' THEN '-2147483648'
		ELSE (date_ - date '1970-01-01')::text END),
	('time_', a->>'time_', micros(time_)), ('time3', a->>'time3', (micros(time3)::numeric / 1000)::int::text),
	('timetz_', a->>'timetz_', CASE WHEN timetz_ = '24:00+00' THEN '24:00:00Z'
		ELSE to_char((timetz_ AT TIME ZONE 'UTC')::time, 'HH24:MI:SS') || coalesce('.' || nullif(rtrim(to_char(
			extract(microseconds FROM timetz_)::bigint % 1000000, 'FM000000'), '0'), ''), '') || 'Z' END),
	('timestamp_', a->>'timestamp_', bounded(micros(timestamp_))),
	('milliseconds_', a->>'milliseconds_', trunc(micros(milliseconds_) / 1000)::text),
	('timestamptz_', a->>'timestamptz_', CASE id WHEN 4 THEN '+294276-12-31T23:59:59.999999Z'
		ELSE utc(timestamptz_, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END),
	('timestamptz0', a->>'timestamptz0', utc(timestamptz0, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
	('timestamptz3', a->>'timestamptz3', CASE id WHEN 2 THEN '+12345-01-01T00:00:00.000Z'
		WHEN 3 THEN '-0043-03-15T00:00:00.000Z' ELSE utc(timestamptz3, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END),
	('interval_', a->>'interval_', bounded(round(((extract(year FROM interval_) * 12 + extract(month FROM interval_))::numeric
		* 30.4375 + extract(day FROM interval_)::numeric) * 86400000000 + extract(hour FROM interval_)::numeric * 3600000000
		+ extract(minute FROM interval_)::numeric * 60000000 + extract(microseconds FROM interval_)::numeric))),
	('uuid_', a->>'uuid_', uuid_::text), ('json_', a->>'json_', json_::text), ('jsonb_', a->>'jsonb_', jsonb_::text),
	('xml_', a->>'xml_', xml_::text), ('inet_', a->>'inet_', CASE WHEN inet_ IS NOT NULL THEN format('%s', inet_) END), ('cidr_', a->>'cidr_', cidr_::text),
	('macaddr_', a->>'macaddr_', macaddr_::text), ('int4range_', a->>'int4range_', int4range_::text),
	('tstzrange_', a->>'tstzrange_', tstzrange_::text), ('box_', a->>'box_', box_::text),
	('point x', a->'point_'->>'x', (point_[0])::text), ('point y', a->'point_'->>'y', (point_[1])::text),
	('point srid', (a->'point_'->'srid')::text, CASE WHEN point_ IS NOT NULL THEN 'null' END),
	('point wkb', encode(decode(a->'point_'->>'wkb', 'base64'), 'hex'), '0101000000'
		|| (SELECT string_agg(substr(encode(float8send(c), 'hex'), 17 - 2 * i, 2), '' ORDER BY n, i)
			FROM unnest(ARRAY[point_[0], point_[1]]) WITH ORDINALITY u(c, n), generate_series(1, 8) i WHERE point_ IS NOT NULL)),
	('hstore_', ((a->>'hstore_')::jsonb)::text, hstore_to_jsonb(hstore_)::text),
	('mood_', a->>'mood_', mood_::text), ('pair_', a->>'pair_', pair_::text), ('tsvector_', a->>'tsvector_', tsvector_::text),
	('ints', (a->'ints')::jsonb::text, to_jsonb(ints)::text), ('grid', (a->'grid')::jsonb::text, to_jsonb(grid)::text),
	('bigs', (a->'bigs')::jsonb::text, to_jsonb(bigs)::text), ('texts', (a->'texts')::jsonb::text, to_jsonb(texts)::text),
	('amounts_', (a->'amounts_')::jsonb::text, to_jsonb(amounts_::text[])::text),
	('stamps', (a->'stamps')::jsonb::text, CASE WHEN stamps IS NOT NULL THEN (SELECT coalesce(jsonb_agg(trunc(micros(e) / 1000)
		ORDER BY n), '[]')::text FROM unnest(stamps) WITH ORDINALITY u(e, n)) END),
	('days', (a->'days')::jsonb::text, CASE WHEN days IS NOT NULL THEN (SELECT coalesce(jsonb_agg(e - date '1970-01-01'
		ORDER BY n), '[]')::text FROM unnest(days) WITH ORDINALITY u(e, n)) END),
	('bools', (a->'bools')::jsonb::text, to_jsonb(bools)::text), ('floats', (a->'floats')::jsonb::text, to_jsonb(floats)::text),
	('moods', (a->'moods')::jsonb::text, to_jsonb(moods)::text), ('uuids', (a->'uuids')::jsonb::text, to_jsonb(uuids)::text),
	('jsons', (a->'jsons')::jsonb::text, to_jsonb(jsons::text[])::text),
	('byteas', (a->'byteas')::jsonb::text, CASE WHEN byteas IS NOT NULL THEN (SELECT coalesce(jsonb_agg(encode(e, 'base64')
		ORDER BY n), '[]')::text FROM unnest(byteas) WITH ORDINALITY u(e, n)) END),
	('bits', (SELECT string_agg(bits_of(e), ',' ORDER BY n) FROM json_array_elements_text(a->'bits') WITH ORDINALITY u(e, n)),
		(SELECT string_agg(ltrim(e::text, '0'), ',' ORDER BY n) FROM unnest(bits) WITH ORDINALITY u(e, n))),
	('pairs', (a->'pairs')::jsonb::text, to_jsonb(pairs::text[])::text),
	('hstores', (SELECT string_agg((e::jsonb)::text, ',') FROM json_array_elements_text(a->'hstores') e),
		(SELECT string_agg(hstore_to_jsonb(e)::text, ',') FROM unnest(hstores) e))};
# JSON has no nulls in text
$expected =~ s/\(a->'(\w+)'\)::jsonb::text/(CASE WHEN json_typeof(a->'$1') <> 'null' THEN a->'$1' END)::jsonb::text/g;
$expected =~ s/a->'point_'->/(CASE WHEN json_typeof(a->'point_') = 'object' THEN a->'point_' END)->/g;
$expected =~ s/json_array_elements_text\(a->'(\w+)'\)/json_array_elements_text(CASE WHEN json_typeof(a->'$1') = 'array' THEN a->'$1' ELSE '[]' END)/g;
sub mismatches { return sql(qq{SELECT id, what, shown, wanted FROM types, got, LATERAL (SELECT r->'after') x(a), LATERAL ($expected) e(what, shown, wanted)
	WHERE r->>'op' = 'c' AND (a->>'id')::int = id AND replace(shown, E'\\n', '') IS DISTINCT FROM replace(wanted, E'\\n', '') ORDER BY id, what}); }
is(mismatches(), '', 'values are as they should be');
is(sql(qq{SELECT count(DISTINCT what) FROM types, (SELECT NULL::json) x(a), LATERAL ($expected) e(what, shown, wanted)}), 65,
	'of every column');

# The same rows with other options: members of `after` as SQL, and what they must be.
sub modes
{
	my ($options, $shown, $wanted, $name) = @_;
	my $list = join(', ', map { literal($_) } 'format', 'debezium', 'exclude-tables', '*.got', @$options);
	is(sql(qq{$settings WITH got AS (SELECT data::json r FROM pg_logical_slot_peek_changes('s', NULL, NULL, $list))
		SELECT id, shown, wanted FROM types, got, LATERAL (SELECT r->'after') x(a), LATERAL (SELECT $shown, $wanted) e(shown, wanted)
		WHERE r->>'op' = 'c' AND (a->>'id')::int = id AND shown IS DISTINCT FROM wanted}), '', "@$options: $name");
	return;
}

modes([ 'decimal-handling-mode', 'precise' ], q{number_of(CASE WHEN numeric_20_3 <> 'NaN' THEN a->>'numeric_20_3' END)},
	q{nullif(numeric_20_3, 'NaN') * 1000}, 'the unscaled number');
modes([ 'decimal-handling-mode', 'precise' ], q{length(decode(CASE WHEN numeric_20_3 <> 'NaN' THEN a->>'numeric_20_3' END, 'base64'))},
	q{(SELECT min(n) FROM generate_series(1, 20) n WHERE numeric_20_3 * 1000 BETWEEN -(256::numeric ^ n / 2) AND 256::numeric ^ n / 2 - 1)}, 'as short as possible');
modes([], q{length(decode(a->>'bit12', 'base64'))}, q{(length(ltrim(bit12::text, '0')) + 7) / 8}, 'bits without zeros at the end');
modes([ 'decimal-handling-mode', 'precise' ], q{CASE WHEN numeric_ <> 'NaN' THEN number_of(a->'numeric_'->>'value')
	/ 10::numeric ^ (a->'numeric_'->>'scale')::int END}, q{nullif(numeric_, 'NaN')}, 'a scale for types without one');
modes([ 'decimal-handling-mode', 'precise' ], q{CASE WHEN numeric_ <> 'NaN' THEN (a->'numeric_'->>'scale')::int END},
	q{nullif(length(split_part(trim_scale(nullif(numeric_, 'NaN'))::text, '.', 2)), NULL)}, 'as small as possible');
modes([ 'decimal-handling-mode', 'precise' ], q{number_of(a->>'money_')}, q{money_::numeric * 100}, 'money');
modes([ 'decimal-handling-mode', 'precise' ], q{a->>'numeric_20_3'}, q{CASE WHEN numeric_20_3 = 'NaN' THEN 'NAN' ELSE a->>'numeric_20_3' END}, 'NaN');
modes([ 'decimal-handling-mode', 'double' ], q{(a->>'numeric_')::float8}, q{numeric_::float8}, 'numeric');
modes([ 'decimal-handling-mode', 'double' ], q{json_typeof(a->'numeric_')}, q{CASE WHEN numeric_ = 'NaN' THEN 'string' WHEN numeric_ IS NULL THEN 'null' ELSE 'number' END}, 'numbers');
modes([ 'binary-handling-mode', $_->[0] ], q{translate(a->>'bytea_', E'\n', '')}, $_->[1], 'bytea')
  foreach [ 'bytes', q{encode(bytea_, 'base64')} ], [ 'base64', q{encode(bytea_, 'base64')} ],
  [ 'base64-url-safe', q{translate(encode(bytea_, 'base64'), '+/', '-_')} ], [ 'hex', q{encode(bytea_, 'hex')} ];
my $time = q{concat_ws(' ', a->>'date_', a->>'time_', a->>'time3', a->>'timestamp_', a->>'milliseconds_')};
my $date = q{CASE date_ WHEN 'infinity' THEN 2147483647 WHEN '-infinity' THEN -2147483648 ELSE date_ - date '1970-01-01' END};
my $ms = sub { my $micros = $_[0]; return "CASE WHEN abs($micros) > 9223372036820000000 THEN trunc($micros / 1000) ELSE floor($micros / 1000) END"; };
modes([ 'time-precision-mode', 'adaptive_time_microseconds' ], $time, qq{concat_ws(' ', $date, micros(time_), micros(time3),
	bounded(micros(timestamp_)), } . $ms->('micros(milliseconds_)') . ')', 'times');
modes([ 'time-precision-mode', 'connect' ], $time, qq{concat_ws(' ', $date, floor(micros(time_)::numeric / 1000), floor(micros(time3)::numeric / 1000), }
	. $ms->('micros(timestamp_)') . ', ' . $ms->('micros(milliseconds_)') . ')', 'milliseconds');
modes([ 'time-precision-mode', 'microseconds' ], $time, q{concat_ws(' ', } . $date . q{, micros(time_), micros(time3),
	bounded(micros(timestamp_)), micros(milliseconds_))}, 'microseconds');
modes([ 'time-precision-mode', 'nanoseconds' ], $time, qq{concat_ws(' ', $date, micros(time_)::numeric * 1000, micros(time3)::numeric * 1000,
	bounded(micros(timestamp_) * 1000), bounded(micros(milliseconds_) * 1000))}, 'nanoseconds');
modes([ 'time-precision-mode', 'isostring' ], q{concat_ws(' ', CASE WHEN id <= 2 THEN a->>'date_' END, CASE WHEN id = 1 THEN a->>'time_' END,
	CASE WHEN id <= 2 THEN a->>'timestamp_' END, CASE WHEN id IN (1, 3) THEN a->>'milliseconds_' END)},
	q{concat_ws(' ', CASE WHEN id <= 2 THEN to_char(date_, 'YYYY-MM-DD"Z"') END, CASE WHEN id = 1 THEN to_char(time_, 'HH24:MI:SS.US"Z"') END,
	CASE WHEN id <= 2 THEN to_char(timestamp_, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,
	CASE id WHEN 1 THEN to_char(milliseconds_, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') WHEN 3 THEN '-infinity' END)}, 'ISO 8601');
modes([ 'interval-handling-mode', 'string' ], q{a->>'interval_'}, q{CASE id WHEN 1 THEN 'P1Y2M3DT-4H-5M-6.78S' WHEN 2 THEN 'P0Y-1M2DT0H0M0S'
	WHEN 3 THEN 'P-178000000Y0M0DT0H0M0S' WHEN 4 THEN 'P0Y0M0DT0H0M10S' END}, 'ISO 8601');
modes([ 'hstore-handling-mode', 'map' ], q{(CASE json_typeof(a->'hstore_') WHEN 'object' THEN a->'hstore_' END)::jsonb},
	q{hstore_to_jsonb(hstore_)}, 'an object');

SKIP: {
	skip 'infinite numerics come with PostgreSQL 14', 2 if $version < 140000;
	sql(q{TRUNCATE got; UPDATE types SET numeric_ = 'Infinity' WHERE id = 1; UPDATE types SET numeric_ = '-Infinity' WHERE id = 2});
	is(join(' ', map { $_->{after}{numeric_} } grep { ($_->{op} // '') eq 'u' } get()), 'POSITIVE_INFINITY NEGATIVE_INFINITY', 'infinite numerics');
	my @infinite = changes(q{UPDATE types SET numeric_ = 'Infinity' WHERE id = 2}, 'decimal-handling-mode', 'double');
	is("$infinite[0]{before}{numeric_} $infinite[0]{after}{numeric_}", '-Infinity Infinity', 'as floats');
}
SKIP: {
	skip 'infinite intervals come with PostgreSQL 17', 1 if $version < 170000;
	my @infinite = changes(q{UPDATE types SET interval_ = '-infinity' WHERE id = 2; UPDATE types SET interval_ = 'infinity' WHERE id = 2});
	is(join(' ', map { $_->{after}{interval_} } @infinite), '-9223372036854775808 9223372036854775807', 'infinite intervals');
}

#------------------------------------------------------------------------------------------------------------
# Envelopes.

sql(q{
	CREATE SCHEMA "Odd ""schema""";
	CREATE TABLE "Odd ""schema"""."tä\ble" (id int PRIMARY KEY, "a""b" text);
	CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, born date);
	CREATE TABLE full_people (id int PRIMARY KEY, name text, born date);
	ALTER TABLE full_people REPLICA IDENTITY FULL;
	CREATE TABLE keyless (id int, name text);
	CREATE TABLE keyless_full (id int, name text);
	ALTER TABLE keyless_full REPLICA IDENTITY FULL;
	CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL UNIQUE, name text);
	ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code_key});

# The order of members, which are the same in all records.
skip_all_changes();
sql(q{INSERT INTO people VALUES (1, 'Jack', '1999-01-01')});
my ($line) = grep { /"op"/ } split /\n/, sql('SELECT data FROM pg_logical_slot_peek_changes(\'s\', NULL, NULL, ' . options() . ')');
my @members = $line =~ /"(\w+)":/g;
is("@members", 'before after id name born source version connector name ts_ms snapshot db sequence ts_us ts_ns schema table txId lsn xmin '
	. 'transaction id total_order data_collection_order op ts_ms ts_us ts_ns', 'members and their order');
my ($begin, $record, $end) = get();
my $now = time * 1000;
is($json->canonical->encode({ %{$record->{source}}, map { $_ => 0 } qw(ts_ms ts_us ts_ns lsn txId sequence) }),
	'{"connector":"postgresql","db":"postgres","lsn":0,"name":"s","schema":"public","sequence":0,"snapshot":"false","table":"people",'
	. '"ts_ms":0,"ts_ns":0,"ts_us":0,"txId":0,"version":"carbonite","xmin":null}', 'the source');
is($record->{source}{txId}, sql(q{SELECT xmin FROM people}), 'the transaction');
is($record->{source}{ts_us}, int($record->{source}{ts_ns} / 1000), 'ts_ns');
is($record->{source}{ts_ms}, int($record->{source}{ts_us} / 1000), 'ts_ms');
cmp_ok(abs($record->{ts_ms} - $now), '<', 60_000, 'the time is now');
cmp_ok($record->{ts_ms}, '>=', $record->{source}{ts_ms}, 'after that of the commit');
is($record->{before}, undef, 'nothing before');
is($json->canonical->encode($record->{after}), '{"born":10592,"id":1,"name":"Jack"}', 'a row after');
skip_all_changes();
sql($_) foreach q{INSERT INTO people VALUES (2, 'Jill')}, q{INSERT INTO people VALUES (5, 'Joe')};
my ($first, $middle, $second) = grep { ($_->{status} // '') ne 'BEGIN' } get();
is($first->{source}{sequence}, qq([null,"$first->{source}{lsn}"]), 'the sequence of a first transaction');
is($second->{source}{sequence}, sprintf('["%s","%s"]', $middle->{id} =~ s/.*://r, $second->{source}{lsn}),
	'and of another, with the end of the one before');
ok(sql("SELECT '$record->{source}{lsn}'::numeric BETWEEN pg_current_wal_lsn() - '0/0'::pg_lsn - 10000000 AND pg_current_wal_lsn() - '0/0'::pg_lsn") eq 't',
	'LSNs are numbers');
is($record->{transaction}{id}, "$record->{source}{txId}:$record->{source}{lsn}", 'the id of a transaction has the LSN');
is($begin->{id}, $record->{transaction}{id}, 'BEGIN has that of the first event');
is($end->{ts_ms}, $record->{source}{ts_ms}, 'boundaries have the time of the commit');

sub shown
{
	return join "\n", map { my $r = $_; join ' ', $r->{op}, map { $json->canonical->encode($r->{$_}) } grep { exists $r->{$_} } qw(before after omitted failed withheld message); } @_;
}
is(shown(changes(q{UPDATE people SET name = 'Jacques' WHERE id = 1; UPDATE people SET id = 3 WHERE id = 1; DELETE FROM people WHERE id = 2})),
	q(u null {"born":10592,"id":1,"name":"Jacques"}
d {"born":null,"id":1,"name":null} null
c null {"born":10592,"id":3,"name":"Jacques"}
d {"born":null,"id":2,"name":null} null), 'updates, of keys too, and deletes');
is(shown(changes(q{INSERT INTO full_people VALUES (1, 'Jack', NULL); UPDATE full_people SET name = 'Jo'; UPDATE full_people SET id = 2; DELETE FROM full_people})),
	q(c null {"born":null,"id":1,"name":"Jack"}
u {"born":null,"id":1,"name":"Jack"} {"born":null,"id":1,"name":"Jo"}
d {"born":null,"id":1,"name":"Jo"} null
c null {"born":null,"id":2,"name":"Jo"}
d {"born":null,"id":2,"name":"Jo"} null), 'with whole old rows');
is(shown(changes(q{INSERT INTO keyless VALUES (1, 'x'); UPDATE keyless SET id = 2; DELETE FROM keyless;
	INSERT INTO keyless_full VALUES (1, 'x'); UPDATE keyless_full SET id = 2; DELETE FROM keyless_full;})),
	q(c null {"id":1,"name":"x"}
u null {"id":2,"name":"x"}
d null null
c null {"id":1,"name":"x"}
u {"id":1,"name":"x"} {"id":2,"name":"x"}
d {"id":2,"name":"x"} null), 'without a key');
is(shown(changes(q{INSERT INTO by_index VALUES (1, 'a', 'x'); UPDATE by_index SET id = 2; UPDATE by_index SET code = 'b'; DELETE FROM by_index;})),
	q(c null {"code":"a","id":1,"name":"x"}
u null {"code":"a","id":2,"name":"x"}
d {"code":"a","id":null,"name":null} null
c null {"code":"b","id":2,"name":"x"}
d {"code":"b","id":null,"name":null} null), 'with another replica identity');
my @odd = changes(q{INSERT INTO "Odd ""schema"""."tä\ble" VALUES (1, 'x')});
is($json->canonical->encode([ $odd[0]{source}{schema}, $odd[0]{source}{table}, $odd[0]{after} ]),
	$json->canonical->encode([ 'Odd "schema"', $json->decode(qq{"t\xc3\xa4\\\\ble"}), { id => 1, 'a"b' => 'x' } ]), 'odd names');

# transactions
skip_all_changes();
sql(q{BEGIN; INSERT INTO people SELECT n, 'x' FROM generate_series(10, 12) n; INSERT INTO full_people VALUES (1); SAVEPOINT a;
	INSERT INTO people VALUES (99, 'gone'); ROLLBACK TO a; UPDATE people SET id = 20 WHERE id = 10; SELECT pg_logical_emit_message(true, 'p', 'm');
	TRUNCATE people, full_people; COMMIT; BEGIN; CREATE TABLE none (); COMMIT;});
my @records = get();
is(join(' ', map { $_->{status} // $_->{op} } @records), 'BEGIN c c c c d c m t t END', 'a transaction');
is(join(' ', map { "$_->{transaction}{total_order}/$_->{transaction}{data_collection_order}" } grep { exists $_->{op} } @records),
	'1/1 2/2 3/3 4/1 5/4 6/5 7/1 8/6 9/2', 'has its events counted');
is($json->canonical->encode({ map { $_ => $records[-1]{$_} } qw(event_count data_collections) }),
	'{"data_collections":[{"data_collection":"public.people","event_count":6},{"data_collection":"public.full_people","event_count":2},'
	. '{"data_collection":"LOGICAL_DECODING_MESSAGE","event_count":1}],"event_count":9}', 'and summed up');
is(join(' ', sort keys %{$records[0]}), 'data_collections event_count id status ts_ms', 'BEGIN');
sql(q{INSERT INTO people VALUES (1, 'x'), (2, 'y')});
sql(q{INSERT INTO people VALUES (3, 'x')});
@records = get();
is(join(' ', map { exists $_->{op} ? "$_->{transaction}{total_order}/$_->{transaction}{data_collection_order}" : $_->{event_count} // '-' } @records),
	'- 1/1 2/2 2 - 1/1 1', 'each transaction counts its own');
sql(q{INSERT INTO people VALUES (4, 'x')});
my @plain = get('provide-transaction-metadata', 'off');
is(scalar(@plain) . $json->encode($plain[0]{transaction}), '1null', 'without transactions');

# truncates and messages
is(shown(changes(q{TRUNCATE people, full_people CASCADE})), "t null null\nt null null", 'truncates');
my @messages = changes(q{SELECT pg_logical_emit_message(false, 'out', 'x'); SELECT pg_logical_emit_message(true, 'in "it"', '\x00ff10fb'::bytea)});
is(shown(@messages), qq(m {"content":"eA==","prefix":"out"}\nm {"content":"AP8Q+w==","prefix":"in \\"it\\""}), 'messages');
is(join(' ', map { $json->canonical->encode([ $_->{source}{table}, defined $_->{source}{txId} ? 1 : 0, defined $_->{transaction} ? 1 : 0 ]) } @messages),
	'["",0,0] ["",1,1]', 'outside of transactions and in them');
is((changes(q{SELECT pg_logical_emit_message(true, 'p', '\x00ff10fb'::bytea)}, 'binary-handling-mode', 'hex'))[0]{message}{content}, '00ff10fb', 'in hexadecimal');

# values that the WAL does not have
sql(q{CREATE TABLE large (id int PRIMARY KEY, n int, t text, v varchar[], i int[], b bytea, h hstore, j jsonb);
	ALTER TABLE large ALTER t SET STORAGE external, ALTER v SET STORAGE external, ALTER i SET STORAGE external,
	ALTER b SET STORAGE external, ALTER h SET STORAGE external, ALTER j SET STORAGE external;
	CREATE FUNCTION long() RETURNS text LANGUAGE sql AS $$SELECT repeat('0123456789', 400)$$;
	INSERT INTO large VALUES (1, 1, long(), ARRAY[long()], ARRAY(SELECT generate_series(1, 1000)), long()::bytea,
		hstore('a', long()), to_jsonb(long()))});
my $placeholder = '__debezium_unavailable_value';
my ($toast) = changes(q{UPDATE large SET n = 2});
is($json->canonical->encode($toast->{after}), $json->canonical->encode({ id => 1, n => 2, t => $placeholder, v => [$placeholder],
	i => [ unpack 'c*', $placeholder ], b => encode_base64($placeholder, ''), h => qq({"$placeholder":"$placeholder"}), j => $placeholder }),
	'unchanged values that are not in the WAL');
($toast) = changes(q{UPDATE large SET n = 3}, 'unavailable-value-placeholder', 'n"a', 'hstore-handling-mode', 'map', 'binary-handling-mode', 'hex');
is($json->canonical->encode($toast->{after}), $json->canonical->encode({ id => 1, n => 3, t => 'n"a', v => ['n"a'], i => [ unpack 'c*', 'n"a' ],
	b => 'n"a', h => { 'n"a' => 'n"a' }, j => 'n"a' }), 'with another placeholder');
sql('ALTER TABLE large REPLICA IDENTITY FULL');
($toast) = changes(q{UPDATE large SET n = 4});
is($toast->{after}{t} . $toast->{before}{t}, sql('SELECT long() || long()'), 'whole old rows have them');

# too large
my ($big) = changes(q{UPDATE large SET n = 5, t = repeat(long(), 20)}, 'max-record-bytes', '20000');
is(shown($big) =~ s/"bytes":\d+/"bytes":N/r, 'u null null {"bytes":N,"key":{"id":1}}', 'rows that do not fit');
cmp_ok($big->{omitted}{bytes}, '>', 80_000, 'are told of');
is($big->{source}{table}, 'large', 'with their source');
($big) = changes(q{INSERT INTO by_index VALUES (9, 'i', repeat('x', 20000))}, 'max-record-bytes', '4096');
is(shown($big), 'c null null {"bytes":20001,"key":{"code":"i"}}', 'their key may be that of another index');
sql('CREATE TABLE large_key (k text PRIMARY KEY)');
($big) = changes(q{INSERT INTO large_key SELECT substr(string_agg(md5(n::text), ''), 1, 2600) FROM generate_series(1, 100) n;}, 'max-record-bytes', '15000');
is(shown($big) =~ s/[0-9a-f]{2600}/K/r, 'c null {"k":"K"}', 'what fits is shown');
($big) = changes(q{UPDATE large_key SET k = repeat(chr(1), 2600)}, 'max-record-bytes', '15000');
is(shown($big) =~ s/[0-9a-f]{2600}/K/r, 'd {"k":"K"} null', 'an old key');
my (undef, $small) = changes(q{UPDATE large_key SET k = repeat(chr(2), 2690)}, 'max-record-bytes', '15000');
is(shown($small), 'c null null {"bytes":2690}', 'keys that do not fit');
($big) = changes(q{SELECT pg_logical_emit_message(true, 'p', repeat('x', 10000))}, 'max-record-bytes', '4096');
is(shown($big) . ' ' . $big->{omitted}{bytes} =~ s/^/bytes /r, 'm ' . $json->canonical->encode($big->{omitted}) . ' {"content":null,"prefix":"p"} bytes 10000',
	'messages that do not fit');

# values whose functions fail
sql(q{CREATE FUNCTION broken_in(cstring) RETURNS broken LANGUAGE internal IMMUTABLE STRICT AS 'textin';
	CREATE FUNCTION broken_out(broken) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'shell_out';
	CREATE TYPE broken (input = broken_in, output = broken_out, like = text);
	CREATE TABLE breaks (id int PRIMARY KEY, x broken, y broken[])});
is(shown(changes(q{INSERT INTO breaks VALUES (1, 'a', ARRAY['b'::broken])})),
	'c null {"id":1,"x":null,"y":null} {"x":{"error":"0A000"},"y":{"error":"0A000"}}', 'values that cannot be shown');

#------------------------------------------------------------------------------------------------------------
# Metadata, masks, options.

sql(q{SELECT carbonite.install_schema('auto');
	CREATE TABLE secrets (id int PRIMARY KEY, ssn text, pin text, gone text, plain text, fixed text);
	SELECT carbonite.install_trigger('secrets', excluded_columns => '{gone}', masks => '{"ssn": {"last": 4}, "pin": null, "fixed": "hidden"}')});
is(shown(changes(q{INSERT INTO secrets VALUES (1, '123-45-6789', '1234', 'x', 'seen', 'y');
	UPDATE secrets SET id = 2; ALTER TABLE secrets REPLICA IDENTITY FULL; DELETE FROM secrets})),
	q(c null {"fixed":"hidden","id":1,"pin":null,"plain":"seen","ssn":"****6789"}
d {"fixed":null,"id":1,"pin":null,"plain":null,"ssn":null} null
c null {"fixed":"hidden","id":2,"pin":null,"plain":"seen","ssn":"****6789"}
d {"fixed":"hidden","id":2,"pin":null,"plain":"seen","ssn":"****6789"} null), 'masks and excluded columns');

sub metas { skip_all_changes(); sql($_[0]);
	return join ' ', map { ($_->{status} // $_->{op}) . ($_->{meta} ? $json->canonical->encode($_->{meta}) : '') } get(@_[1 .. $#_]); }
my $who = q{SELECT pg_logical_emit_message(true, 'carbonite', '{"actor": "jo"}')};
is(metas(qq{BEGIN; $who; INSERT INTO people VALUES (100, 'x'); COMMIT}), 'BEGIN{"actor":"jo"} c{"actor":"jo"} END{"actor":"jo"}', 'metadata');
is(metas(qq{BEGIN; INSERT INTO people VALUES (101, 'x'); $who; COMMIT}), 'BEGIN{"actor":"jo"} c{"actor":"jo"} END{"actor":"jo"}', 'that came late');
is(metas(qq{BEGIN; $who; INSERT INTO people VALUES (102, 'x'); COMMIT}, 'metadata', 'begin'), 'BEGIN{"actor":"jo"} c END{"actor":"jo"}', 'at the boundaries');
is(metas(qq{BEGIN; $who; INSERT INTO people VALUES (103, 'x'); COMMIT}, 'metadata', 'commit'), 'BEGIN c END{"actor":"jo"}', 'at the end');
is(metas(qq{BEGIN; SELECT carbonite.insert_transaction('{"type": "repair"}'); INSERT INTO secrets VALUES (3); COMMIT}),
	'BEGIN{"type":"repair"} c{"type":"repair"} END{"type":"repair"}', 'of recorded transactions');

is((changes(q{INSERT INTO people VALUES (200, 'x')}, 'topic-prefix', 'a "prefix"'))[0]{source}{name}, 'a "prefix"', 'a prefix');
skip_all_changes();
sql(q{INSERT INTO people VALUES (201, 'x')});
refused([ $_, 'nonsense' ], qr/ERROR:  22023: option "$_" has a value that is not understood: 'nonsense'/, "$_ with nonsense")
  foreach qw(decimal-handling-mode time-precision-mode binary-handling-mode hstore-handling-mode interval-handling-mode provide-transaction-metadata);
refused([ 'decimal-handling-mode', "x'y\\z%s" ], qr/not understood: E'x''y\\\\z%s'\n.*Use one of: string, double, precise\./s, 'a hint');
refused([ $_, 'x' x 2000 ], qr/22023: option "$_" needs a value/, "a long $_") foreach qw(topic-prefix unavailable-value-placeholder);
refused([ 'tombstones-on-delete', 'on' ], qr/22023: option "tombstones-on-delete" is not known to format debezium/, 'an unknown option');

# a database of another encoding, and a stream to a client
sql(q{CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
$node->safe_psql('latin', qq{SET client_encoding = 'UTF8'; CREATE TABLE "t\xc3\xa4" (id int PRIMARY KEY, t text); SELECT pg_create_logical_replication_slot('l', 'carbonite')});
$node->safe_psql('latin', qq{SET client_encoding = 'UTF8'; INSERT INTO "t\xc3\xa4" VALUES (1, 'caf\xc3\xa9'); SELECT pg_logical_emit_message(false, 'p\xc3\xa9', 'x'); CREATE TABLE flush ()});
my $target = $node->safe_psql('latin', 'SELECT pg_current_wal_flush_lsn()');
my ($status, $out, $err) = (undef, '', '');
$status = run_log([ 'pg_recvlogical', '-d', $node->connstr('latin'), '--slot', 'l', '--start', '--endpos', $target, '--no-loop', '-f', '-',
	'-o', 'format=debezium', '-o', "unavailable-value-placeholder=\xc3\xa9", '-o', "topic-prefix=\xc3\xa9" ], '>', \$out, '2>', \$err);
ok($status, 'pg_recvlogical') or diag $err;
my @received = map { $json->decode($_) } split /\n/, $out;
is(join(' ', map { $_->{status} // $_->{op} } @received), 'BEGIN c END m', 'records for a client');
is(join(',', map { ord } split //, $received[1]{after}{t} . $received[1]{source}{table} . $received[3]{message}{prefix}),
	'99,97,102,233,116,228,112,233', 'of another encoding');

$node->stop;
done_testing();
