// Output functions read these variables of the server directly, so setting and restoring them is
// all it takes; the settings of the session are not touched. PG world.

#include "capture/fixed_settings.hpp"

namespace carbonite
{

OutputSettings
output_settings_fix(void)
{
	OutputSettings session = {DateStyle,          DateOrder,    IntervalStyle,
	                          extra_float_digits, bytea_output, session_timezone};
	OutputSettings fixed = {USE_ISO_DATES,    DATEORDER_MDY,  INTSTYLE_POSTGRES, 1,
	                        BYTEA_OUTPUT_HEX, pg_tzset("UTC")};

	output_settings_restore(&fixed);
	return session;
}

void
output_settings_restore(const OutputSettings *settings)
{
	DateStyle = settings->date_style;
	DateOrder = settings->date_order;
	IntervalStyle = settings->interval_style;
	extra_float_digits = settings->float_digits;
	bytea_output = settings->bytea_style;
	session_timezone = settings->timezone;
}

} // namespace carbonite
