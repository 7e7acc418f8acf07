#include "pipelines/run/table_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { OUT_BYTES = 1 << 17, ZSTD_LEVEL = 3 };

struct oz_table_writer {
    char *path; /* NULL for standard output */
    char *part; /* NULL where the bytes go straight to their place */
    int fd;
    ZSTD_CCtx *zstd;
    uint8_t out[OUT_BYTES];
    size_t n_out;
};

static void writer_free(struct oz_table_writer *wr)
{
    if (wr->fd > STDERR_FILENO) close(wr->fd);
    ZSTD_freeCCtx(wr->zstd);
    oz_free(wr->path);
    oz_free(wr->part);
    oz_free(wr);
}

static enum oz_status io_error(const struct oz_table_writer *wr, struct oz_error *err)
{
    OZ_FAIL(err, OZ_IO, "cannot write %s: %s", wr->path ? wr->path : "standard output",
            strerror(errno));
}

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);
    return len > n && !strcmp(path + len - n, end);
}

/* A table is written beside its place and moved there when it is whole. A pipe or a device is no
 * place to move a file to: it would be replaced. */
static enum oz_status open_file(struct oz_table_writer *wr, const char *path, struct oz_error *err)
{
    struct stat st;
    bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode))
        OZ_FAIL(err, OZ_ENVIRONMENT, "%s is a folder: name the table's file", path);
    if (!(exists && !S_ISREG(st.st_mode)) && !ends_with(path, ".csv") &&
        !ends_with(path, ".csv.zst"))
        OZ_FAIL(err, OZ_USAGE, "a table is a .csv or a .csv.zst, not %s", path);
    size_t len = strlen(path);
    wr->path = oz_strdup(path);
    if (!wr->path) return oz_no_memory(err);
    if (exists && !S_ISREG(st.st_mode)) {
        wr->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (wr->fd < 0) OZ_FAIL(err, OZ_ENVIRONMENT, "cannot open %s: %s", path, strerror(errno));
        return OZ_OK;
    }
    char *part = oz_malloc(len + sizeof ".part");
    if (!part) return oz_no_memory(err);
    memcpy(part, path, len);
    memcpy(part + len, ".part", sizeof ".part");
    wr->fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    wr->part = part;
    if (wr->fd < 0) OZ_FAIL(err, OZ_ENVIRONMENT, "cannot make %s: %s", part, strerror(errno));
    return OZ_OK;
}

enum oz_status oz_table_writer_open(const char *path, struct oz_table_writer **ret_writer,
                                    struct oz_error *err)
{
    struct oz_table_writer *wr = oz_calloc(1, sizeof *wr);
    if (!wr) return oz_no_memory(err);
    enum oz_status status = OZ_OK;
    wr->fd = STDOUT_FILENO;
    if (strcmp(path, "-")) status = open_file(wr, path, err);
    if (status == OZ_OK && ends_with(path, ".zst")) {
        wr->zstd = ZSTD_createCCtx();
        if (!wr->zstd)
            status = oz_no_memory(err);
        else
            ZSTD_CCtx_setParameter(wr->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    }
    if (status != OZ_OK) {
        writer_free(wr);
        return status;
    }
    *ret_writer = wr;
    return OZ_OK;
}

static enum oz_status flush_out(struct oz_table_writer *wr, struct oz_error *err)
{
    for (size_t at = 0; at < wr->n_out;) {
        ssize_t n = write(wr->fd, wr->out + at, wr->n_out - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_error(wr, err);
        at += (size_t)n;
    }
    wr->n_out = 0;
    return OZ_OK;
}

static enum oz_status pack(struct oz_table_writer *wr, const void *bytes, size_t n,
                           ZSTD_EndDirective end, struct oz_error *err)
{
    ZSTD_inBuffer in = {bytes, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {wr->out, OUT_BYTES, wr->n_out};
        size_t left = ZSTD_compressStream2(wr->zstd, &out, &in, end);
        if (ZSTD_isError(left)) OZ_FAIL(err, OZ_IO, "zstd: %s", ZSTD_getErrorName(left));
        wr->n_out = out.pos;
        if (wr->n_out == OUT_BYTES) OZ_TRY(flush_out(wr, err));
        if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) return OZ_OK;
    }
}

enum oz_status oz_table_writer_put(struct oz_table_writer *wr, const void *bytes, size_t n,
                                   struct oz_error *err)
{
    if (wr->zstd) return pack(wr, bytes, n, ZSTD_e_continue, err);
    for (size_t at = 0; at < n;) {
        size_t k = OZ_MIN(n - at, OUT_BYTES - wr->n_out);
        memcpy(wr->out + wr->n_out, (const uint8_t *)bytes + at, k);
        wr->n_out += k;
        at += k;
        if (wr->n_out == OUT_BYTES) OZ_TRY(flush_out(wr, err));
    }
    return OZ_OK;
}

enum oz_status oz_table_writer_finish(struct oz_table_writer *wr, struct oz_error *err)
{
    enum oz_status status = wr->zstd ? pack(wr, NULL, 0, ZSTD_e_end, err) : OZ_OK;
    if (status == OZ_OK) status = flush_out(wr, err);
    if (status == OZ_OK && wr->path) {
        int fd = wr->fd;
        wr->fd = -1;
        if (close(fd) || (wr->part && rename(wr->part, wr->path))) status = io_error(wr, err);
    }
    if (status != OZ_OK) {
        oz_table_writer_drop(wr);
        return status;
    }
    writer_free(wr);
    return OZ_OK;
}

void oz_table_writer_drop(struct oz_table_writer *wr)
{
    if (!wr) return;
    if (wr->part) unlink(wr->part);
    writer_free(wr);
}
