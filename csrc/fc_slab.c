/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE    /* madvise */
#include "fc_slab.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

/* Four sizes for each doubling, so that at most a fifth of a block is slack, as long as several fit a slab. */
static const int32_t block_kib[] = {16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 227,
                                    256, 292, 341, 409, 512, 682, 1024};
#define SIZES ((int)(sizeof block_kib / sizeof block_kib[0]))
#define BLOCKS_MAX 128    /* of the smallest size in a slab */

/* What a slab is; for a block of several slabs, LARGE the first and PART the others. */
enum { UNUSED, SMALL, LARGE, PART, KEPT, RELEASED };

typedef struct {
    uint64_t free[BLOCKS_MAX / 64];    /* SMALL: blocks that may be taken */
    int32_t free_count;
    int32_t size;                      /* SMALL: index in block_kib; LARGE: how many slabs */
    int32_t next, previous;            /* SMALL: other slabs of the size with a free block, -1 at the ends */
} fc_slab;

struct fc_slabs {
    uint8_t *base;
    int64_t count;             /* slabs in the range */
    int64_t bound;             /* slabs ever used lie below */
    int64_t kept, kept_max;
    int64_t in_use;
    atomic_flag busy;
    int32_t open[SIZES];       /* first slab of the size with a free block, or -1 */
    uint8_t *kinds;            /* of each slab */
    fc_slab *slabs;
};

static void lock(fc_slabs *slabs) {
    while (atomic_flag_test_and_set_explicit(&slabs->busy, memory_order_acquire)) {}
}

static void unlock(fc_slabs *slabs) { atomic_flag_clear_explicit(&slabs->busy, memory_order_release); }

static int64_t block_bytes(int size) { return (int64_t)block_kib[size] << 10; }

static int blocks_of(int size) { return (int)(FC_SLAB_BYTES / block_bytes(size)); }

#if defined(__linux__) && defined(MADV_HUGEPAGE)

fc_slabs *fc_slabs_new(int64_t reserved, int64_t retained) {
    int64_t count = reserved / FC_SLAB_BYTES;
    size_t length = (size_t)((count + 1) * FC_SLAB_BYTES);
    fc_slabs *slabs = calloc(1, sizeof *slabs);
    uint8_t *kinds = calloc((size_t)count, 1);
    fc_slab *table = calloc((size_t)count, sizeof *table);    /* its pages come when slabs are used */
    uint8_t *start = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slabs == NULL || kinds == NULL || table == NULL || start == MAP_FAILED) {
        free(slabs);
        free(kinds);
        free(table);
        if (start != MAP_FAILED) munmap(start, length);
        return NULL;
    }
    slabs->base = (uint8_t *)(((uintptr_t)start + FC_SLAB_BYTES - 1) & ~(uintptr_t)(FC_SLAB_BYTES - 1));
    slabs->count = count;
    slabs->kept_max = retained / FC_SLAB_BYTES;
    slabs->kinds = kinds;
    slabs->slabs = table;
    atomic_flag_clear(&slabs->busy);
    for (int size = 0; size < SIZES; size++) slabs->open[size] = -1;
    return slabs;
}

static bool open_memory(uint8_t *start, int64_t bytes) {
    if (mprotect(start, (size_t)bytes, PROT_READ | PROT_WRITE) != 0) return false;
    madvise(start, (size_t)bytes, MADV_HUGEPAGE);    /* advice only */
    return true;
}

static void release_memory(uint8_t *start, int64_t bytes) { madvise(start, (size_t)bytes, MADV_DONTNEED); }

#else

fc_slabs *fc_slabs_new(int64_t reserved, int64_t retained) {
    (void)reserved, (void)retained;
    return NULL;
}

static bool open_memory(uint8_t *start, int64_t bytes) {
    (void)start, (void)bytes;
    return false;
}

static void release_memory(uint8_t *start, int64_t bytes) { (void)start, (void)bytes; }

#endif

/* ---- whole slabs, under the lock -------------------------------------------------------------------- */

static bool is_free(uint8_t kind) { return kind == KEPT || kind == RELEASED; }

static void occupy(fc_slabs *slabs, int64_t first, int64_t count, uint8_t kind) {
    for (int64_t i = first; i < first + count; i++) {
        if (slabs->kinds[i] == KEPT) slabs->kept--;
        slabs->kinds[i] = i == first ? kind : PART;
    }
    slabs->in_use += count;
}

/* `count` slabs side by side, or -1: what is in memory first, then what never was, then what was given back. */
static int64_t take_slabs(fc_slabs *slabs, int64_t count, uint8_t kind) {
    int64_t found = -1, run = 0;
    const uint8_t *kept = count == 1 && slabs->kept ? memchr(slabs->kinds, KEPT, (size_t)slabs->bound) : NULL;
    if (kept != NULL) found = kept - slabs->kinds;
    for (int64_t i = 0; found < 0 && count > 1 && i < slabs->bound; i++) {
        run = is_free(slabs->kinds[i]) ? run + 1 : 0;
        if (run == count) found = i + 1 - count;
    }
    if (found < 0 && slabs->bound + count <= slabs->count
        && open_memory(slabs->base + slabs->bound * FC_SLAB_BYTES, count * FC_SLAB_BYTES)) {
        found = slabs->bound;
        slabs->bound += count;
    }
    if (found < 0 && count == 1) {
        const uint8_t *released = memchr(slabs->kinds, RELEASED, (size_t)slabs->bound);
        if (released != NULL) found = released - slabs->kinds;
    }
    if (found >= 0) occupy(slabs, found, count, kind);
    return found;
}

static void give_slabs(fc_slabs *slabs, int64_t first, int64_t count) {
    slabs->in_use -= count;
    for (int64_t i = first; i < first + count; i++) {
        bool keep = slabs->kept < slabs->kept_max;
        slabs->kinds[i] = keep ? KEPT : RELEASED;
        if (keep) slabs->kept++;
        else release_memory(slabs->base + i * FC_SLAB_BYTES, FC_SLAB_BYTES);
    }
}

/* ---- blocks in a slab ------------------------------------------------------------------------------- */

static void link_open(fc_slabs *slabs, int32_t i) {
    fc_slab *slab = &slabs->slabs[i];
    slab->previous = -1;
    slab->next = slabs->open[slab->size];
    if (slab->next >= 0) slabs->slabs[slab->next].previous = i;
    slabs->open[slab->size] = i;
}

static void unlink_open(fc_slabs *slabs, int32_t i) {
    fc_slab *slab = &slabs->slabs[i];
    if (slab->previous >= 0) slabs->slabs[slab->previous].next = slab->next;
    else slabs->open[slab->size] = slab->next;
    if (slab->next >= 0) slabs->slabs[slab->next].previous = slab->previous;
}

static int32_t open_slab(fc_slabs *slabs, int size) {
    int64_t i = take_slabs(slabs, 1, SMALL);
    if (i < 0) return -1;
    fc_slab *slab = &slabs->slabs[i];
    slab->size = size;
    slab->free_count = blocks_of(size);
    for (int word = 0; word < BLOCKS_MAX / 64; word++) {
        int left = slab->free_count - 64 * word;
        slab->free[word] = left >= 64 ? ~UINT64_C(0) : left > 0 ? (UINT64_C(1) << left) - 1 : 0;
    }
    link_open(slabs, (int32_t)i);
    return (int32_t)i;
}

static uint8_t *take_block(fc_slabs *slabs, int size) {
    int32_t i = slabs->open[size];
    if (i < 0) i = open_slab(slabs, size);
    if (i < 0) return NULL;
    fc_slab *slab = &slabs->slabs[i];
    int word = slab->free[0] != 0 ? 0 : 1, bit = __builtin_ctzll(slab->free[word]);
    slab->free[word] &= slab->free[word] - 1;
    if (--slab->free_count == 0) unlink_open(slabs, i);
    return slabs->base + i * FC_SLAB_BYTES + (64 * word + bit) * block_bytes(size);
}

static void give_block(fc_slabs *slabs, int32_t i, int64_t offset) {
    fc_slab *slab = &slabs->slabs[i];
    int64_t block = offset / block_bytes(slab->size);
    slab->free[block / 64] |= UINT64_C(1) << block % 64;
    if (slab->free_count++ == 0) link_open(slabs, i);
    if (slab->free_count == blocks_of(slab->size)) {
        unlink_open(slabs, i);
        give_slabs(slabs, i, 1);
    }
}

/* ----------------------------------------------------------------------------------------------------- */

static int size_for(int64_t bytes) {
    int size = 0;
    while (block_bytes(size) < bytes) size++;
    return size;
}

void *fc_slabs_take(fc_slabs *slabs, int64_t bytes) {
    void *block = NULL;
    if (bytes > slabs->count * FC_SLAB_BYTES) return NULL;
    lock(slabs);
    if (bytes <= block_bytes(SIZES - 1)) block = take_block(slabs, size_for(bytes));
    else {
        int64_t count = (bytes + FC_SLAB_BYTES - 1) / FC_SLAB_BYTES, first = take_slabs(slabs, count, LARGE);
        if (first >= 0) {
            slabs->slabs[first].size = (int32_t)count;
            block = slabs->base + first * FC_SLAB_BYTES;
        }
    }
    unlock(slabs);
    return block;
}

bool fc_slabs_own(const fc_slabs *slabs, const void *block) {
    return (uintptr_t)block - (uintptr_t)slabs->base < (uintptr_t)(slabs->count * FC_SLAB_BYTES);
}

int64_t fc_slabs_room(fc_slabs *slabs, const void *block) {
    int64_t i = ((const uint8_t *)block - slabs->base) / FC_SLAB_BYTES;    /* no lock: a block in use keeps its slab */
    return slabs->kinds[i] == SMALL ? block_bytes(slabs->slabs[i].size) : slabs->slabs[i].size * FC_SLAB_BYTES;
}

void fc_slabs_give(fc_slabs *slabs, void *block) {
    int64_t offset = (uint8_t *)block - slabs->base, i = offset / FC_SLAB_BYTES;
    lock(slabs);
    if (slabs->kinds[i] == SMALL) give_block(slabs, (int32_t)i, offset % FC_SLAB_BYTES);
    else give_slabs(slabs, i, slabs->slabs[i].size);
    unlock(slabs);
}

void fc_slabs_bytes(fc_slabs *slabs, int64_t *used, int64_t *kept) {
    lock(slabs);
    *used = slabs->in_use * FC_SLAB_BYTES;
    *kept = slabs->kept * FC_SLAB_BYTES;
    unlock(slabs);
}
