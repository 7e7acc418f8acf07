/* JSON records, by simdjson's on-demand iterator: it finds the structure, and every scalar is read
 * from its own token, so that numbers, literals and times follow our rules to the byte. Nothing is
 * taken on trust: a value that no field wants is walked too.
 *
 * Records of one producer have their fields in one order, so a decoder remembers which field
 * followed which, compares the name with that one first, and asks the hash table only when it
 * differs. */
#include "stream/codec.h"
#include "base/hash.h"
#include "base/instant.h"
#include "base/number.h"
#include <cmath>
#include <cstring>
#include <new>
#include <simdjson.h>
#include <utility>

namespace ondemand = simdjson::ondemand;

namespace
{

/* A name is compared where the text may end before it: the padding covers the longest. */
constexpr size_t padding_bytes = simdjson::SIMDJSON_PADDING + OZ_NAME_BYTES_MAX + 1;
constexpr size_t text_bytes_min = 4096;
constexpr uint32_t n_slots = 4 * OZ_FIELDS_MAX;
constexpr uint16_t no_field = UINT16_MAX;
constexpr double double_limit = 0x1p94;

} // namespace

struct oz_decoder {
    const struct oz_schema *schema;
    ondemand::parser parser;
    uint8_t *text;      /* the record, padded */
    uint8_t *unescaped; /* strings that had escapes */
    size_t cap_bytes;   /* of both, padding not counted */
    uint32_t n_strings;
    uint16_t string_field[OZ_FIELDS_MAX];
    uint16_t follower[OZ_FIELDS_MAX + 1]; /* [f + 1]: the field that came after f; [0]: the first */
    uint16_t slot[n_slots];               /* open addressing by the name's hash */
    uint8_t name_len[OZ_FIELDS_MAX];
    bool escaped_name[OZ_FIELDS_MAX]; /* JSON never has this name as it is: no quick comparison */
};

namespace
{

/* One record on its way. */
struct reading {
    struct oz_decoder *decoder;
    struct oz_table *table;
    size_t row, len;
    uint8_t *unescaped; /* where the next one goes */
    uint64_t nulled;
    uint64_t seen[OZ_FIELDS_MAX / 64];
    struct oz_error *err;
};

using token = std::string_view;

size_t offset_of(const struct reading *in, const void *at)
{
    auto p = reinterpret_cast<uintptr_t>(at),
         start = reinterpret_cast<uintptr_t>(in->decoder->text);
    return p < start ? 0 : OZ_MIN((size_t)(p - start), in->len);
}

/* The first byte that breaks UTF-8, for the message only; len when none does. */
OZ_COLD size_t find_bad_utf8(const uint8_t *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint8_t c = s[i];
        size_t n = c < 0x80                ? 1
                   : c >= 0xc2 && c < 0xe0 ? 2
                   : c >= 0xe0 && c < 0xf0 ? 3
                   : c >= 0xf0 && c < 0xf5 ? 4
                                           : 0;
        if (!n || i + n > len) return i;
        for (size_t k = 1; k < n; k++)
            if ((s[i + k] & 0xc0) != 0x80) return i;
        if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f) ||
            (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))
            return i;
        i += n;
    }
    return len;
}

OZ_COLD enum oz_status broken(struct reading *in, const void *at, const char *what)
{
    OZ_FAIL(in->err, OZ_RECORD, "not valid JSON at byte %zu: %s", offset_of(in, at), what);
}

/* What simdjson found; `at` is NULL when it does not say where. */
OZ_COLD enum oz_status broken_by(struct reading *in, simdjson::error_code error, const void *at)
{
    const uint8_t *text = in->decoder->text;
    switch (error) {
    case simdjson::MEMALLOC: return oz_no_memory(in->err);
    case simdjson::EMPTY: OZ_FAIL(in->err, OZ_RECORD, "the record is empty");
    case simdjson::UTF8_ERROR:
        OZ_FAIL(in->err, OZ_RECORD, "not valid UTF-8 at byte %zu", find_bad_utf8(text, in->len));
    case simdjson::UNCLOSED_STRING:
        OZ_FAIL(in->err, OZ_RECORD, "not valid JSON: text is not closed before byte %zu, the end",
                in->len);
    case simdjson::UNESCAPED_CHARS:
        OZ_FAIL(in->err, OZ_RECORD, "not valid JSON: a control character inside of text");
    case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
        OZ_FAIL(in->err, OZ_RECORD,
                "not valid JSON: the record ends at byte %zu without a closing brace", in->len);
    default: break;
    }
    if (at) return broken(in, at, "a comma, colon, quote or brace is missing or too many");
    OZ_FAIL(in->err, OZ_RECORD, "not valid JSON: %s", simdjson::error_message(error));
}

template <typename T> const void *place_of(T &of)
{
    const char *at;
    return of.current_location().get(at) ? nullptr : at;
}

token trimmed(token t)
{
    size_t n = t.size();
    while (n && (t[n - 1] == ' ' || t[n - 1] == '\n' || t[n - 1] == '\r' || t[n - 1] == '\t')) n--;
    return t.substr(0, n);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_number(token t)
{
    size_t i = 0, n = t.size();
    auto digits = [&] {
        size_t start = i;
        while (i < n && is_digit(t[i])) i++;
        return i > start;
    };
    if (i < n && t[i] == '-') i++;
    if (i + 1 < n && t[i] == '0' && is_digit(t[i + 1])) return false;
    if (!digits()) return false;
    if (i < n && t[i] == '.' && (i++, !digits())) return false;
    if (i < n && (t[i] == 'e' || t[i] == 'E')) {
        if (++i < n && (t[i] == '+' || t[i] == '-')) i++;
        if (!digits()) return false;
    }
    return i == n;
}

/* What a token is, in words; NULL when it is no value at all. */
OZ_COLD const char *kind_of(token t)
{
    if (t.empty()) return nullptr;
    switch (t[0]) {
    case '{': return "an object";
    case '[': return "a list";
    case '"': return "text";
    default: break;
    }
    if (t == "true" || t == "false") return "a boolean";
    if (t == "null") return "null";
    if (!is_number(t)) return nullptr;
    return t.find_first_of(".eE") == token::npos ? "a whole number"
                                                 : "a number with a point or an exponent";
}

const char *const time_form_names[] = {
    "a time such as 2018-07-25T10:11:12Z",
    "a whole number of seconds since 1970, up to the year 9999",
    "a whole number of milliseconds since 1970, up to the year 9999",
    "a whole number of microseconds since 1970, up to the year 9999",
};

OZ_COLD enum oz_status wrong_value(struct reading *in, uint32_t f, token t)
{
    const struct oz_field *field = &in->decoder->schema->field[f];
    const char *kind = kind_of(t), *expected = "text";
    if (!kind) return broken(in, t.data(), "expected a value");
    switch (field->type) {
    case OZ_LONG: expected = "a whole number between -2^63 and 2^63, both excluded"; break;
    case OZ_DOUBLE: expected = "a number"; break;
    case OZ_BOOLEAN: expected = "true or false"; break;
    case OZ_TIMESTAMP: expected = time_form_names[field->time_form]; break;
    default: break;
    }
    OZ_FAIL(in->err, OZ_RECORD, "field \"%s\": expected %s, found %s at byte %zu", field->name,
            expected, kind, offset_of(in, t.data()));
}

/* The text of a string's token, without its quotes and escapes. */
enum oz_status read_text(struct reading *in, token t, token *ret_text)
{
    if (OZ_UNLIKELY(t.size() < 2 || t.back() != '"'))
        return broken(in, t.data(), "text is not closed");
    token raw = t.substr(1, t.size() - 2);
    if (OZ_LIKELY(!memchr(raw.data(), '\\', raw.size()))) {
        *ret_text = raw;
        return OZ_OK;
    }
    ondemand::raw_json_string escaped(reinterpret_cast<const uint8_t *>(raw.data()));
    if (in->decoder->parser.unescape(escaped, in->unescaped).get(*ret_text))
        return broken(in, t.data(), "an escape in this text is none that JSON has");
    return OZ_OK;
}

/* The text of a key: `raw` stands behind its opening quote, and stage 1 has seen the closing one.
 */
enum oz_status read_key(struct reading *in, const char *raw, token *ret_key)
{
    const char *end = raw;
    while (*end != '"') end += *end == '\\' ? 2 : 1;
    return read_text(in, token(raw - 1, (size_t)(end - raw) + 2), ret_key);
}

enum oz_status check_value(struct reading *in, ondemand::value value, int depth);

enum oz_status check_object(struct reading *in, ondemand::value value, int depth)
{
    ondemand::object object;
    auto error = value.get_object().get(object);
    if (error) return broken_by(in, error, place_of(value));
    for (auto item : object) {
        ondemand::field field;
        if ((error = std::move(item).get(field))) return broken_by(in, error, place_of(value));
        token name;
        OZ_TRY(read_key(in, field.key().raw(), &name));
        OZ_TRY(check_value(in, field.value(), depth + 1));
    }
    return OZ_OK;
}

enum oz_status check_list(struct reading *in, ondemand::value value, int depth)
{
    ondemand::array list;
    auto error = value.get_array().get(list);
    if (error) return broken_by(in, error, place_of(value));
    for (auto item : list) {
        ondemand::value element;
        if ((error = std::move(item).get(element))) return broken_by(in, error, place_of(value));
        OZ_TRY(check_value(in, element, depth + 1));
    }
    return OZ_OK;
}

/* A value that no field wants. */
enum oz_status check_value(struct reading *in, ondemand::value value, int depth)
{
    token t = trimmed(value.raw_json_token()), text;
    if (depth > OZ_RECORD_DEPTH_MAX)
        OZ_FAIL(in->err, OZ_RECORD, "nested deeper than %d at byte %zu", (int)OZ_RECORD_DEPTH_MAX,
                offset_of(in, t.data()));
    if (t.empty()) return broken(in, t.data(), "expected a value");
    if (t[0] == '{') return check_object(in, value, depth);
    if (t[0] == '[') return check_list(in, value, depth);
    if (t[0] == '"') {
        uint8_t *keep = in->unescaped;
        OZ_TRY(read_text(in, t, &text));
        in->unescaped = keep;
        return OZ_OK;
    }
    if (!kind_of(t)) return broken(in, t.data(), "expected a value");
    return OZ_OK;
}

bool starts_number(token t)
{
    return is_digit(t[0]) || (t[0] == '-' && t.size() > 1 && is_digit(t[1]));
}

enum oz_status read_double(struct reading *in, uint32_t f, token t)
{
    double v;
    if (OZ_UNLIKELY(!starts_number(t))) return wrong_value(in, f, t);
    if (OZ_UNLIKELY(!oz_parse_double(t.data(), t.size(), &v))) {
        if (!is_number(t)) return wrong_value(in, f, t);
        v = HUGE_VAL;
    }
    if (OZ_UNLIKELY(!(std::fabs(v) < double_limit))) {
        in->nulled++;
        v = OZ_NULL_DOUBLE;
    }
    in->table->column[f].f64[in->row] = v;
    return OZ_OK;
}

enum oz_status read_boolean(struct reading *in, uint32_t f, token t)
{
    if (OZ_UNLIKELY(t != "true" && t != "false")) return wrong_value(in, f, t);
    in->table->column[f].boolean[in->row] = t[0] == 't' ? OZ_TRUE : OZ_FALSE;
    return OZ_OK;
}

enum oz_status read_string(struct reading *in, uint32_t f, token t)
{
    token text;
    if (OZ_UNLIKELY(t[0] != '"')) return wrong_value(in, f, t);
    OZ_TRY(read_text(in, t, &text));
    in->table->column[f].str[in->row] = {text.data(), (uint32_t)text.size()};
    return OZ_OK;
}

enum oz_status read_timestamp(struct reading *in, uint32_t f, token t)
{
    static const int64_t unit_us[] = {0, OZ_US_PER_SECOND, OZ_US_PER_MS, 1};
    constexpr int64_t first_us = -INT64_C(719162) * OZ_US_PER_DAY; /* 0001-01-01 */
    constexpr int64_t last_us = INT64_C(2932897) * OZ_US_PER_DAY - 1;
    enum oz_time_form form = in->decoder->schema->field[f].time_form;
    int64_t us;
    if (form == OZ_TIME_ISO) {
        token text;
        if (OZ_UNLIKELY(t[0] != '"')) return wrong_value(in, f, t);
        OZ_TRY(read_text(in, t, &text));
        if (OZ_UNLIKELY(!oz_parse_instant(text.data(), text.size(), &us)))
            return wrong_value(in, f, t);
    } else if (!oz_parse_i64(t.data(), t.size(), &us) ||
               __builtin_mul_overflow(us, unit_us[form], &us) || us < first_us || us > last_us) {
        return wrong_value(in, f, t);
    }
    in->table->column[f].i64[in->row] = us;
    return OZ_OK;
}

enum oz_status read_long(struct reading *in, uint32_t f, token t)
{
    int64_t v;
    if (OZ_UNLIKELY(!oz_parse_i64(t.data(), t.size(), &v) || v == OZ_NULL_LONG))
        return wrong_value(in, f, t);
    in->table->column[f].i64[in->row] = v;
    return OZ_OK;
}

void set_null(struct oz_column *column, size_t row)
{
    switch (column->type) {
    case OZ_LONG:
    case OZ_TIMESTAMP: column->i64[row] = OZ_NULL_LONG; break;
    case OZ_DOUBLE: column->f64[row] = OZ_NULL_DOUBLE; break;
    case OZ_BOOLEAN: column->boolean[row] = OZ_NULL_BOOLEAN; break;
    case OZ_STRING: column->str[row] = {nullptr, 0}; break;
    case OZ_TYPE_COUNT: OZ_ASSERT(false);
    }
}

bool is_null(const struct oz_column *column, size_t row)
{
    switch (column->type) {
    case OZ_LONG:
    case OZ_TIMESTAMP: return column->i64[row] == OZ_NULL_LONG;
    case OZ_DOUBLE: return std::isnan(column->f64[row]);
    case OZ_BOOLEAN: return column->boolean[row] == OZ_NULL_BOOLEAN;
    case OZ_STRING: return !column->str[row].data;
    case OZ_TYPE_COUNT: OZ_ASSERT(false);
    }
    return true;
}

enum oz_status read_cell(struct reading *in, uint32_t f, ondemand::value value)
{
    token t = trimmed(value.raw_json_token());
    struct oz_column *column = &in->table->column[f];
    if (OZ_UNLIKELY(t.empty())) return broken(in, t.data(), "expected a value");
    if (OZ_UNLIKELY(t == "null")) {
        set_null(column, in->row);
        return OZ_OK;
    }
    switch (column->type) {
    case OZ_LONG: return read_long(in, f, t);
    case OZ_DOUBLE: return read_double(in, f, t);
    case OZ_BOOLEAN: return read_boolean(in, f, t);
    case OZ_STRING: return read_string(in, f, t);
    case OZ_TIMESTAMP: return read_timestamp(in, f, t);
    case OZ_TYPE_COUNT: break;
    }
    OZ_ASSERT(false);
    return OZ_DEFECT;
}

bool is_field(const struct oz_decoder *decoder, uint32_t f, const char *raw)
{
    size_t len = decoder->name_len[f];
    return raw[len] == '"' && !memcmp(raw, decoder->schema->field[f].name, len);
}

/* The field of this name, or no_field. */
uint16_t look_up(const struct oz_decoder *decoder, token name)
{
    for (uint32_t at = (uint32_t)oz_hash64(name.data(), name.size());; at++) {
        uint16_t f = decoder->slot[at % n_slots];
        if (f == no_field) return no_field;
        if (name.size() == decoder->name_len[f] &&
            !memcmp(name.data(), decoder->schema->field[f].name, name.size()))
            return f;
    }
}

enum oz_status find_field(struct reading *in, const char *raw, uint16_t *expected,
                          uint16_t *ret_field)
{
    if (OZ_LIKELY(*expected != no_field && is_field(in->decoder, *expected, raw))) {
        *ret_field = *expected;
        return OZ_OK;
    }
    uint8_t *keep = in->unescaped;
    token name;
    OZ_TRY(read_key(in, raw, &name));
    *ret_field = look_up(in->decoder, name);
    in->unescaped = keep;
    if (*ret_field != no_field && !in->decoder->escaped_name[*ret_field]) *expected = *ret_field;
    return OZ_OK;
}

OZ_COLD enum oz_status no_object(struct reading *in, simdjson::error_code error)
{
    const char *text = reinterpret_cast<const char *>(in->decoder->text), *at = text;
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
    if (*at == '{') return broken_by(in, error, nullptr);
    bool mark = in->len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3);
    return broken(in, at,
                  mark ? "a byte order mark, which JSON does not have"
                       : "expected an object, as in {\"field\":value}");
}

enum oz_status read_fields(struct reading *in, ondemand::document &doc)
{
    struct oz_decoder *decoder = in->decoder;
    ondemand::object object;
    auto error = doc.get_object().get(object);
    if (OZ_UNLIKELY(error)) return no_object(in, error);
    uint16_t *expected = &decoder->follower[0];
    for (auto item : object) {
        ondemand::field field;
        error = std::move(item).get(field);
        if (OZ_UNLIKELY(error)) return broken_by(in, error, place_of(doc));
        const char *raw = field.key().raw();
        uint16_t f;
        OZ_TRY(find_field(in, raw, expected, &f));
        if (OZ_UNLIKELY(f == no_field)) {
            OZ_TRY(check_value(in, field.value(), 2));
            continue;
        }
        uint64_t bit = UINT64_C(1) << f % 64;
        if (OZ_UNLIKELY(in->seen[f / 64] & bit))
            OZ_FAIL(in->err, OZ_RECORD, "field \"%s\" comes a second time at byte %zu",
                    decoder->schema->field[f].name, offset_of(in, raw - 1));
        in->seen[f / 64] |= bit;
        expected = &decoder->follower[f + 1];
        OZ_TRY(read_cell(in, f, field.value()));
    }
    /* An iterator that has taken every token has no place any more. */
    const void *at = place_of(doc);
    if (OZ_UNLIKELY(at)) return broken(in, at, "something follows the record's closing brace");
    return OZ_OK;
}

/* Fields that the record does not have. */
void fill_missing(struct reading *in)
{
    for (uint32_t f = 0; f < in->decoder->schema->n_fields; f++)
        if (!(in->seen[f / 64] & UINT64_C(1) << f % 64)) set_null(&in->table->column[f], in->row);
}

OZ_COLD enum oz_status key_or_time_missing(struct reading *in, int f, const char *role)
{
    bool seen = in->seen[f / 64] >> f % 64 & 1;
    OZ_FAIL(in->err, OZ_RECORD, "field \"%s\": the %s of the record is %s",
            in->decoder->schema->field[f].name, role, seen ? "null" : "missing");
}

/* The clock's own time is left out: a second run writes the same bytes. */
OZ_COLD enum oz_status too_far_ahead(struct reading *in, int64_t time_us)
{
    const struct oz_schema *schema = in->decoder->schema;
    char time[OZ_INSTANT_BYTES_MAX], ahead[64];
    time[oz_format_instant(time, time_us)] = '\0';
    ahead[oz_format_duration(ahead, schema->max_future_us)] = '\0';
    OZ_FAIL(in->err, OZ_RECORD,
            "field \"%s\": its time %s is more than %s (max_future) ahead of the clock",
            schema->field[schema->time].name, time, ahead);
}

enum oz_status check_key_and_time(struct reading *in, int64_t now_us,
                                  enum oz_decode_stage *ret_stage)
{
    const struct oz_schema *schema = in->decoder->schema;
    if (schema->key >= 0 && OZ_UNLIKELY(is_null(&in->table->column[schema->key], in->row))) {
        *ret_stage = OZ_DECODE_KEY;
        return key_or_time_missing(in, schema->key, "key");
    }
    if (schema->time < 0) return OZ_OK;
    int64_t time_us = in->table->column[schema->time].i64[in->row], latest_us;
    *ret_stage = OZ_DECODE_TIME;
    if (OZ_UNLIKELY(time_us == OZ_NULL_LONG)) return key_or_time_missing(in, schema->time, "time");
    if (__builtin_add_overflow(now_us, schema->max_future_us, &latest_us)) latest_us = INT64_MAX;
    if (OZ_UNLIKELY(time_us > latest_us)) return too_far_ahead(in, time_us);
    return OZ_OK;
}

/* Until here strings point into the decoder's buffers. */
enum oz_status keep_strings(struct reading *in, struct oz_arena *arena)
{
    struct oz_decoder *decoder = in->decoder;
    size_t total = 0;
    for (uint32_t i = 0; i < decoder->n_strings; i++)
        total += in->table->column[decoder->string_field[i]].str[in->row].len;
    char *to = total ? (char *)oz_arena_get(arena, total) : (char *)"";
    if (!to) return oz_no_memory(in->err);
    for (uint32_t i = 0; i < decoder->n_strings; i++) {
        struct oz_str *str = &in->table->column[decoder->string_field[i]].str[in->row];
        if (!str->data) continue;
        if (str->len) memcpy(to, str->data, str->len);
        str->data = to;
        to += str->len;
    }
    return OZ_OK;
}

OZ_COLD enum oz_status grow(struct oz_decoder *decoder, size_t len, struct oz_error *err)
{
    size_t cap = text_bytes_min;
    while (cap < len) cap *= 2;
    auto text = (uint8_t *)oz_calloc(1, cap + padding_bytes);
    auto unescaped = (uint8_t *)oz_calloc(1, cap + padding_bytes);
    if (!text || !unescaped || decoder->parser.allocate(cap)) {
        oz_free(text), oz_free(unescaped);
        return oz_no_memory(err);
    }
    oz_free(decoder->text), oz_free(decoder->unescaped);
    decoder->text = text, decoder->unescaped = unescaped, decoder->cap_bytes = cap;
    return OZ_OK;
}

enum oz_status decode(struct reading *in, const char *bytes, int64_t now_us, struct oz_arena *arena,
                      enum oz_decode_stage *ret_stage)
{
    struct oz_decoder *decoder = in->decoder;
    if (OZ_UNLIKELY(in->len > OZ_RECORD_BYTES_MAX))
        OZ_FAIL(in->err, OZ_RECORD, "the record has more than %d bytes", (int)OZ_RECORD_BYTES_MAX);
    if (OZ_UNLIKELY(in->len > decoder->cap_bytes)) OZ_TRY(grow(decoder, in->len, in->err));
    if (in->len) memcpy(decoder->text, bytes, in->len);
    memset(decoder->text + in->len, 0, simdjson::SIMDJSON_PADDING);
    in->unescaped = decoder->unescaped;

    ondemand::document doc;
    auto error = decoder->parser.iterate(decoder->text, in->len, decoder->cap_bytes + padding_bytes)
                     .get(doc);
    if (OZ_UNLIKELY(error)) return broken_by(in, error, nullptr);
    OZ_TRY(read_fields(in, doc));
    fill_missing(in);
    OZ_TRY(check_key_and_time(in, now_us, ret_stage));
    return keep_strings(in, arena);
}

} // namespace

enum oz_status oz_json_decoder_new(const struct oz_schema *schema, struct oz_decoder **ret_decoder,
                                   struct oz_error *err)
{
    OZ_ASSERT(schema->n_fields <= OZ_FIELDS_MAX);
    void *memory = oz_calloc(1, sizeof(struct oz_decoder));
    if (!memory) return oz_no_memory(err);
    auto decoder = new (memory) oz_decoder();
    decoder->schema = schema;
    memset(decoder->slot, 0xff, sizeof(decoder->slot));
    for (uint32_t f = 0; f < schema->n_fields; f++) {
        const char *name = schema->field[f].name;
        size_t len = strlen(name);
        OZ_ASSERT(len <= OZ_NAME_BYTES_MAX && look_up(decoder, token(name, len)) == no_field);
        decoder->name_len[f] = (uint8_t)len;
        uint32_t at = (uint32_t)oz_hash64(name, len);
        while (decoder->slot[at % n_slots] != no_field) at++;
        decoder->slot[at % n_slots] = (uint16_t)f;
        decoder->escaped_name[f] = memchr(name, '\\', len) || memchr(name, '"', len);
        decoder->follower[f] = decoder->escaped_name[f] ? no_field : (uint16_t)f;
        if (schema->field[f].type == OZ_STRING)
            decoder->string_field[decoder->n_strings++] = (uint16_t)f;
    }
    decoder->follower[schema->n_fields] = no_field;
    enum oz_status status = grow(decoder, text_bytes_min, err);
    if (status != OZ_OK) {
        oz_decoder_free(decoder);
        return status;
    }
    *ret_decoder = decoder;
    return OZ_OK;
}

void oz_decoder_free(struct oz_decoder *decoder)
{
    if (!decoder) return;
    oz_free(decoder->text), oz_free(decoder->unescaped);
    decoder->~oz_decoder();
    oz_free(decoder);
}

enum oz_status oz_decode(struct oz_decoder *decoder, const char *bytes, size_t len, int64_t now_us,
                         struct oz_table *table, size_t row, struct oz_arena *arena,
                         enum oz_decode_stage *ret_stage, uint64_t *ret_nulled,
                         struct oz_error *err)
{
    OZ_ASSERT(table->schema->n_fields == decoder->schema->n_fields && row < table->cap_rows);
    struct reading in = {};
    in.decoder = decoder, in.table = table, in.row = row, in.len = len, in.err = err;
    enum oz_decode_stage stage = OZ_DECODE_BAD;
    enum oz_status status = decode(&in, bytes, now_us, arena, &stage);
    *ret_nulled = in.nulled;
    *ret_stage = status == OZ_OK ? OZ_DECODE_OK : stage;
    if (OZ_UNLIKELY(status != OZ_OK)) oz_table_set_null(table, row);
    return status;
}
