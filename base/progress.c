#include "base/progress.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { REDRAW_US = 100000, COLUMNS_DEFAULT = 80, BAR_CELLS_MAX = 40, BAR_CELLS_MIN = 5 };

/* Three digits and a letter: 999, 12.3k, 4.56M. */
static void put_count(char to[16], double n)
{
    static const char letters[] = " kMGTPE";
    int i = 0;
    for (; n >= 999.5 && letters[i + 1]; i++) n /= 1000;
    if (i == 0)
        snprintf(to, 16, "%.0f", n);
    else
        snprintf(to, 16, "%.*f%c", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, letters[i]);
}

static void put_time_left(char to[24], double seconds)
{
    to[0] = '\0';
    if (seconds > 1000 * 86400.0) return; /* a guess like that helps nobody */
    if (seconds >= 360000)
        snprintf(to, 24, "%.0fd left", seconds / 86400);
    else if (seconds >= 3600)
        snprintf(to, 24, "%dh%02dm left", (int)seconds / 3600, (int)seconds / 60 % 60);
    else
        snprintf(to, 24, "%d:%02d left", (int)seconds / 60, (int)seconds % 60);
}

/* Writes into `to` the bar that fits into `cells`, or nothing. */
static void put_bar(char to[BAR_CELLS_MAX + 4], double part, int cells)
{
    to[0] = '\0';
    if (cells < BAR_CELLS_MIN) return;
    cells = OZ_MIN(cells, (int)BAR_CELLS_MAX);
    int full = (int)(part * cells);
    to[0] = '[';
    for (int i = 0; i < cells; i++) to[1 + i] = i < full ? '#' : '.';
    to[1 + cells] = ']', to[2 + cells] = ' ', to[3 + cells] = '\0';
}

size_t oz_progress_format(const struct oz_progress *progress, int64_t elapsed_us, int columns,
                          char to[OZ_PROGRESS_BYTES_MAX])
{
    char rate_text[16], done_text[16], left_text[24] = "", bar[BAR_CELLS_MAX + 4], tail[96];
    double done = (double)progress->done, total = (double)progress->total;
    double rate = elapsed_us > 0 ? done * 1e6 / (double)elapsed_us : 0;
    double part = total > 0 ? OZ_MIN(done / total, 1.0) : 0;
    put_count(rate_text, rate);
    put_count(done_text, done);
    if (total > 0 && rate > 0) put_time_left(left_text, OZ_MAX(total - done, 0.0) / rate);
    if (total > 0)
        snprintf(tail, sizeof(tail), "%3d%%  %s %.24s/s  %s", (int)(part * 100), rate_text,
                 progress->unit, left_text);
    else
        snprintf(tail, sizeof(tail), "%s %.24s  %s/s", done_text, progress->unit, rate_text);

    int label_len = (int)strnlen(progress->label, 40);
    int room =
        OZ_MIN(columns, (int)OZ_PROGRESS_BYTES_MAX) - 1 - label_len - 1 - 3 - (int)strlen(tail);
    put_bar(bar, part, total > 0 ? room : 0);
    int n = snprintf(to, OZ_PROGRESS_BYTES_MAX, "%.*s %s%s", label_len, progress->label, bar, tail);
    size_t len = n < 0 ? 0 : (size_t)n, width = columns > 1 ? (size_t)columns - 1 : 0;
    while (len && to[len - 1] == ' ') len--;
    if (len > width) len = width; /* a longer line would wrap and could not be redrawn */
    to[len] = '\0';
    return len;
}

static int terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return COLUMNS_DEFAULT;
}

static void put_line(const char *text, size_t len)
{
    char line[OZ_PROGRESS_BYTES_MAX + 8] = "\r\033[K";
    memcpy(line + 4, text, len);
    ssize_t written = write(STDERR_FILENO, line, 4 + len); /* in one piece, as log lines are */
    (void)written;
}

void oz_progress_init(struct oz_progress *progress, const char *label, uint64_t total,
                      const char *unit)
{
    *progress = (struct oz_progress){.label = label, .unit = unit, .total = total};
    progress->on_terminal = isatty(STDERR_FILENO);
    progress->start_us = progress->on_terminal ? oz_monotonic_us() : 0;
}

void oz_progress_set(struct oz_progress *progress, uint64_t done)
{
    progress->done = done;
    if (!progress->on_terminal) return;
    int64_t now_us = oz_monotonic_us();
    if (progress->drawn_us && now_us - progress->drawn_us < REDRAW_US) return;
    progress->drawn_us = now_us;
    char text[OZ_PROGRESS_BYTES_MAX];
    size_t len =
        oz_progress_format(progress, now_us - progress->start_us, terminal_columns(), text);
    oz_log_over_line(true);
    put_line(text, len);
}

void oz_progress_done(struct oz_progress *progress)
{
    if (!progress->on_terminal) return;
    progress->on_terminal = false;
    if (!progress->drawn_us) return;
    oz_log_over_line(false);
    put_line("", 0);
}
