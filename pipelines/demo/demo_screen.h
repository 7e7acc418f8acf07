/* The demo's picture: a part of the terminal that is drawn again and again; without a terminal a
 * plain line now and then. Colours on a terminal only, and not with NO_COLOR set. */
#ifndef OZ_PIPELINES_DEMO_DEMO_SCREEN_H
#define OZ_PIPELINES_DEMO_DEMO_SCREEN_H
#include "pipelines/demo/demo_board.h"

struct oz_demo_screen {
    bool on_terminal, colours;
    int n_lines; /* drawn last time */
    int64_t said_us, last_us;
    uint64_t last_scored;
    double events_per_second;
    double for_seconds; /* 0: for ever */
};
void oz_demo_screen_init(struct oz_demo_screen *screen, double for_seconds);
void oz_demo_screen_draw(struct oz_demo_screen *screen, struct oz_demo_board *board,
                         double seconds);
/* The last word: the same on a terminal and without. */
void oz_demo_screen_summary(struct oz_demo_screen *screen, struct oz_demo_board *board,
                            double seconds, const char *folder);
#endif
