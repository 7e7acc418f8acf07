/* Any bytes as a pipeline file: an answer, never a crash, and mistakes that later stages point at
 * print whatever the place. A first line that begins with "--set " is an override. Run by hand
 * (clang), from the root; the fixtures of the unit tests are the seeds:
 *   clang++ -g -O1 -std=c++17 -D_GNU_SOURCE -I. -fsanitize=fuzzer-no-link,address,undefined \
 *     -c base/number.cc -o /tmp/number.o
 *   clang -g -O1 -std=gnu11 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined \
 *     -fno-sanitize-recover=all tests/fuzz/fuzz_yaml.c pipelines/config/[a-z]*.c base/[a-z]*.c \
 *     /tmp/number.o -o /tmp/fuzz_yaml -lyaml -lcrypto -lxxhash -lz -lstdc++ -lm -lpthread
 *   mkdir -p /tmp/corpus && /tmp/fuzz_yaml -max_total_time=60 -timeout=5 -max_len=8192 \
 *     /tmp/corpus tests/unit/pipelines/config pipelines/examples/card-fraud */
#include <stdlib.h>
#include <string.h>
#include "pipelines/config/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void point_everywhere(const struct oz_pipeline *pipeline, struct oz_mistakes *mistakes)
{
    for (size_t i = 0; i < pipeline->n_features; i++) {
        const struct oz_feature_spec *feature = &pipeline->feature[i];
        size_t len = strlen(feature->text);
        for (size_t offset = 0; offset <= len + 1; offset += 1 + len / 8)
            oz_pipeline_mistake(pipeline, mistakes, feature->place, offset, "%s", feature->name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = memchr(data, '\n', size);
    char *override = NULL;
    if (end && size > 6 && !memcmp(data, "--set ", 6)) {
        size_t len = (size_t)(end - text) - 6;
        override = malloc(len + 1);
        if (!override) return 0;
        memcpy(override, text + 6, len);
        override[len] = 0;
        size -= (size_t)(end + 1 - text);
        text = end + 1;
    }
    struct oz_arena arena;
    struct oz_pipeline pipeline;
    struct oz_mistakes mistakes = {0};
    struct oz_error err;
    oz_arena_init(&arena, 4096);
    const char *const overrides[] = {override};
    enum oz_status status = oz_pipeline_parse("x.yaml", text, size, overrides, override ? 1 : 0,
                                              &arena, &pipeline, &mistakes, &err);
    if (status == OZ_OK) {
        if (mistakes.n || strlen(pipeline.config_sha256) != 64) abort();
        point_everywhere(&pipeline, &mistakes);
    } else if (status == OZ_CONFIG && !mistakes.n) {
        abort(); /* a refusal says why */
    }
    oz_mistakes_clear(&mistakes);
    oz_arena_clear(&arena);
    free(override);
    return 0;
}
