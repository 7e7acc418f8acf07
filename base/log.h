/* Log lines to standard error, as text or as JSON objects.
 * Levels are chosen by how often a thing happens: error once and fatal, warn when someone should look,
 * info per life-cycle step, debug per epoch, trace per batch. Never per record.
 * Text goes out in one write(2), so lines of several threads do not mix. Libraries (base to models) do
 * not log: they return errors; stream/ logs what its client tells it. */
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
/* A screen that redraws itself takes the lines instead, while it is up; NULL gives them back. */
void oz_log_redirect(void (*line)(void *ctx, const char *text, size_t len), void *ctx);
#define oz_error_log(...) oz_log(OZ_LOG_ERROR, __VA_ARGS__)
#define oz_warn(...) oz_log(OZ_LOG_WARN, __VA_ARGS__)
#define oz_info(...) oz_log(OZ_LOG_INFO, __VA_ARGS__)
#define oz_debug(...) oz_log(OZ_LOG_DEBUG, __VA_ARGS__)
#ifdef __cplusplus
}
#endif
#endif
