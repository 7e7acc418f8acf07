#include "state/row_kind.h"

static uint32_t columns_of(const struct oz_row_kind *kind, uint32_t layout)
{
    OZ_ASSERT(layout <= kind->n_older);
    return layout ? kind->older[layout - 1].columns : 0;
}

enum oz_status oz_row_kind_open(const struct oz_row_kind *kind, struct oz_row_io *io, uint32_t part,
                                const uint8_t *value, size_t len, const uint8_t **ret_payload,
                                size_t *ret_len, struct oz_error *err)
{
    uint32_t layout = 0;
    OZ_TRY(oz_part_check(value, len, err));
    uint16_t number = oz_part_layout(value);
    OZ_TRY(oz_part_open(value, len, number, ret_payload, ret_len, err));
    if (number != kind->layout) {
        while (layout < kind->n_older && kind->older[layout].number != number) layout++;
        if (layout++ == kind->n_older)
            OZ_FAIL(
                err, OZ_CORRUPT,
                "it has layout %u, which this pipeline's state has no record of: it was written "
                "by another definition, run that one",
                number);
    }
    if (part == OZ_PART_MAIN) {
        io->layout = layout;
        return OZ_OK;
    }
    if (columns_of(kind, layout) == columns_of(kind, io->layout)) return OZ_OK;
    OZ_FAIL(err, OZ_CORRUPT, "it has the columns of layout %u, and the row's main part others",
            number);
}
