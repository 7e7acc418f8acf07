#include "stream/line_reader.h"
#include "base/memory.h"
#include "stream/codec.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PACKED_BYTES = 64 << 10, BLOCK_BYTES = 256 << 10, ROOM_BYTES_MIN = 32 << 10 };
enum packing { PLAIN, GZIP, ZSTD };

struct oz_line_block {
    struct oz_line_block *next_free;
    struct oz_line_block *next; /* in the list of all */
    struct oz_line_reader *reader;
    size_t cap, n_lines_out;
    char bytes[];
};

struct oz_line_reader {
    char *path;
    int fd;
    enum packing packing;
    bool ended;    /* read() has said so */
    bool in_frame; /* the packing expects more */
    uint64_t n_read, n_total;
    size_t packed_at, packed_len;
    ZSTD_DStream *zstd;
    z_stream gzip;
    struct oz_line_block *all, *free, *current;
    size_t start, scanned, end; /* of what is in `current` and not given out */
    bool passing;               /* inside of the rest of a line that was too long */
    int64_t next_number;
    uint8_t packed[PACKED_BYTES];
};

static OZ_COLD enum oz_status damaged(const struct oz_line_reader *reader, const char *what,
                                      struct oz_error *err)
{
    OZ_FAIL(err, OZ_ENVIRONMENT, "%s: packed bytes are damaged near byte %llu: %s", reader->path,
            (unsigned long long)(reader->n_read - (reader->packed_len - reader->packed_at)), what);
}

/* Appends to what is left of the packed bytes; reads nothing at the end of the file. */
static enum oz_status read_packed(struct oz_line_reader *reader, struct oz_error *err)
{
    if (reader->packed_at) {
        reader->packed_len -= reader->packed_at;
        memmove(reader->packed, reader->packed + reader->packed_at, reader->packed_len);
        reader->packed_at = 0;
    }
    if (reader->packed_len == PACKED_BYTES) return damaged(reader, "nothing can be unpacked", err);
    ssize_t n;
    do n = read(reader->fd, reader->packed + reader->packed_len, PACKED_BYTES - reader->packed_len);
    while (n < 0 && errno == EINTR);
    if (n < 0) OZ_FAIL(err, OZ_ENVIRONMENT, "cannot read %s: %s", reader->path, strerror(errno));
    if (n == 0) reader->ended = true;
    reader->packed_len += (size_t)n;
    reader->n_read += (uint64_t)n;
    return OZ_OK;
}

static enum oz_status start_unpacking(struct oz_line_reader *reader, struct oz_error *err)
{
    static const uint8_t zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd}, gzip_magic[] = {0x1f, 0x8b};
    while (!reader->ended && reader->packed_len < sizeof(zstd_magic))
        OZ_TRY(read_packed(reader, err));
    if (reader->packed_len >= sizeof(zstd_magic) &&
        !memcmp(reader->packed, zstd_magic, sizeof(zstd_magic))) {
        reader->packing = ZSTD;
        reader->zstd = ZSTD_createDStream();
        if (!reader->zstd) return oz_no_memory(err);
    } else if (reader->packed_len >= sizeof(gzip_magic) &&
               !memcmp(reader->packed, gzip_magic, sizeof(gzip_magic))) {
        if (inflateInit2(&reader->gzip, 15 + 16) != Z_OK) return oz_no_memory(err);
        reader->packing = GZIP;
    }
    return OZ_OK;
}

static enum oz_status unpack_zstd(struct oz_line_reader *reader, char *to, size_t room,
                                  size_t *ret_n, struct oz_error *err)
{
    ZSTD_outBuffer out = {to, room, 0};
    ZSTD_inBuffer in = {reader->packed, reader->packed_len, reader->packed_at};
    size_t answer = ZSTD_decompressStream(reader->zstd, &out, &in);
    if (ZSTD_isError(answer)) return damaged(reader, ZSTD_getErrorName(answer), err);
    /* Between frames it asks for the next one, which need not come: only what moved tells. */
    if (in.pos > reader->packed_at || out.pos) reader->in_frame = answer > 0;
    reader->packed_at = in.pos;
    *ret_n = out.pos;
    return OZ_OK;
}

static enum oz_status unpack_gzip(struct oz_line_reader *reader, char *to, size_t room,
                                  size_t *ret_n, struct oz_error *err)
{
    z_stream *gzip = &reader->gzip;
    gzip->next_in = reader->packed + reader->packed_at;
    gzip->avail_in = (unsigned)(reader->packed_len - reader->packed_at);
    gzip->next_out = (uint8_t *)to;
    gzip->avail_out = (unsigned)room;
    reader->in_frame = reader->in_frame || gzip->avail_in > 0;
    int answer = inflate(gzip, Z_NO_FLUSH);
    reader->packed_at = reader->packed_len - gzip->avail_in;
    *ret_n = room - gzip->avail_out;
    if (answer == Z_STREAM_END) {
        reader->in_frame = false;
        inflateReset(gzip);
    } else if (answer == Z_MEM_ERROR) {
        return oz_no_memory(err);
    } else if (answer != Z_OK && answer != Z_BUF_ERROR) {
        return damaged(reader, gzip->msg ? gzip->msg : "no gzip", err);
    }
    return OZ_OK;
}

static enum oz_status copy_plain(struct oz_line_reader *reader, char *to, size_t room,
                                 size_t *ret_n)
{
    *ret_n = OZ_MIN(room, reader->packed_len - reader->packed_at);
    memcpy(to, reader->packed + reader->packed_at, *ret_n);
    reader->packed_at += *ret_n;
    return OZ_OK;
}

/* Some bytes of the file as it was before packing; none: the end. */
static enum oz_status unpack(struct oz_line_reader *reader, char *to, size_t room, size_t *ret_n,
                             struct oz_error *err)
{
    for (;;) {
        size_t before = reader->packed_at;
        *ret_n = 0;
        switch (reader->packing) {
        case PLAIN: OZ_TRY(copy_plain(reader, to, room, ret_n)); break;
        case GZIP: OZ_TRY(unpack_gzip(reader, to, room, ret_n, err)); break;
        case ZSTD: OZ_TRY(unpack_zstd(reader, to, room, ret_n, err)); break;
        }
        if (*ret_n) return OZ_OK;
        if (reader->packed_at != before) continue;
        if (reader->ended && reader->in_frame) return damaged(reader, "the file is cut short", err);
        if (reader->ended) return OZ_OK;
        OZ_TRY(read_packed(reader, err));
    }
}

static struct oz_line_block *new_block(struct oz_line_reader *reader, size_t cap)
{
    for (struct oz_line_block **at = &reader->free; *at; at = &(*at)->next_free) {
        struct oz_line_block *block = *at;
        if (block->cap < cap) continue;
        *at = block->next_free;
        return block;
    }
    struct oz_line_block *block = oz_malloc(sizeof(*block) + cap);
    if (!block) return NULL;
    *block = (struct oz_line_block){.next = reader->all, .reader = reader, .cap = cap};
    reader->all = block;
    return block;
}

static void put_back(struct oz_line_block *block)
{
    block->next_free = block->reader->free;
    block->reader->free = block;
}

/* Room behind `end`: what is not given out moves to a block of its own when this one is full. */
static enum oz_status make_room(struct oz_line_reader *reader, struct oz_error *err)
{
    struct oz_line_block *old = reader->current;
    if (old && old->cap - reader->end >= ROOM_BYTES_MIN) return OZ_OK;
    size_t len = reader->end - reader->start;
    struct oz_line_block *block = new_block(reader, OZ_MAX((size_t)BLOCK_BYTES, 2 * len));
    if (!block) return oz_no_memory(err);
    if (len) memcpy(block->bytes, old->bytes + reader->start, len);
    if (old && !old->n_lines_out) put_back(old);
    reader->current = block;
    reader->scanned -= reader->start, reader->end = len, reader->start = 0;
    return OZ_OK;
}

/* Gives out [start, start + len) and goes on at `next`. */
static void give(struct oz_line_reader *reader, size_t len, size_t next, struct oz_line *ret_line)
{
    struct oz_line_block *block = reader->current;
    const char *data = block->bytes + reader->start;
    if (len && data[len - 1] == '\r') len--;
    *ret_line = (struct oz_line){data, len, reader->next_number, block};
    reader->start = reader->scanned = next;
}

/* The next line that is wholly in the block; false: more bytes are needed. */
static bool next_in_block(struct oz_line_reader *reader, bool at_end, struct oz_line *ret_line)
{
    if (!reader->current) return false;
    const char *bytes = reader->current->bytes;
    const char *newline = reader->end > reader->scanned
                              ? memchr(bytes + reader->scanned, '\n', reader->end - reader->scanned)
                              : NULL;
    size_t stop = newline ? (size_t)(newline - bytes) : reader->end,
           next = stop + (newline != NULL);
    size_t len = stop - reader->start;
    reader->scanned = stop;
    if (reader->passing) {
        reader->start = reader->scanned = next;
        if (!newline) return false;
        reader->passing = false;
        reader->next_number++;
        return next_in_block(reader, at_end, ret_line);
    }
    if (len > OZ_RECORD_BYTES_MAX + 1) { /* one more: a "\r" may still go */
        give(reader, OZ_RECORD_BYTES_MAX + 1, newline ? next : stop, ret_line);
        ret_line->len = OZ_RECORD_BYTES_MAX + 1;
        reader->passing = !newline;
        reader->next_number += newline != NULL;
        return true;
    }
    if (!newline && !(at_end && len)) return false;
    give(reader, len, next, ret_line);
    reader->next_number++;
    return true;
}

static bool is_blank(const struct oz_line *line)
{
    for (size_t i = 0; i < line->len; i++)
        if (line->data[i] != ' ' && line->data[i] != '\t' && line->data[i] != '\r') return false;
    return true;
}

enum oz_status oz_line_reader_next(struct oz_line_reader *reader, struct oz_line *ret_line,
                                   struct oz_error *err)
{
    bool at_end = false;
    for (;;) {
        while (next_in_block(reader, at_end, ret_line)) {
            if (is_blank(ret_line)) continue;
            ret_line->block->n_lines_out++;
            return OZ_OK;
        }
        if (at_end) {
            *ret_line = (struct oz_line){.number = reader->next_number};
            return OZ_OK;
        }
        size_t n;
        OZ_TRY(make_room(reader, err));
        OZ_TRY(unpack(reader, reader->current->bytes + reader->end,
                      reader->current->cap - reader->end, &n, err));
        reader->end += n;
        at_end = n == 0;
    }
}

void oz_line_release(struct oz_line_block *block)
{
    OZ_ASSERT(block->n_lines_out > 0);
    if (--block->n_lines_out == 0 && block != block->reader->current) put_back(block);
}

void oz_line_reader_progress(const struct oz_line_reader *reader, uint64_t *ret_read,
                             uint64_t *ret_total)
{
    *ret_read = reader->n_read;
    *ret_total = reader->n_total;
}

enum oz_status oz_line_reader_open(const char *path, struct oz_line_reader **ret_reader,
                                   struct oz_error *err)
{
    struct oz_line_reader *reader = oz_calloc(1, sizeof(*reader));
    if (!reader) return oz_no_memory(err);
    reader->fd = -1;
    enum oz_status status = OZ_OK;
    struct stat stat;
    reader->path = oz_strdup(path);
    if (!reader->path) {
        status = oz_no_memory(err);
        goto out;
    }
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0 || fstat(reader->fd, &stat) < 0) {
        status = oz_error_set(err, OZ_ENVIRONMENT, "cannot open %s: %s", path, strerror(errno));
        goto out;
    }
    if (S_ISREG(stat.st_mode)) reader->n_total = (uint64_t)stat.st_size;
    OZ_TRY_OUT(start_unpacking(reader, err));
    *ret_reader = reader;
out:
    if (status != OZ_OK) oz_line_reader_close(reader);
    return status;
}

void oz_line_reader_close(struct oz_line_reader *reader)
{
    if (!reader) return;
    for (struct oz_line_block *block = reader->all, *next; block; block = next) {
        next = block->next;
        oz_free(block);
    }
    if (reader->packing == GZIP) inflateEnd(&reader->gzip);
    ZSTD_freeDStream(reader->zstd);
    if (reader->fd >= 0) close(reader->fd);
    oz_free(reader->path);
    oz_free(reader);
}
