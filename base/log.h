/* Log lines to standard error, as text or as JSON objects.
 * Levels are chosen by how often a thing happens: error once and fatal, warn when someone should
 * look, info per life-cycle step, debug per epoch, trace per batch. Never per record.
 * Form: `2018-07-25T10:11:12.000Z warn  message`, or {"time":..,"level":..,"message":..}. Control
 * characters of a message become blanks, so that no record can forge a line.
 * Limits: a message is cut at 4 KiB.
 * Text goes out in one write(2), so lines of several threads do not mix. Libraries (base to models)
 * do not log: they return errors; stream/ logs what its client tells it. */
#ifndef OZ_BASE_LOG_H
#define OZ_BASE_LOG_H
#include "base/status.h"

enum oz_log_level { OZ_LOG_ERROR, OZ_LOG_WARN, OZ_LOG_INFO, OZ_LOG_DEBUG, OZ_LOG_TRACE };
enum oz_log_format { OZ_LOG_TEXT, OZ_LOG_JSON };

#ifdef __cplusplus
extern "C" {
#endif
void oz_log_setup(enum oz_log_level level, enum oz_log_format format);
bool oz_log_enabled(enum oz_log_level level);
void oz_log(enum oz_log_level level, const char *fmt, ...) OZ_PRINTF(2, 3);
const char *oz_log_level_name(enum oz_log_level level); /* "error", "warn", ... */
/* A screen that redraws itself takes the lines instead, while it is up; NULL gives them back.
 * `text` has no line end, is only valid during the call, and `line` must not log. */
void oz_log_redirect(void (*line)(void *ctx, const char *text, size_t len), void *ctx);
/* Whether a line that redraws itself stands on the terminal; a log line then takes its place. */
void oz_log_over_line(bool standing);
#define oz_error_log(...) oz_log(OZ_LOG_ERROR, __VA_ARGS__)
#define oz_warn(...)      oz_log(OZ_LOG_WARN, __VA_ARGS__)
#define oz_info(...)      oz_log(OZ_LOG_INFO, __VA_ARGS__)
#define oz_debug(...)     oz_log(OZ_LOG_DEBUG, __VA_ARGS__)
#define oz_trace(...)     oz_log(OZ_LOG_TRACE, __VA_ARGS__)
#ifdef __cplusplus
}
#endif
#endif
