// An output plugin that does nothing: what the server's part of decoding costs. With the option
// `send` it sends that many bytes for each transaction, which is the least that a plugin does that
// sends something.

#include "pg.hpp"

extern "C"
{
	PG_MODULE_MAGIC;
}

namespace
{

int bytes;

void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool)
{
	ListCell *cell;

	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	bytes = 0;
	foreach (cell, ctx->output_plugin_options)
		bytes = atoi(strVal(((DefElem *) lfirst(cell))->arg));
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
commit(LogicalDecodingContext *ctx, ReorderBufferTXN *, XLogRecPtr)
{
	if (bytes == 0)
		return;
	OutputPluginPrepareWrite(ctx, true);
	appendStringInfoSpaces(ctx->out, bytes);
	OutputPluginWrite(ctx, true);
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
