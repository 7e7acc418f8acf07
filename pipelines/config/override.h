/* `--set key=value`: changes to the tree before it is typed, so that an override is checked like
 * the file, and its mistakes name it. Keys are dotted paths; `kafka.` is followed by one key, dots
 * and all; values are read as YAML. Missing steps are made, the value replaces what was there.
 * Ownership: nodes in the document's arena; a mapping on the way is copied, since an alias may
 * share it. */
#ifndef OZ_PIPELINES_CONFIG_OVERRIDE_H
#define OZ_PIPELINES_CONFIG_OVERRIDE_H
#include "pipelines/config/config_doc.h"

enum { OZ_OVERRIDES_MAX = 1000, OZ_OVERRIDE_BYTES_MAX = 64 << 10 };

enum oz_status oz_config_override(struct oz_config_doc *doc, const char *const *overrides, size_t n,
                                  struct oz_error *err) OZ_MUST_USE;
#endif
