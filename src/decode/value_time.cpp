// Dates and times as JSON text, whatever the time zone of the session is. PG world.

#include "decode/value.hpp"

namespace carbonite
{
namespace
{

char *
put_two_digits(char *out, int number)
{
	*out++ = (char) ('0' + number / 10);
	*out++ = (char) ('0' + number % 10);
	return out;
}

// Writes the date of a Julian day if its year has four digits; nullptr if not.
char *
write_date(char *out, int julian)
{
	int year;
	int month;
	int day;

	j2date(julian, &year, &month, &day);
	if (year < 1 || year > 9999)
		return nullptr;
	out = put_two_digits(out, year / 100);
	out = put_two_digits(out, year % 100);
	*out++ = '-';
	out = put_two_digits(out, month);
	*out++ = '-';
	return put_two_digits(out, day);
}

// Writes a point in time, which has no zone; nullptr as above.
char *
write_timestamp(char *out, Timestamp time)
{
	int64 days = time / USECS_PER_DAY;
	int64 rest = time % USECS_PER_DAY;
	int seconds;
	int fraction;

	if (rest < 0)
	{
		rest += USECS_PER_DAY;
		days--;
	}
	// beyond this every year has more than four digits
	if (days < -800000 || days > 3000000)
		return nullptr;
	out = write_date(out, (int) days + POSTGRES_EPOCH_JDATE);
	if (out == nullptr)
		return nullptr;
	seconds = (int) (rest / USECS_PER_SEC);
	fraction = (int) (rest % USECS_PER_SEC);
	*out++ = 'T';
	out = put_two_digits(out, seconds / SECS_PER_HOUR);
	*out++ = ':';
	out = put_two_digits(out, seconds / SECS_PER_MINUTE % 60);
	*out++ = ':';
	out = put_two_digits(out, seconds % SECS_PER_MINUTE);
	if (fraction > 0)
	{
		char *end;

		*out++ = '.';
		for (int unit = 100000; unit > 0; unit /= 10)
			*out++ = (char) ('0' + fraction / unit % 10);
		for (end = out; end[-1] == '0'; end--)
			;
		out = end;
	}
	return out;
}

// Dates before the common era, after the year 9999, and infinities.
void
put_unusual_datetime(Buffer *buffer, Datum datum, Oid type)
{
	char text[MAXDATELEN + 1];
	int zone = 0;

	JsonEncodeDateTime(text, datum, type, type == TIMESTAMPTZOID ? &zone : nullptr);
	put_json_string(buffer, text, strlen(text));
}

} // namespace

void
put_datetime(Buffer *buffer, Datum datum, ValueKind kind)
{
	char text[64];
	char *out = text;

	*out++ = '"';
	if (kind == ValueKind::date)
	{
		DateADT date = DatumGetDateADT(datum);

		out = date > 3000000 || date < -800000 ? nullptr
		                                       : write_date(out, date + POSTGRES_EPOCH_JDATE);
		if (out == nullptr)
		{
			put_unusual_datetime(buffer, datum, DATEOID);
			return;
		}
	}
	else
	{
		out = write_timestamp(out, DatumGetTimestamp(datum));
		if (out == nullptr)
		{
			put_unusual_datetime(buffer, datum,
			                     kind == ValueKind::timestamp ? TIMESTAMPOID : TIMESTAMPTZOID);
			return;
		}
		if (kind == ValueKind::timestamptz)
		{
			memcpy(out, "+00:00", 6);
			out += 6;
		}
	}
	*out++ = '"';
	put_bytes(buffer, text, (size_t) (out - text));
}

void
put_timestamptz(Buffer *buffer, TimestampTz time)
{
	put_datetime(buffer, TimestampTzGetDatum(time), ValueKind::timestamptz);
}

} // namespace carbonite
