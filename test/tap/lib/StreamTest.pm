# What the tests of streams share: a server that may load the output plugin, and pg_recvlogical.
package StreamTest;
use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(stream_node allow_plugin stream_options receive_command receive create_slot literal load_lines);

# Nothing waits longer for anything, in seconds.
our $patience = 100;

# A new server for streams, started.
sub stream_node
{
	my ($name, $settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', "max_wal_senders = 10\nmax_replication_slots = 20\nautovacuum = off\n" . ($settings // ''));
	$node->start;
	allow_plugin($node);
	return $node;
}

# Minor releases of August 2026 and later load only the output plugins that a setting lists.
sub allow_plugin
{
	my ($node) = @_;
	return if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'}) eq '0';
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'test_decoding, carbonite'\n");
	$node->reload;
	return;
}

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

# Options of a stream as arguments of the SQL interface.
sub stream_options { return join('', map { ', ' . literal($_) } @_); }

# A slot; with two-phase commit where `prepared` says so, from PostgreSQL 14 on.
sub create_slot
{
	my ($node, $database, $slot, $prepared, $plugin) = @_;
	my @more = $prepared ? ('false', 'true') : ();
	$node->safe_psql($database, 'SELECT pg_create_logical_replication_slot('
		. join(', ', literal($slot), literal($plugin // 'carbonite'), @more) . ')');
	return;
}

# pg_recvlogical, which writes what a slot has to a file, up to `end` if that is given.
sub receive_command
{
	my ($node, $database, $slot, $file, $end, @options) = @_;
	my @arguments;
	while (my ($name, $value) = splice(@options, 0, 2)) { push @arguments, '-o', "$name=$value"; }
	return ('pg_recvlogical', '-d', $node->connstr($database), '-S', $slot, '--start', '--no-loop', '-f', $file,
		(defined $end ? ('--endpos', $end) : ()), @arguments);
}

# Everything that a slot has now, as lines.
sub receive
{
	my ($node, $database, $slot, @options) = @_;
	my $file = $node->basedir . "/$slot." . int(rand(1e9));
	# the last message of all ends the stream, as nothing else might come
	my $end = $node->safe_psql($database, q{SELECT pg_logical_emit_message(false, 'end', ''); SELECT pg_current_wal_lsn()});
	$end =~ s/.*\n//;
	my $error = '';
	my $ok = IPC::Run::run([ receive_command($node, $database, $slot, $file, $end, @options) ], '<', \undef, '>', \my $output,
		'2>', \$error, IPC::Run::timeout($patience));
	diag $error unless $ok;
	my $lines = -e $file ? slurp_file($file) : '';
	unlink $file;
	return $lines;
}

# Puts lines into a table with a column `line`, in their order.
sub load_lines
{
	my ($node, $database, $table, $lines) = @_;
	my $file = $node->basedir . '/lines.' . int(rand(1e9));
	append_to_file($file, $lines);
	$node->safe_psql($database, "COPY $table (line) FROM " . literal($file)
		. q{ WITH (FORMAT csv, DELIMITER e'\x01', QUOTE e'\x02')});
	unlink $file;
	return;
}

1;
