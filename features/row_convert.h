/* Rows that an older definition wrote, read by the present one.
 *
 * A value is known by its text and a ring by its source, so a column goes to where the new layout
 * has it. What has no place any more is dropped; what the old events lack is null (0 where it
 * cannot be null), and the row says since when it is whole (features/row_since.h).
 *   same columns   only the windows differ: the bytes are read as they are
 *   others         every event of the row is read once and put into a row of the new layout; with
 *                  its first change all parts of it are written anew, so a row's parts are always
 *                  of one set of columns
 * Ownership: readings live in the arena they were made in. Threads: made before rows are read.
 * Errors: OZ_CORRUPT as features/row.h. */
#ifndef OZ_FEATURES_ROW_CONVERT_H
#define OZ_FEATURES_ROW_CONVERT_H
#include "features/row_layout.h"
#include "state/row_kind.h"

/* A layout and the names that what is in it goes by. */
struct oz_named_layout {
    const struct oz_row_layout *layout;
    const char *source[OZ_SOURCES_MAX];
    const char *value[OZ_SOURCES_MAX][OZ_RING_VALUES_MAX]; /* canonical texts */
    const char *rule[OZ_RULES_MAX];                        /* of each suppression slot */
};

/* How rows of one older layout are read. Numbers of the old layout; -1: not there. */
struct oz_row_reading {
    const struct oz_row_layout *layout; /* the old one */
    bool same_columns;
    int16_t ring[OZ_SOURCES_MAX];                      /* [new rings] */
    int16_t value[OZ_SOURCES_MAX][OZ_RING_VALUES_MAX]; /* [new rings][new values] */
    int16_t slot[OZ_RULES_MAX];                        /* [old suppression slots]: the new one */
};

/* Whether the parts of a row have the same bytes by both. */
bool oz_named_layout_same_columns(const struct oz_named_layout *a, const struct oz_named_layout *b);
enum oz_status oz_row_reading_new(const struct oz_named_layout *older,
                                  const struct oz_named_layout *own, struct oz_arena *arena,
                                  struct oz_row_reading **ret_reading,
                                  struct oz_error *err) OZ_MUST_USE;

struct oz_row_work;
/* From the main part of an older layout, into a row as after init. */
enum oz_status oz_row_convert(struct oz_row_work *w, const struct oz_row_reading *reading,
                              const uint8_t *payload, size_t len) OZ_MUST_USE;
#endif
