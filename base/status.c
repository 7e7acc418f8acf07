#include "base/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    enum oz_action action;
    int exit_code;
} statuses[OZ_STATUS_COUNT] = {
#define X(name, text, action, exit_code) [OZ_##name] = {text, OZ_ACTION_##action, exit_code},
    OZ_STATUS_MAP(X)
#undef X
};

const char *oz_status_text(enum oz_status status)
{
    OZ_ASSERT((unsigned)status < OZ_STATUS_COUNT);
    return statuses[status].text;
}

enum oz_action oz_status_action(enum oz_status status)
{
    OZ_ASSERT((unsigned)status < OZ_STATUS_COUNT);
    return statuses[status].action;
}

int oz_status_exit_code(enum oz_status status)
{
    OZ_ASSERT((unsigned)status < OZ_STATUS_COUNT);
    return statuses[status].exit_code;
}

/* By way of a second buffer, because the arguments may lie in err itself. */
static void set_message(struct oz_error *err, enum oz_status status, const char *fmt, va_list args)
{
    char text[OZ_ERROR_MESSAGE_BYTES];
    if (vsnprintf(text, sizeof(text), fmt, args) < 0) text[0] = '\0';
    memcpy(err->message, text, strlen(text) + 1);
    err->status = status;
}

enum oz_status oz_error_set(struct oz_error *err, enum oz_status status, const char *fmt, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, fmt);
    set_message(err, status, fmt, args);
    va_end(args);
    err->where[0] = '\0';
    return status;
}

enum oz_status oz_error_set_at(struct oz_error *err, enum oz_status status, const char *file,
                               int line, int column, const char *fmt, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, fmt);
    set_message(err, status, fmt, args);
    va_end(args);
    char where[OZ_ERROR_WHERE_BYTES];
    int n;
    if (line > 0 && column > 0)
        n = snprintf(where, sizeof(where), "%s:%d:%d", file, line, column);
    else if (line > 0)
        n = snprintf(where, sizeof(where), "%s:%d", file, line);
    else
        n = snprintf(where, sizeof(where), "%s", file);
    if (n < 0) where[0] = '\0';
    memcpy(err->where, where, strlen(where) + 1);
    return status;
}

/* Adds what fits of s; returns the new length. */
static size_t append(char text[OZ_ERROR_MESSAGE_BYTES], size_t len, const char *s)
{
    size_t n = OZ_MIN(strlen(s), (size_t)OZ_ERROR_MESSAGE_BYTES - 1 - len);
    memcpy(text + len, s, n);
    text[len + n] = '\0';
    return len + n;
}

enum oz_status oz_error_prefix(struct oz_error *err, const char *fmt, ...)
{
    if (!err) return OZ_DEFECT;
    char text[OZ_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0) return err->status;
    size_t len = OZ_MIN((size_t)n, sizeof(text) - 1);
    len = append(text, len, ": ");
    len = append(text, len, err->message);
    memcpy(err->message, text, len + 1);
    return err->status;
}
