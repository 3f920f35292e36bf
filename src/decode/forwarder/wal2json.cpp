// A library of its own by the name of wal2json, for clients that ask for that plugin whatever the
// server has: put first into dynamic_library_path, it hands them to carbonite. PG world.

#include "pg.hpp"

extern "C"
{
	PG_MODULE_MAGIC;
}

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	LogicalOutputPluginInit init = (LogicalOutputPluginInit) load_external_function(
		"$libdir/carbonite", "carbonite_wal2json_init", true, nullptr);

	init(callbacks);
}
