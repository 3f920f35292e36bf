# The examples of README.md and docs/*.md: every ```sql block runs, in order, in one fresh database and one
# psql session per file.
#
# - A ```text block right after an ```sql block is the output of the latter, as psql shows it.
# - A block whose first line is "-- fails with SQLSTATE 23503" must raise that error, and no other.
# - docs/reference.md must name every function, argument, column, index and setting that there is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamTest;
use Test::More;

my $begin = 'carbonite documentation block';

# Reads the ```sql blocks of a file: where they stand, what they run, what they show, how they fail.
sub blocks_of
{
	my ($file) = @_;
	my (@blocks, $open, $before);
	my $line = 0;

	foreach my $text (split /\n/, slurp_file($file))
	{
		$line++;
		if ($open && $text =~ /^\s*```\s*$/)
		{
			push @blocks, $open if $open->{language} eq 'sql';
			$before->{shown} = $open->{text} if $before && $open->{language} eq 'text';
			$before = $open->{language} eq 'sql' ? $open : undef;
			$open = undef;
		}
		elsif ($open)
		{
			$open->{text} .= "$text\n";
		}
		elsif ($text =~ /^\s*```\s*(\w*)/)
		{
			$open = { language => $1, line => $line, text => '' };
		}
		elsif ($text =~ /\S/)
		{
			$before = undef;
		}
	}
	die "$file: the block of line $open->{line} has no end" if $open;
	$_->{fails} = $_->{text} =~ /^-- fails with SQLSTATE (\w{5})\n/ ? $1 : undef foreach @blocks;
	return @blocks;
}

# Lines as they are compared: without the white space around them, and without empty ones.
sub trimmed
{
	my ($text) = @_;
	my @lines = grep { /\S/ } split /\n/, $text;

	s/^\s+|\s+$//g foreach @lines;
	return join "\n", @lines;
}

# A psql script of the blocks, with marks in both streams that tell where each begins and ends.
sub script_of
{
	my $script = "\\set SHOW_CONTEXT never\n";
	my $number = 0;

	foreach my $block (@_)
	{
		my $stop = $block->{fails} ? 'off' : 'on';

		$script .= "\\echo '$begin $number'\n\\warn '$begin $number'\n";
		$script .= "\\set ON_ERROR_STOP $stop\n\\set LAST_ERROR_SQLSTATE 00000\n";
		$script .= $block->{text};
		$script .= "\n\\echo 'sqlstate' :LAST_ERROR_SQLSTATE\n";
		$number++;
	}
	return $script;
}

# Cuts a stream at its marks: number of a block => what it printed.
sub parts_of
{
	my (undef, %parts) = split /^\Q$begin\E (\d+)\n/m, "$_[0]\n";

	return \%parts;
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "fsync = off\nclient_min_messages = warning\n");
$node->start;
allow_plugin($node);

# Tests what a block printed; true if it ran to its end.
sub check_block
{
	my ($name, $block, $stdout, $stderr) = @_;
	my $sqlstate = $stdout =~ s/^sqlstate (\w{5})\s*\z//m ? $1 : 'stopped';
	my $errors;

	$stderr =~ s/^psql:<stdin>:\d+: //mg;
	$errors = () = $stderr =~ /^ERROR: /mg;
	if ($block->{fails})
	{
		is($sqlstate, $block->{fails}, "$name: fails with SQLSTATE $block->{fails}") or diag($stderr);
		is($errors, 1, "$name: there is one error") or diag($stderr);
	}
	else
	{
		is($sqlstate, '00000', "$name: runs") or diag($stderr);
	}
	is(trimmed($stdout . $stderr), trimmed($block->{shown}), "$name: prints what is shown")
	  if defined $block->{shown};
	return $sqlstate ne 'stopped';
}

# Runs the blocks of a file; returns how many there are.
sub run_file
{
	my ($file, $database) = @_;
	my @blocks = blocks_of($file);
	my ($stdout, $stderr) = ('', '');

	return 0 if !@blocks;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->psql(
		$database,
		script_of(@blocks),
		stdout => \$stdout,
		stderr => \$stderr,
		extra_params => [ '-P', 'format=aligned', '-P', 'tuples_only=off' ]);
	$stdout = parts_of($stdout);
	$stderr = parts_of($stderr);
	foreach my $number (0 .. $#blocks)
	{
		my $name = "$file:$blocks[$number]->{line}";

		check_block($name, $blocks[$number], $stdout->{$number} // '', $stderr->{$number} // '')
		  or last;
	}
	return scalar @blocks;
}

my %blocks;
foreach my $file ('README.md', sort glob 'docs/*.md')
{
	$blocks{$file} = run_file($file, 'doc_' . scalar keys %blocks);
}
cmp_ok($blocks{$_}, '>', 0, "$_ has examples") foreach 'README.md', 'docs/reference.md', 'docs/semantics.md';

# The reference is complete. The columns are those of a prefix made for this.
my $reference = slurp_file('docs/reference.md');
$node->safe_psql('postgres', 'CREATE EXTENSION carbonite; SELECT carbonite.install_schema();');

# Fails with the names that a query gives and the reference lacks; $pattern makes what to look for.
sub is_documented
{
	my ($what, $query, $pattern) = @_;
	my @names = split /\n/, $node->safe_psql('postgres', $query);
	my @missing = grep { my $regex = $pattern->(split / /); $reference !~ $regex } @names;

	cmp_ok(scalar @names, '>', 0, "there are $what");
	is(join(', ', @missing), '', "docs/reference.md lacks no $what");
}

my $section = '(?:(?!^##).)*?'; # what follows a heading, up to the next one

is_documented('functions', q{
	SELECT DISTINCT proname FROM pg_proc
	WHERE pronamespace = 'carbonite'::regnamespace AND proname NOT LIKE '\_%'},
	sub { return qr/^### \Q$_[0]\E$/m; });
is_documented('arguments', q{
	SELECT DISTINCT p.proname || ' ' || a.name FROM pg_proc p, unnest(p.proargnames) AS a (name)
	WHERE p.pronamespace = 'carbonite'::regnamespace AND p.proname NOT LIKE '\_%'},
	sub { return qr/^### \Q$_[0]\E\n$section`"?\Q$_[1]\E"?`/ms; });
is_documented('columns', q{
	SELECT c.relname || ' ' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'carbonite_default'::regnamespace AND c.relkind = 'r'
		AND a.attnum > 0 AND NOT a.attisdropped},
	sub { return qr/^### \Q$_[0]\E\n$section^\| `\Q$_[1]\E` \|/ms; });
is_documented('indexes', q{
	SELECT relname FROM pg_class WHERE relnamespace = 'carbonite_default'::regnamespace AND relkind = 'i'},
	sub { return qr/`\Q$_[0]\E`/; });
is_documented('settings', q{LOAD 'carbonite'; SELECT name FROM pg_settings WHERE name LIKE 'carbonite.%'},
	sub { return qr/^### \Q$_[0]\E$/m; });

# Links between the files lead somewhere.
foreach my $file ('README.md', 'CHANGELOG.md', sort glob 'docs/*.md')
{
	my ($directory) = $file =~ m{^(.*/)};
	my $text = slurp_file($file);

	while ($text =~ /\]\((?!https?:)([^)#\s]+)/g)
	{
		ok(-e (($directory // '') . $1), "$file: the link to $1 leads somewhere");
	}
}

$node->stop;
done_testing();
