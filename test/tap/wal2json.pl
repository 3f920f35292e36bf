# The format of wal2json: the same WAL through wal2json and through this library gives the same rows,
# whatever the types, the options and the session's settings; and where it differs on purpose, it does so
# as docs/wal2json.md says. CARBONITE_SEED repeats a run.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{CARBONITE_SEED} || int(rand(1_000_000_000));
diag "CARBONITE_SEED=$seed";
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', "max_prepared_transactions = 4\nautovacuum = off\n");
$node->start;
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');

# Minor releases of August 2026 and later load only the output plugins that a setting lists.
if ($node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'}) > 0)
{
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'wal2json, carbonite'\n");
	$node->reload;
}

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub literal { my $text = $_[0]; $text =~ s/'/''/g; return "'$text'"; }
sub options { return 'VARIADIC ARRAY[' . join(', ', map { literal($_) } @_) . ']::text[]'; }

# What a slot has, as the format of wal2json, without empty transactions of version 1: some releases have more of them. `settings` are SQL that is run before.
sub peek
{
	my ($options, $settings) = @_;
	return sql(($settings // '') . "SELECT data FROM pg_logical_slot_peek_changes('own', NULL, NULL, "
		. options('format', 'wal2json', @$options) . q{) WHERE data !~ '^\{\s*"change":\s*\[\s*\]\s*\}$';});
}

# What some SQL gives, as one transaction.
sub stream
{
	my ($do, $options, $settings) = @_;
	sql("SELECT count(*) FROM pg_logical_slot_get_changes('own', NULL, NULL, 'format', 'wal2json')");
	sql("BEGIN; $do; COMMIT;");
	return peek($options, $settings);
}

# The same without what begins and ends transactions.
sub rows { my ($do, $options, $settings) = @_;
	return stream($do, [ 'format-version', '2', 'include-transaction', 'off', @{ $options // [] } ], $settings); }

sub refused
{
	my ($options, $pattern, $name) = @_;
	my ($status, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT * FROM pg_logical_slot_peek_changes('own', NULL, NULL, "
		. options('format', 'wal2json', @$options) . ');');
	like($err, $pattern, $name);
	return;
}

#------------------------------------------------------------------------------------------------------------
# The same rows as wal2json.

# Is wal2json there, and does it know an option?
sub knows
{
	my ($option) = @_;
	return $node->psql('postgres', "SELECT pg_create_logical_replication_slot('probe', 'wal2json', true);
		SELECT * FROM pg_logical_slot_peek_changes('probe', NULL, NULL, '$option', 'on')") == 0;
}
my $is_there = knows('include-domain-data-type');
my $is_old = !knows('numeric-data-types-as-string');
my $is_new = knows('include-empty-transaction');

my %samples = (
	'bool' => [ 'true', 'false' ],
	'int2' => [ -32768, 0, 32767 ],
	'int4' => [ -2147483648, 42, 2147483647 ],
	'int8' => [ '-9223372036854775808', 7, '9223372036854775807' ],
	'oid' => [ 0, 4294967295 ],
	'float4' => [ '1.1', '-0', '3.4e38', '1e-40', 'NaN', 'Infinity', '-Infinity' ],
	'float8' => [ '0.1', '-1e300', '123456789.123456789', 'NaN', 'Infinity', '-Infinity' ],
	'numeric' => [ '0', '-0.00012', '12345678901234567890.0987654321', '1e50', '100000', '0.10', 'NaN' ],
	'numeric(12,3)' => [ '1.5', '-99999.999' ],
	'money' => [ '12.34', '-5' ],
	'text' => [ '', 'plain', "tab\tnewline\nquote\"backslash\\", "uml\xc3\xa4ut \xe2\x98\x83 \xf0\x9f\x98\x80", "\x01\x1f\x7f" ],
	'varchar(30)' => [ 'varying', ' two  spaces ' ],
	'bpchar' => [ 'as it is ', 'x' ],
	'char(8)' => [ 'padded', '' ],
	'"char"' => [ 'x', '"' ],
	'name' => [ 'a name', 'b"ra\ckets' ],
	'bytea' => [ '\x', '\x00ff5c22', 'text' ],
	'date' => [ '2024-02-29', '0044-03-15 BC', 'infinity', '12345-01-01' ],
	'time' => [ '12:34:56.789', '24:00:00' ],
	'timetz' => [ '12:34:56+05:30' ],
	'timestamp' => [ '2024-02-29 12:34:56.000001', '-infinity', '0001-01-01 00:00:00 BC' ],
	'timestamptz' => [ '2024-07-01 12:00:00+02', '1900-01-01 00:00:00.5', 'infinity', '200000-01-01' ],
	'timestamptz(3)' => [ '2024-01-01 00:00:00.123456' ],
	'interval' => [ '1 year -2 days 03:04:05.678', '-1 mon' ],
	'interval day to second(2)' => [ '4 days 5.67' ],
	'uuid' => [ 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' ],
	'json' => [ '{"a" :  [1, null]}', '"text"' ],
	'jsonb' => [ '{"b": 1.50, "a": {"c": "d\"e"}}', 'null' ],
	'jsonpath' => [ '$.a[*] ? (@ > 1)' ],
	'inet' => [ '192.168.0.1/24', '::1' ],
	'cidr' => [ '10.0.0.0/8' ],
	'macaddr' => [ '08:00:2b:01:02:03' ],
	'macaddr8' => [ '08:00:2b:01:02:03:04:05' ],
	'bit(5)' => [ '10101' ],
	'varbit' => [ '1', '' ],
	'point' => [ '(1.5,-2)' ],
	'line' => [ '{1,2,3}' ],
	'box' => [ '(1,1),(0,0)' ],
	'path' => [ '[(0,0),(1,1)]' ],
	'polygon' => [ '((0,0),(1,1),(1,0))' ],
	'circle' => [ '<(0,0),2>' ],
	'tsvector' => [ q{'a':1 'b':2} ],
	'tsquery' => [ 'a & !b' ],
	'regclass' => [ 'pg_class' ],
	'regtype' => [ 'int4' ],
	'xid' => [ '5' ],
	'tid' => [ '(1,2)' ],
	'pg_lsn' => [ '16/B374D848' ],
	'int4range' => [ '[1,5)', 'empty' ],
	'numrange' => [ '(,1.5]' ],
	'tstzrange' => [ '[2024-01-01 00:00:00+00,)' ],
	'int4[]' => [ '{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={5,6}' ],
	'text[]' => [ q({"a b",NULL,"q\"t","null"}) ],
	'numeric[]' => [ '{1.50,NaN}' ],
	'bool[]' => [ '{t,f}' ],
	'bytea[]' => [ '{"\\\\x00ff"}' ],
	'timestamptz[]' => [ '{2024-01-01 00:00:00+00}' ],
	'float8[]' => [ '{0.1,Infinity}' ],
	'jsonb[]' => [ q({"{\"a\": 1}"}) ],
	'"char"[]' => [ '{a,b}' ],
	'positive' => [ '1', '2.50' ],
	'positive_too' => [ '3' ],
	'short_text' => [ 'abc', 'd"e' ],
	'truth' => [ 't', 'f' ],
	'raw' => [ '\x00ff' ],
	'mood' => [ 'fine', 'not "so" fine' ],
	'"Odd Mood"' => [ 'x' ],
	'pair' => [ '(1,"a,b")', '(,)' ],
	'positive[]' => [ '{1.5,2}' ],
	'mood[]' => [ '{fine}' ],
	'pair[]' => [ '{"(1,x)"}' ],
	'float_range' => [ '[1.5,2.5]' ]);
$samples{int4multirange} = [ '{[1,3),[5,7)}' ] if $version >= 140000;
my @types = sort keys %samples;

sub choose { return $_[ int(rand(@_)) ]; }
sub value
{
	my ($type) = @_;
	return 'NULL' if rand() < 0.15;
	return literal(choose(@{ $samples{$type} }));
}

sql(q{
	CREATE DOMAIN positive AS numeric(10,2) CHECK (VALUE > 0);
	CREATE DOMAIN positive_too AS positive;
	CREATE DOMAIN short_text AS varchar(10);
	CREATE DOMAIN truth AS bool;
	CREATE DOMAIN raw AS bytea;
	CREATE TYPE mood AS ENUM ('fine', 'not "so" fine');
	CREATE TYPE "Odd Mood" AS ENUM ('x');
	CREATE TYPE pair AS (a int, b text);
	CREATE TYPE float_range AS RANGE (subtype = float8);
	CREATE SCHEMA "Sch.ema";
	SELECT pg_replication_origin_create('origin ' || n) FROM generate_series(1, 3) n;
	SELECT pg_create_logical_replication_slot('base', 'carbonite');});

# Tables: all types; each kind of replica identity; odd names; partitions; generated and dropped columns.
my %columns;
sub create_tables
{
	my @wide;
	for my $type (@types)
	{
		my $name = 'c' . @wide;
		push @wide, [ $name, $type ];
	}
	$columns{wide} = \@wide;
	my $sql = 'CREATE TABLE wide (id serial PRIMARY KEY, ' . join(', ', map { "$_->[0] $_->[1]" } @wide) . ');';
	for my $table ('by_key', 'by_all', 'by_index', 'by_none', 'no_key', '"Sch.ema"."Odd, *na""me\\"', 'late_key')
	{
		my @own = map { [ "\"col $_\"", choose(@types) ] } 1 .. 3 + int(rand(4));
		$columns{$table} = [ @own, [ 'big', 'text' ] ];
		$sql .= "CREATE TABLE $table (k1 int" . ($table eq 'no_key' ? '' : ' NOT NULL') . ', gone int DEFAULT 5, k2 text NOT NULL, '
			. join('', map { "$_->[0] $_->[1], " } @own)
			. 'big text DEFAULT NULL, n int DEFAULT 1 + 1, twice int GENERATED ALWAYS AS (k1 * 2) STORED, moment timestamptz DEFAULT now(), '
			. "seq bigint DEFAULT nextval('wide_id_seq'), list int[] DEFAULT '{1,2}'"
			. ($table eq 'no_key' ? '' : $table eq 'by_index' ? ', UNIQUE (k2)' : ', PRIMARY KEY (k2, k1)') . ');';
	}
	sql($sql . q{
		ALTER TABLE by_all REPLICA IDENTITY FULL;
		ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_k2_key;
		ALTER TABLE by_none REPLICA IDENTITY NOTHING;
		ALTER TABLE by_key ALTER big SET STORAGE EXTERNAL;
		CREATE TABLE parts (k1 int, k2 text, PRIMARY KEY (k1)) PARTITION BY RANGE (k1);
		CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (MINVALUE) TO (50);
		CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (50) TO (MAXVALUE) PARTITION BY LIST (k1);
		CREATE TABLE "parts high.rest" PARTITION OF parts_high DEFAULT;
		CREATE TABLE nothing ();
		CREATE UNLOGGED TABLE unlogged (k1 int PRIMARY KEY, k2 text);});
	return;
}

my @tables = ('by_key', 'by_all', 'by_index', 'by_none', 'no_key', '"Sch.ema"."Odd, *na""me\\"', 'late_key');

sub big { return rand() < 0.5 ? 'NULL' : "(SELECT string_agg(md5(i::text || '" . rand() . "'), '') FROM generate_series(1, " . int(rand(200)) . ') i)'; }

sub statement
{
	my $table = choose(@tables);
	my $key = int(rand(20));
	my $kind = rand();
	my ($column) = choose(@{ $columns{$table} });
	return "INSERT INTO wide (" . join(', ', map { $_->[0] } @{ $columns{wide} }) . ') VALUES ('
		. join(', ', map { value($_->[1]) } @{ $columns{wide} }) . ');' if $kind < 0.08;
	return 'UPDATE wide SET c0 = NULL, ' . join(', ', map { "c$_ = " . value($columns{wide}[$_][1]) } 1 + int(rand(5)), 10 + int(rand(5)))
		. ' WHERE id % 7 = ' . int(rand(7)) . ';' if $kind < 0.1;
	return "INSERT INTO $table (k1, k2, " . join(', ', map { $_->[0] } @{ $columns{$table} }) . ") VALUES ($key, 'k$key', "
		. join(', ', map { $_->[0] eq 'big' ? big() : value($_->[1]) } @{ $columns{$table} }) . ') ON CONFLICT DO NOTHING;'
		if $kind < 0.4;
	return "UPDATE $table SET $column->[0] = " . ($column->[0] eq 'big' ? big() : value($column->[1])) . " WHERE k1 % 3 = " . ($key % 3) . ';'
		if $kind < 0.55;
	return "UPDATE $table SET k1 = k1 + 100, k2 = k2 || 'x' WHERE k1 = $key;" if $kind < 0.65;
	return "DELETE FROM $table WHERE k1 % 10 = " . ($key % 10) . ';' if $kind < 0.75;
	return "INSERT INTO parts VALUES ($key * 5, 'p') ON CONFLICT (k1) DO UPDATE SET k2 = 'again'; UPDATE parts SET k1 = (k1 + 50) % 100 WHERE k1 = $key;" if $kind < 0.82;
	return 'INSERT INTO nothing DEFAULT VALUES;' if $kind < 0.83;
	return "INSERT INTO unlogged VALUES ($key) ON CONFLICT DO NOTHING;" if $kind < 0.84;
	return "SELECT pg_logical_emit_message(" . choose('true', 'false') . ", " . choose("'one'", "'t w,o'", "'three\"'", "''") . ", "
		. value('text') . ");" if $kind < 0.9;
	return "SAVEPOINT s; UPDATE $table SET n = n + 1; ROLLBACK TO s;" if $kind < 0.93;
	return "SAVEPOINT s; UPDATE $table SET n = n + 1 WHERE k1 < 5; RELEASE s;" if $kind < 0.96;
	return "TRUNCATE $table;" if $kind < 0.98;
	return 'TRUNCATE parts, by_key;';
}

# Changes of definitions that no row is lost by.
sub definition
{
	my ($n) = @_;
	my $table = choose(@tables);
	return choose(
		"ALTER TABLE $table ADD COLUMN extra$n " . choose(@types) . ';',
		"ALTER TABLE $table ADD COLUMN extra$n int DEFAULT $n; ALTER TABLE $table DROP COLUMN extra$n;",
		"ALTER TABLE $table DROP COLUMN IF EXISTS gone;",
		"ALTER TABLE $table ALTER n SET DEFAULT $n, ALTER moment DROP DEFAULT;",
		"ALTER TABLE $table ALTER n TYPE " . choose('bigint', 'numeric', 'int') . ';',
		"ALTER TABLE $table RENAME n TO n_$n; ALTER TABLE $table RENAME n_$n TO n;",
		"ALTER TABLE late_key REPLICA IDENTITY " . choose('FULL', 'DEFAULT', 'NOTHING') . ';',
		"ALTER TYPE mood RENAME TO mood_$n; ALTER TYPE mood_$n RENAME TO mood;",
		"ALTER TABLE by_all RENAME TO by_all_$n; INSERT INTO by_all_$n (k1, k2) VALUES (-$n, '$n'); ALTER TABLE by_all_$n RENAME TO by_all;",
		"ALTER SCHEMA \"Sch.ema\" RENAME TO moved; INSERT INTO moved.\"Odd, *na\"\"me\\\" (k1, k2) VALUES (-$n, '$n'); ALTER SCHEMA moved RENAME TO \"Sch.ema\";",
		"CREATE INDEX ON $table (n); VACUUM FULL $table;",
		"ALTER TABLE $table ALTER n SET NOT NULL; ALTER TABLE $table ALTER n DROP NOT NULL;",
		"CREATE TABLE copy$n AS SELECT * FROM $table; DROP TABLE copy$n;",
		"CREATE TYPE passing AS ENUM ('a'); CREATE TABLE short_lived (p passing); INSERT INTO short_lived VALUES ('a'); DROP TABLE short_lived; DROP TYPE passing;");
}

sub workload
{
	my $sql = "SET client_min_messages = error;\n";
	for my $n (1 .. 120)
	{
		$sql .= definition($n) . "\n" if $n % 4 == 0;
		$sql .= "BEGIN;\n";
		$sql .= q{SELECT pg_replication_origin_session_setup('origin } . (1 + $n % 3) . "');\n" if $n % 11 == 0;
		$sql .= statement() . "\n" for 0 .. int(rand(8));
		$sql .= $n % 17 == 0 ? "PREPARE TRANSACTION 'p$n'; COMMIT PREPARED 'p$n';\n" : choose(('COMMIT') x 8, 'ROLLBACK') . ";\n";
		$sql .= "SELECT pg_replication_origin_session_reset();\n" if $n % 11 == 0;
	}
	return $sql;
}

my @flags = ('include-transaction', 'include-xids', 'include-timestamp', 'include-pk', 'include-origin', 'include-schemas',
	'include-types', 'include-type-oids', 'include-typmod', 'include-domain-data-type', 'include-column-positions', 'include-not-null',
	'include-default', 'pretty-print', 'write-in-chunks', 'include-lsn');
my @values = ('on', 'off', '1', '0', 'true', 'false', 'TRUE', 'no');

sub random_options
{
	my @options = ('format-version', choose(1, 2));
	for my $flag (@flags)
	{
		push @options, $flag, choose(@values) if rand() < 0.5;
	}
	for my $flag ($is_old ? () : 'numeric-data-types-as-string', $is_new ? ('include-empty-transaction', 'partition-root') : ())
	{
		push @options, $flag, choose(@values) if rand() < 0.5;
	}
	push @options, 'actions', choose('insert', 'update, delete', 'truncate', 'insert,update,delete,truncate', '') if rand() < 0.2;
	push @options, 'filter-tables', choose('*.by_key', 'public.*', 'Sch\.ema.*', 'Sch\.ema.Odd\,\ \*na"me\\\\', 'public.nosuch, *.parts_low') if rand() < 0.3;
	push @options, 'add-tables', choose('public.*', '*.*', 'public.by_all , public.wide', '*.parts\ high.rest', 'public.by\_key', '') if rand() < 0.2;
	push @options, 'filter-msg-prefixes', choose('one', 'one,three"', 't\ w\,o') if rand() < 0.2;
	push @options, 'add-msg-prefixes', choose('one', 'three", nosuch', '') if rand() < 0.2;
	push @options, 'filter-origins', choose('1', '2, 3', '1,,99', '0') if rand() < 0.2;
	return @options;
}

my @settings = ('', "SET DateStyle = 'German, DMY';", "SET TimeZone = 'Asia/Kolkata';", 'SET extra_float_digits = 0;',
	"SET extra_float_digits = -5; SET IntervalStyle = 'iso_8601';", "SET DateStyle = 'SQL, MDY'; SET TimeZone = 'America/New_York';",
	"SET DateStyle = 'Postgres'; SET lc_monetary = 'C';", "SET search_path = 'pg_catalog';");

# Compares all rows of both; prints the first that differ.
# Some versions begin a message that belongs to no transaction with a comma.
my $normal = q{regexp_replace(theirs.data, '^(\{\s*"change":\s*\[\s*),', '\1')};

sub compare
{
	my ($options, $settings) = @_;
	# before version 2.6 primary keys are not shown of tables that are identified by something else
	my %chosen = ('format-version', 1, 'include-pk', 'off', 'include-types', 'on', 'partition-root', 'off', @$options);
	push @$options, 'add-tables', 'public.by_key, public.no_key, public.wide, *.parts_low, *.Odd\,\ \*na"me\\\\'
	  if $is_old && $chosen{'format-version'} == 1 && $chosen{'include-pk'} =~ /^(on|1|true)$/i;
	# of partitions that are truncated wal2json says that their root is
	push @$options, 'actions', 'insert,update,delete' if $chosen{'partition-root'} =~ /^(on|1|true)$/i;
	# before version 2.7 this list is empty without types
	push @$options, 'include-not-null', 'off' if !$is_new && $chosen{'include-types'} =~ /^(off|0|false|no)$/i;
	my $shown = options(@$options);
	my $ours = options('format', 'wal2json', 'keyless', 'off', @$options);
	my $result = sql(qq{SET client_min_messages = error; SET statement_timeout = '60s'; $settings
		WITH theirs AS (SELECT row_number() OVER () AS n, * FROM pg_logical_slot_peek_changes('theirs', NULL, NULL, $shown)),
			own AS (SELECT row_number() OVER () AS n, * FROM pg_logical_slot_peek_changes('own', NULL, NULL, $ours)),
			both_of_them AS (SELECT theirs.n AS n1, own.n AS n2, theirs.lsn::text AS lsn1, own.lsn::text AS lsn2, theirs.xid::text AS xid1, own.xid::text AS xid2,
				$normal AS data1, own.data AS data2 FROM theirs FULL JOIN own USING (n))
		SELECT count(n1) || ' rows', sum(length(data1)), count(*) FILTER (WHERE n1 IS NULL OR n2 IS NULL OR lsn1 <> lsn2 OR xid1 <> xid2 OR data1 <> data2),
			(SELECT concat_ws(E'\\n', lsn1, xid1, data1, lsn2, xid2, data2) FROM both_of_them b WHERE n1 IS NULL OR n2 IS NULL OR lsn1 <> lsn2 OR xid1 <> xid2 OR data1 <> data2
				ORDER BY coalesce(n1, n2) LIMIT 1)
		FROM both_of_them;} =~ s/^\s+//gmr);
	my ($rows, $bytes, $different, $first) = split /\|/, $result, 4;
	is($different, '0', "$rows are the same" . ($settings ? " with $settings" : '') . " and options $shown")
	  or diag substr($first, 0, 20000);
	return;
}

create_tables();
# the schema that is decoded differs from today's
$node->psql('postgres', workload(), on_error_stop => 0);
sql(q{SELECT pg_copy_logical_replication_slot('base', 'own', false, 'carbonite')});

SKIP:
{
	sql(q{SELECT pg_copy_logical_replication_slot('base', 'theirs', false, 'wal2json')}) if $is_there;
	# earlier versions have quotation marks around this name
	skip 'wal2json 2.5 or later is not installed: there is nothing to compare with', 1
	  if !$is_there || sql(q{SELECT count(*) FROM pg_logical_slot_peek_changes('theirs', NULL, NULL) WHERE position('\"Odd Mood\"' in data) > 0}) > 0;
	my @everything = map { ($_, 'on') } @flags;
	my @sets = ([], [ 'format-version', '2' ], [ 'format-version', '1', @everything ], [ 'format-version', '2', @everything ],
		[ 'format-version', '1', map { ($_, 'off') } @flags ], [ 'format-version', '2', map { ($_, 'off') } @flags ],
		[ (map { ($_, $_ eq 'write-in-chunks' ? 'off' : 'on') } @flags) ], [ (map { ($_, $_ eq 'pretty-print' ? 'off' : 'on') } @flags) ], [ 'pretty-print', 'on' ],
		[ 'include-types', 'off', 'include-not-null', 'on', 'include-pk', 'on' ], [ 'write-in-chunks', 'on' ],
		[ 'include-domain-data-type', 'on', 'include-typmod', 'off' ], [ 'include-domain-data-type', 'on', 'include-type-oids', 'on' ]);
	push @sets, [ random_options() ] for @sets .. 40;
	push @sets, [ 'include-empty-transaction', 'off', 'format-version', '1', 'add-tables', 'public.by_all' ],
		[ 'include-empty-transaction', 'off', 'format-version', '1', 'write-in-chunks', 'on', 'add-tables', 'public.by_none', 'filter-msg-prefixes', 'one' ],
		[ 'include-empty-transaction', 'off', 'format-version', '2', 'add-tables', '*.parts_low', 'add-msg-prefixes', 'one' ] if $is_new;
	my $n = 0;
	compare($_, $n++ < 8 ? $settings[ $n - 1 ] : $settings[ int(rand(@settings)) ]) for @sets;
	is(sql(q{SELECT count(*) FROM pg_logical_slot_peek_changes('own', NULL, NULL, 'format', 'wal2json', 'keyless', 'off', 'format-version', '2', 'include-default', 'on') WHERE data::jsonb ? 'action'}),
		sql(q{SELECT count(*) FROM pg_logical_slot_peek_changes('theirs', NULL, NULL, 'format-version', '2')}), 'all of them are JSON');
	# what a client of the replication protocol gets
	my $end = sql(q{SELECT pg_current_wal_lsn()});
	for my $format (1, 2)
	{
		my @outputs = map {
			my ($slot, @more) = @$_;
			my $file = $node->basedir . "/$slot$format";
			$node->command_ok([ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', $slot, '--start', '--no-loop', '--endpos', $end,
				'-f', $file, '-o', "format-version=$format", '-o', 'include-lsn=1', map { ('-o', $_) } @more ], "$slot is received");
			slurp_file($file) =~ s/^(\{"change":\[),/$1/gmr;
		} [ 'theirs' ], [ 'own', 'format=wal2json', 'keyless=off' ];
		ok(length($outputs[0]) > 100 && $outputs[0] eq $outputs[1], "and is the same, version $format");
		# both begin anew
		sql(qq{SELECT pg_drop_replication_slot('own'), pg_drop_replication_slot('theirs')});
		sql(q{SELECT pg_copy_logical_replication_slot('base', 'own', false, 'carbonite'), pg_copy_logical_replication_slot('base', 'theirs', false, 'wal2json')});
	}
	sql(q{SELECT pg_drop_replication_slot('theirs')});
}
sql(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name <> 'own'});

#------------------------------------------------------------------------------------------------------------
# What differs on purpose.

# types whose names are no JSON strings in quotation marks
sql(q{CREATE SCHEMA "My Schema"; CREATE TYPE "My Schema"."My Type" AS ENUM ('a'); CREATE TYPE "quo""te" AS ENUM ('a');
	CREATE TYPE "Plain Type" AS ENUM ('a');
	CREATE TABLE odd_types (a "My Schema"."My Type" PRIMARY KEY, b "quo""te", c "Plain Type", d "Plain Type"[]);});
is(rows(q{INSERT INTO odd_types VALUES ('a', 'a', 'a', '{a}')}),
	q({"action":"I","schema":"public","table":"odd_types","columns":[{"name":"a","type":"\"My Schema\".\"My Type\"","value":"a"},)
	. q({"name":"b","type":"\"quo\"\"te\"","value":"a"},{"name":"c","type":"Plain Type","value":"a"},{"name":"d","type":"\"Plain Type\"[]","value":"{a}"}]}),
	'names of types are JSON');
is(peek([ 'include-pk', 'on', 'include-typmod', 'on' ]),
	q({"change":[{"kind":"insert","schema":"public","table":"odd_types","columnnames":["a","b","c","d"],)
	. q("columntypes":["\"My Schema\".\"My Type\"","\"quo\"\"te\"","Plain Type","\"Plain Type\"[]"],"columnvalues":["a","a","a","{a}"],)
	. q("pk":{"pknames":["a"],"pktypes":["\"My Schema\".\"My Type\""]}}]}), 'in version 1 too');

# defaults
sql(q{CREATE TABLE odd_defaults (a text DEFAULT 'say "hi"', b text DEFAULT E'back\\\\slash', c int);});
is(rows(q{INSERT INTO odd_defaults VALUES (1, 2, 3)}, [ 'include-default', 'on', 'include-types', 'off' ]),
	q({"action":"I","schema":"public","table":"odd_defaults","columns":[{"name":"a","value":"1","default":"'say \"hi\"'::text"},)
	. q({"name":"b","value":"2","default":"'back\\\\slash'::text"},{"name":"c","value":3,"default":null}]}), 'defaults are JSON');
sql('CREATE SEQUENCE first_name; CREATE TABLE counted (a int DEFAULT nextval(\'first_name\'))');
is(rows(q{INSERT INTO counted DEFAULT VALUES; ALTER SEQUENCE first_name RENAME TO second_name; INSERT INTO counted DEFAULT VALUES;},
	[ 'include-default', 'on', 'include-types', 'off' ]) =~ s/.*"default":"(.*)"\}\]\}/$1/gr,
	"nextval('first_name'::regclass)\nnextval('second_name'::regclass)", 'and follow what they name');

# bytea
sql(q{CREATE TABLE bytes (a bytea, b raw, c bytea[]);});
is(rows(q{INSERT INTO bytes VALUES ('\x00ff10', '\x00ff', '{"\\\\x00ff"}')}, [ 'include-types', 'off' ], "SET bytea_output = 'escape';"),
	q({"action":"I","schema":"public","table":"bytes","columns":[{"name":"a","value":"00ff10"},{"name":"b","value":"\\\\x00ff"},{"name":"c","value":"{\"\\\\\\\\x00ff\"}"}]}),
	'bytea is hexadecimal whatever bytea_output says');

# messages
my $emit = q{SELECT pg_logical_emit_message(true, 'm', '\x610062'::bytea), pg_logical_emit_message(true, 'm', '\x61c3a4ff62'::bytea),
	pg_logical_emit_message(true, 'm', '\xc3'::bytea), pg_logical_emit_message(true, 'm', ''::bytea)};
is(rows($emit), join("\n", map { qq({"action":"M","transactional":true,"prefix":"m","content":"$_"}) } 'a', "a\xc3\xa4", '', ''),
	'the content of messages is shown up to the first byte that is no text');
is(peek([]), '{"change":[' . join(',', map { qq({"kind":"message","transactional":true,"prefix":"m","content":"$_"}) } 'a', "a\xc3\xa4", '', '') . ']}',
	'in version 1 too');

# rows that nothing identifies
sql(q{CREATE TABLE keyless (a int, b text); CREATE TABLE nothing_kept (a int PRIMARY KEY, b text); ALTER TABLE nothing_kept REPLICA IDENTITY NOTHING;});
my $keyless = q{INSERT INTO keyless VALUES (1, 'x'); UPDATE keyless SET b = 'y'; DELETE FROM keyless;
	INSERT INTO nothing_kept VALUES (1, 'x'); UPDATE nothing_kept SET b = 'y'; DELETE FROM nothing_kept;};
is(rows($keyless, [ 'include-types', 'off', 'include-schemas', 'off', 'include-pk', 'on', 'actions', 'update,delete' ]),
	q({"action":"U","table":"keyless","columns":[{"name":"a","value":1},{"name":"b","value":"y"}],"pk":[]}
{"action":"D","table":"keyless","pk":[]}
{"action":"U","table":"nothing_kept","columns":[{"name":"a","value":1},{"name":"b","value":"y"}],"pk":[{"name":"a"}]}
{"action":"D","table":"nothing_kept","pk":[{"name":"a"}]}), 'updates and deletes of rows that nothing identifies are shown');
is(peek([ 'include-types', 'off', 'include-schemas', 'off', 'include-pk', 'on', 'actions', 'update,delete' ]) =~ s/^\{"change":\[(.*)\]\}$/$1/r,
	q({"kind":"update","table":"keyless","columnnames":["a","b"],"columnvalues":[1,"y"]},{"kind":"delete","table":"keyless"},)
	. q({"kind":"update","table":"nothing_kept","columnnames":["a","b"],"columnvalues":[1,"y"],"pk":{"pknames":["a"],"pktypes":[]}},)
	. q({"kind":"delete","table":"nothing_kept","pk":{"pknames":["a"],"pktypes":[]}}), 'in version 1 too');
is(peek([ 'format-version', '2', 'actions', 'update,delete', 'include-transaction', 'off', 'keyless', 'off' ]), '', 'unless a client wants otherwise');
is(peek([ 'pretty-print', 'on', 'include-types', 'off', 'actions', 'delete', 'add-tables', 'public.keyless' ]),
	qq({\n\t"change": [\n\t\t{\n\t\t\t"kind": "delete",\n\t\t\t"schema": "public",\n\t\t\t"table": "keyless"\n\t\t}\n\t]\n}), 'in the same layout');

# what does not fit
sql(q{CREATE TABLE big (a int PRIMARY KEY, b text); ALTER TABLE big REPLICA IDENTITY FULL;});
my $large = q{INSERT INTO big VALUES (1, repeat('x', 10000)), (2, 'small'); UPDATE big SET b = 'less' WHERE a = 1;
	UPDATE big SET b = repeat('y', 5000) WHERE a = 1; SELECT pg_logical_emit_message(true, 'm', repeat('z', 6000)); DELETE FROM big WHERE a = 1;};
my @small = ('include-types', 'off', 'include-schemas', 'off', 'max-record-bytes', '4096');
is(rows($large, \@small),
	q({"action":"I","table":"big","columns":[],"omitted":{"bytes":10000}}
{"action":"I","table":"big","columns":[{"name":"a","value":2},{"name":"b","value":"small"}]}
{"action":"U","table":"big","columns":[],"identity":[],"omitted":{"bytes":10004}}
{"action":"U","table":"big","columns":[],"identity":[{"name":"a","value":1},{"name":"b","value":"less"}],"omitted":{"bytes":5004}}
{"action":"M","transactional":true,"prefix":"m","content":null,"omitted":{"bytes":6000}}
{"action":"D","table":"big","identity":[],"omitted":{"bytes":5000}}), 'a change that is too large leaves its values out, and says so');
is(peek([ @small, 'include-pk', 'on' ]), '{"change":[' . join(',',
	q({"kind":"insert","table":"big","columnnames":[],"columnvalues":[],"pk":{"pknames":["a"],"pktypes":[]},"omitted":{"bytes":10000}}),
	q({"kind":"insert","table":"big","columnnames":["a","b"],"columnvalues":[2,"small"],"pk":{"pknames":["a"],"pktypes":[]}}),
	q({"kind":"update","table":"big","columnnames":[],"columnvalues":[],"pk":{"pknames":["a"],"pktypes":[]},"oldkeys":{"keynames":[],"keyvalues":[]},"omitted":{"bytes":10004}}),
	q({"kind":"update","table":"big","columnnames":[],"columnvalues":[],"pk":{"pknames":["a"],"pktypes":[]},"oldkeys":{"keynames":["a","b"],"keyvalues":[1,"less"]},"omitted":{"bytes":5004}}),
	q({"kind":"message","transactional":true,"prefix":"m","content":null,"omitted":{"bytes":6000}}),
	q({"kind":"delete","table":"big","pk":{"pknames":["a"],"pktypes":[]},"oldkeys":{"keynames":[],"keyvalues":[]},"omitted":{"bytes":5000}})) . ']}',
	'in version 1 too');

# a transaction that is larger than a message
is(rows(q{INSERT INTO big SELECT n, repeat(chr(96 + n), 50000000) FROM generate_series(3, 9) n}, [ 'actions', '' ]), '', 'a large transaction');
is(sql(q{SELECT count(*), md5(string_agg(data, '' ORDER BY n)) = md5(c.whole), max(length(data)) < 330000000
	FROM (SELECT '{"change":[' || string_agg('{"kind":"insert","table":"big","columnnames":["a","b"],"columnvalues":[' || n || ',"' || repeat(chr(96 + n), 50000000) || '"]}', ',' ORDER BY n) || ']}' AS whole
		FROM generate_series(3, 9) n) c,
	(SELECT row_number() OVER () AS n, data FROM pg_logical_slot_peek_changes('own', NULL, NULL, 'format', 'wal2json', 'include-types', 'off', 'include-schemas', 'off')) d
	GROUP BY c.whole}), '2|t|t', 'is sent in two messages');
sql('TRUNCATE big');

# a value that its type refuses to write
sql(q{CREATE TYPE refusing;
	CREATE FUNCTION refusing_in(cstring) RETURNS refusing LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
	CREATE FUNCTION refusing_out(refusing) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'enum_out';
	CREATE TYPE refusing (INPUT = refusing_in, OUTPUT = refusing_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4);
	CREATE TABLE refused (a int PRIMARY KEY, b refusing, c refusing[]);});
is(rows(q{INSERT INTO refused VALUES (1, '12', '{12}'); INSERT INTO refused VALUES (2, NULL, '{}')}, [ 'include-types', 'off', 'include-schemas', 'off' ]),
	q({"action":"I","table":"refused","columns":[{"name":"a","value":1},{"name":"b","value":null},{"name":"c","value":null}]}
{"action":"I","table":"refused","columns":[{"name":"a","value":2},{"name":"b","value":null},{"name":"c","value":"{}"}]}),
	'a value that its type refuses to write is null, and ends nothing');

# NaN, and options that some versions of wal2json do not have
sql(q{CREATE TABLE numbers (a int PRIMARY KEY, b numeric, c float8, d float4, e positive, f bool);});
my $numbers = q{INSERT INTO numbers VALUES (1, 'NaN', 'Infinity', '-Infinity', 2, true), (-2, 1.50, 0.5, 3, NULL, NULL)};
is(rows($numbers, [ 'include-types', 'off', 'include-schemas', 'off' ]),
	q({"action":"I","table":"numbers","columns":[{"name":"a","value":1},{"name":"b","value":null},{"name":"c","value":null},{"name":"d","value":null},{"name":"e","value":"2.00"},{"name":"f","value":true}]}
{"action":"I","table":"numbers","columns":[{"name":"a","value":-2},{"name":"b","value":1.50},{"name":"c","value":0.5},{"name":"d","value":3},{"name":"e","value":null},{"name":"f","value":null}]}),
	'NaN and infinities are null');
is(peek([ 'numeric-data-types-as-string', 'on', 'include-types', 'off', 'include-schemas', 'off' ]),
	q({"change":[{"kind":"insert","table":"numbers","columnnames":["a","b","c","d","e","f"],"columnvalues":["1","NaN","Infinity","-Infinity","2.00",true]},)
	. q({"kind":"insert","table":"numbers","columnnames":["a","b","c","d","e","f"],"columnvalues":["-2","1.50","0.5","3",null,null]}]}),
	'with numeric-data-types-as-string they are not');
is(rows(q{INSERT INTO parts VALUES (1000, 'x'), (-1000, 'y')}, [ 'partition-root', 'on', 'include-types', 'off', 'filter-tables', 'public.parts_low', 'add-tables', 'public.parts' ]),
	q({"action":"I","schema":"public","table":"parts","columns":[{"name":"k1","value":1000},{"name":"k2","value":"x"}]}
{"action":"I","schema":"public","table":"parts","columns":[{"name":"k1","value":-1000},{"name":"k2","value":"y"}]}),
	'with partition-root partitions go by the name of their root');

is(rows('TRUNCATE parts; TRUNCATE parts_low', [ 'partition-root', 'on' ]), join("\n",
	map { qq({"action":"T","schema":"public","table":"$_"}) } 'parts', 'parts_low'), 'a partition that is truncated alone goes by its own name');
sql(q{SELECT count(*) FROM pg_logical_slot_get_changes('own', NULL, NULL, 'format', 'wal2json')});
sql(q{INSERT INTO keyless VALUES (9, 'z')});
sql(q{CREATE TABLE nobody_looks (a int)});
sql(q{SELECT pg_logical_emit_message(true, 'm', '')});
is(sql(q{SELECT data FROM pg_logical_slot_peek_changes('own', NULL, NULL, 'format', 'wal2json', 'include-types', 'off', 'include-empty-transaction', 'off', 'filter-msg-prefixes', 'm')}),
	q({"change":[{"kind":"insert","schema":"public","table":"keyless","columnnames":["a","b"],"columnvalues":[9,"z"]}]}), 'empty transactions may be left out');
is(sql(q{SELECT data FROM pg_logical_slot_peek_changes('own', NULL, NULL, 'format', 'wal2json', 'format-version', '2', 'include-empty-transaction', 'off', 'actions', 'truncate')}),
	qq({"action":"B"}\n{"action":"M","transactional":true,"prefix":"m","content":""}\n{"action":"C"}), 'in version 2 too');

# options
refused([ 'include-unchanged-toast', 'on' ], qr/42602.*parameter "include-unchanged-toast" was deprecated/, 'include-unchanged-toast is gone');
refused([ 'include-pk', 'maybe' ], qr/22023/, 'what is neither on nor off is refused');
refused([ 'include-pk', '' ], qr/22023/, 'so is nothing');
refused([ 'format-version', '3' ], qr/0A000.*version 3 of the format is not supported/, 'there are two versions');
refused([ 'format-version', 'two' ], qr/22023/, 'which are numbers');
refused([ 'actions', 'insert,merge' ], qr/22023.*could not parse value "merge" for parameter "actions"/, 'actions are known ones');
refused([ 'add-tables', $_ ], qr/22023.*add-tables/, "add-tables does not take $_") for 'orders', 'a.b,', 'a.b c.d', ',', '\\.\\';
refused([ 'nonsense', 'on' ], qr/22023.*nonsense/, 'unknown options are refused');
is(peek([ 'add-tables', $_, 'filter-msg-prefixes', 'm' ]), '', "add-tables takes $_") for 'a.b\\', '*.*\\', '\\*.\\*', '';

# object ids beyond the middle of their range
sql(q{SELECT pg_drop_replication_slot('own')});
$node->stop;
command_ok([ 'pg_resetwal', '-o', '3000000000', '-D', $node->data_dir ], 'the counter of object ids is moved');
$node->start;
sql(q{SELECT pg_create_logical_replication_slot('own', 'carbonite'); CREATE TYPE far AS ENUM ('a'); CREATE TABLE far_away (a far PRIMARY KEY);});
like(rows(q{INSERT INTO far_away VALUES ('a')}, [ 'include-type-oids', 'on' ]), qr/"typeoid":30000000\d\d,/, 'they are not negative');

# masks
sql(q{CREATE EXTENSION carbonite; SELECT carbonite.install_schema('auto');
	CREATE TABLE people (id int PRIMARY KEY, name text, mail text, secret text);
	SELECT carbonite.install_trigger('people', excluded_columns => '{secret}', filtered_columns => '{name}', masks => '{"mail": null}');});
is(rows(q{INSERT INTO people VALUES (1, 'Ann', 'ann@example.org', 'x')}, [ 'include-types', 'off', 'add-tables', 'public.people' ]),
	q({"action":"I","schema":"public","table":"people","columns":[{"name":"id","value":1},{"name":"name","value":"[FILTERED]"},{"name":"mail","value":null}]}),
	'what is masked in the audit trail is masked here');

$node->stop;
done_testing();
