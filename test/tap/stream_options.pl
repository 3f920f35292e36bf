# What a client may ask for: tables, columns, actions, origins, publications, messages, partitions, where to resume. And
# what it may not: any option at all gives a clear error or works, and never a crash.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use StreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{CARBONITE_SEED} || time;
my $rounds = $ENV{CARBONITE_ROUNDS} || 150;
diag "CARBONITE_SEED=$seed";
srand($seed);

my $node = stream_node('main');
my $major = int($node->safe_psql('postgres', q{SELECT current_setting('server_version_num')}) / 10000);
my $slots = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub canonical { return JSON::PP->new->canonical->allow_nonref->encode($_[0]); }
sub slot { my $slot = 's' . ++$slots; sql("SELECT pg_create_logical_replication_slot('$slot', 'carbonite')"); return $slot; }
sub text_of { my ($slot, @options) = @_; return sql("SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL" . stream_options(@options) . ')'); }
sub records_of { return map { JSON::PP->new->decode($_) } split /\n/, text_of(@_); }

# A short form of the changes: table, first letter of the operation, data.
sub shape
{
	return join ' ', map { ($_->{schema} eq 'public' ? '' : "$_->{schema}.") . "$_->{table}:" . ($_->{op} ? substr($_->{op}, 0, 1) : 't') . ':' . canonical($_->{data}) }
		grep { $_->{kind} =~ /^(change|truncate)$/ } records_of(@_);
}

sub tables_of { return join ' ', map { "$_->{schema}.$_->{table}" } grep { $_->{kind} eq 'change' } records_of(@_); }

sub error_of
{
	my ($slot, @options) = @_;
	my (undef, undef, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL" . stream_options(@options) . ')');
	return $error;
}

sql(q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('auto');
	CREATE SCHEMA other;
	CREATE TABLE a (id int PRIMARY KEY, v text, w text);
	CREATE TABLE ab (id int PRIMARY KEY, v text);
	CREATE TABLE other.a (id int PRIMARY KEY, v text);
	CREATE TABLE other."odd.na,me*" (id int PRIMARY KEY);
	SELECT carbonite.install_trigger('ab');
});
my $slot = slot();
sql(q{
	INSERT INTO a VALUES (1, 'x', 'y'); INSERT INTO ab VALUES (1, 'x'); INSERT INTO other.a VALUES (1, 'x'); INSERT INTO other."odd.na,me*" VALUES (1);
});
foreach my $case (
	[ 'public.a other.a', tables => '*.a' ], [ 'public.a public.ab', tables => 'public.*' ], [ 'public.a public.ab', tables => 'public.a, public.a?' ], [ 'public.a other.a', tables => ' a ' ],
	[ 'other.odd.na,me*', tables => 'other.odd\.na\,me\*' ], [ 'public.ab other.a other.odd.na,me*', 'exclude-tables' => 'public.a' ], [ 'public.ab', tables => 'public.*', 'exclude-tables' => '*.a' ],
	[ '', tables => 'nothing.*' ], [ 'public.ab', 'audited-only' => 'on' ], [ '', actions => 'delete' ], [ 'public.a public.ab other.a other.odd.na,me*', actions => 'insert,truncate' ],
	[ 'public.ab carbonite_default.transactions carbonite_default.changes', tables => '*.ab,carbonite_default.*', 'audit-tables' => 'on' ])
{
	my ($expected, @options) = @$case;
	is(tables_of($slot, @options), $expected, "@options");
}
is(shape($slot, tables => 'public.a', columns => '*.a.v'), 'a:i:{"v":"x"}', 'columns');
is(shape($slot, tables => 'public.a', 'exclude-columns' => '*.*.v, public.a.id'), 'a:i:{"w":"y"}', 'exclude-columns');

# Partitions.
sql(q{
	CREATE TABLE p (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
	CREATE TABLE p_x PARTITION OF p FOR VALUES IN ('x') PARTITION BY RANGE (id);
	CREATE TABLE p_x_1 PARTITION OF p_x FOR VALUES FROM (0) TO (100);
	CREATE TABLE q (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
	CREATE TABLE q_x PARTITION OF q FOR VALUES IN ('x');
	SELECT carbonite.install_trigger('q', partitions => 'leaf');
});
$slot = slot();
sql(q{INSERT INTO p VALUES (1, 'x'); INSERT INTO q VALUES (1, 'x')});
is(tables_of($slot), 'public.p public.q_x', 'partitions as they are recorded, or by their root');
is(tables_of($slot, partitions => 'root'), 'public.p public.q', 'partitions=root');
is(tables_of($slot, partitions => 'leaf'), 'public.p_x_1 public.q_x', 'partitions=leaf');
is(tables_of($slot, tables => 'public.p'), 'public.p', 'filters mean the name that is shown');

# Publications.
sql(q{
	CREATE PUBLICATION few FOR TABLE a, p WITH (publish = 'insert, delete');
	CREATE PUBLICATION all_updates FOR ALL TABLES WITH (publish = 'update');
	CREATE PUBLICATION leaf FOR TABLE p_x_1;
});
$slot = slot();
sql(q{INSERT INTO a VALUES (2, 'p', 'q'); UPDATE a SET v = 'r' WHERE id = 2; DELETE FROM a WHERE id = 2; INSERT INTO p VALUES (2, 'x'); INSERT INTO ab VALUES (2, 'x'); TRUNCATE other.a});
is(join(' ', map { "$_->{table}.$_->{op}" } grep { $_->{kind} eq 'change' } records_of($slot, publications => 'few')), 'a.insert a.delete p.insert', 'a publication');
is(join(' ', map { "$_->{table}.$_->{op}" } grep { $_->{kind} eq 'change' } records_of($slot, publications => 'few,all_updates')), 'a.insert a.update a.delete p.insert', 'two');
is(tables_of($slot, publications => 'leaf, missing'), 'public.p', 'of a partition; one that is missing has nothing');
is(text_of($slot, publications => 'missing', messages => 'off'), '', 'nothing at all');
SKIP:
{
	skip 'publications have no columns and rows before PostgreSQL 15', 4 if $major < 15;
	sql(q{
		CREATE TABLE f (id int PRIMARY KEY, v text, w text);
		CREATE TABLE g (id int PRIMARY KEY, v text);
		ALTER TABLE g REPLICA IDENTITY FULL;
		CREATE PUBLICATION narrow FOR TABLE f (id, v) WHERE (id > 10), g WHERE (v <> 'no');
		CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA other;
	});
	$slot = slot();
	sql(q{
		INSERT INTO f VALUES (1, 'x', 'y'), (11, 'x', 'y'); UPDATE f SET id = 13 WHERE id = 1; UPDATE f SET v = 'z' WHERE id = 13; UPDATE f SET id = 2 WHERE id = 11; UPDATE f SET v = 'q' WHERE id = 2; DELETE FROM f;
		INSERT INTO g VALUES (1, 'no'), (2, 'yes'); UPDATE g SET v = 'yes' WHERE id = 1; UPDATE g SET v = NULL WHERE id = 2; DELETE FROM g; INSERT INTO other.a VALUES (9);
	});
	is(shape($slot, publications => 'narrow', tables => 'public.f'), 'f:i:{"id":11,"v":"x"} f:i:{"id":13,"v":"x"} f:u:{"id":13,"v":"z"} f:d:{"id":11} f:d:{"id":13}', 'rows and columns of a publication');
	is(shape($slot, publications => 'narrow', tables => 'public.g'), 'g:i:{"id":2,"v":"yes"} g:i:{"id":1,"v":"yes"} g:d:{"id":2,"v":"yes"} g:d:{"id":1,"v":"yes"}', 'rows by old and new values');
	is(tables_of($slot, publications => 'of_schema'), 'other.a', 'a publication of a schema');
	sql(q{CREATE TABLE pf (id int, r text, extra text) PARTITION BY LIST (r); CREATE TABLE pf_x (extra text, r text, id int); ALTER TABLE pf ATTACH PARTITION pf_x FOR VALUES IN ('x');
		CREATE PUBLICATION parted FOR TABLE pf (id, r) WHERE (id = 1) WITH (publish_via_partition_root = true)});
	$slot = slot();
	sql(q{INSERT INTO pf VALUES (1, 'x', 'e'), (2, 'x', 'e')});
	is(shape($slot, publications => 'parted'), 'pf:i:{"id":1,"r":"x"}', 'of a partition with its columns in another order');
}

# Origins.
$slot = slot();
sql(q{
	SELECT pg_replication_origin_create('up"one'), pg_replication_origin_create('two');
	SELECT pg_replication_origin_session_setup('up"one'); INSERT INTO a VALUES (20); SELECT pg_replication_origin_session_reset();
	SELECT pg_replication_origin_session_setup('two'); INSERT INTO a VALUES (21); SELECT pg_replication_origin_session_reset();
	INSERT INTO a VALUES (22);
});
sub ids { return join ' ', map { $_->{data}{id} . ($_->{origin} ? "/$_->{origin}" : '') } grep { $_->{kind} eq 'change' } records_of(@_); }
is(ids($slot), '20/up"one 21/two 22', 'origins have names');
is(ids($slot, origins => 'none'), '22', 'origins=none');
is(ids($slot, origins => 'two'), '21/two', 'an origin by its name');
is(ids($slot, origins => 'up"one, none'), '20/up"one 22', 'several');
is(ids($slot, origins => 'unknown'), '', 'an unknown one');
is(ids($slot, origins => 'any'), '20/up"one 21/two 22', 'origins=any');

# Messages.
$slot = slot();
sql(q{SELECT pg_logical_emit_message(t, p, 'x') FROM unnest(array['one', 'two', 'three']) p, unnest(array[true, false]) t; INSERT INTO a VALUES (30)});
sub prefixes { return join ' ', sort map { $_->{prefix} . ($_->{transactional} ? '+' : '-') } grep { $_->{kind} eq 'message' } records_of(@_); }
is(prefixes($slot), 'one+ one- three+ three- two+ two-', 'messages');
is(prefixes($slot, 'message-prefixes' => 't*'), 'three+ three- two+ two-', 'message-prefixes');
is(prefixes($slot, 'exclude-message-prefixes' => 'two,three'), 'one+ one-', 'exclude-message-prefixes');
is(prefixes($slot, messages => 'off'), '', 'messages=off');

# Where to resume: exactly behind what was delivered, whatever is filtered.
$slot = slot();
sql(q{INSERT INTO a SELECT i FROM generate_series(100, 104) i; BEGIN; INSERT INTO a SELECT i FROM generate_series(110, 114) i; UPDATE ab SET v = 'y'; DELETE FROM a WHERE id BETWEEN 110 AND 112; COMMIT; INSERT INTO a VALUES (120)});
my @all = grep { $_->{kind} eq 'change' } records_of($slot);
my $wrong = 0;
foreach my $i (0 .. $#all)
{
	my @rest = grep { $_->{kind} eq 'change' } records_of($slot, 'resume-after' => "$all[$i]{lsn}/$all[$i]{seq}");
	$wrong++ if canonical([ map { [ @$_{qw(lsn seq)} ] } @rest ]) ne canonical([ map { [ @$_{qw(lsn seq)} ] } @all[ $i + 1 .. $#all ] ]);
}
is($wrong, 0, 'resume-after gives exactly the rest');
my ($first_commit) = grep { $_->{kind} eq 'commit' } records_of($slot);
is(scalar(grep { $_->{kind} eq 'change' } records_of($slot, 'resume-after' => $first_commit->{end_lsn})), @all - 5, 'whole transactions, by the end of the last');
is(scalar(grep { $_->{kind} eq 'change' } records_of($slot, 'resume-after' => $all[0]{lsn})), scalar(@all), 'a transaction is not passed over by where it ends');
is(canonical([ map { $_->{seq} } grep { $_->{kind} eq 'change' && $_->{lsn} eq $all[6]{lsn} } records_of($slot, tables => 'public.a') ]),
	canonical([ map { $_->{seq} } grep { $_->{lsn} eq $all[6]{lsn} && $_->{table} eq 'a' } @all ]), 'filters do not change sequence numbers');

# Through the replication protocol: batches are the same lines.
my $plain = text_of($slot);
foreach my $options ([], [ 'batch-bytes', '0' ], [ 'batch-bytes', '100', 'batch-delay', '0' ], [ 'batch-bytes', '10000000', 'metadata-buffer', '0' ])
{
	my $copy = 'c' . ++$slots;
	sql("SELECT pg_copy_logical_replication_slot('$slot', '$copy')");
	my $lines = receive($node, 'postgres', $copy, @$options, 'message-prefixes', 'none');
	$lines =~ s/\n$//;
	is($lines, $plain, 'a walsender sends the same lines: ' . join ' ', @$options);
}

# Errors say what is wrong.
foreach my $case ([ 'nonsense', 'x' ], [ 'format', 'xml' ], [ 'metadata', 'sometimes' ], [ 'actions', 'insert,upsert' ], [ 'tables', 'a.b.c' ], [ 'tables', 'a,,b' ], [ 'tables', '' ], [ 'columns', 'a' ],
	[ 'messages', 'maybe' ], [ 'batch-bytes', '-1' ], [ 'batch-bytes', '99999999999999999999' ], [ 'batch-bytes', '1e3' ], [ 'max-record-bytes', '10' ], [ 'max-record-bytes', '9999999999' ],
	[ 'resume-after', 'x' ], [ 'resume-after', '0/1/x' ], [ 'resume-after', '0/1/99999999999999999999' ], [ 'resume-after', '-1/0' ], [ 'partitions', 'all' ], [ 'metadata-buffer', '99999999999' ])
{
	like(error_of($slot, @$case), qr/^\S*\s*ERROR:\s+22023: option "\Q$case->[0]\E".*/m, "refused: @$case");
}

# Any option with any value: an error, or JSON. The server lives.
my @names = (qw(format metadata annotations streaming messages ddl audit-tables audited-only partitions actions origins resume-after tables exclude-tables columns exclude-columns publications
	message-prefixes exclude-message-prefixes batch-bytes batch-delay max-record-bytes metadata-buffer format-version include-xids include-pk add-tables filter-tables filter-origins add-msg-prefixes
	include-default write-in-chunks pretty-print include-types decimal-handling-mode time-precision-mode topic-prefix unavailable-value-placeholder binary-handling-mode), 'no-such');
my @values = ('', 'on', 'off', '0', '1', '-1', '99999999999999999999', '*.*', 'public.*', 'a,b', ',', '\\', '\\,', 'a.b.c.d', '*' x 500, '?' x 200 . '*' x 200, "\xc3\xa9", '"', "'", '%s%n', 'carbonite', 'wal2json', 'debezium',
	'0/0', '0/1/1', 'FFFFFFFF/FFFFFFFF', 'insert', 'x' x 100000, ' ', "\t", 'a b', '{}', '[1', 'each', 'root', 'none', '2');
my ($errors, $outputs, $unclear) = (0, 0, 0);
foreach (1 .. $rounds)
{
	my @options = map { ($names[ rand @names ], $values[ rand @values ]) } 1 .. 1 + rand 4;
	unshift @options, 'format', (qw(carbonite wal2json debezium))[ rand 3 ] if rand() < 0.7;
	my (undef, $out, $error) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL" . stream_options(@options) . ')');
	if ($error)
	{
		$errors++;
		if ($error !~ /ERROR:\s+(22023|0A000|42602)/) { $unclear++; diag "@options: $error" if $unclear < 4 && length("@options") < 300; }
	}
	else { $outputs++; }
}
ok($errors > 0 && $outputs > 0, "$errors option sets were refused, $outputs worked");
is($unclear, 0, 'each error is about the options');
is(text_of($slot, messages => 'off'), $plain, 'and nothing has changed');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');
$node->stop;
done_testing();
