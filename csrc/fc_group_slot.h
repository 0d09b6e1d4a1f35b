/* SPDX-License-Identifier: Apache-2.0
 *
 * How a key lies in its slot: shared by the two halves of the group index, no one else's business.
 *
 * BYTES and ROWS, 16 bytes, little-endian:
 *   OFFSET  SIZE  FIELD
 *        0     4  length
 *        4     4  first bytes      zero-padded, so that one comparison settles length and prefix
 *        8     8  the bytes after them, zero-padded, if length <= 12; else where all lie in the arena */
#ifndef FC_GROUP_SLOT_H
#define FC_GROUP_SLOT_H

#include <string.h>

#include "fc_group.h"

#define INLINE static inline __attribute__((always_inline))

#define SHORT_BYTES_MAX 12    /* a key of so many bytes lies in its slot whole */

/* Do slots hold bytes, and not words? */
INLINE bool has_bytes(fc_group_form form) { return form == FC_GROUP_BYTES || form == FC_GROUP_ROWS; }

INLINE uint64_t *slot_of(const fc_group *group, int32_t id) {
    return (uint64_t *)group->slots.data + (int64_t)id * group->slot_words;
}

INLINE uint64_t load_u64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

INLINE uint64_t load_u32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

/* Length and first 4 bytes: the first word of a BYTES slot, for short and long keys alike. */
INLINE uint64_t bytes_head(const uint8_t *data, int32_t length) {
    uint64_t prefix = 0;
    if (length >= 4) {
        prefix = load_u32(data);
    } else if (length > 0) {
        prefix = data[0] | (uint64_t)data[length >> 1] << 8 * (length >> 1)
                 | (uint64_t)data[length - 1] << 8 * (length - 1);
    }
    return prefix << 32 | (uint32_t)length;
}

/* Bytes 4 to 11 of a short key, zeros behind it: the second word of its slot. */
INLINE uint64_t short_tail(const uint8_t *data, int32_t length) {
    if (length >= 8) return load_u32(data + 4) | load_u32(data + length - 4) << 8 * (length - 8);
    if (length > 4) return load_u32(data + length - 4) >> 8 * (8 - length);
    return 0;
}

/* More than SHORT_BYTES_MAX bytes; the last load overlaps the one before. */
INLINE bool same_long_bytes(const uint8_t *a, const uint8_t *b, int32_t length) {
    for (int32_t i = 0; i < length - 8; i += 8)
        if (load_u64(a + i) != load_u64(b + i)) return false;
    return load_u64(a + length - 8) == load_u64(b + length - 8);
}

INLINE int32_t slot_length(const uint64_t *slot) { return (int32_t)(uint32_t)slot[0]; }

INLINE const uint8_t *slot_bytes(const fc_group *group, const uint64_t *slot) {
    return slot_length(slot) <= SHORT_BYTES_MAX ? (const uint8_t *)slot + 4 : group->arena.data + slot[1];
}

#endif
