/* Prints what a state folder holds, for tests: one line a stored part,
 *   <entity number> <partition> <key, hex> <part> <value, hex>
 * in key order; with --all also the records that are no rows, with their payload's header:
 *   offsets <partition> <value, hex>
 *   meta <value, hex>
 * The process that owns the folder must have ended. */
#include <stdio.h>
#include <string.h>

#include "state/store.h"

static void hex(const uint8_t *bytes, size_t n)
{
    if (!n) putchar('-');
    for (size_t i = 0; i < n; i++) printf("%02x", bytes[i]);
}

static void print_own(struct oz_bytes key, struct oz_bytes value)
{
    if (key.data[2] == OZ_STORE_META)
        fputs("meta ", stdout);
    else
        printf("offsets %u ", key.data[0] << 8 | key.data[1]);
    hex(value.data, value.len);
    putchar('\n');
}

static bool print_part(void *ctx, struct oz_bytes key, struct oz_bytes value)
{
    const bool *all = ctx;
    const char *name;
    uint32_t len, part;
    struct oz_error err;
    if (key.len < OZ_STORE_KEY_HEAD_BYTES) {
        printf("damaged key of %zu bytes\n", (size_t)key.len);
        return true;
    }
    if (key.data[2] == OZ_STORE_OFFSETS || key.data[2] == OZ_STORE_META) {
        if (*all) print_own(key, value);
        return true;
    }
    if (oz_part_key_parse(key.data + OZ_STORE_KEY_HEAD_BYTES, key.len - OZ_STORE_KEY_HEAD_BYTES,
                          &name, &len, &part, &err) != OZ_OK) {
        printf("damaged key: %s\n", err.message);
        return true;
    }
    printf("%u %u ", key.data[2], key.data[0] << 8 | key.data[1]);
    hex((const uint8_t *)name, len);
    printf(" %u ", part);
    hex(value.data, value.len);
    putchar('\n');
    return true;
}

int main(int argc, char **argv)
{
    struct oz_store *store;
    struct oz_error err = {0};
    bool all = argc == 3 && !strcmp(argv[1], "--all");
    if (argc != 2 + all) {
        fputs("usage: dump_state [--all] FOLDER\n", stderr);
        return 2;
    }
    enum oz_status status = oz_store_open(argv[argc - 1], 32 << 20, &store, &err);
    if (status == OZ_OK) {
        status = oz_store_scan(store, print_part, &all, &err);
        oz_store_close(store);
    }
    if (status != OZ_OK) fprintf(stderr, "dump_state: %s\n", err.message);
    return oz_status_exit_code(status);
}
