/* Hash codec: the rows of value_codec.h that are hashes.
 *
 * A zipmap, which Redis 2.4 wrote:
 *
 *   OFFSET  SIZE  MEANING
 *   0       1     number of fields; 254: unknown
 *   1       ...   per field: length and bytes of the field, length of the value, a byte that says
 *                 how many bytes behind the value are unused, the value, the unused bytes
 *   last    1     0xFF
 *
 * where a length is one byte below 254, or 254 and 4 bytes, little endian.
 */
#ifndef TARN_STORE_HASH_CODEC_H
#define TARN_STORE_HASH_CODEC_H

#include "store/value_codec.h"

/* As the functions of value_codec.h of like name. */
size_t hash_codec_bytes_max(const struct entry *entry);
void hash_codec_encode(const struct entry *entry, bool compresses, struct buffer *payload);

/* One for each type byte; body is all behind it. */
enum value_decode_status hash_codec_decode_fields(struct store *store, struct span body,
                                                  struct value_content *content);
enum value_decode_status hash_codec_decode_pack(struct store *store, struct span body,
                                                struct value_content *content);
enum value_decode_status hash_codec_decode_ziplist(struct store *store, struct span body,
                                                   struct value_content *content);
enum value_decode_status hash_codec_decode_zipmap(struct store *store, struct span body,
                                                  struct value_content *content);

/* What a string that could not be read means for the value. */
static inline enum value_decode_status value_decode_failure(enum rdb_status status) {
    return status == RDB_NO_MEMORY ? VALUE_NO_MEMORY : VALUE_DAMAGED;
}

#endif
