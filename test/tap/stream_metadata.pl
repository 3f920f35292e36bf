# Who and why, on every record of a transaction: from rows of transactions, from messages and from annotations of
# Statetrace, wherever in the transaction they come, and without what was rolled back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use StreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('main');
my $slots = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub canonical { return JSON::PP->new->canonical->allow_nonref->encode($_[0]); }

# Runs statements, and gives the records that the stream has of them.
sub stream_of
{
	my ($statements, @options) = @_;
	my $slot = 's' . ++$slots;
	sql("SELECT pg_create_logical_replication_slot('$slot', 'carbonite')");
	sql($statements);
	my $text = sql("SELECT data FROM pg_logical_slot_get_changes('$slot', NULL, NULL" . stream_options(@options) . ')');
	sql("SELECT pg_drop_replication_slot('$slot')");
	return map { JSON::PP->new->decode($_) } split /\n/, $text;
}

# The metadata of records of a kind, as a list.
sub metas { my ($kind, @records) = @_; return join ' ', map { canonical($_->{meta}) } grep { $_->{kind} eq $kind } @records; }

sub carries
{
	my ($statements, $meta, $name, @options) = @_;
	my @records = stream_of($statements, @options);
	my $changes = grep { $_->{kind} eq 'change' } @records;
	is(metas('change', @records), join(' ', ($meta) x $changes), "$name: every change") if $changes or fail("$name: there are changes");
	is(metas('commit', @records), $meta, "$name: the commit");
	return;
}

sql(q{
	CREATE EXTENSION carbonite;
	SELECT carbonite.install_schema('optional');
	SELECT carbonite.install_schema('optional', carbonite_prefix => 'second');
	CREATE TABLE t (id int PRIMARY KEY, v text);
	SELECT carbonite.install_trigger('t');
});

# Where it comes from does not matter, nor when.
carries(q{BEGIN; SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (1), (2); COMMIT}, '{"u":1}', 'a row, first');
carries(q{BEGIN; INSERT INTO t VALUES (3); SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (4); COMMIT}, '{"u":1}', 'a row, in between');
carries(q{BEGIN; INSERT INTO t VALUES (5); UPDATE t SET v = 'x'; SELECT carbonite.insert_transaction('{"u": 1}'); COMMIT}, '{"u":1}', 'a row, last');
carries(q{BEGIN; SELECT carbonite.put_meta('why', 'x'); SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (6); COMMIT}, '{"u":1,"why":"x"}', 'put_meta');
carries(q{BEGIN; SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (7); UPDATE carbonite_default.transactions SET meta = '{"v": 2}' WHERE xact_id = pg_current_xact_id(); COMMIT},
	'{"v":2}', 'a row that is updated later');
carries(q{BEGIN; SELECT carbonite.annotate('{"a": 1}'); INSERT INTO t VALUES (8); SELECT carbonite.annotate('{"b": [1, {}]}'); COMMIT}, '{"a":1,"b":[1,{}]}', 'messages');
carries(q{BEGIN; SELECT carbonite.annotate('{"u": 0, "a": 1}'); SELECT carbonite.insert_transaction('{"u": 1}'); SELECT carbonite.annotate('{"u": 2}'); INSERT INTO t VALUES (9); COMMIT},
	'{"a":1,"u":1}', 'a row says more than messages');
carries(q{BEGIN; SELECT carbonite.insert_transaction('{"u": 1}'); SELECT carbonite.insert_transaction('{"v": 2}', 'second'); INSERT INTO t VALUES (10); COMMIT},
	'{"u":1,"v":2}', 'two prefixes');
carries(q{BEGIN; SET LOCAL carbonite.meta = '{"s": 1}'; SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (11); COMMIT}, '{"s":1,"u":1}', 'a setting');

# What was rolled back was not said.
carries(q{BEGIN; INSERT INTO t VALUES (20); SAVEPOINT s; SELECT carbonite.insert_transaction('{"u": 1}'); SELECT carbonite.annotate('{"a": 1}'); ROLLBACK TO s;
	SELECT carbonite.annotate('{"b": 1}'); INSERT INTO t VALUES (21); COMMIT}, '{"b":1}', 'a savepoint rolled back');
carries(q{BEGIN; SELECT carbonite.insert_transaction('{"u": 1}'); SAVEPOINT s; UPDATE carbonite_default.transactions SET meta = '{"v": 2}' WHERE xact_id = pg_current_xact_id(); ROLLBACK TO s;
	INSERT INTO t VALUES (22); COMMIT}, '{"u":1}', 'an update rolled back');
is(metas('commit', stream_of(q{BEGIN; SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (24); COMMIT; INSERT INTO t VALUES (25)})), '{"u":1} null',
	'metadata ends with its transaction');

# Where it is shown.
my $change = q{BEGIN; INSERT INTO t VALUES (#); SELECT carbonite.insert_transaction('{"u": 1}'); COMMIT};
my @records = stream_of($change =~ s/#/30/r, 'metadata', 'begin');
is(join(' ', map { metas($_, @records) } qw(begin change commit)), '{"u":1} null {"u":1}', 'metadata=begin');
@records = stream_of($change =~ s/#/31/r, 'metadata', 'commit');
is(join(' ', map { metas($_, @records) } qw(begin change commit)), 'null null {"u":1}', 'metadata=commit');
@records = stream_of($change =~ s/#/32/r, 'metadata-buffer', '0');
is(join(' ', map { metas($_, @records) } qw(begin change commit)), 'null null {"u":1}', 'without a buffer, what comes before has none');
@records = stream_of(q{BEGIN; INSERT INTO t SELECT i FROM generate_series(1000, 3000) i; SELECT carbonite.insert_transaction('{"u": 1}'); INSERT INTO t VALUES (33); COMMIT}, 'metadata-buffer', '16384');
my @carry = map { defined $_->{meta} ? 1 : 0 } grep { $_->{kind} eq 'change' } @records;
is_deeply([ $carry[0], $carry[-1], $records[-1]{meta}, scalar @carry ], [ 0, 1, { u => 1 }, 2002 ], 'the buffer is bounded, and the commit has metadata nevertheless');
carries(q{BEGIN; INSERT INTO t SELECT i FROM generate_series(4000, 6000) i; SELECT carbonite.insert_transaction('{"u": 1}'); COMMIT}, '{"u":1}', 'a larger buffer', 'metadata-buffer', '4000000');

# Anybody may send messages: those that are not metadata are messages like others, and never errors.
sql('CREATE SEQUENCE bad');
foreach my $bad (q{'not json'}, q{''}, q{'[1]'}, q{'"x"'}, q('{"a": 1'), q{'{"a": "\u0000"}'}, q{repeat('[', 100000)}, q(repeat('{"a":', 50000)), q{'{"a":1e999999}'}, q{'\x00ff'::bytea}, q{'\xff'::bytea},
	q{'{"x": "' || repeat('x', 1000000) || '"}'})
{
	my ($message) = grep { $_->{kind} eq 'message' } (@records = stream_of("BEGIN; SELECT pg_logical_emit_message(true, 'carbonite', $bad); INSERT INTO t VALUES (40 + nextval('bad')); COMMIT"));
	is_deeply([ $message && $message->{prefix}, metas('change', @records) ], [ 'carbonite', 'null' ], 'not metadata: ' . substr($bad, 0, 30));
}
@records = stream_of(q{BEGIN; DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM carbonite.annotate(jsonb_build_object('k' || i, repeat('x', 100))); END LOOP; END $$; INSERT INTO t VALUES (60); COMMIT});
my $meta = $records[-1]{meta};
ok(scalar(keys %$meta) > 1000 && length(canonical($meta)) < 400000 && $meta->{carbonite_omitted}, 'what is taken in is bounded, and that is told');
@records = stream_of(q{BEGIN; SELECT carbonite.insert_transaction(jsonb_build_object('big', repeat('x', 500000))); INSERT INTO t VALUES (61); COMMIT});
is_deeply([ keys %{ $records[-1]{meta} } ], ['carbonite_omitted'], 'so is a row');
@records = stream_of(q{BEGIN; SELECT carbonite.insert_transaction(jsonb_build_object('big', repeat('x', 50000))); INSERT INTO t VALUES (63); COMMIT});
is(join(' ', map { join ',', keys %{ $_->{meta} } } @records), 'big carbonite_omitted big', 'much of it is not repeated on every record');
is(metas('change', stream_of(q{BEGIN; SELECT carbonite.annotate('{"a": 1}'); INSERT INTO t VALUES (62); COMMIT}, 'annotations', 'off')), 'null', 'annotations=off');

# Statetrace: the three shapes of its table.
my %shapes = (
	text => q{CREATE TABLE statetrace_annotations (id text PRIMARY KEY, kind text, meta json, payload json);},
	uuid => q{CREATE TABLE statetrace_annotations (uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), timestamp timestamptz NOT NULL DEFAULT now(), id text, kind text, meta json, payload json);},
);
foreach my $shape (sort keys %shapes)
{
	sql($shapes{$shape});
	my $base = $shape eq 'text' ? 100 : 200;
	carries(qq{
		INSERT INTO statetrace_annotations (id, kind, meta, payload) VALUES ('sess', '_st.app.sess', '{"m": 1}', '{"session_actor_id": 7, "session_actor_full_name": "Ann", "session_actor_email": "a\@b"}');
		BEGIN; INSERT INTO t VALUES ($base + 1);
		INSERT INTO statetrace_annotations (id, kind, meta, payload) VALUES ('act', '_st.app.act', '{"n": 2}', '{"action_session_id": "sess", "action_url": "/x", "action_method": "POST", "action_length_ms": 12}');
		INSERT INTO t VALUES ($base + 2); COMMIT;
	}, '{"action_id":"act","action_length_ms":12,"action_meta":{"n":2},"action_method":"POST","action_session_id":"sess","action_url":"/x","session_actor_email":"a@b","session_actor_full_name":"Ann","session_actor_id":"7","session_id":"sess","session_meta":{"m":1}}',
		"Statetrace, keyed by $shape");
	carries(qq{BEGIN; INSERT INTO statetrace_annotations (id, kind, payload) VALUES ('act2', '_st.app.act', '{"action_session_id": "unknown"}'); INSERT INTO t VALUES ($base + 3); COMMIT},
		'{"action_id":"act2","action_session_id":"unknown"}', "$shape: an unknown session");
	@records = stream_of(qq{INSERT INTO statetrace_annotations (id, kind) VALUES ('mig', '_st.app.mig'); UPDATE statetrace_annotations SET kind = kind; DELETE FROM statetrace_annotations; INSERT INTO t VALUES ($base + 4)});
	is(join(' ', map { $_->{table} // $_->{kind} } @records), 'begin t commit', "$shape: rows of the table are not shown");
	sql('DROP TABLE statetrace_annotations');
}
sql(q{CREATE TABLE statetrace_annotations (uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), id int, timestamp timestamp, kind varchar, meta json, parent_id int, parent_timestamp timestamp,
	action_url text, session_actor_id text, session_actor_full_name text, session_actor_avatar text)});
carries(q{
	INSERT INTO statetrace_annotations (id, timestamp, kind, session_actor_id, session_actor_full_name) VALUES (1, '2026-01-01 10:00', '_st.app.sess', 'ann', 'Ann');
	INSERT INTO statetrace_annotations (id, timestamp, kind, session_actor_id) VALUES (1, '2026-01-02 10:00', '_st.app.sess', 'bob');
	BEGIN; INSERT INTO t VALUES (301); INSERT INTO statetrace_annotations (id, kind, action_url, parent_id, parent_timestamp) VALUES (2, '_st.app.act', '/y', 1, '2026-01-01 10:00'); COMMIT;
}, '{"action_id":"2","action_url":"/y","session_actor_full_name":"Ann","session_actor_id":"ann","session_id":"1"}', 'Statetrace, flat');

is(sql(q{SELECT carbonite.annotate(NULL) IS NULL}), 't', 'annotate(NULL) does nothing');
my ($status, undef, $error) = $node->psql('postgres', q{\set VERBOSITY sqlstate
SELECT carbonite.annotate('[]')});
like($error, qr/22023/, 'annotate() wants an object');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'no crash');
$node->stop;
done_testing();
