#include "models/json_document.h"
#include <cmath>
#include <cstring>
#include <simdjson.h>
#include <string_view>
#include "base/number.h"

namespace
{

using namespace simdjson;

struct reader {
    struct oz_document *doc;
    const char *text;
    ondemand::document *json;
    int depth;
};

enum oz_status at_byte(const reader &r, const char *what, struct oz_error *err)
{
    const char *at;
    if (r.json->current_location().get(at))
        return oz_error_set(err, OZ_MODEL, "%s, at the end of the file", what);
    return oz_error_set(err, OZ_MODEL, "%s, at byte %zu", what, (size_t)(at - r.text));
}

std::string_view trimmed(std::string_view token)
{
    while (!token.empty() && std::strchr(" \t\r\n", token.back())) token.remove_suffix(1);
    return token;
}

/* The library takes numbers as doubles; their own text is rounded once instead. */
enum oz_status read_number(const reader &r, std::string_view token, struct oz_doc_value *ret_value,
                           struct oz_error *err)
{
    if (oz_parse_i64(token.data(), token.size(), &ret_value->integer)) {
        ret_value->kind = OZ_DOC_INTEGER;
        return OZ_OK;
    }
    ret_value->kind = OZ_DOC_FLOAT;
    if (token == "NaN")
        ret_value->number = NAN;
    else if (token == "Infinity")
        ret_value->number = INFINITY;
    else if (token == "-Infinity")
        ret_value->number = -INFINITY;
    else if (token.empty() || std::isalpha((unsigned char)token.back()) ||
             !oz_parse_float(token.data(), token.size(), &ret_value->number))
        return at_byte(r, "this is not a value that a float can hold", err);
    return OZ_OK;
}

enum oz_status read_value(reader &r, ondemand::value json, struct oz_doc_value *ret_value,
                          struct oz_error *err);

enum oz_status copy_string(reader &r, std::string_view s, const char **ret_copy, uint32_t *ret_len,
                           struct oz_error *err)
{
    if (s.size() > UINT32_MAX) return at_byte(r, "a string is too long", err);
    *ret_copy = oz_arena_strndup(&r.doc->arena, s.data(), s.size());
    if (!*ret_copy) return oz_no_memory(err);
    *ret_len = (uint32_t)s.size();
    return OZ_OK;
}

enum oz_status read_array(reader &r, ondemand::array json, struct oz_doc_value *ret_value,
                          struct oz_error *err)
{
    size_t from = r.doc->n_pending;
    for (auto element : json) {
        ondemand::value item;
        struct oz_doc_value value;
        if (element.get(item)) return at_byte(r, "the array is damaged", err);
        OZ_TRY(read_value(r, item, &value, err));
        OZ_TRY(oz_document_push(r.doc, nullptr, 0, value, err));
    }
    return oz_document_close_array(r.doc, from, ret_value, err);
}

enum oz_status read_object(reader &r, ondemand::object json, struct oz_doc_value *ret_value,
                           struct oz_error *err)
{
    size_t from = r.doc->n_pending;
    for (auto member : json) {
        ondemand::field field;
        std::string_view name;
        const char *key = nullptr;
        uint32_t key_len = 0;
        struct oz_doc_value value;
        if (std::move(member).get(field)) return at_byte(r, "the object is damaged", err);
        if (field.unescaped_key().get(name)) return at_byte(r, "a key is damaged", err);
        OZ_TRY(copy_string(r, name, &key, &key_len, err));
        OZ_TRY(read_value(r, field.value(), &value, err));
        OZ_TRY(oz_document_push(r.doc, key, key_len, value, err));
    }
    return oz_document_close_object(r.doc, from, ret_value, err);
}

enum oz_status read_container(reader &r, ondemand::value json, bool object,
                              struct oz_doc_value *ret_value, struct oz_error *err)
{
    if (r.depth == OZ_DOC_DEPTH_MAX) return at_byte(r, "nested too deep", err);
    r.depth++;
    if (object) {
        ondemand::object members;
        if (json.get_object().get(members)) return at_byte(r, "the object is damaged", err);
        OZ_TRY(read_object(r, members, ret_value, err));
    } else {
        ondemand::array elements;
        if (json.get_array().get(elements)) return at_byte(r, "the array is damaged", err);
        OZ_TRY(read_array(r, elements, ret_value, err));
    }
    r.depth--;
    return OZ_OK;
}

enum oz_status read_value(reader &r, ondemand::value json, struct oz_doc_value *ret_value,
                          struct oz_error *err)
{
    std::string_view token = json.raw_json_token();
    *ret_value = {};
    ret_value->kind = OZ_DOC_NULL;
    switch (token.empty() ? '\0' : token.front()) {
    case '{': return read_container(r, json, true, ret_value, err);
    case '[': return read_container(r, json, false, ret_value, err);
    case '"': {
        std::string_view s;
        if (json.get_string().get(s)) return at_byte(r, "a string is damaged", err);
        ret_value->kind = OZ_DOC_STRING;
        return copy_string(r, s, &ret_value->string, &ret_value->n, err);
    }
    case 't':
    case 'f': {
        bool v;
        if (json.get_bool().get(v)) return at_byte(r, "this is not a value", err);
        ret_value->kind = OZ_DOC_BOOLEAN;
        ret_value->integer = v;
        return OZ_OK;
    }
    case 'n':
        if (trimmed(token) != "null") return at_byte(r, "this is not a value", err);
        return OZ_OK;
    default: return read_number(r, trimmed(token), ret_value, err);
    }
}

} // namespace

enum oz_status oz_json_document_parse(struct oz_document *doc, const uint8_t *bytes, size_t n,
                                      struct oz_error *err)
{
    ondemand::parser parser;
    ondemand::document json;
    ondemand::value root;
    char *text = (char *)oz_malloc(n + SIMDJSON_PADDING);
    if (!text) return oz_no_memory(err);
    std::memcpy(text, bytes, n);
    std::memset(text + n, 0, SIMDJSON_PADDING);
    reader r = {doc, text, &json, 0};
    enum oz_status status;
    error_code code = parser.iterate(padded_string_view(text, n, n + SIMDJSON_PADDING)).get(json);
    if (code == MEMALLOC)
        status = oz_no_memory(err);
    else if (code)
        status = oz_error_set(err, OZ_MODEL, "this is not JSON: %s", error_message(code));
    else if (json.get_value().get(root))
        status = at_byte(r, "a JSON model is an object", err);
    else
        status = read_value(r, root, &doc->root, err);
    if (status == OZ_OK && json.current_location().error() != OUT_OF_BOUNDS)
        status = at_byte(r, "something follows the end of the model", err);
    oz_free(text);
    return status;
}
