/* Reader of UBJSON, the binary notation of JSON that XGBoost saves by default.
 * Source: Universal Binary JSON specification, draft 12 (ubjson.org). All types are read, and all
 * containers, also the optimized ones ($ type, # count), except: high-precision numbers (H), which
 * no trainer writes, and typed containers whose elements take no bytes (Z, T, F, N), whose size
 * would rest on a claim alone. Threads: any. Ownership: strings and typed arrays point into
 * `bytes`. Errors: OZ_MODEL with the byte offset. Recursion is bounded by OZ_DOC_DEPTH_MAX. */
#ifndef OZ_MODELS_UBJSON_H
#define OZ_MODELS_UBJSON_H
#include "models/document.h"

enum oz_status oz_ubjson_parse(struct oz_document *doc, const uint8_t *bytes, size_t n,
                               struct oz_error *err) OZ_MUST_USE;
#endif
