# As much of JSON Schema as docs/stream-format.schema.json uses.
package JsonSchema;
use strict;
use warnings;
use JSON::PP;

sub type_of
{
	my ($value) = @_;
	return 'null' unless defined $value;
	return 'object' if ref $value eq 'HASH';
	return 'array' if ref $value eq 'ARRAY';
	return 'boolean' if JSON::PP::is_bool($value);
	return JSON::PP->new->allow_nonref->encode($value) =~ /^"/ ? 'string' : $value =~ /^-?\d+$/ ? 'integer' : 'number';
}

sub same { my ($a, $b) = @_; my $json = JSON::PP->new->canonical->allow_nonref; return $json->encode($a) eq $json->encode($b); }

# What is wrong with a value; nothing if it is valid.
sub errors
{
	my ($root, $schema, $value, $where) = @_;
	my $type = type_of($value);
	my @errors;

	die "unknown keywords in the schema at $where" if grep { !/^(\$schema|\$defs|\$ref|title|oneOf|type|properties|required|additionalProperties|items|const|enum|pattern|minimum)$/ } keys %$schema;
	if (my $ref = $schema->{'$ref'})
	{
		my ($name) = $ref =~ m{^#/\$defs/(\w+)$} or die "unknown reference $ref";
		return errors($root, $root->{'$defs'}{$name}, $value, $where);
	}
	if ($schema->{oneOf})
	{
		my @results = map { [ errors($root, $_, $value, $where) ] } @{ $schema->{oneOf} };
		my $valid = grep { !@$_ } @results;
		push @errors, "$where fits $valid alternatives: " . join('; ', map { @$_ } @results) unless $valid == 1;
	}
	if ($schema->{type})
	{
		my @types = ref $schema->{type} ? @{ $schema->{type} } : $schema->{type};
		push @errors, "$where is of type $type" unless grep { $_ eq $type || $_ eq 'number' && $type eq 'integer' } @types;
	}
	push @errors, "$where is not the constant" if exists $schema->{const} && !same($value, $schema->{const});
	push @errors, "$where is none of the choices" if $schema->{enum} && !grep { same($value, $_) } @{ $schema->{enum} };
	push @errors, "$where does not match" if $schema->{pattern} && $type eq 'string' && $value !~ $schema->{pattern};
	push @errors, "$where is too small" if defined $schema->{minimum} && $type eq 'integer' && $value < $schema->{minimum};
	if ($type eq 'object')
	{
		my $properties = $schema->{properties} // {};
		push @errors, map { "$where lacks $_" } grep { !exists $value->{$_} } @{ $schema->{required} // [] };
		foreach my $name (sort keys %$value)
		{
			my $more = $properties->{$name} // $schema->{additionalProperties};
			if (ref $more eq 'HASH') { push @errors, errors($root, $more, $value->{$name}, "$where.$name"); }
			elsif (defined $more && !$more) { push @errors, "$where.$name is unknown"; }
		}
	}
	if ($type eq 'array' && $schema->{items})
	{
		push @errors, errors($root, $schema->{items}, $value->[$_], "$where\[$_]") foreach 0 .. $#$value;
	}
	return @errors;
}

1;
