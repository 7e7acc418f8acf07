/* Parts, their keys and offsets records as they come from a changelog or a disk: any bytes give a
 * status and never a read outside of them. The first byte chooses; the rest is put into a block of
 * exactly its size, so that the sanitizer sees the first byte too many. What is accepted must be
 * what was given: a key that parses is written again to the same bytes. */
#include <string.h>
#include "state/sealed.h"
#include "state/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_value(uint8_t *bytes, size_t len, uint16_t layout)
{
    const uint8_t *payload;
    size_t payload_len;
    struct oz_error err;
    if (oz_part_open(bytes, len, layout, &payload, &payload_len, &err) == OZ_OK)
        OZ_ASSERT(payload == bytes + OZ_PART_HEADER_BYTES &&
                  payload_len == len - OZ_PART_HEADER_BYTES &&
                  oz_part_check(bytes, len, NULL) == OZ_OK);
}

static void fuzz_key(const uint8_t *bytes, size_t len)
{
    const char *key;
    uint32_t key_len, part;
    struct oz_error err;
    if (oz_part_key_parse(bytes, len, &key, &key_len, &part, &err)) return;
    uint8_t *again = oz_malloc(len);
    OZ_ASSERT(again && oz_part_key(again, key, key_len, part) == len);
    OZ_ASSERT(!memcmp(again, bytes, len));
    oz_free(again);
}

/* With a checksum that fits, so that the fuzzer gets behind it. */
static void fuzz_positions(uint8_t *bytes, size_t len, uint8_t shape)
{
    struct oz_positions pos;
    struct oz_error err;
    if (oz_positions_init(&pos, 1u + shape % 4, shape / 4 % 4, shape / 16 % 4, NULL)) return;
    if (len >= OZ_PART_HEADER_BYTES) oz_part_close(bytes, len, OZ_STORE_OFFSETS);
    if (oz_positions_decode(&pos, 0, bytes, len, &err) == OZ_OK) {
        struct oz_buf again;
        oz_buf_init(&again);
        oz_positions_encode(&pos, 0, &again);
        OZ_ASSERT(again.failed || again.len == len);
        oz_buf_clear(&again);
    }
    oz_positions_clear(&pos);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t len = size - 2;
    uint8_t *bytes = oz_malloc(len);
    if (!bytes) return 0;
    memcpy(bytes, data + 2, len);
    switch (data[0] % 4) {
    case 0: fuzz_value(bytes, len, data[1]); break;
    case 1:
        if (len >= OZ_PART_HEADER_BYTES) oz_part_close(bytes, len, data[1]);
        fuzz_value(bytes, len, data[1] ^ (data[0] & 4));
        break;
    case 2: fuzz_key(bytes, len); break;
    default: fuzz_positions(bytes, len, data[1]); break;
    }
    oz_free(bytes);
    return 0;
}
