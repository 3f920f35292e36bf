// The settings that output functions read. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

struct OutputSettings
{
	int date_style;
	int date_order;
	int interval_style;
	int float_digits;
	int bytea_style;
	pg_tz *timezone;
};

// Gives the settings values that are the same everywhere: ISO dates, UTC, hexadecimal bytea,
// shortest exact floats. Returns what the session has, which the caller restores, even on error.
OutputSettings output_settings_fix(void);

void output_settings_restore(const OutputSettings *settings);

} // namespace carbonite
