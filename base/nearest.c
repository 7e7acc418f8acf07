#include "base/nearest.h"
#include <string.h>

enum { WORD_BYTES_MAX = 128 }; /* longer ones are no slip of the finger */

static inline char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

/* The table of all pairs of prefixes; three rows are alive: this one and the two before. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            unsigned best = above[j - 1] + (x != y);
            best = OZ_MIN(best, above[j] + 1);
            best = OZ_MIN(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                best = OZ_MIN(best, rows[(i + 1) % 3][j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *oz_nearest(const char *word, size_t len, const char *const *names, size_t n)
{
    if (len == 0 || len > WORD_BYTES_MAX) return NULL;
    const char *nearest = NULL;
    size_t limit = OZ_MAX(len / 3, (size_t)1);
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        size_t apart = name_len > len ? name_len - len : len - name_len;
        if (name_len > WORD_BYTES_MAX || apart > limit) continue;
        unsigned d = distance(word, len, names[i], name_len);
        if (d > limit) continue;
        nearest = names[i];
        if (d == 0) break;
        limit = d - 1; /* only a nearer one replaces it */
    }
    return nearest;
}
