/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_buffer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

fc_status fc_buffer_reserve(fc_buffer *buffer, int64_t bytes) {
    if (bytes <= buffer->bytes) return FC_OK;
    if (bytes > FC_BUFFER_BYTES_MAX) return FC_ERR_CAPACITY;
    int64_t grown = buffer->bytes + buffer->bytes / 2;
    if (grown < bytes) grown = bytes;
    grown = (grown + FC_CACHE_LINE - 1) & -(int64_t)FC_CACHE_LINE;

    /* realloc, not a fresh block: large blocks then move by page table, and their place in the cache line
     * stays, so that the move below is for small ones only. */
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
    void *block = fails_now() ? NULL : calloc((size_t)bytes + FC_CACHE_LINE, 1);
    if (block == NULL) return FC_ERR_MEMORY;
    *buffer = (fc_buffer){.data = align(block), .bytes = bytes, .block = block};
    return FC_OK;
}

void fc_buffer_free(fc_buffer *buffer) {
    free(buffer->block);
    *buffer = (fc_buffer){0};
}
