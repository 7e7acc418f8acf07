#include "pipelines/demo/fraud_generator.h"
#include "base/buf.h"
#include "base/instant.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zstd.h>

enum { TEXT_BYTES = 1 << 20, LEVEL = 3 };
enum { N_FILES = 2 };
static const char *const names[N_FILES] = {
    [OZ_FRAUD_TRANSACTION] = "transactions.jsonl.zst", [OZ_FRAUD_LABEL] = "labels.jsonl.zst"};

/* A file under a name of its own until it is whole. */
struct packed_file {
    struct oz_buf path, part_path, text, packed;
    FILE *file;
    ZSTD_CCtx *zstd;
};

static enum oz_status failed(const struct packed_file *out, const char *verb, struct oz_error *err)
{
    OZ_FAIL(err, OZ_ENVIRONMENT, "cannot %s %s: %s", verb, (const char *)out->part_path.data,
            strerror(errno));
}

static enum oz_status open_file(struct packed_file *out, const char *folder, const char *name,
                                struct oz_error *err)
{
    oz_buf_printf(&out->path, "%s/%s", folder, name);
    oz_buf_printf(&out->part_path, "%s/%s.part", folder, name);
    oz_buf_string(&out->path), oz_buf_string(&out->part_path);
    OZ_TRY(oz_buf_status(&out->path, err));
    OZ_TRY(oz_buf_status(&out->part_path, err));
    out->zstd = ZSTD_createCCtx();
    if (!out->zstd) return oz_no_memory(err);
    ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_checksumFlag, 1);
    out->file = fopen((const char *)out->part_path.data, "wbe");
    return out->file ? OZ_OK : failed(out, "create", err);
}

static enum oz_status pack(struct packed_file *out, bool end, struct oz_error *err)
{
    OZ_TRY(oz_buf_status(&out->text, err));
    ZSTD_inBuffer in = {out->text.data, out->text.len, 0};
    size_t left;
    do {
        size_t room = ZSTD_CStreamOutSize();
        oz_buf_reset(&out->packed);
        ZSTD_outBuffer to = {oz_buf_room(&out->packed, room), room, 0};
        if (!to.dst) return oz_no_memory(err);
        left = ZSTD_compressStream2(out->zstd, &to, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            OZ_FAIL(err, OZ_DEFECT, "zstd refused to pack: %s", ZSTD_getErrorName(left));
        if (fwrite(to.dst, 1, to.pos, out->file) != to.pos) return failed(out, "write", err);
    } while (end ? left > 0 : in.pos < in.size);
    oz_buf_reset(&out->text);
    return OZ_OK;
}

static enum oz_status put_line(struct packed_file *out, const struct oz_fraud_event *event,
                               struct oz_error *err)
{
    oz_buf_put(&out->text, event->value, event->value_len);
    oz_buf_put_u8(&out->text, '\n');
    return out->text.len < TEXT_BYTES ? OZ_OK : pack(out, false, err);
}

static enum oz_status finish_file(struct packed_file *out, struct oz_error *err)
{
    OZ_TRY(pack(out, true, err));
    FILE *file = out->file;
    out->file = NULL;
    if (fclose(file)) return failed(out, "write", err);
    if (rename((const char *)out->part_path.data, (const char *)out->path.data))
        return failed(out, "rename", err);
    return OZ_OK;
}

/* What was not finished is taken away. */
static void close_file(struct packed_file *out)
{
    if (out->file) fclose(out->file);
    if (out->part_path.len && !out->part_path.failed) unlink((const char *)out->part_path.data);
    ZSTD_freeCCtx(out->zstd);
    oz_buf_clear(&out->path), oz_buf_clear(&out->part_path);
    oz_buf_clear(&out->text), oz_buf_clear(&out->packed);
}

static enum oz_status write_events(struct oz_fraud_generator *gen, struct packed_file *out,
                                   uint32_t days, int64_t start_us,
                                   const struct oz_fraud_progress *progress, struct oz_error *err)
{
    struct oz_fraud_event event;
    uint32_t days_done = 0;
    while (oz_fraud_generator_next(gen, &event)) {
        OZ_TRY(put_line(&out[event.kind], &event, err));
        int64_t day = (event.arrival_us - start_us) / OZ_US_PER_DAY;
        for (; progress && days_done < days && day > days_done; days_done++)
            progress->day(progress->ctx, days_done + 1, days);
    }
    OZ_TRY(oz_fraud_generator_status(gen, err));
    for (; progress && days_done < days; days_done++)
        progress->day(progress->ctx, days_done + 1, days);
    return OZ_OK;
}

enum oz_status oz_fraud_generator_write(const struct oz_fraud_config *config, const char *folder,
                                        const struct oz_fraud_progress *progress,
                                        struct oz_error *err)
{
    struct oz_fraud_config by_time = *config;
    by_time.by_event_time = true;
    struct oz_fraud_generator *gen = NULL;
    struct packed_file out[N_FILES] = {0};
    enum oz_status status;
    OZ_TRY_OUT(oz_fraud_generator_new(&by_time, &gen, err));
    for (int i = 0; i < N_FILES; i++) OZ_TRY_OUT(open_file(&out[i], folder, names[i], err));
    OZ_TRY_OUT(write_events(gen, out, config->days, config->start_us, progress, err));
    for (int i = 0; i < N_FILES; i++) OZ_TRY_OUT(finish_file(&out[i], err));
out:
    for (int i = 0; i < N_FILES; i++) close_file(&out[i]);
    oz_fraud_generator_free(gen);
    return status;
}
