/* What every file may rely on: attributes, asserts and the few integer helpers that C lacks.
 * Errors: OZ_ASSERT is for programmer errors only, and stays on in release builds. Bytes from
 * outside (records, YAML, models, stored state, broker answers) never reach one: they get a
 * status. */
#ifndef OZ_BASE_BASE_H
#define OZ_BASE_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OZ_LIKELY(x)         __builtin_expect(!!(x), 1)
#define OZ_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define OZ_COLD              __attribute__((noinline, cold))
#define OZ_MUST_USE          __attribute__((warn_unused_result))
#define OZ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define OZ_COUNT_OF(a)       (sizeof(a) / sizeof((a)[0]))
#define OZ_MIN(a, b)         ((a) < (b) ? (a) : (b))
#define OZ_MAX(a, b)         ((a) > (b) ? (a) : (b))

#ifdef __cplusplus
#define OZ_NORETURN [[noreturn]]
extern "C" {
#else
#define OZ_NORETURN _Noreturn
#endif

/* Prints the place and the condition, then ends the process with exit code 70: a defect of ours. */
OZ_NORETURN void oz_assert_failed(const char *condition, const char *file, int line);
#define OZ_ASSERT(c) (OZ_LIKELY(c) ? (void)0 : oz_assert_failed(#c, __FILE__, __LINE__))

#ifdef __cplusplus
}
#endif
#endif
