/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE    /* mremap, madvise */
#include "fc_buffer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define FC_BUFFER_BYTES_MAX (INT64_C(1) << 62)

static int64_t failing;    /* allocations until the one that fails, 0 for none */

int64_t fc_buffer_fail_nth(int64_t nth) {
    int64_t left = failing;
    failing = nth;
    return left;
}

static bool fails_now(void) { return __builtin_expect(failing > 0, 0) && --failing == 0; }

static uint8_t *align(void *block) {
    return (uint8_t *)(((uintptr_t)block + FC_CACHE_LINE - 1) & ~(uintptr_t)(FC_CACHE_LINE - 1));
}

/* ---- large blocks ----------------------------------------------------------------------------------- */

/* A large block is a mapping of its own, aligned to large pages and asking for them: new memory costs a fault per
 * page, and state is read and written all over. Putting 1e7 keys into a new table takes 0.45 s instead of 0.95. */
#if defined(__linux__) && defined(MADV_HUGEPAGE)

#define LARGE_BYTES (INT64_C(2) << 20)
#define LARGE_PAGE (INT64_C(2) << 20)

static bool is_large(int64_t bytes) { return bytes >= LARGE_BYTES; }

static int64_t mapped(int64_t bytes) { return (bytes + LARGE_PAGE - 1) & -LARGE_PAGE; }

/* Blocks that were given back and stay in memory for the next one: of windows that come and go, of a table that grew.
 * The system clears each page that it gives, which with the page's fault took 12 to 20 ns per row of a job that
 * counts 1e7 rows by 1e6 keys. Where more is in use than is ever kept, nothing is: what it costs is little beside the
 * work that filled that much, and it would come on top. */
#define KEPT_BLOCKS_MAX 32
#define KEPT_BYTES_MAX (INT64_C(96) << 20)    /* together with what is in use */

static struct {
    atomic_flag busy;
    int count;
    int64_t bytes;
    int64_t in_use;
    struct {
        void *block;
        int64_t length;
    } blocks[KEPT_BLOCKS_MAX];
} kept = {.busy = ATOMIC_FLAG_INIT};

static void lock_kept(void) {
    while (atomic_flag_test_and_set_explicit(&kept.busy, memory_order_acquire)) {}
}

static void unlock_kept(void) { atomic_flag_clear_explicit(&kept.busy, memory_order_release); }

/* The kept block of `length` bytes, with anything in it, or NULL. */
static void *kept_take(int64_t length) {
    void *block = NULL;
    lock_kept();
    for (int i = 0; i < kept.count && block == NULL; i++) {
        if (kept.blocks[i].length != length) continue;
        block = kept.blocks[i].block;
        kept.blocks[i] = kept.blocks[--kept.count];
        kept.bytes -= length;
    }
    unlock_kept();
    return block;
}

/* So many bytes more are in use, or fewer. Kept blocks make room. */
static void count_use(int64_t bytes) {
    lock_kept();
    kept.in_use += bytes;
    while (kept.count > 0 && kept.bytes + kept.in_use > KEPT_BYTES_MAX) {
        kept.count--;
        kept.bytes -= kept.blocks[kept.count].length;
        munmap(kept.blocks[kept.count].block, (size_t)kept.blocks[kept.count].length);
    }
    unlock_kept();
}

/* Whether a block stays. */
static bool kept_give(void *block, int64_t length) {
    lock_kept();
    bool stays = kept.count < KEPT_BLOCKS_MAX && kept.bytes + length + kept.in_use <= KEPT_BYTES_MAX;
    if (stays) {
        kept.blocks[kept.count].block = block;
        kept.blocks[kept.count++].length = length;
        kept.bytes += length;
    }
    unlock_kept();
    return stays;
}

/* A mapping of new memory, or NULL. */
static void *large_mapped(int64_t length) {
    uint8_t *start = mmap(NULL, (size_t)(length + LARGE_PAGE), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    uint8_t *block = (uint8_t *)(((uintptr_t)start + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1));
    if (block > start) munmap(start, (size_t)(block - start));
    munmap(block + length, (size_t)(start + LARGE_PAGE - block));
    madvise(block, (size_t)length, MADV_HUGEPAGE);    /* advice only: without large pages it is as good as any */
    return block;
}

/* Room for `bytes`, of which the first `zeros` are zero, or NULL. */
static void *large_new(int64_t bytes, int64_t zeros) {
    void *block = kept_take(mapped(bytes));
    if (block != NULL) memset(block, 0, (size_t)zeros);
    else block = large_mapped(mapped(bytes));
    if (block != NULL) count_use(mapped(bytes));
    return block;
}

static void large_free(void *block, int64_t bytes) {
    count_use(-mapped(bytes));
    if (!kept_give(block, mapped(bytes))) munmap(block, (size_t)mapped(bytes));
}

/* The block with room for `length` bytes, which are more, elsewhere and moved by page table. Or NULL, with the old one as
 * it was. */
static void *large_moved(void *block, size_t old_length, size_t length) {
    if (mremap(block, old_length, length, 0) == block) return block;
    void *to = large_mapped((int64_t)length);    /* mremap itself would not look for an aligned place */
    if (to == NULL) return NULL;
    void *moved = mremap(block, old_length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    return moved == MAP_FAILED ? NULL : moved;    /* `to` may be somebody else's by then, so it is left alone */
}

/* The block with room for `bytes`, in a block that was kept when it has to move and there is one. Or NULL, with the old
 * one as it was. */
static void *large_grown(void *block, int64_t old_bytes, int64_t bytes) {
    int64_t old_length = mapped(old_bytes), length = mapped(bytes);
    if (old_length == length) return block;
    void *to = kept_take(length);
    if (to != NULL) {
        count_use(length);
        memcpy(to, block, (size_t)old_bytes);
        large_free(block, old_bytes);
        return to;
    }
    to = large_moved(block, (size_t)old_length, (size_t)length);
    if (to != NULL) count_use(length - old_length);
    return to;
}

#else

static bool is_large(int64_t bytes) {
    (void)bytes;
    return false;
}

static void *large_new(int64_t bytes, int64_t zeros) {
    (void)zeros;
    return calloc((size_t)bytes, 1);
}

static void *large_grown(void *block, int64_t old_bytes, int64_t bytes) {
    (void)old_bytes;
    return realloc(block, (size_t)bytes);
}

static void large_free(void *block, int64_t bytes) {
    (void)bytes;
    free(block);
}

#endif

/* ----------------------------------------------------------------------------------------------------- */

/* Room for `bytes`, which make a large block, when the buffer may hold a small one yet. What an empty buffer gets
 * begins with `zeros`. */
static fc_status large_reserve(fc_buffer *buffer, int64_t bytes, int64_t zeros) {
    const bool was_large = is_large(buffer->bytes);
    void *block = fails_now() ? NULL : was_large ? large_grown(buffer->block, buffer->bytes, bytes)
                                              : large_new(bytes, zeros);
    if (block == NULL) return FC_ERR_MEMORY;
    if (!was_large && buffer->bytes > 0) memcpy(block, buffer->data, (size_t)buffer->bytes);
    if (!was_large) free(buffer->block);
    *buffer = (fc_buffer){.data = block, .bytes = bytes, .block = block};
    return FC_OK;
}

fc_status fc_buffer_reserve(fc_buffer *buffer, int64_t bytes) {
    if (bytes <= buffer->bytes) return FC_OK;
    if (bytes > FC_BUFFER_BYTES_MAX) return FC_ERR_CAPACITY;
    int64_t grown = buffer->bytes + buffer->bytes / 2;
    if (grown < bytes) grown = bytes;
    grown = (grown + FC_CACHE_LINE - 1) & -(int64_t)FC_CACHE_LINE;
    if (is_large(grown)) return large_reserve(buffer, grown, 0);

    /* realloc, not a fresh block: it may grow where it is, and its place in the cache line stays then, so that the
     * move below is rare. */
    int64_t old_shift = buffer->block == NULL ? 0 : buffer->data - (uint8_t *)buffer->block;
    void *block = fails_now() ? NULL : realloc(buffer->block, (size_t)grown + FC_CACHE_LINE);
    if (block == NULL) return FC_ERR_MEMORY;
    uint8_t *data = align(block);
    if (data - (uint8_t *)block != old_shift && buffer->bytes > 0)
        memmove(data, (uint8_t *)block + old_shift, (size_t)buffer->bytes);
    *buffer = (fc_buffer){.data = data, .bytes = grown, .block = block};
    return FC_OK;
}

fc_status fc_buffer_reserve_zeroed(fc_buffer *buffer, int64_t bytes) {
    int64_t old_bytes = buffer->bytes;
    fc_status status = fc_buffer_reserve(buffer, bytes);
    if (status == FC_OK && buffer->bytes > old_bytes)
        memset(buffer->data + old_bytes, 0, (size_t)(buffer->bytes - old_bytes));
    return status;
}

fc_status fc_buffer_init_zeroed(fc_buffer *buffer, int64_t bytes) {
    if (bytes > FC_BUFFER_BYTES_MAX) return FC_ERR_CAPACITY;
    if (is_large(bytes)) return large_reserve(buffer, bytes, bytes);
    void *block = fails_now() ? NULL : calloc((size_t)bytes + FC_CACHE_LINE, 1);
    if (block == NULL) return FC_ERR_MEMORY;
    *buffer = (fc_buffer){.data = align(block), .bytes = bytes, .block = block};
    return FC_OK;
}

void fc_buffer_free(fc_buffer *buffer) {
    if (is_large(buffer->bytes)) large_free(buffer->block, buffer->bytes);
    else free(buffer->block);
    *buffer = (fc_buffer){0};
}
