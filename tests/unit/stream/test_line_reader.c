/* Proves that a file's lines come out as they went in, plain, gzip or zstd, whole or in several
 * frames, wherever the reader's blocks end; that lines stay readable until they are released; and
 * that damaged packing is an error with a place. The lines are made here and kept in an array,
 * which is what is expected; the packing is done by zlib and zstd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include "base/buf.h"
#include "stream/codec.h"
#include "stream/line_reader.h"

enum packing { PLAIN, GZIP, ZSTD, N_PACKINGS };

static char path[] = "/tmp/test_line_reader_XXXXXX";

static void write_file(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Packs in `n_frames` pieces. */
static void pack(const struct oz_buf *text, enum packing packing, size_t n_frames,
                 struct oz_buf *to)
{
    oz_buf_reset(to);
    for (size_t i = 0, at = 0; i < n_frames; i++) {
        size_t n = i + 1 == n_frames ? text->len - at : text->len / n_frames;
        const uint8_t *from = text->data + at;
        at += n;
        if (packing == PLAIN) {
            oz_buf_put(to, from, n);
        } else if (packing == ZSTD) {
            size_t bound = ZSTD_compressBound(n);
            size_t packed = ZSTD_compress(oz_buf_room(to, bound), bound, from, n, 1);
            assert_false(ZSTD_isError(packed));
            to->len += packed;
        } else {
            z_stream z = {0};
            assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
            size_t bound = deflateBound(&z, n) + 32;
            z.next_in = (uint8_t *)from, z.avail_in = (unsigned)n;
            z.next_out = oz_buf_room(to, bound), z.avail_out = (unsigned)bound;
            assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
            to->len += bound - z.avail_out;
            deflateEnd(&z);
        }
    }
    assert_false(to->failed);
}

static struct oz_line_reader *open_reader(void)
{
    struct oz_line_reader *reader;
    struct oz_error err;
    assert_int_equal(oz_line_reader_open(path, &reader, &err), OZ_OK);
    return reader;
}

static struct oz_line next_line(struct oz_line_reader *reader)
{
    struct oz_line line;
    struct oz_error err = {0};
    enum oz_status status = oz_line_reader_next(reader, &line, &err);
    if (status != OZ_OK) fail_msg("%s", err.message);
    return line;
}

static void expect_line(struct oz_line_reader *reader, int64_t number, const char *text)
{
    struct oz_line line = next_line(reader);
    if (!text) {
        assert_null(line.data);
        assert_true(line.number == number);
        return;
    }
    assert_non_null(line.data);
    assert_int_equal(line.len, strlen(text));
    assert_memory_equal(line.data, text, line.len);
    assert_true(line.number == number);
    oz_line_release(line.block);
}

static void test_ends_and_blanks(void **state)
{
    (void)state;
    static const char text[] = "one\n\n \t \r\ntwo\r\n\r\nthree\rx\nfour";
    write_file(text, sizeof(text) - 1);
    struct oz_line_reader *reader = open_reader();
    expect_line(reader, 0, "one");
    expect_line(reader, 3, "two");
    expect_line(reader, 5, "three\rx");
    expect_line(reader, 6, "four");
    expect_line(reader, 7, NULL);
    expect_line(reader, 7, NULL);
    oz_line_reader_close(reader);
    static const char *const short_files[] = {"", "\n", "x", "x\n", "\r\n", "ab", "\x1f"};
    static const char *const only[] = {NULL, NULL, "x", "x", NULL, "ab", "\x1f"};
    for (size_t i = 0; i < OZ_COUNT_OF(short_files); i++) {
        write_file(short_files[i], strlen(short_files[i]));
        reader = open_reader();
        if (only[i]) expect_line(reader, 0, only[i]);
        expect_line(reader, short_files[i][0] != '\0', NULL);
        oz_line_reader_close(reader);
    }
}

enum { N_LINES = 6000 };
static struct {
    char *text;
    size_t len;
} kept[N_LINES];

/* Lengths from 1 to some 100 kB, so that block ends fall anywhere. */
static void make_lines(struct oz_buf *text)
{
    for (size_t i = 0; i < N_LINES; i++) {
        size_t len = 1 + (size_t)rand() % 200;
        if (rand() % 100 == 0) len = (size_t)rand() % 100000 + 1;
        kept[i].text = malloc(len), kept[i].len = len;
        for (size_t k = 0; k < len; k++) kept[i].text[k] = (char)('a' + (rand() >> 8) % 26);
        oz_buf_put(text, kept[i].text, len);
        oz_buf_puts(text, i % 3 ? "\n" : "\r\n");
    }
}

/* Reads everything, `held` lines behind: what is released late must still be there. */
static void check_lines(size_t n_held, size_t n_packed)
{
    struct oz_line_reader *reader = open_reader();
    struct oz_line *line = calloc(N_LINES, sizeof(*line));
    for (size_t i = 0; i < N_LINES + n_held; i++) {
        if (i < N_LINES) {
            line[i] = next_line(reader);
            assert_true(line[i].number == (int64_t)i);
        }
        if (i < n_held || i - n_held >= N_LINES) continue;
        struct oz_line *old = &line[i - n_held];
        assert_int_equal(old->len, kept[i - n_held].len);
        assert_memory_equal(old->data, kept[i - n_held].text, old->len);
        oz_line_release(old->block);
    }
    expect_line(reader, N_LINES, NULL);
    uint64_t n_read, n_total;
    oz_line_reader_progress(reader, &n_read, &n_total);
    assert_true(n_read == n_packed && n_total == n_packed);
    oz_line_reader_close(reader);
    free(line);
}

static void test_packings(void **state)
{
    (void)state;
    struct oz_buf text, packed;
    oz_buf_init(&text), oz_buf_init(&packed);
    srand(7);
    make_lines(&text);
    for (enum packing packing = PLAIN; packing < N_PACKINGS; packing++)
        for (size_t n_frames = 1; n_frames <= 7; n_frames += 3) {
            pack(&text, packing, n_frames, &packed);
            write_file(packed.data, packed.len);
            check_lines(0, packed.len);
            check_lines(n_frames * 500, packed.len);
            check_lines(N_LINES, packed.len);
        }
    for (size_t i = 0; i < N_LINES; i++) free(kept[i].text);
    oz_buf_clear(&text), oz_buf_clear(&packed);
}

static void test_long_lines(void **state)
{
    (void)state;
    struct oz_buf text;
    oz_buf_init(&text);
    static const size_t lengths[] = {OZ_RECORD_BYTES_MAX, OZ_RECORD_BYTES_MAX + 1,
                                     OZ_RECORD_BYTES_MAX + 2, 5 * OZ_RECORD_BYTES_MAX, 3};
    for (size_t i = 0; i < OZ_COUNT_OF(lengths); i++) {
        for (size_t k = 0; k < lengths[i]; k++) oz_buf_put_u8(&text, (uint8_t)('0' + i));
        oz_buf_puts(&text, i % 2 ? "\n" : "\r\n");
    }
    write_file(text.data, text.len - 2); /* the last one without an end */
    struct oz_line_reader *reader = open_reader();
    for (size_t i = 0; i < OZ_COUNT_OF(lengths); i++) {
        struct oz_line line = next_line(reader);
        assert_true(line.number == (int64_t)i);
        assert_int_equal(line.len, OZ_MIN(lengths[i], (size_t)OZ_RECORD_BYTES_MAX + 1));
        for (size_t k = 0; k < line.len; k += 4096) assert_int_equal(line.data[k], '0' + i);
        oz_line_release(line.block);
    }
    expect_line(reader, OZ_COUNT_OF(lengths), NULL);
    oz_line_reader_close(reader);
    oz_buf_clear(&text);
}

/* Reads to the error or the end; returns the status. */
static enum oz_status read_all(struct oz_error *err)
{
    struct oz_line_reader *reader;
    enum oz_status status = oz_line_reader_open(path, &reader, err);
    if (status != OZ_OK) return status;
    struct oz_line line = {0};
    do {
        if (line.block) oz_line_release(line.block);
        line.block = NULL;
        status = oz_line_reader_next(reader, &line, err);
    } while (status == OZ_OK && line.data);
    oz_line_reader_close(reader);
    return status;
}

static void test_damage(void **state)
{
    (void)state;
    struct oz_buf text, packed;
    struct oz_error err;
    oz_buf_init(&text), oz_buf_init(&packed);
    for (int i = 0; i < 3000; i++) oz_buf_printf(&text, "line %d of %d\n", i, rand());
    for (enum packing packing = GZIP; packing < N_PACKINGS; packing++) {
        pack(&text, packing, 2, &packed);
        for (size_t cut = 4; cut < packed.len; cut += 1 + packed.len / 50) {
            write_file(packed.data, cut);
            assert_int_equal(read_all(&err), OZ_ENVIRONMENT);
            assert_non_null(strstr(err.message, "packed bytes are damaged near byte"));
            assert_non_null(strstr(err.message, "the file is cut short"));
        }
        size_t n_errors = 0;
        for (size_t at = 4; at < packed.len; at += 1 + packed.len / 200) {
            packed.data[at] ^= 0x10;
            write_file(packed.data, packed.len);
            n_errors += read_all(&err) != OZ_OK; /* zstd frames have no checksum here */
            packed.data[at] ^= 0x10;
        }
        assert_true(n_errors > 20);
    }
    oz_buf_clear(&text), oz_buf_clear(&packed);
}

static void test_no_such_file(void **state)
{
    (void)state;
    struct oz_line_reader *reader;
    struct oz_error err;
    assert_int_equal(oz_line_reader_open("/nowhere/x.jsonl", &reader, &err), OZ_ENVIRONMENT);
    assert_string_equal(err.message, "cannot open /nowhere/x.jsonl: No such file or directory");
    enum oz_status status = oz_line_reader_open("/tmp", &reader, &err);
    assert_int_equal(status, OZ_ENVIRONMENT);
    assert_string_equal(err.message, "cannot read /tmp: Is a directory");
}

static void test_no_memory(void **state)
{
    (void)state;
    write_file("a\nb\n", 4);
    for (uint64_t n = 1;; n++) {
        struct oz_error err;
        oz_fail_allocation(n);
        enum oz_status status = read_all(&err);
        oz_fail_allocation(0);
        if (status == OZ_OK) {
            assert_true(n > 3);
            break;
        }
        assert_int_equal(status, OZ_NO_MEMORY);
    }
}

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_and_blanks), cmocka_unit_test(test_packings),
        cmocka_unit_test(test_long_lines),      cmocka_unit_test(test_damage),
        cmocka_unit_test(test_no_such_file),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
