#include "features/row_bytes.h"

void oz_buf_double(struct oz_buf *buf, double v)
{
    double cents = fabs(v) < 0x1p43 ? nearbyint(v * 100) : NAN;
    if (cents / 100 == v) {
        oz_buf_varint(buf, oz_zigzag((int64_t)cents) << 1);
    } else {
        oz_buf_put_u8(buf, 1);
        oz_buf_put(buf, &v, sizeof v);
    }
}

double oz_read_double(struct oz_row_reader *r)
{
    uint64_t x = oz_read_varint(r);
    if (!(x & 1)) return (double)oz_unzigzag(x >> 1) / 100;
    r->bad |= x != 1;
    return oz_double_of(oz_read_u64(r));
}

enum { FIX_BYTES = 8 * OZ_FIX_LIMBS };

void oz_buf_fix(struct oz_buf *buf, const uint64_t *fix)
{
    uint8_t bytes[FIX_BYTES];
    memcpy(bytes, fix, FIX_BYTES);
    uint8_t sign = bytes[FIX_BYTES - 1] & 0x80 ? 0xff : 0;
    unsigned low = 0, high = FIX_BYTES;
    while (low < FIX_BYTES && !bytes[low]) low++;
    while (high > low && bytes[high - 1] == sign &&
           (high - 1 == low || !((bytes[high - 2] ^ sign) & 0x80)))
        high--;
    if (high == low && sign) high++;
    oz_buf_put_u8(buf, (uint8_t)low);
    oz_buf_put_u8(buf, (uint8_t)(high - low));
    oz_buf_put(buf, bytes + low, high - low);
}

void oz_read_fix(struct oz_row_reader *r, uint64_t *ret_fix)
{
    uint8_t bytes[FIX_BYTES] = {0};
    unsigned low = oz_read_u8(r), n = oz_read_u8(r);
    if (low + n > FIX_BYTES) {
        r->bad = true;
        n = 0;
    }
    const uint8_t *from = oz_read_bytes(r, n);
    if (n) {
        memcpy(bytes + low, from, n);
        if (bytes[low + n - 1] & 0x80) memset(bytes + low + n, 0xff, FIX_BYTES - low - n);
    }
    memcpy(ret_fix, bytes, FIX_BYTES);
}
