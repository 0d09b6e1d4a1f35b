/* SPDX-License-Identifier: Apache-2.0
 *
 * Growable memory, aligned to a cache line: the only allocator in csrc.
 *
 * A zeroed struct is an empty buffer. `data` moves when the buffer grows; whoever keeps a pointer into it
 * keeps an offset instead. A call that fails leaves the buffer as it was. From 2 MB on a buffer lies in large
 * pages, where the system has some, and up to 96 MB of such memory stay when buffers are freed, for the next ones. */
#ifndef FC_BUFFER_H
#define FC_BUFFER_H

#include <stdint.h>

#include "fc_status.h"

#define FC_CACHE_LINE 64

typedef struct {
    uint8_t *data;    /* aligned to FC_CACHE_LINE, NULL when empty */
    int64_t bytes;    /* capacity from `data` on */
    void *block;      /* what the allocator gave */
} fc_buffer;

/* Make room for `bytes`, keeping the contents; new bytes are not initialised. Grows by half at least, so
 * that appending is O(1) amortised. FC_ERR_MEMORY, or FC_ERR_CAPACITY past 2^62 bytes. */
fc_status fc_buffer_reserve(fc_buffer *buffer, int64_t bytes);

/* The same, and every byte past the old capacity is zero. */
fc_status fc_buffer_reserve_zeroed(fc_buffer *buffer, int64_t bytes);

/* Fill an empty buffer with `bytes` zeros; large ones cost nothing until touched. FC_ERR_MEMORY. */
fc_status fc_buffer_init_zeroed(fc_buffer *buffer, int64_t bytes);

/* Give the memory back; the buffer is empty again and may be reused. */
void fc_buffer_free(fc_buffer *buffer);

/* For tests: the nth allocation from now on fails, once; 0 for none. Returns how many more the call before
 * this one would have let pass, the failing one included: 0 when it has failed, or when there was none.
 * Counts in one extension module, each has this library of its own. Not for concurrent use. */
int64_t fc_buffer_fail_nth(int64_t nth);

#endif
