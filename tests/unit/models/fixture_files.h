/* Reads the model files beside the tests, and changes text in them: what the tests of this folder
 * share. Programs run from the root of the sources. */
#ifndef OZ_TESTS_UNIT_MODELS_FIXTURE_FILES_H
#define OZ_TESTS_UNIT_MODELS_FIXTURE_FILES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FIXTURES "tests/unit/models/fixtures/"

static inline char *fixture_read(const char *name, size_t *ret_n)
{
    char path[512];
    snprintf(path, sizeof path, FIXTURES "%s", name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened; run from the root of the sources", path);
    fseek(file, 0, SEEK_END);
    size_t n = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(n + 1);
    assert_int_equal(fread(bytes, 1, n, file), n);
    bytes[n] = '\0';
    fclose(file);
    *ret_n = n;
    return bytes;
}

/* A copy of text with the first `from` behind `after` replaced by `to`; all three must be there. */
static inline char *text_replaced(const char *text, const char *after, const char *from,
                                  const char *to)
{
    const char *at = strstr(text, after);
    if (at) at = strstr(at + strlen(after), from);
    if (!at) fail_msg("there is no %s behind %s", from, after);
    size_t n = strlen(text) - strlen(from) + strlen(to);
    char *copy = malloc(n + 1);
    memcpy(copy, text, (size_t)(at - text));
    strcpy(copy + (at - text), to);
    strcat(copy, at + strlen(from));
    return copy;
}
#endif
