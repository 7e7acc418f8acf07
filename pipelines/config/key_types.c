#include "pipelines/config/key_types.h"
#include <stdio.h>
#include <string.h>
#include "base/instant.h"
#include "base/number.h"

enum { TOPIC_BYTES_MAX = 249, INSTANCE_BYTES_MAX = 128, PPM = 1000000 };

/* Words of the expression language: a name must not be one. */
static const char *const reserved[] = {"and",  "or",    "not",   "by",        "over",
                                       "last", "delay", "where", "excluding", "current",
                                       "true", "false", "null",  "if"};

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

const char *oz_name_fault(const char *name, size_t len)
{
    if (!len) return "is no name: it is empty";
    if (len > OZ_NAME_BYTES_MAX) return "is no name: it is longer than 128 bytes";
    for (size_t i = 0; i < len; i++)
        if (!is_letter(name[i]) && name[i] != '_' && !(i && is_digit(name[i])))
            return "is no name: expected letters, digits and `_`, no digit first";
    for (size_t i = 0; i < OZ_COUNT_OF(reserved); i++)
        if (strlen(reserved[i]) == len && !memcmp(reserved[i], name, len))
            return "is a word of the expression language: choose another name";
    return NULL;
}

static bool refuse(struct oz_config_doc *doc, const struct oz_yaml_node *node, const char *expected)
{
    oz_config_mistake(doc, node->place, "expected %s, found %s", expected,
                      oz_config_found(doc, node));
    return false;
}

static bool store_word(const struct oz_yaml_node *node, void *to)
{
    *(struct oz_config_word *)to = (struct oz_config_word){node->text, node};
    return true;
}

static bool only(const struct oz_yaml_node *node, size_t max, const char *others, bool capitals)
{
    for (size_t i = 0; i < node->len; i++) {
        char c = node->text[i];
        bool ok = is_digit(c) || (c >= 'a' && c <= 'z') || (capitals && is_letter(c)) ||
                  strchr(others, c);
        if (!ok) return false;
    }
    return node->len > 0 && node->len <= max;
}

static bool load_text(struct oz_config_doc *doc, const struct oz_key *key,
                      const struct oz_yaml_node *node, void *to)
{
    (void)key;
    return node->len ? store_word(node, to) : refuse(doc, node, "a text");
}

static bool load_expression(struct oz_config_doc *doc, const struct oz_key *key,
                            const struct oz_yaml_node *node, void *to)
{
    (void)key;
    bool blank = node->len == strspn(node->text, " \t\r\n");
    return !blank ? store_word(node, to) : refuse(doc, node, "an expression");
}

static bool load_name(struct oz_config_doc *doc, const struct oz_key *key,
                      const struct oz_yaml_node *node, void *to)
{
    (void)key;
    const char *fault = oz_name_fault(node->text, node->len);
    if (!fault) return store_word(node, to);
    oz_config_mistake(doc, node->place, "%s %s", oz_config_found(doc, node), fault);
    return false;
}

static bool load_label(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    (void)key;
    bool ok = only(node, OZ_PIPELINE_NAME_BYTES_MAX, "-", false);
    return ok ? store_word(node, to) : refuse(doc, node, "1 to 48 of a-z, 0-9 and `-`");
}

static bool load_topic(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    (void)key;
    bool ok = only(node, TOPIC_BYTES_MAX, "._-", true) && strcmp(node->text, ".") &&
              strcmp(node->text, "..");
    return ok ? store_word(node, to)
              : refuse(doc, node, "a Kafka topic: 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`");
}

static bool load_instance(struct oz_config_doc *doc, const struct oz_key *key,
                          const struct oz_yaml_node *node, void *to)
{
    (void)key;
    bool ok = only(node, INSTANCE_BYTES_MAX, "._-", true);
    return ok ? store_word(node, to)
              : refuse(doc, node, "1 to 128 of a-z, A-Z, 0-9, `.`, `_` and `-`");
}

static void put_size(uint64_t bytes, struct oz_buf *buf)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (unit + 1 < OZ_COUNT_OF(units) && bytes && bytes % 1024 == 0) bytes /= 1024, unit++;
    oz_buf_printf(buf, "%llu%s", (unsigned long long)bytes, units[unit]);
}

void oz_key_bound(const struct oz_key *key, int64_t v, struct oz_buf *buf)
{
    char text[OZ_INSTANT_BYTES_MAX];
    if (key->type == OZ_KEY_DURATION || key->type == OZ_KEY_SUPPRESS || key->type == OZ_KEY_FLOOD)
        oz_buf_put(buf, text, oz_format_duration(text, v));
    else if (key->type == OZ_KEY_BYTES)
        put_size((uint64_t)v, buf);
    else
        oz_buf_printf(buf, "%lld", (long long)v);
}

static bool in_range(struct oz_config_doc *doc, const struct oz_key *key,
                     const struct oz_yaml_node *node, int64_t v)
{
    if (v >= key->min && v <= key->max) return true;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_key_bound(key, key->min, &buf);
    oz_buf_puts(&buf, " to ");
    oz_key_bound(key, key->max, &buf);
    refuse(doc, node, oz_buf_string(&buf));
    if (buf.failed) doc->no_memory = true;
    oz_buf_clear(&buf);
    return false;
}

static bool load_integer(struct oz_config_doc *doc, const struct oz_key *key,
                         const struct oz_yaml_node *node, void *to)
{
    int64_t v;
    if (!oz_parse_i64(node->text, node->len, &v)) return refuse(doc, node, "a whole number");
    if (!in_range(doc, key, node, v)) return false;
    if (key->type == OZ_KEY_U32)
        *(uint32_t *)to = (uint32_t)v;
    else
        *(uint64_t *)to = (uint64_t)v;
    return true;
}

static bool load_duration(struct oz_config_doc *doc, const struct oz_key *key,
                          const struct oz_yaml_node *node, void *to)
{
    int64_t v;
    if (!oz_parse_duration(node->text, node->len, &v))
        return refuse(doc, node, "a duration such as `250ms`, `10m` or `1h30m`");
    if (!in_range(doc, key, node, v)) return false;
    *(int64_t *)to = v;
    return true;
}

static bool load_bytes(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    uint64_t v;
    if (!oz_parse_bytes(node->text, node->len, &v))
        return refuse(doc, node, "a size such as `512MiB` or `2GiB`");
    if (!in_range(doc, key, node, v > INT64_MAX ? INT64_MAX : (int64_t)v)) return false;
    *(uint64_t *)to = v;
    return true;
}

static bool load_boolean(struct oz_config_doc *doc, const struct oz_key *key,
                         const struct oz_yaml_node *node, void *to)
{
    (void)key;
    bool yes = !strcmp(node->text, "true"), no = !strcmp(node->text, "false");
    if (!yes && !no) return refuse(doc, node, "`true` or `false`");
    *(int *)to = yes ? OZ_SAYS_YES : OZ_SAYS_NO;
    return true;
}

/* "`a`, `b` or `c`": what is served. */
static void put_choices(const struct oz_choice *choice, struct oz_buf *buf)
{
    size_t n = 0, at = 0;
    for (const struct oz_choice *c = choice; c->name; c++) n += !c->not_yet;
    for (const struct oz_choice *c = choice; c->name; c++) {
        if (c->not_yet) continue;
        oz_buf_printf(buf, "%s`%s`", !at ? "" : at + 1 == n ? " or " : ", ", c->name);
        at++;
    }
}

static bool load_choice(struct oz_config_doc *doc, const struct oz_key *key,
                        const struct oz_yaml_node *node, void *to)
{
    const char *names[16];
    size_t n = 0;
    struct oz_buf buf;
    oz_buf_init(&buf);
    put_choices(key->choice, &buf);
    for (const struct oz_choice *c = key->choice; c->name; c++) {
        if (!c->not_yet && n < OZ_COUNT_OF(names)) names[n++] = c->name;
        if (strcmp(c->name, node->text)) continue;
        if (c->not_yet) {
            oz_config_mistake(doc, node->place, "`%s` is not served yet: expected %s", c->name,
                              oz_buf_string(&buf));
        } else {
            *(int *)to = c->value;
        }
        oz_buf_clear(&buf);
        return !c->not_yet;
    }
    const char *hint = node->secret ? "" : oz_config_hint(doc, node->text, node->len, names, n);
    oz_config_mistake(doc, node->place, "expected %s, found %s%s", oz_buf_string(&buf),
                      oz_config_found(doc, node), hint);
    if (buf.failed) doc->no_memory = true;
    oz_buf_clear(&buf);
    return false;
}

static bool load_field(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    static const struct {
        const char *name;
        enum oz_type type;
        enum oz_time_form form;
    } forms[] = {{"long", OZ_LONG, OZ_TIME_ISO},
                 {"double", OZ_DOUBLE, OZ_TIME_ISO},
                 {"boolean", OZ_BOOLEAN, OZ_TIME_ISO},
                 {"string", OZ_STRING, OZ_TIME_ISO},
                 {"timestamp", OZ_TIMESTAMP, OZ_TIME_ISO},
                 {"timestamp(s)", OZ_TIMESTAMP, OZ_TIME_SECONDS},
                 {"timestamp(ms)", OZ_TIMESTAMP, OZ_TIME_MILLIS},
                 {"timestamp(us)", OZ_TIMESTAMP, OZ_TIME_MICROS}};
    (void)key;
    struct oz_field_word *field = to;
    const char *names[OZ_COUNT_OF(forms)];
    for (size_t i = 0; i < OZ_COUNT_OF(forms); i++) {
        names[i] = forms[i].name;
        if (strcmp(node->text, forms[i].name)) continue;
        *field = (struct oz_field_word){true, forms[i].type, forms[i].form};
        return true;
    }
    if (!strncmp(node->text, "decimal", 7)) {
        oz_config_mistake(doc, node->place,
                          "`decimal(n)` is not served yet: expected `long` or `double`");
        return false;
    }
    const char *hint =
        node->secret ? "" : oz_config_hint(doc, node->text, node->len, names, OZ_COUNT_OF(forms));
    oz_config_mistake(doc, node->place,
                      "expected `long`, `double`, `boolean`, `string`, `timestamp` or "
                      "`timestamp(s|ms|us)`, found %s%s",
                      oz_config_found(doc, node), hint);
    return false;
}

/* The next word of s[*at, len), blanks skipped; empty at the end. */
static size_t next_word(const char *s, size_t len, size_t *at)
{
    while (*at < len && strchr(" \t\r\n", s[*at])) ++*at;
    size_t n = 0;
    while (*at + n < len && !strchr(" \t\r\n", s[*at + n])) n++;
    return n;
}

static bool load_suppress(struct oz_config_doc *doc, const struct oz_key *key,
                          const struct oz_yaml_node *node, void *to)
{
    struct oz_suppress_word *suppress = to;
    const char *s = node->text;
    size_t at = 0, n = next_word(s, node->len, &at);
    int64_t us;
    bool ok = oz_parse_duration(s + at, n, &us);
    at += n;
    n = next_word(s, node->len, &at);
    ok = ok && n == 2 && !memcmp(s + at, "by", 2);
    at += n;
    n = next_word(s, node->len, &at);
    size_t by = at, by_len = n;
    at += n;
    if (!ok || !by_len || next_word(s, node->len, &at))
        return refuse(doc, node, "a duration and an entity such as `10m by customer`");
    if (!in_range(doc, key, node, us)) return false;
    char *copy = oz_arena_strndup(doc->arena, s + by, by_len);
    if (!copy) {
        doc->no_memory = true;
        return false;
    }
    *suppress = (struct oz_suppress_word){us, copy, oz_config_place_in(doc, node, by)};
    return true;
}

static bool load_start(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    (void)key;
    struct oz_start_word start = {OZ_START_AT, 0};
    if (!strcmp(node->text, "earliest"))
        start.start = OZ_START_EARLIEST;
    else if (!strcmp(node->text, "latest"))
        start.start = OZ_START_LATEST;
    else if (!oz_parse_instant(node->text, node->len, &start.at_us))
        return refuse(doc, node, "`earliest`, `latest` or a time such as `2026-01-31T00:00:00Z`");
    *(struct oz_start_word *)to = start;
    return true;
}

/* "1%", "0.25%": parts of a million in (0, max_ppm]. */
static bool parse_percent(const char *s, size_t len, uint32_t max_ppm, uint32_t *ret_ppm)
{
    double percent;
    if (len < 2 || s[len - 1] != '%' || !oz_parse_double(s, len - 1, &percent)) return false;
    if (!(percent >= 0.0001) || percent * 1e4 > max_ppm) return false;
    *ret_ppm = (uint32_t)(percent * 1e4 + 0.5);
    return true;
}

static bool load_flood(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    struct oz_flood flood = {0};
    const char *s = node->text;
    int64_t count = 0;
    size_t at = 0, n = next_word(s, node->len, &at);
    bool ok = parse_percent(s + at, n, PPM, &flood.share_ppm) ||
              (oz_parse_i64(s + at, n, &count) && count > 0);
    at += n;
    n = next_word(s, node->len, &at);
    ok = ok && n == 3 && !memcmp(s + at, "per", 3);
    at += n;
    n = next_word(s, node->len, &at);
    ok = ok && oz_parse_duration(s + at, n, &flood.per_us) && flood.per_us > 0;
    at += n;
    if (!ok || next_word(s, node->len, &at))
        return refuse(doc, node,
                      "a share or a number per time such as `1% per 1m` or `500 per 1m`");
    if (!in_range(doc, key, node, flood.per_us)) return false;
    flood.count = (uint64_t)count;
    *(struct oz_flood *)to = flood;
    return true;
}

static bool load_space(struct oz_config_doc *doc, const struct oz_key *key,
                       const struct oz_yaml_node *node, void *to)
{
    (void)key;
    struct oz_space space = {0};
    if (!parse_percent(node->text, node->len, PPM / 2, &space.share_ppm) &&
        !oz_parse_bytes(node->text, node->len, &space.bytes))
        return refuse(doc, node, "a share up to `50%` or a size such as `2GiB`");
    *(struct oz_space *)to = space;
    return true;
}

#define DURATION_PATTERN "([0-9]+(ms|s|m|h|d))+"
static const struct oz_key_class classes[OZ_KEY_TYPE_COUNT] = {
    [OZ_KEY_GROUP] = {"keys", NULL, NULL, NULL},
    [OZ_KEY_MAP] = {"names", NULL, NULL, NULL},
    [OZ_KEY_LIST] = {"list", NULL, NULL, NULL},
    [OZ_KEY_INPUTS] = {"list, or names with their lists", NULL, NULL, NULL},
    [OZ_KEY_PASS] = {"keys of librdkafka", NULL, NULL, NULL},
    [OZ_KEY_TEXT] = {"text", "a text", load_text, NULL},
    [OZ_KEY_EXPRESSION] = {"expression", "an expression", load_expression, NULL},
    [OZ_KEY_NAME] = {"name", "a name", load_name, "^[A-Za-z_][A-Za-z0-9_]*$"},
    [OZ_KEY_LABEL] = {"name", "a name", load_label, "^[a-z0-9-]{1,48}$"},
    [OZ_KEY_TOPIC] = {"topic", "a Kafka topic", load_topic, "^[a-zA-Z0-9._-]{1,249}$"},
    [OZ_KEY_INSTANCE] = {"text", "a text", load_instance, "^[a-zA-Z0-9._-]{1,128}$"},
    [OZ_KEY_U32] = {"integer", "a whole number", load_integer, NULL},
    [OZ_KEY_U64] = {"integer", "a whole number", load_integer, NULL},
    [OZ_KEY_DURATION] = {"duration", "a duration such as `10m`", load_duration,
                         "^" DURATION_PATTERN "$"},
    [OZ_KEY_BYTES] = {"size", "a size such as `2GiB`", load_bytes,
                      "^[0-9]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$"},
    [OZ_KEY_BOOLEAN] = {"boolean", "`true` or `false`", load_boolean, NULL},
    [OZ_KEY_CHOICE] = {"choice", NULL, load_choice, NULL},
    [OZ_KEY_FIELD] = {"field type", "a field's type such as `long`", load_field,
                      "^(long|double|boolean|string|timestamp(\\((s|ms|us)\\))?)$"},
    [OZ_KEY_SUPPRESS] = {"duration `by` entity",
                         "a duration and an entity such as `10m by customer`", load_suppress,
                         "^" DURATION_PATTERN " +by +[A-Za-z_][A-Za-z0-9_]*$"},
    [OZ_KEY_START] = {"`earliest`, `latest` or a time", "`earliest`, `latest` or a time",
                      load_start, "^(earliest|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}.*)$"},
    [OZ_KEY_FLOOD] = {"share or number `per` duration",
                      "a share or a number per time such as `1% per 1m`", load_flood,
                      "^[0-9.]+%? +per +" DURATION_PATTERN "$"},
    [OZ_KEY_SPACE] = {"share or size", "a share such as `5%` or a size such as `2GiB`", load_space,
                      "^([0-9.]+%|[0-9]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?)$"},
};

const struct oz_key_class *oz_key_class(enum oz_key_type type)
{
    OZ_ASSERT((int)type >= 0 && type < OZ_KEY_TYPE_COUNT);
    return &classes[type];
}
