/* The hashes that formats and partitioners fix, each by name.
 * Source: XXH3 (libxxhash), SHA-256 (libcrypto), CRC-32C (RFC 3720, appendix B.4), and the murmur2
 * of Kafka's Java client (org.apache.kafka.common.utils.Utils). */
#ifndef OZ_BASE_HASH_H
#define OZ_BASE_HASH_H
#include "base/status.h"

struct oz_u128 {
    uint64_t lo, hi;
};
#ifdef __cplusplus
extern "C" {
#endif
uint64_t oz_hash64(const void *bytes, size_t n);        /* XXH3, seed 0: shards and tables */
struct oz_u128 oz_hash128(const void *bytes, size_t n); /* XXH3, seed 0: text ids in rows */
uint32_t oz_crc32c(const void *bytes, size_t n);
uint32_t oz_crc32c_portable(const void *bytes, size_t n); /* the same on a CPU without SSE 4.2 */
uint32_t oz_murmur2(const void *bytes, size_t n);         /* as Utils.murmur2, which is signed */
/* The partition that a Java producer gives to this key: (murmur2 & 0x7fffffff) mod n. */
uint32_t oz_murmur2_partition(const void *key, size_t n, uint32_t n_partitions);
/* The partition that librdkafka's default partitioner gives: CRC-32 (IEEE) mod n. */
uint32_t oz_crc32_partition(const void *key, size_t n, uint32_t n_partitions);
void oz_sha256(const void *bytes, size_t n, uint8_t ret_digest[32]);
void oz_sha256_hex(const void *bytes, size_t n, char ret_hex[65]);
#ifdef __cplusplus
}
#endif
#endif
