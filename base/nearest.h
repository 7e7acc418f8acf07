/* The known name that a misspelt word was meant to be, for "did you mean".
 * Measure: insertions, deletions, changes and swaps of neighbours, each counted 1; letter case
 * counts nothing. A name is near when it is no farther than a third of the word's length, at
 * least 1.
 * Source: the optimal string alignment distance (Damerau 1964, restricted). */
#ifndef OZ_BASE_NEAREST_H
#define OZ_BASE_NEAREST_H
#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif
/* The nearest of `names`, the first of equals, or NULL: none is near. */
const char *oz_nearest(const char *word, size_t len, const char *const *names, size_t n);
#ifdef __cplusplus
}
#endif
#endif
