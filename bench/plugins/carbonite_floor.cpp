// An output plugin that does nothing: what the server's part of decoding costs.

#include "pg.hpp"

extern "C"
{
	PG_MODULE_MAGIC;
}

namespace
{

void
startup(LogicalDecodingContext *, OutputPluginOptions *options, bool)
{
	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
}

void
begin(LogicalDecodingContext *, ReorderBufferTXN *)
{
}

void
change(LogicalDecodingContext *, ReorderBufferTXN *, Relation, ReorderBufferChange *)
{
}

void
commit(LogicalDecodingContext *, ReorderBufferTXN *, XLogRecPtr)
{
}

} // namespace

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = startup;
	callbacks->begin_cb = begin;
	callbacks->change_cb = change;
	callbacks->commit_cb = commit;
}
