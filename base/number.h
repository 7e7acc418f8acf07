/* Numbers as text: the shortest decimal that reads back to the same value, and the reverse.
 * Form: as JSON has it: 0.1, 412.5, an integral double as 25 (not 25.0). The fewest digits, laid
 * out as ECMAScript does: plain from 1e-6 to below 1e21 (100000, not 1e5), else 1e22, 1.5e-7.
 * Source: the to_chars and from_chars of the C++ library, which are exact and know no locale. */
#ifndef OZ_BASE_NUMBER_H
#define OZ_BASE_NUMBER_H
#include "base/status.h"

enum { OZ_NUMBER_BYTES_MAX = 32 };
#ifdef __cplusplus
extern "C" {
#endif
/* Each writes at most OZ_NUMBER_BYTES_MAX bytes, no NUL, and returns how many. Floating ones are
 * finite. */
size_t oz_format_double(char *to, double v);
size_t oz_format_float(char *to, float v);
size_t oz_format_i64(char *to, int64_t v);
size_t oz_format_u64(char *to, uint64_t v);
/* True when all of s[0, len) is a number: JSON's form, plus "nan", "inf" and "-inf" for the
 * floating ones. What is too large for the type is none; what is too small is 0. */
bool oz_parse_double(const char *s, size_t len, double *ret_v);
bool oz_parse_float(const char *s, size_t len, float *ret_v);
bool oz_parse_i64(const char *s, size_t len, int64_t *ret_v);
#ifdef __cplusplus
}
#endif
#endif
