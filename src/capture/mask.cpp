// Masks, and the key of digests. The setting that holds the key is shown to nobody: what SHOW
// prints is stars, pg_settings leaves it out, errors do not quote it. Until the library is loaded a
// setting has no such protection, so digests are made only where the server loads it at its start.
// PG world.

#include "capture/mask.hpp"
#include "capture/digest.hpp"

namespace carbonite
{
namespace
{

constexpr int block_bytes = 64;
constexpr int least_key_bytes = 16;
constexpr char hidden_text[] = "****";

char *hash_key;
bool loaded_at_start;

// The key as HMAC uses it, and what tells keys apart; made again when the setting has changed.
struct KeyState
{
	bool valid;
	unsigned char block[block_bytes];
	char id[9];
} key_state;

// HMAC-SHA256 of a message.
bytea *
hmac(const char *message, size_t length)
{
	size_t inner_size = block_bytes + length;
	unsigned char *inner = (unsigned char *) palloc(inner_size);
	unsigned char outer[block_bytes + digest_bytes];

	for (int i = 0; i < block_bytes; i++)
	{
		inner[i] = key_state.block[i] ^ 0x36;
		outer[i] = key_state.block[i] ^ 0x5c;
	}
	memcpy(inner + block_bytes, message, length);
	memcpy(outer + block_bytes, VARDATA_ANY(sha256(inner, inner_size)), digest_bytes);
	pfree(inner);
	return sha256(outer, sizeof(outer));
}

void
prepare_key(void)
{
	size_t length = strlen(hash_key);
	StringInfoData id;

	if (key_state.valid)
		return;
	memset(key_state.block, 0, block_bytes);
	if (length > block_bytes)
		memcpy(key_state.block, VARDATA_ANY(sha256(hash_key, length)), digest_bytes);
	else
		memcpy(key_state.block, hash_key, length);
	initStringInfo(&id);
	append_hex(&id, hmac("carbonite key", strlen("carbonite key")), 4);
	strlcpy(key_state.id, id.data, sizeof(key_state.id));
	key_state.valid = true;
}

void
require_key(const MaskedRow *row)
{
	if (!loaded_at_start)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("carbonite cannot keep carbonite.hash_key secret"),
		         errdetail("Everybody can read the setting while the library is not loaded."),
		         errhint("Add carbonite to shared_preload_libraries.")));
	if (!mask_has_key())
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("carbonite.hash_key is not set"),
		         errdetail("Column \"%s\" of table %s.%s is recorded as a digest.",
		                   TextDatumGetCString(row->column), TextDatumGetCString(row->table_prefix),
		                   TextDatumGetCString(row->table_name)),
		         errhint("Set it in postgresql.conf, to 16 bytes or more.")));
}

// Appends a part of the message: its length in 4 bytes, the highest first, and its bytes.
void
append_part(StringInfo message, Datum text, bool isnull)
{
	uint32 length = isnull ? PG_UINT32_MAX : VARSIZE_ANY_EXHDR(DatumGetPointer(text));
	uint32 network = pg_hton32(length);

	appendBinaryStringInfo(message, (char *) &network, sizeof(network));
	if (!isnull)
		appendBinaryStringInfo(message, VARDATA_ANY(DatumGetPointer(text)), (int) length);
}

void
append_column(StringInfo message, const KeyColumn *column, const MaskedRow *row)
{
	int index = column->attnum - 1;
	bool isnull = row->nulls[index];

	append_part(message,
	            isnull ? (Datum) 0
	                   : key_column_text(const_cast<KeyColumn *>(column), row->values[index]),
	            isnull);
}

void
set_string(JsonValue *value, const char *bytes, size_t length)
{
	value->kind = JsonKind::string;
	value->bytes = bytes;
	value->length = (uint32) length;
}

void
apply_hashed(Mask *mask, const MaskedRow *row, JsonValue *result)
{
	StringInfoData message;
	StringInfoData digest;

	require_key(row);
	prepare_key();
	initStringInfo(&message);
	append_part(&message, row->table_prefix, false);
	append_part(&message, row->table_name, false);
	append_part(&message, row->column, false);
	append_column(&message, &mask->text, row);
	for (int i = 0; i < row->nkeys; i++)
		append_column(&message, &row->key_columns[i], row);
	initStringInfo(&digest);
	appendStringInfo(&digest, "hmac-sha256:%s:", key_state.id);
	append_hex(&digest, hmac(message.data, message.len), digest_bytes);
	set_string(result, digest.data, digest.len);
}

void
apply_last(Mask *mask, const MaskedRow *row, JsonValue *result)
{
	int index = mask->text.attnum - 1;
	StringInfoData shown;
	const char *bytes;
	int length;
	int hidden;

	if (row->nulls[index])
	{
		result->kind = JsonKind::null;
		return;
	}
	Datum text = key_column_text(&mask->text, row->values[index]);
	bytes = VARDATA_ANY(DatumGetPointer(text));
	length = (int) VARSIZE_ANY_EXHDR(DatumGetPointer(text));
	hidden = pg_mbstrlen_with_len(bytes, length) - mask->keep;
	initStringInfo(&shown);
	appendStringInfoString(&shown, hidden_text);
	if (hidden > 0)
	{
		int begin = pg_mbcharcliplen(bytes, length, hidden);

		appendBinaryStringInfo(&shown, bytes + begin, length - begin);
	}
	set_string(result, shown.data, shown.len);
}

const char *
show_hash_key(void)
{
	return hash_key == nullptr || hash_key[0] == '\0' ? "" : "********";
}

bool
check_hash_key(char **value, void **, GucSource source)
{
	if (*value == nullptr || **value == '\0')
		return true;
	if (source == PGC_S_TEST || source == PGC_S_DATABASE || source == PGC_S_USER ||
	    source == PGC_S_DATABASE_USER || source == PGC_S_GLOBAL)
	{
		GUC_check_errmsg("carbonite.hash_key must not be set for a database or a role");
		GUC_check_errdetail("Everybody can read such settings in pg_db_role_setting.");
		GUC_check_errhint("Set it in postgresql.conf.");
		return false;
	}
	if (strlen(*value) < least_key_bytes)
	{
		GUC_check_errmsg("carbonite.hash_key is too short");
		GUC_check_errdetail("It needs %d bytes at least.", least_key_bytes);
		return false;
	}
	return true;
}

void
assign_hash_key(const char *, void *)
{
	key_state.valid = false;
}

} // namespace

void
mask_compile_fixed(Mask *mask, const char *text)
{
	mask->kind = MaskKind::fixed;
	if (text == nullptr)
		mask->value.kind = JsonKind::null;
	else
		set_string(&mask->value, text, strlen(text));
}

void
mask_compile_json(Mask *mask, const JsonbValue *json, AttrNumber attnum, Oid type)
{
	mask_compile_fixed(mask, mask_text);
	if (json->type == jbvNull)
		mask_compile_fixed(mask, nullptr);
	else if (json->type == jbvString)
		mask_compile_fixed(mask, pnstrdup(json->val.string.val, json->val.string.len));
	else if (json->type == jbvBinary && JsonContainerIsObject(json->val.binary.data))
	{
		JsonbValue key = {};
		JsonbValue *last;
		const char *number;

		key.type = jbvString;
		key.val.string.val = const_cast<char *>("last");
		key.val.string.len = 4;
		last = findJsonbValueFromContainer(json->val.binary.data, JB_FOBJECT, &key);
		if (last == nullptr || last->type != jbvNumeric)
			return;
		number =
			DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(last->val.numeric)));
		if (strlen(number) > 4 || strspn(number, "0123456789") != strlen(number) ||
		    atoi(number) < 1)
			return;
		mask->kind = MaskKind::last;
		mask->keep = atoi(number);
		key_column_compile(&mask->text, attnum, type);
	}
}

void
mask_compile_hashed(Mask *mask, AttrNumber attnum, Oid type)
{
	mask->kind = MaskKind::hashed;
	key_column_compile(&mask->text, attnum, type);
}

bool
mask_has_key(void)
{
	return loaded_at_start && hash_key != nullptr && hash_key[0] != '\0';
}

void
mask_apply(Mask *mask, const MaskedRow *row, JsonValue *result)
{
	switch (mask->kind)
	{
		case MaskKind::fixed:
			*result = mask->value;
			break;
		case MaskKind::last:
			apply_last(mask, row, result);
			break;
		case MaskKind::hashed:
			apply_hashed(mask, row, result);
			break;
	}
}

void
mask_init(void)
{
	loaded_at_start = process_shared_preload_libraries_in_progress;
	DefineCustomStringVariable("carbonite.hash_key", "Key of the digests of hashed columns.",
	                           "Needs carbonite in shared_preload_libraries.", &hash_key, "",
	                           PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
	                           check_hash_key, assign_hash_key, show_hash_key);
}

} // namespace carbonite
