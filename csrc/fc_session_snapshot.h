/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of sessions: what the task's thread marks, what a writing thread reads, and the way back.
 *
 * A freeze notes where the pages lie, 16 bytes per 256 sessions. A page is copied before the first change
 * after it, if a pending part that wants it has not passed it yet. Each session has the low 16 bits of the
 * epoch of its last change, so that a snapshot of changes looks only into pages that were changed, and names
 * in them only the slots that were: no list of them is kept. Bits that match by chance after 65 536 epochs
 * cost bytes, no more. Links, heads and bounds are not part of a snapshot. */
#ifndef FC_SESSION_SNAPSHOT_H
#define FC_SESSION_SNAPSHOT_H

#include <stdatomic.h>

#include "fc_session.h"

/* Payload of one block, little-endian. It tells about n slots in ascending order, of which k have a session:
 *   OFFSET  SIZE  FIELD
 *        0     2  format_version   1
 *        2     1  slots            1 = a run of consecutive slots, 2 = a list
 *        3     1  reset            1 = all sessions before this block are gone (first of everything), else 0
 *        4     4  first_slot       of a run; 0 for a list
 *        8     4  n
 *       12     4  k
 *       16     8  created          sessions ever made, below 2^63
 *       24    4n  slots            of a list
 *           n/8  has_session      bitmap, padded with zero bits to whole bytes
 *           32k  sessions:
 *        0     8  start_ms
 *        8     8  end_ms           above start_ms
 *       16     8  created          order of creation, below that of the header
 *       24     4  group_id         not negative
 *       28     1  fired            0 or 1
 *       29     3  reserved
 * Slots at or above the bound of the slots told so far follow it without a gap, so that the payload justifies
 * the memory; that of group ids is not touched but where sessions name them. */
#define FC_SESSION_FORMAT_VERSION 1

typedef struct {
    const fc_session *sessions;
    int64_t epoch;
} fc_session_frozen_page;

typedef struct {
    fc_frozen frozen;
    fc_buffer pages;             /* fc_session_frozen_page[page_count] */
    int64_t page_count, slot_bound;
    uint64_t created;
    int64_t since, epoch;        /* since 0: everything */
    _Atomic int64_t passed;      /* pages that the writer needs no more */
    /* The writer's: */
    fc_buffer slots;             /* int32[count], of the planned block */
    int64_t count, live_count;
    int64_t next_slot;
    int64_t block_count;
} fc_session_frozen;

/* ---- on the task's thread ------------------------------------------------------------------------- */

/* Freeze what changed in the epochs (since, epoch], or everything when `since` is 0. FC_ERR_INVALID unless
 * 0 <= since < epoch and epoch is above that of the last freeze; FC_ERR_MEMORY. */
fc_status fc_session_freeze(fc_session_index *index, int64_t since, int64_t epoch, fc_session_frozen **frozen);

/* Nobody reads the part any more. */
void fc_session_frozen_release(fc_session_index *index, fc_session_frozen *frozen);

/* Must a pending part still read this page as it is? */
bool fc_session_is_frozen(const fc_session_index *index, int64_t page);

/* Apply a block to an index that was empty before the first one. FC_ERR_INVALID, with nothing changed and
 * the reason in words, for bytes that no snapshot has. */
fc_status fc_session_load(fc_session_index *index, const uint8_t *data, int64_t bytes, const char **reason);

/* All blocks of the epochs up to `epoch` are in: build lists, heads and bounds. Free slots are given from the
 * lowest on. FC_ERR_INVALID, with the reason, when a group id is not below `group_bound` or sessions of a group
 * touch; the index is then of no use. Two sessions created at one time are as good as one before the other. */
fc_status fc_session_loaded(fc_session_index *index, int64_t epoch, int64_t group_bound, const char **reason);

/* ---- on the writing thread ------------------------------------------------------------------------ */

/* How many bytes the next block takes, about 1 MB at most; 0 after the last. */
fc_status fc_session_frozen_plan(fc_session_frozen *frozen, int64_t *bytes);

/* Write the planned block. */
void fc_session_frozen_write(fc_session_frozen *frozen, uint8_t *data);

#endif
