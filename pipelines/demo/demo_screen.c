#include "pipelines/demo/demo_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/instant.h"

enum { PLAIN_EVERY_US = 5000000, RATE_EVERY_US = 500000, COLUMNS_DEFAULT = 100, LINE_BYTES = 512 };
#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define RED   "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

void oz_demo_screen_init(struct oz_demo_screen *screen, double for_seconds)
{
    const char *term = getenv("TERM");
    memset(screen, 0, sizeof *screen);
    screen->on_terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb");
    screen->colours = screen->on_terminal && !getenv("NO_COLOR");
    screen->for_seconds = for_seconds;
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < 40) return COLUMNS_DEFAULT;
    return size.ws_col;
}

/* One line, cut at the terminal's edge, with a colour around all of it. */
static void line(struct oz_demo_screen *screen, const char *colour, const char *fmt, ...)
    OZ_PRINTF(3, 4);
static void line(struct oz_demo_screen *screen, const char *colour, const char *fmt, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bool coloured = screen->colours && colour;
    printf("%s%.*s%s%s\n", coloured ? colour : "", screen->on_terminal ? columns() - 1 : LINE_BYTES,
           text, coloured ? PLAIN : "", screen->on_terminal ? "\033[K" : "");
    screen->n_lines++;
}

static void measure(struct oz_demo_screen *screen, struct oz_demo_board *board)
{
    int64_t now = oz_monotonic_us();
    if (now - screen->last_us < RATE_EVERY_US) return;
    uint64_t scored = atomic_load(&board->scored);
    if (screen->last_us)
        screen->events_per_second =
            (double)(scored - screen->last_scored) * 1e6 / (double)(now - screen->last_us);
    screen->last_us = now;
    screen->last_scored = scored;
}

struct latencies {
    double p50_ms, p99_ms;
};

static struct latencies latencies(struct oz_demo_board *board)
{
    pthread_mutex_lock(&board->mutex);
    struct latencies l = {(double)oz_histogram_quantile(&board->latency, 0.5) / 1e3,
                          (double)oz_histogram_quantile(&board->latency, 0.99) / 1e3};
    pthread_mutex_unlock(&board->mutex);
    return l;
}

static double percent(uint64_t part, uint64_t all)
{
    return all ? 100.0 * (double)part / (double)all : 0;
}

static void say_plain(struct oz_demo_screen *screen, struct oz_demo_board *board, double seconds)
{
    char day[OZ_INSTANT_BYTES_MAX];
    int64_t now = oz_monotonic_us();
    if (now - screen->said_us < PLAIN_EVERY_US) return;
    screen->said_us = now;
    struct latencies l = latencies(board);
    oz_format_instant(day, (int64_t)atomic_load(&board->simulated_us));
    line(screen, NULL,
         "%4.0f s  %.10s  %7.0f events/s  p50 %.1f ms  p99 %.1f ms  alerts %llu  frauds caught "
         "%llu of %llu",
         seconds, day, screen->events_per_second, l.p50_ms, l.p99_ms,
         (unsigned long long)atomic_load(&board->alerts),
         (unsigned long long)atomic_load(&board->frauds_caught),
         (unsigned long long)atomic_load(&board->frauds));
    fflush(stdout);
}

static void bar(char *to, size_t cap, double share)
{
    static const char full[] = "########################################";
    static const char empty[] = "........................................";
    int n = (int)(OZ_MIN(OZ_MAX(share, 0), 1) * 40);
    snprintf(to, cap, "%.*s%.*s", n, full, 40 - n, empty);
}

static void draw_alerts(struct oz_demo_screen *screen, struct oz_demo_board *board)
{
    struct oz_demo_alert alert[OZ_DEMO_ALERTS];
    pthread_mutex_lock(&board->mutex);
    size_t n = board->n_alerts;
    memcpy(alert, board->alert, sizeof alert);
    pthread_mutex_unlock(&board->mutex);
    line(screen, BOLD, "  %-19s %-8s %-8s %9s %6s  %-5s %s", "alert at", "customer", "terminal",
         "amount", "score", "truth", "farthest from training");
    for (size_t i = 0; i < OZ_DEMO_ALERTS; i++) {
        if (i >= n) {
            line(screen, NULL, " ");
            continue;
        }
        line(screen, alert[i].fraud ? RED : NULL, "  %-19.19s %-8.8s %-8.8s %9.9s %6.3f  %-5s %s",
             alert[i].time, alert[i].customer, alert[i].terminal, alert[i].amount, alert[i].score,
             alert[i].fraud ? "fraud" : "-", alert[i].why);
    }
}

void oz_demo_screen_draw(struct oz_demo_screen *screen, struct oz_demo_board *board, double seconds)
{
    char day[OZ_INSTANT_BYTES_MAX], progress[96];
    measure(screen, board);
    if (!screen->on_terminal) {
        say_plain(screen, board, seconds);
        return;
    }
    if (screen->n_lines) printf("\033[%dA", screen->n_lines);
    screen->n_lines = 0;
    struct latencies l = latencies(board);
    uint64_t alerts = atomic_load(&board->alerts), on = atomic_load(&board->alerts_on_fraud);
    uint64_t frauds = atomic_load(&board->frauds), caught = atomic_load(&board->frauds_caught);
    oz_format_instant(day, (int64_t)atomic_load(&board->simulated_us));
    line(screen, BOLD, "ouzel: card fraud, at least once, on a broker inside this process");
    if (screen->for_seconds > 0) {
        bar(progress, sizeof progress, seconds / screen->for_seconds);
        line(screen, DIM, "  [%s] %3.0f of %.0f s, simulated time %.16s", progress, seconds,
             screen->for_seconds, day);
    } else
        line(screen, DIM, "  %.0f s, simulated time %.16s; Ctrl-C ends it", seconds, day);
    line(screen, GREEN, "  %9.0f events/s   latency p50 %.1f ms, p99 %.1f ms   scored %llu",
         screen->events_per_second, l.p50_ms, l.p99_ms,
         (unsigned long long)atomic_load(&board->scored));
    line(screen, NULL,
         "  alerts %llu, on true frauds %llu (%.0f %%)   true frauds %llu, caught %llu "
         "(%.0f %%)",
         (unsigned long long)alerts, (unsigned long long)on, percent(on, alerts),
         (unsigned long long)frauds, (unsigned long long)caught, percent(caught, frauds));
    line(screen, NULL, " ");
    draw_alerts(screen, board);
    fflush(stdout);
}

void oz_demo_screen_summary(struct oz_demo_screen *screen, struct oz_demo_board *board,
                            double seconds, const char *folder)
{
    uint64_t alerts = atomic_load(&board->alerts), on = atomic_load(&board->alerts_on_fraud);
    uint64_t frauds = atomic_load(&board->frauds), caught = atomic_load(&board->frauds_caught);
    uint64_t scored = atomic_load(&board->scored), held = 0;
    struct latencies l = latencies(board);
    const struct oz_runner_stats *run = &board->runner;
    for (int r = 0; r < OZ_RULES_MAX; r++) held += run->outputs.suppressed[r];
    printf("\n");
    line(screen, BOLD, "Summary");
    line(screen, NULL,
         "  events       %llu scored in %.0f s (%.0f/s), %llu labels, %llu late, %llu "
         "repeats, %llu dead letters",
         (unsigned long long)scored, seconds, seconds > 0 ? (double)scored / seconds : 0,
         (unsigned long long)atomic_load(&board->sent_labels),
         (unsigned long long)run->engine.late_events, (unsigned long long)run->engine.duplicates,
         (unsigned long long)run->engine.dead);
    line(screen, NULL, "  latency      p50 %.1f ms, p99 %.1f ms, from produced to score received",
         l.p50_ms, l.p99_ms);
    line(screen, NULL,
         "  alerts       %llu, %llu of them on true frauds (%.0f %%); %llu held back by "
         "suppression",
         (unsigned long long)alerts, (unsigned long long)on, percent(on, alerts),
         (unsigned long long)held);
    line(screen, NULL, "  true frauds  %llu, caught %llu (%.0f %%)", (unsigned long long)frauds,
         (unsigned long long)caught, percent(caught, frauds));
    line(screen, NULL, "  rows         %llu in memory",
         (unsigned long long)run->engine.rows_in_memory);
    line(screen, NULL, "  folder       %s (remove it when you are done)", folder);
    fflush(stdout);
}
