/* `${}` in scalars, after parsing, so that what a variable holds can never change the file's
 * structure.
 *   ${VAR}             the environment; unset is a mistake (HOSTNAME falls back to the host's name)
 *   ${VAR:-default}    the default when unset or empty; it holds no `}`
 *   ${file:/path}      the content of a regular file, one line end cut; never shown in messages
 *   $$                 a dollar sign; any other `$` is itself
 * What is put in is not searched again.
 * Limits: OZ_SUBSTITUTED_BYTES_MAX a scalar, and a file. Threads: as getenv(). */
#ifndef OZ_PIPELINES_CONFIG_SUBSTITUTION_H
#define OZ_PIPELINES_CONFIG_SUBSTITUTION_H
#include "pipelines/config/config_doc.h"

enum { OZ_SUBSTITUTED_BYTES_MAX = 64 << 10 };

/* Every scalar value of the tree; keys are left as they are. */
enum oz_status oz_config_substitute(struct oz_config_doc *doc, struct oz_yaml_node *node,
                                    struct oz_error *err) OZ_MUST_USE;
#endif
