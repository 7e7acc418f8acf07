#include <stdio.h>

#include "pipelines/cli/command.h"

static const struct oz_option option[] = {
    {"reference", false, 'r', "the table of keys in Markdown instead", 0},
    {NULL, false, 0, NULL, 0},
};

static bool take(void *ctx, int key, const char *value)
{
    if (key == 'r') return *(bool *)ctx = true;
    fprintf(stderr, "ouzel schema: takes no argument, not %s\n", value);
    return false;
}

int oz_cmd_schema(int argc, char **argv)
{
    struct oz_common_options common = {.without_pipeline = true};
    struct oz_error err = {0};
    struct oz_buf buf;
    bool reference = false;
    int code = oz_parse_options(argc, argv, option, &common, take, &reference);
    if (code || common.help) return code;
    oz_buf_init(&buf);
    if (reference)
        oz_pipeline_reference(&buf);
    else
        oz_pipeline_json_schema(&buf);
    enum oz_status status = oz_buf_status(&buf, &err);
    if (status == OZ_OK) fwrite(buf.data, 1, buf.len, stdout);
    oz_buf_clear(&buf);
    return oz_report(status, &err);
}
