/* What a fallible function returns, and what it tells about the failure.
 * Every such function returns enum oz_status and takes `struct oz_error *err` last (NULL-safe).
 * Ownership: the error belongs to the caller and has a fixed size; filling it allocates nothing.
 * Errors carry an action, so that a caller decides by what to do and not by a list of codes. */
#ifndef OZ_BASE_STATUS_H
#define OZ_BASE_STATUS_H
#include "base/base.h"

enum oz_action {
    OZ_ACTION_NONE,
    OZ_ACTION_RETRY, /* the same call again; the outcome is unknown until it answers otherwise */
    OZ_ACTION_SKIP_RECORD, /* the record goes to the dead letters, the batch goes on */
    OZ_ACTION_ABORT_EPOCH, /* throw the epoch away and read its records again */
    OZ_ACTION_FATAL        /* end with the status's exit code */
};

/* name, text, action, exit code of a process that ends with it */
#define OZ_STATUS_MAP(X)                                                                           \
    X(OK, "ok", NONE, 0)                                                                           \
    X(FOUND, "a check found something", FATAL, 1)                                                  \
    X(USAGE, "wrong usage", FATAL, 2)                                                              \
    X(CONFIG, "the pipeline file is wrong", FATAL, 3)                                              \
    X(ENVIRONMENT, "the environment is not as needed", FATAL, 4)                                   \
    X(STATE, "the state is locked or does not fit", FATAL, 5)                                      \
    X(CORRUPT, "stored bytes are damaged", FATAL, 5)                                               \
    X(MODEL, "the model was refused", FATAL, 6)                                                    \
    X(NO_MEMORY, "out of memory", FATAL, 7)                                                        \
    X(IO, "input or output failed", FATAL, 7)                                                      \
    X(BROKER, "the broker refused", FATAL, 7)                                                      \
    X(FENCED, "another process took over", FATAL, 7)                                               \
    X(LOST, "data is gone that a restart cannot bring back", FATAL, 8)                             \
    X(FLOOD, "too many records are dead letters", FATAL, 8)                                        \
    X(DEFECT, "a defect of ours", FATAL, 70)                                                       \
    X(RECORD, "the record is not as declared", SKIP_RECORD, 1)                                     \
    X(RETRY, "not now", RETRY, 7)                                                                  \
    X(ABORT, "the transaction must be aborted", ABORT_EPOCH, 7)

enum oz_status {
#define X(name, text, action, exit_code) OZ_##name,
    OZ_STATUS_MAP(X)
#undef X
        OZ_STATUS_COUNT
};

enum { OZ_ERROR_MESSAGE_BYTES = 768, OZ_ERROR_WHERE_BYTES = 256 };

struct oz_error {
    enum oz_status status;
    char where[OZ_ERROR_WHERE_BYTES];     /* file:line:column, or empty */
    char message[OZ_ERROR_MESSAGE_BYTES]; /* what is wrong and what to do, without a full stop */
};

#ifdef __cplusplus
extern "C" {
#endif
const char *oz_status_text(enum oz_status status);
enum oz_action oz_status_action(enum oz_status status);
int oz_status_exit_code(enum oz_status status);

/* Fills *err (when not NULL) and returns `status`. Longer messages are cut. */
enum oz_status oz_error_set(struct oz_error *err, enum oz_status status, const char *fmt, ...)
    OZ_PRINTF(3, 4);
/* The same with a place in a file; line and column count from 1, 0 leaves them out. */
enum oz_status oz_error_set_at(struct oz_error *err, enum oz_status status, const char *file,
                               int line, int column, const char *fmt, ...) OZ_PRINTF(6, 7);
/* Puts words in front of the message, as "words: message". Returns err's status; OZ_DEFECT
 * for NULL, so without an error forward the status itself. */
enum oz_status oz_error_prefix(struct oz_error *err, const char *fmt, ...) OZ_PRINTF(2, 3);
#ifdef __cplusplus
}
#endif

#define OZ_TRY(call)                                                                               \
    do {                                                                                           \
        enum oz_status oz_try_ = (call);                                                           \
        if (OZ_UNLIKELY(oz_try_ != OZ_OK)) return oz_try_;                                         \
    } while (0)
/* Inside a function with a forward label `out:` and a variable `enum oz_status status`. */
#define OZ_TRY_OUT(call)                                                                           \
    do {                                                                                           \
        status = (call);                                                                           \
        if (OZ_UNLIKELY(status != OZ_OK)) goto out;                                                \
    } while (0)
#define OZ_FAIL(err, status, ...) return oz_error_set((err), (status), __VA_ARGS__)
#endif
