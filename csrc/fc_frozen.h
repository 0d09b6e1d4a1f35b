/* SPDX-License-Identifier: Apache-2.0
 *
 * What structures that can be frozen have in common: which frozen parts are pending, and the memory that
 * they may still read.
 *
 * The owner of a structure freezes it and later releases what it froze, in any order, all on one thread; in
 * between another thread reads the frozen part. Memory that a pending part reads is neither overwritten nor
 * moved: the owner goes on in new memory and retires the old, which is given back when all parts that were
 * pending then have been released. The reading thread touches nothing of this. */
#ifndef FC_FROZEN_H
#define FC_FROZEN_H

#include <stdint.h>

#include "fc_buffer.h"
#include "fc_status.h"

/* The first member of every frozen part. */
typedef struct fc_frozen {
    struct fc_frozen *older;
    int64_t number;           /* freezes are counted from 1 */
    fc_buffer memory;         /* what the part itself lies in */
} fc_frozen;

/* A zeroed struct has frozen nothing. */
typedef struct {
    fc_frozen *newest;        /* of the pending parts, linked by `older` */
    int64_t count;            /* freezes so far */
    fc_buffer retired;        /* the buffers, each with the number of the last freeze before it was retired */
    int64_t retired_count;
} fc_freezes;

/* A zeroed part of `bytes` bytes, pending from now on. Last of what can fail in a freeze. FC_ERR_MEMORY. */
fc_status fc_freezes_add(fc_freezes *freezes, int64_t bytes, fc_frozen **frozen);

/* Make room to retire `more` buffers. FC_ERR_MEMORY. */
fc_status fc_freezes_reserve(fc_freezes *freezes, int64_t more);

/* Give the buffer's memory back once no pending part can read it; it is empty after the call. Needs room
 * reserved while a part is pending. */
void fc_freezes_retire(fc_freezes *freezes, fc_buffer *buffer);

/* The part is read no more: free it, and what was kept for it. */
void fc_freezes_release(fc_freezes *freezes, fc_frozen *frozen);

/* Free all retired buffers. Nothing may be pending. */
void fc_freezes_free(fc_freezes *freezes);

#endif
