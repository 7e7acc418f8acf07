/* Times, durations and sizes as people write them.
 * Units: an instant is int64 microseconds since 1970-01-01T00:00:00Z, proleptic Gregorian, no leap
 * seconds; a duration is int64 microseconds, written with d, h, m, s, ms, us in this order (10m,
 * 1h30m, 250ms).
 * Limits: years 1 to 9999. */
#ifndef OZ_BASE_INSTANT_H
#define OZ_BASE_INSTANT_H
#include "base/status.h"

#define OZ_US_PER_MS     INT64_C(1000)
#define OZ_US_PER_SECOND INT64_C(1000000)
#define OZ_US_PER_MINUTE (60 * OZ_US_PER_SECOND)
#define OZ_US_PER_HOUR   (60 * OZ_US_PER_MINUTE)
#define OZ_US_PER_DAY    (24 * OZ_US_PER_HOUR)
enum { OZ_INSTANT_BYTES_MAX = 32 };

#ifdef __cplusplus
extern "C" {
#endif
/* ISO-8601: date, 'T' or blank, hh:mm[:ss[.fraction]], then Z, +hh:mm, +hhmm or nothing (UTC).
 * A date alone is its midnight. The fraction is cut at microseconds. */
bool oz_parse_instant(const char *s, size_t len, int64_t *ret_us);
/* 2018-07-25T10:11:12.000Z; six decimals where the microseconds need them. Writes a NUL behind it
 * and returns the length without; `to` has OZ_INSTANT_BYTES_MAX bytes. An instant outside the years
 * is written as the nearest one inside. */
size_t oz_format_instant(char *to, int64_t us);
bool oz_parse_duration(const char *s, size_t len, int64_t *ret_us); /* not negative */
size_t oz_format_duration(char *to, int64_t us); /* canonical: 1h30m, 7d, 0s; NUL as above */
/* 64MiB, 2GiB, 500kB, 4096; whole numbers only. */
bool oz_parse_bytes(const char *s, size_t len, uint64_t *ret_bytes);
int oz_hour_of(int64_t us);    /* 0 to 23 */
int oz_weekday_of(int64_t us); /* ISO: Monday 1 to Sunday 7 */
#ifdef __cplusplus
}
#endif
#endif
