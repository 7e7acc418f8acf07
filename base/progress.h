/* A line on standard error that shows how far a long piece of work is: label, bar, percent, rate
 * and the time that is left. On a terminal only; elsewhere every call does nothing.
 * Threads: one.
 * Ownership: label and unit are borrowed until oz_progress_done(). */
#ifndef OZ_BASE_PROGRESS_H
#define OZ_BASE_PROGRESS_H
#include "base/base.h"

enum { OZ_PROGRESS_BYTES_MAX = 256 };
struct oz_progress {
    const char *label, *unit;
    uint64_t total, done;
    int64_t start_us, drawn_us;
    bool on_terminal;
};

#ifdef __cplusplus
extern "C" {
#endif
/* unit is what is counted, as in "rows"; total 0: not known, so there is no bar. */
void oz_progress_init(struct oz_progress *progress, const char *label, uint64_t total,
                      const char *unit);
/* Cheap enough for every record of a file: draws at most 10 times a second. */
void oz_progress_set(struct oz_progress *progress, uint64_t done);
void oz_progress_done(struct oz_progress *progress); /* takes the line away; twice is fine */
/* The line's text after elapsed_us, without colours and line ends; returns its length. `columns` is
 * the terminal's width. */
size_t oz_progress_format(const struct oz_progress *progress, int64_t elapsed_us, int columns,
                          char to[OZ_PROGRESS_BYTES_MAX]);
#ifdef __cplusplus
}
#endif
#endif
