// Writes jsonb objects straight as bytes: header, an entry per key and value, keys, values; lengths
// with an offset at every 32nd entry, numerics and containers aligned to 4 bytes, as jsonb_util.c
// does it. PG world.

#include "capture/row_image.hpp"

namespace carbonite
{
namespace
{

[[noreturn]] void
too_large(void)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
	                errmsg("total size of jsonb object elements exceeds the maximum of %u bytes",
	                       JENTRY_OFFLENMASK)));
}

// Fills in the entries and the data behind them.
struct ObjectWriter
{
	char *start;
	JEntry *entries;
	char *out;
	uint32 total;
	int next;
};

// Records the entry of the data just written, of `type` and `length`.
void
add_entry(ObjectWriter *writer, uint32 type, uint32 length)
{
	JEntry entry;

	writer->total += length;
	if (writer->total > JENTRY_OFFLENMASK)
		too_large();
	if (writer->next % JB_OFFSET_STRIDE == 0)
		entry = type | writer->total | JENTRY_HAS_OFF;
	else
		entry = type | length;
	writer->entries[writer->next++] = entry;
}

uint32
write_padding(ObjectWriter *writer)
{
	uint32 padding = (uint32) (-(writer->out - writer->start) & 3);

	memset(writer->out, 0, padding);
	writer->out += padding;
	return padding;
}

void
write_bytes(ObjectWriter *writer, const char *bytes, uint32 length)
{
	memcpy(writer->out, bytes, length);
	writer->out += length;
}

void
write_value(ObjectWriter *writer, const JsonValue *value)
{
	uint32 padding = 0;

	switch (value->kind)
	{
		case JsonKind::unset:
		case JsonKind::null:
			add_entry(writer, JENTRY_ISNULL, 0);
			break;
		case JsonKind::boolean_false:
			add_entry(writer, JENTRY_ISBOOL_FALSE, 0);
			break;
		case JsonKind::boolean_true:
			add_entry(writer, JENTRY_ISBOOL_TRUE, 0);
			break;
		case JsonKind::string:
			write_bytes(writer, value->bytes, value->length);
			add_entry(writer, JENTRY_ISSTRING, value->length);
			break;
		case JsonKind::numeric:
			padding = write_padding(writer);
			write_bytes(writer, value->bytes, value->length);
			add_entry(writer, JENTRY_ISNUMERIC, padding + value->length);
			break;
		case JsonKind::container:
			padding = write_padding(writer);
			write_bytes(writer, value->bytes, value->length);
			add_entry(writer, JENTRY_ISCONTAINER, padding + value->length);
			break;
	}
}

// Allocates an object of `count` pairs with room for `bytes` of keys and unpadded values.
void
begin_object(ObjectWriter *writer, int count, uint64 bytes)
{
	uint64 size = VARHDRSZ + sizeof(uint32) + (uint64) count * (2 * sizeof(JEntry) + 3) + bytes;
	uint32 header = JB_FOBJECT | (uint32) count;

	if (bytes > JENTRY_OFFLENMASK)
		too_large();
	writer->start = (char *) palloc(size);
	memcpy(writer->start + VARHDRSZ, &header, sizeof(header));
	writer->entries = (JEntry *) (writer->start + VARHDRSZ + sizeof(header));
	writer->out = (char *) (writer->entries + 2 * (size_t) count);
	writer->total = 0;
	writer->next = 0;
}

Datum
end_object(ObjectWriter *writer)
{
	size_t size = writer->out - writer->start;

	if (size - VARHDRSZ > JENTRY_OFFLENMASK)
		too_large();
	SET_VARSIZE(writer->start, size);
	return PointerGetDatum(writer->start);
}

// Two values of one column with the same bytes, without detoasting either where it can be avoided.
bool
same_bytes(const Column *column, Datum a, Datum b)
{
	if (column->by_value)
		return a == b;
	if (column->length == -1)
	{
		Size size = VARSIZE_ANY(DatumGetPointer(a));

		if (size == VARSIZE_ANY(DatumGetPointer(b)) &&
		    memcmp(DatumGetPointer(a), DatumGetPointer(b), size) == 0)
			return true;
	}
	return datum_image_eq(a, b, false, column->length);
}

// Converts a column unless it was converted before.
void
convert(const Column *column, RowView row, JsonValue *value)
{
	if (value->kind != JsonKind::unset)
		return;
	if (row.nulls[column->attnum - 1])
		value->kind = JsonKind::null;
	else
		json_convert(const_cast<JsonConverter *>(&column->converter),
		             row.values[column->attnum - 1], value);
}

// Puts what is recorded of a column in place: its value, converted, or its mask.
void
convert_or_mask(const Plan *plan, const Column *column, RowView row, JsonValue *value)
{
	MaskedRow masked;

	if (likely(column->mask == nullptr))
	{
		convert(column, row, value);
		return;
	}
	masked = MaskedRow{plan->table_prefix, plan->table_name, column->name, plan->key_columns,
	                   plan->nkeys,        row.values,       row.nulls};
	mask_apply(column->mask, &masked, value);
}

JsonValue *
allocate_values(const Plan *plan)
{
	return (JsonValue *) palloc0(sizeof(JsonValue) * plan->ncolumns);
}

// Compares one column of two rows, keeping what it converts.
bool
column_differs(const Plan *plan, int i, RowView old_row, RowView new_row, RowDifference *difference)
{
	const Column *column = &plan->columns[i];
	int index = column->attnum - 1;
	bool old_null = old_row.nulls[index];
	bool new_null = new_row.nulls[index];

	if (old_null && new_null)
		return false;
	if (!old_null && !new_null && same_bytes(column, old_row.values[index], new_row.values[index]))
		return false;
	difference->key_changed |= column->in_key;
	if (plan->exact_comparison)
		return true;
	if (difference->new_values == nullptr)
	{
		difference->new_values = allocate_values(plan);
		difference->old_values = allocate_values(plan);
	}
	convert(column, old_row, &difference->old_values[i]);
	convert(column, new_row, &difference->new_values[i]);
	return !json_equal(&difference->old_values[i], &difference->new_values[i]);
}

// A copy of the deformed tuple with the values of virtual generated columns.
RowView
with_virtual_columns(const Plan *plan, TupleTableSlot *slot)
{
	int natts = slot->tts_tupleDescriptor->natts;
	Datum *values = (Datum *) palloc(sizeof(Datum) * natts);
	bool *nulls = (bool *) palloc(sizeof(bool) * natts);

	memcpy(values, slot->tts_values, sizeof(Datum) * natts);
	memcpy(nulls, slot->tts_isnull, sizeof(bool) * natts);
	plan->expressions->ecxt_scantuple = slot;
	for (int i = 0; i < plan->nvirtual; i++)
	{
		int index = plan->virtual_columns[i].attnum - 1;

		values[index] =
			ExecEvalExpr(plan->virtual_columns[i].expression, plan->expressions, &nulls[index]);
	}
	return RowView{values, nulls};
}

// Builds an object of the columns at some positions. `values` may hold some that are converted.
Datum
image_of_columns(const Plan *plan, const int *positions, int count, RowView row, JsonValue *values)
{
	ObjectWriter writer;
	uint64 bytes = 0;

	for (int i = 0; i < count; i++)
	{
		const Column *column = &plan->columns[positions[i]];
		JsonValue *value = &values[positions[i]];

		convert_or_mask(plan, column, row, value);
		bytes += column->key_length + value->length;
	}
	begin_object(&writer, count, bytes);
	for (int i = 0; i < count; i++)
	{
		const Column *column = &plan->columns[positions[i]];

		write_bytes(&writer, column->key, column->key_length);
		add_entry(&writer, JENTRY_ISSTRING, column->key_length);
	}
	for (int i = 0; i < count; i++)
		write_value(&writer, &values[positions[i]]);
	return end_object(&writer);
}

} // namespace

bool
rows_look_equal(TupleTableSlot *a, TupleTableSlot *b)
{
	constexpr size_t begin = offsetof(HeapTupleHeaderData, t_bits);
	HeapTuple x = ExecFetchSlotHeapTuple(a, false, nullptr);
	HeapTuple y = ExecFetchSlotHeapTuple(b, false, nullptr);

	return x->t_len == y->t_len && x->t_data->t_hoff == y->t_data->t_hoff &&
	       HeapTupleHeaderGetNatts(x->t_data) == HeapTupleHeaderGetNatts(y->t_data) &&
	       HeapTupleHasNulls(x) == HeapTupleHasNulls(y) &&
	       memcmp((char *) x->t_data + begin, (char *) y->t_data + begin, x->t_len - begin) == 0;
}

RowView
row_view(const Plan *plan, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	if (unlikely(plan->nvirtual > 0))
		return with_virtual_columns(plan, slot);
	return RowView{slot->tts_values, slot->tts_isnull};
}

void
row_difference(const Plan *plan, RowView old_row, RowView new_row, RowDifference *difference)
{
	*difference = RowDifference{};
	for (int i = 0; i < plan->ncolumns; i++)
	{
		if (!column_differs(plan, i, old_row, new_row, difference))
			continue;
		if (difference->changed == nullptr)
			difference->changed = (int *) palloc(sizeof(int) * plan->ncolumns);
		difference->changed[difference->nchanged++] = i;
	}
}

Datum
row_image(const Plan *plan, RowView row, JsonValue *values)
{
	ObjectWriter writer;
	uint64 bytes = plan->keys_length;

	if (values == nullptr)
		values = allocate_values(plan);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		convert_or_mask(plan, &plan->columns[i], row, &values[i]);
		bytes += values[i].length;
	}
	begin_object(&writer, plan->ncolumns, bytes);
	write_bytes(&writer, plan->keys, plan->keys_length);
	for (int i = 0; i < plan->ncolumns; i++)
		add_entry(&writer, JENTRY_ISSTRING, plan->columns[i].key_length);
	for (int i = 0; i < plan->ncolumns; i++)
		write_value(&writer, &values[i]);
	return end_object(&writer);
}

Datum
changed_names(const Plan *plan, const RowDifference *difference)
{
	Datum *names = (Datum *) palloc(sizeof(Datum) * difference->nchanged);

	for (int i = 0; i < difference->nchanged; i++)
		names[i] = plan->columns[difference->changed[i]].name;
	return PointerGetDatum(
		construct_array(names, difference->nchanged, VARCHAROID, -1, false, TYPALIGN_INT));
}

Datum
partial_image(const Plan *plan, RowView row, RowDifference *difference)
{
	int *positions = (int *) palloc(sizeof(int) * plan->ncolumns);
	int count = 0;
	int next = 0;

	for (int i = 0; i < plan->ncolumns; i++)
	{
		bool changed = next < difference->nchanged && difference->changed[next] == i;

		if (changed)
			next++;
		if (changed || plan->columns[i].in_key)
			positions[count++] = i;
	}
	if (difference->new_values == nullptr)
		difference->new_values = allocate_values(plan);
	return image_of_columns(plan, positions, count, row, difference->new_values);
}

Datum
changed_image(const Plan *plan, RowView old_row, RowDifference *difference)
{
	if (difference->old_values == nullptr)
		difference->old_values = allocate_values(plan);
	return image_of_columns(plan, difference->changed, difference->nchanged, old_row,
	                        difference->old_values);
}

} // namespace carbonite
