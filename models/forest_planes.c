#include "models/forest_planes.h"
#include <math.h>
#include <stdlib.h>
#include "base/hash.h"

void oz_forest_planes_clear(struct oz_forest_planes *planes)
{
    oz_free(planes->slot);
    oz_free(planes->value);
    *planes = (struct oz_forest_planes){0};
}

/* NaN before all numbers. */
static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y)) return (int)isnan(y) - (int)isnan(x);
    return (x > y) - (x < y);
}

/* Sorted, each value once, zero without a sign. */
static size_t tidy_set(double *set, size_t n)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) set[i] += 0.0;
    if (n > 1) qsort(set, n, sizeof *set, compare_values);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || compare_values(&set[n_kept - 1], &set[i])) set[n_kept++] = set[i];
    return n_kept;
}

static uint64_t hash_of(const struct oz_forest_plane *plane, const double *set, size_t n_set)
{
    uint32_t words[5] = {plane->feature, (uint32_t)plane->nan_key,
                         (uint32_t)plane->kind << 8 | plane->rounding, plane->source,
                         (uint32_t)n_set};
    uint64_t hash = oz_hash64(words, sizeof words);
    return n_set ? hash * 31 + oz_hash64(set, n_set * sizeof *set) : hash;
}

static bool is_equal(const struct oz_forest_planes *planes, const struct oz_forest_plane *plane,
                     const struct oz_forest_plane *wanted, const double *set, size_t n_set)
{
    return plane->feature == wanted->feature && plane->nan_key == wanted->nan_key &&
           plane->kind == wanted->kind && plane->rounding == wanted->rounding &&
           plane->source == wanted->source && plane->n == n_set &&
           (n_set == 0 || !memcmp(planes->value + plane->first, set, n_set * sizeof *set));
}

static uint32_t *slot_for(const struct oz_forest_planes *planes, const struct oz_forest *forest,
                          const struct oz_forest_plane *wanted, const double *set, size_t n_set)
{
    size_t at = hash_of(wanted, set, n_set) & (planes->n_slots - 1);
    while (planes->slot[at] &&
           !is_equal(planes, &forest->plane[planes->slot[at] - 1], wanted, set, n_set))
        at = (at + 1) & (planes->n_slots - 1);
    return &planes->slot[at];
}

/* At most half full, so that a search ends. */
static enum oz_status make_room(struct oz_forest_planes *planes, const struct oz_forest *forest,
                                struct oz_error *err)
{
    if (planes->n_slots > (size_t)forest->n_planes * 2 + 2) return OZ_OK;
    size_t n_slots = planes->n_slots ? planes->n_slots * 2 : 64;
    uint32_t *slot = oz_calloc(n_slots, sizeof *slot);
    if (!slot) return oz_no_memory(err);
    oz_free(planes->slot);
    planes->slot = slot;
    planes->n_slots = n_slots;
    for (uint32_t p = 0; p < forest->n_planes; p++) {
        const struct oz_forest_plane *plane = &forest->plane[p];
        const double *set = plane->n ? planes->value + plane->first : NULL;
        *slot_for(planes, forest, plane, set, plane->n) = p + 1;
    }
    return OZ_OK;
}

enum oz_status oz_forest_plane_for(struct oz_forest_planes *planes, struct oz_forest *forest,
                                   const struct oz_forest_plane *wanted, double *set, size_t n_set,
                                   uint32_t *ret_plane, struct oz_error *err)
{
    OZ_TRY(make_room(planes, forest, err));
    n_set = tidy_set(set, n_set);
    uint32_t *slot = slot_for(planes, forest, wanted, set, n_set);
    if (!*slot) {
        if (forest->n_planes >= OZ_FOREST_PLANES_MAX)
            OZ_FAIL(err, OZ_MODEL,
                    "the trees test more than %d different pairs of a feature and a set of values",
                    OZ_FOREST_PLANES_MAX);
        if (n_set > UINT32_MAX - forest->n_members)
            OZ_FAIL(err, OZ_MODEL, "the sets of values have more than %u members", UINT32_MAX);
        OZ_TRY(oz_grow((void **)&forest->plane, &planes->cap_planes, forest->n_planes + 1,
                       sizeof *forest->plane, err));
        OZ_TRY(oz_grow((void **)&planes->value, &planes->cap_values, forest->n_members + n_set,
                       sizeof *planes->value, err));
        if (n_set) memcpy(planes->value + forest->n_members, set, n_set * sizeof *set);
        struct oz_forest_plane *plane = &forest->plane[forest->n_planes++];
        *plane = *wanted;
        plane->first = n_set ? forest->n_members : 0;
        plane->n = (uint32_t)n_set;
        forest->n_members += (uint32_t)n_set;
        *slot = forest->n_planes;
    }
    *ret_plane = *slot - 1;
    return OZ_OK;
}

static int compare_cuts(const void *a, const void *b)
{
    const struct oz_forest_cut *x = a, *y = b;
    if (x->feature != y->feature) return x->feature < y->feature ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

enum oz_status oz_forest_planes_rank(const struct oz_forest_planes *planes,
                                     struct oz_forest *forest, struct oz_forest_cut *cut,
                                     size_t n_cuts, struct oz_error *err)
{
    for (uint32_t p = 0; p < forest->n_planes; p++)
        for (uint32_t i = 0;
             forest->plane[p].kind == OZ_FOREST_PLANE_MEMBERS && i < forest->plane[p].n; i++) {
            double value = planes->value[forest->plane[p].first + i];
            if (!isnan(value))
                cut[n_cuts++] = (struct oz_forest_cut){value, forest->plane[p].feature};
        }
    if (n_cuts > 1) qsort(cut, n_cuts, sizeof *cut, compare_cuts);
    size_t n = 0;
    for (size_t i = 0; i < n_cuts; i++)
        if (i == 0 || compare_cuts(&cut[n - 1], &cut[i])) cut[n++] = cut[i];
    forest->threshold = oz_calloc(OZ_MAX(n, 1), sizeof *forest->threshold);
    if (!forest->threshold) return oz_no_memory(err);
    forest->n_thresholds = (uint32_t)n;
    for (size_t i = 0; i < n; i++) forest->threshold[i] = cut[i].value;
    for (uint32_t p = 0; p < forest->n_planes; p++) {
        struct oz_forest_plane *plane = &forest->plane[p];
        if (plane->kind != OZ_FOREST_PLANE_RANKS) continue;
        size_t low = 0, high = n; /* the feature's first cut */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (cut[middle].feature < plane->feature)
                low = middle + 1;
            else
                high = middle;
        }
        plane->first = (uint32_t)low;
        while (low < n && cut[low].feature == plane->feature) low++;
        plane->n = (uint32_t)low - plane->first;
    }
    return OZ_OK;
}

uint32_t oz_forest_rank_of(const struct oz_forest *forest, const struct oz_forest_plane *plane,
                           double value)
{
    uint32_t low = plane->first, high = plane->first + plane->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (forest->threshold[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low - plane->first;
}

enum oz_status oz_forest_planes_finish(const struct oz_forest_planes *planes,
                                       struct oz_forest *forest, struct oz_error *err)
{
    if (!forest->n_members) return OZ_OK;
    forest->member = oz_calloc(forest->n_members, sizeof *forest->member);
    if (!forest->member) return oz_no_memory(err);
    for (uint32_t p = 0; p < forest->n_planes; p++) {
        const struct oz_forest_plane *plane = &forest->plane[p];
        if (plane->kind != OZ_FOREST_PLANE_MEMBERS) continue;
        const struct oz_forest_plane *source = &forest->plane[plane->source];
        for (uint32_t i = plane->first; i < plane->first + plane->n; i++) {
            double value = planes->value[i];
            forest->member[i] = isnan(value) ? OZ_FOREST_KEY_NAN_LOW
                                : source->kind == OZ_FOREST_PLANE_RANKS
                                    ? (int32_t)(2 * oz_forest_rank_of(forest, source, value) + 1)
                                    : oz_forest_key((float)value);
        }
    }
    return OZ_OK;
}
