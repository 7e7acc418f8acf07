#include "base/log.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/json_writer.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES_MAX = 4096 };

static _Atomic int level_max = OZ_LOG_INFO;
static _Atomic int line_format = OZ_LOG_TEXT;
static _Atomic bool over_line;

/* Guards what is below, and that one line is out before the next one starts. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct oz_buf line_buf; /* kept, so that a warm log allocates nothing */
static void (*redirect)(void *ctx, const char *text, size_t len);
static void *redirect_ctx;

static const char *const level_names[] = {
    [OZ_LOG_ERROR] = "error", [OZ_LOG_WARN] = "warn",   [OZ_LOG_INFO] = "info",
    [OZ_LOG_DEBUG] = "debug", [OZ_LOG_TRACE] = "trace",
};

void oz_log_setup(enum oz_log_level level, enum oz_log_format format)
{
    atomic_store(&level_max, (int)level);
    atomic_store(&line_format, (int)format);
}

bool oz_log_enabled(enum oz_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

const char *oz_log_level_name(enum oz_log_level level)
{
    OZ_ASSERT((unsigned)level < OZ_COUNT_OF(level_names));
    return level_names[level];
}

void oz_log_redirect(void (*line)(void *ctx, const char *text, size_t len), void *ctx)
{
    pthread_mutex_lock(&mutex);
    redirect = line, redirect_ctx = ctx;
    pthread_mutex_unlock(&mutex);
}

void oz_log_over_line(bool standing) { atomic_store(&over_line, standing); }

static void write_all(const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* there is nowhere to complain */
        text += n, len -= (size_t)n;
    }
}

static void put_text(struct oz_buf *buf, int64_t now_us, enum oz_log_level level, char *message)
{
    char time[OZ_INSTANT_BYTES_MAX];
    oz_format_instant(time, now_us);
    for (char *c = message; *c; c++)
        if ((uint8_t)*c < 0x20 || *c == 0x7f) *c = ' ';
    oz_buf_printf(buf, "%s %-5s %s", time, level_names[level], message);
}

static void put_json(struct oz_buf *buf, int64_t now_us, enum oz_log_level level,
                     const char *message)
{
    struct oz_json json;
    oz_json_init(&json, buf);
    oz_json_open(&json, '{');
    oz_json_key(&json, "time");
    oz_json_instant(&json, now_us);
    oz_json_key(&json, "level");
    oz_json_cstring(&json, level_names[level]);
    oz_json_key(&json, "message");
    oz_json_cstring(&json, message);
    oz_json_close(&json, '}');
}

static void write_line(int64_t now_us, enum oz_log_level level, char *message)
{
    static const char erase[] = "\r\033[K"; /* the standing line draws itself again */
    bool over = !redirect && atomic_load(&over_line);
    oz_buf_reset(&line_buf);
    if (over) oz_buf_puts(&line_buf, erase);
    if (atomic_load(&line_format) == OZ_LOG_JSON)
        put_json(&line_buf, now_us, level, message);
    else
        put_text(&line_buf, now_us, level, message);
    if (redirect) {
        if (!line_buf.failed) redirect(redirect_ctx, (const char *)line_buf.data, line_buf.len);
        return;
    }
    oz_buf_put_u8(&line_buf, '\n');
    if (!line_buf.failed)
        write_all((const char *)line_buf.data, line_buf.len);
    else { /* no memory for the line: the bare message is better than none */
        write_all(message, strlen(message));
        write_all("\n", 1);
    }
}

void oz_log(enum oz_log_level level, const char *fmt, ...)
{
    if (!oz_log_enabled(level)) return;
    int saved_errno = errno;
    char message[MESSAGE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (n < 0) message[0] = '\0';
    size_t len = strlen(message);
    while (len && (message[len - 1] == '\n' || message[len - 1] == '\r')) message[--len] = '\0';

    pthread_mutex_lock(&mutex);
    write_line(oz_wall_us(), level, message);
    pthread_mutex_unlock(&mutex);
    errno = saved_errno;
}
