/* Reader of JSON into a document. The only file that knows the JSON library.
 * Beyond JSON, the three words that XGBoost writes for numbers that JSON lacks are read: NaN,
 * Infinity and -Infinity. Threads: any. Ownership: all values live in the document; `bytes` may go.
 * Errors: OZ_MODEL with the byte offset. Recursion is bounded by OZ_DOC_DEPTH_MAX. */
#ifndef OZ_MODELS_JSON_DOCUMENT_H
#define OZ_MODELS_JSON_DOCUMENT_H
#include "models/document.h"

#ifdef __cplusplus
extern "C" {
#endif
enum oz_status oz_json_document_parse(struct oz_document *doc, const uint8_t *bytes, size_t n,
                                      struct oz_error *err) OZ_MUST_USE;
#ifdef __cplusplus
}
#endif
#endif
