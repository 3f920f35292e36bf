// Points in time and spans of it, as numbers since 1970 or as ISO 8601. A number that does not fit
// into 64 bits is the largest or smallest that does. PG world.

#include "decode/debezium.hpp"

extern "C"
{
#include "common/int.h"
}

namespace carbonite
{
namespace
{

constexpr int unix_days = POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE;
constexpr int64 unix_offset = INT64CONST(86400000000) * unix_days;

// What stands for infinite timestamps, in microseconds.
constexpr int64 positive_infinity = INT64CONST(9223372036825200000);
constexpr int64 negative_infinity = -INT64CONST(9223372036832400000);

// A month has 365.25 / 12 days.
constexpr int64 microseconds_per_month = INT64CONST(2629800000000);

constexpr int all_digits = 6;

int64
limit(bool negative)
{
	return negative ? PG_INT64_MIN : PG_INT64_MAX;
}

int64
add(int64 a, int64 b)
{
	int64 sum;

	return pg_add_s64_overflow(a, b, &sum) ? limit(b < 0) : sum;
}

int64
multiply(int64 a, int64 b)
{
	int64 product;

	return pg_mul_s64_overflow(a, b, &product) ? limit((a < 0) != (b < 0)) : product;
}

int64
floor_divide(int64 a, int64 b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

// How many digits of a second a type has.
int
digits_of(int32 typmod)
{
	return typmod < 0 || typmod > all_digits ? all_digits : typmod;
}

// Writes a number with leading zeros.
char *
write_padded(char *out, int number, int width)
{
	for (int i = width - 1; i >= 0; i--, number /= 10)
		out[i] = (char) ('0' + number % 10);
	return out + width;
}

// Years have four digits; others a sign.
char *
write_day(char *out, int64 days)
{
	int year;
	int month;
	int day;

	j2date((int) days + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	if (year < 0)
		*out++ = '-';
	else if (year > 9999)
		*out++ = '+';
	if (year >= 0 && year <= 9999)
		out = write_padded(out, year, 4);
	else if (year > -1000 && year < 0)
		out = write_padded(out, -year, 4);
	else
		out += pg_ultoa_n((uint32) (year < 0 ? -year : year), out);
	*out++ = '-';
	out = write_padded(out, month, 2);
	*out++ = '-';
	return write_padded(out, day, 2);
}

// Writes a time of day. `digits`: how many the fraction has; none means as many as it takes.
char *
write_clock(char *out, int64 time, int digits)
{
	int seconds = (int) (time / USECS_PER_SEC);
	int fraction = (int) (time % USECS_PER_SEC);

	out = write_padded(out, seconds / SECS_PER_HOUR, 2);
	*out++ = ':';
	out = write_padded(out, seconds / SECS_PER_MINUTE % 60, 2);
	*out++ = ':';
	out = write_padded(out, seconds % SECS_PER_MINUTE, 2);
	if (digits == 0 && fraction == 0)
		return out;
	*out++ = '.';
	out = write_padded(out, fraction, all_digits);
	if (digits > 0)
		return out - (all_digits - digits);
	while (out[-1] == '0')
		out--;
	return out;
}

void
put_instant(Buffer *buffer, Timestamp time, int digits)
{
	char text[64];
	char *out = text;
	int64 days = floor_divide(time, USECS_PER_DAY);

	*out++ = '"';
	out = write_day(out, days);
	*out++ = 'T';
	out = write_clock(out, time - days * USECS_PER_DAY, digits);
	*out++ = 'Z';
	*out++ = '"';
	put_bytes(buffer, text, (size_t) (out - text));
}

void
put_infinity(Buffer *buffer, bool negative)
{
	put_string(buffer, negative ? "\"-infinity\"" : "\"infinity\"");
}

void
put_infinite_number(Buffer *buffer, bool negative, bool in_milliseconds)
{
	int64 number = negative ? negative_infinity : positive_infinity;

	put_integer(buffer, in_milliseconds ? number / 1000 : number);
}

bool
in_milliseconds(TimeMode mode, int32 typmod)
{
	return mode == TimeMode::connect ||
	       ((mode == TimeMode::adaptive || mode == TimeMode::adaptive_time_microseconds) &&
	        digits_of(typmod) <= 3);
}

// Puts an interval as P1Y2M3DT4H5M6.7S.
void
put_interval_text(Buffer *buffer, const Interval *interval)
{
	char text[128];
	char seconds[16];
	char *out = seconds;
	int64 time = interval->time;
	int64 hours = time / USECS_PER_HOUR;
	int minutes = (int) (time % USECS_PER_HOUR / USECS_PER_MINUTE);
	int rest = (int) (time % USECS_PER_MINUTE);
	int fraction;

	if (rest < 0)
		*out++ = '-';
	rest = rest < 0 ? -rest : rest;
	out += pg_ultoa_n((uint32) (rest / USECS_PER_SEC), out);
	fraction = (int) (rest % USECS_PER_SEC);
	if (fraction > 0)
	{
		*out++ = '.';
		out = write_padded(out, fraction, all_digits);
		while (out[-1] == '0')
			out--;
	}
	*out = '\0';
	snprintf(text, sizeof(text), "\"P%dY%dM%dDT" INT64_FORMAT "H%dM%sS\"",
	         interval->month / MONTHS_PER_YEAR, interval->month % MONTHS_PER_YEAR, interval->day,
	         hours, minutes, seconds);
	put_string(buffer, text);
}

// PostgreSQL 17 has infinite intervals: every part is at its limit.
bool
is_infinite(const Interval *interval)
{
	return (interval->month == PG_INT32_MAX && interval->day == PG_INT32_MAX &&
	        interval->time == PG_INT64_MAX) ||
	       (interval->month == PG_INT32_MIN && interval->day == PG_INT32_MIN &&
	        interval->time == PG_INT64_MIN);
}

} // namespace

int64
unix_microseconds(TimestampTz time)
{
	return add(time, unix_offset);
}

void
debezium_put_date(Buffer *buffer, TimeMode mode, DateADT date)
{
	char text[32];
	char *out = text;

	if (mode != TimeMode::isostring)
	{
		// infinite ones are at the limits already
		put_integer(buffer, DATE_NOT_FINITE(date) ? date : date + unix_days);
		return;
	}
	if (DATE_NOT_FINITE(date))
	{
		put_infinity(buffer, DATE_IS_NOBEGIN(date));
		return;
	}
	*out++ = '"';
	out = write_day(out, date);
	*out++ = 'Z';
	*out++ = '"';
	put_bytes(buffer, text, (size_t) (out - text));
}

void
debezium_put_time(Buffer *buffer, TimeMode mode, int32 typmod, TimeADT time)
{
	char text[32];
	char *out = text;

	if (mode == TimeMode::nanoseconds)
		put_integer(buffer, time * 1000);
	else if (mode == TimeMode::connect || (mode == TimeMode::adaptive && digits_of(typmod) <= 3))
		put_integer(buffer, time / 1000);
	else if (mode != TimeMode::isostring)
		put_integer(buffer, time);
	else
	{
		*out++ = '"';
		out = write_clock(out, time, 0);
		*out++ = 'Z';
		*out++ = '"';
		put_bytes(buffer, text, (size_t) (out - text));
	}
}

void
debezium_put_timetz(Buffer *buffer, const TimeTzADT *time)
{
	char text[32];
	char *out = text;
	int64 utc = time->time + time->zone * USECS_PER_SEC;

	// the end of the day stays
	if (time->zone != 0 || time->time != USECS_PER_DAY)
		utc -= floor_divide(utc, USECS_PER_DAY) * USECS_PER_DAY;
	*out++ = '"';
	out = write_clock(out, utc, 0);
	*out++ = 'Z';
	*out++ = '"';
	put_bytes(buffer, text, (size_t) (out - text));
}

void
debezium_put_timestamp(Buffer *buffer, TimeMode mode, int32 typmod, Timestamp time)
{
	bool negative = TIMESTAMP_IS_NOBEGIN(time);
	bool finite = !TIMESTAMP_NOT_FINITE(time);

	if (mode == TimeMode::isostring)
	{
		if (finite)
			put_instant(buffer, time, 0);
		else
			put_infinity(buffer, negative);
	}
	else if (mode == TimeMode::nanoseconds)
		put_integer(buffer, finite ? multiply(unix_microseconds(time), 1000) : limit(negative));
	else if (!finite)
		put_infinite_number(buffer, negative, in_milliseconds(mode, typmod));
	else if (in_milliseconds(mode, typmod))
		put_integer(buffer, floor_divide(time, 1000) + unix_offset / 1000);
	else
		put_integer(buffer, unix_microseconds(time));
}

void
debezium_put_timestamptz(Buffer *buffer, int32 typmod, TimestampTz time)
{
	if (TIMESTAMP_NOT_FINITE(time))
		put_infinity(buffer, TIMESTAMP_IS_NOBEGIN(time));
	else
		put_instant(buffer, time, digits_of(typmod));
}

void
debezium_put_interval(Buffer *buffer, bool as_text, const Interval *interval)
{
	if (is_infinite(interval))
	{
		if (as_text)
			put_infinity(buffer, interval->month < 0);
		else
			put_integer(buffer, interval->time);
		return;
	}
	if (as_text)
		put_interval_text(buffer, interval);
	else
		put_integer(buffer, add(add(multiply(interval->month, microseconds_per_month),
		                            multiply(interval->day, USECS_PER_DAY)),
		                        interval->time));
}

} // namespace carbonite
