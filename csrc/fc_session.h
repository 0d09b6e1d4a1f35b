/* SPDX-License-Identifier: Apache-2.0
 *
 * Session windows: which session each record belongs to, and which are complete.
 *
 * A session is a window [first timestamp, last timestamp + gap) of one group id, in int64 milliseconds; it is
 * complete when the watermark has reached end - 1 (Flink: TimeWindow.maxTimestamp). Sessions of a group never
 * touch: a record whose own window [ts, ts + gap) intersects or touches sessions merges them all into one
 * (Flink: MergingWindowSet.addWindow, TimeWindow.mergeWindows; touching is start <= other end and
 * end >= other start). Each session has a slot, a dense int32 that accumulators use as their row. When
 * sessions merge, the oldest keeps its slot.
 *
 * The sessions of a group are a list from the latest to the earliest, so that a record in order finds its
 * session at the head. Memory is 40 bytes per session and 4 per group id, by the most that were alive.
 *
 * Sessions lie in pages, which a snapshot shares until they are written (fc_session_snapshot.h). That costs
 * 0.5 ns per record in the cache (1e3 groups: 5.0 -> 5.5 ns), and at 1e5 and 1e6 groups no more than two runs
 * differ. One array of all with a log of changes would spare that, but has to keep an image of each session
 * before its first change, and to keep it from a thread that is reading the session. */
#ifndef FC_SESSION_H
#define FC_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "fc_buffer.h"
#include "fc_frozen.h"
#include "fc_status.h"

#define FC_SESSION_PAGE 256      /* slots that lie together and share one bound; scans skip pages by it */
#define FC_SESSION_SLOTS_MAX (INT32_MAX / FC_SESSION_PAGE * FC_SESSION_PAGE)

enum { FC_SESSION_LIVE = 1, FC_SESSION_FIRED = 2 };

typedef struct {
    int64_t start_ms, end_ms;
    uint64_t created;            /* order of creation; a slot says nothing, it is reused */
    int32_t group_id;
    int32_t newer, older;        /* slots of the neighbours in the group, -1 at the ends; no snapshot has them */
    uint16_t state;              /* 0 free, else FC_SESSION_LIVE, FC_SESSION_FIRED */
    uint16_t epoch;              /* the low bits of that of the last change, links aside */
} fc_session;

typedef struct {
    fc_buffer sessions;          /* fc_session[FC_SESSION_PAGE] */
    int64_t epoch;               /* in which its sessions were last changed */
} fc_session_page;

typedef struct {
    int64_t fire_ms;             /* no unfired session ends before */
    int64_t purge_ms;            /* no live session ends before */
} fc_session_bound;

typedef struct {
    fc_buffer pages;             /* fc_session_page per page of slots */
    fc_buffer bounds;            /* fc_session_bound per page of slots */
    fc_buffer heads;             /* int32 per group id: slot of its latest session + 1 */
    fc_buffer merges;            /* int32 pairs (into, from) of the last assign */
    int64_t merge_count;
    int64_t page_count;
    int64_t slot_bound;          /* every slot ever used is below */
    int64_t group_bound;         /* group ids that `heads` has room for */
    int64_t live_count;
    uint64_t created;            /* sessions ever made */
    int32_t free_slot;           /* head of the list of free slots, linked by `older`, -1 when empty */
    fc_session_bound least;      /* of all pages */
    int64_t epoch;               /* the one that changes belong to, from 1 */
    fc_freezes freezes;          /* pending parts read pages */
} fc_session_index;

void fc_session_init(fc_session_index *index);
void fc_session_free(fc_session_index *index);

/* Put n records, one after the other, into the sessions of their groups.
 *
 * The window of record i is [ts_ms[i], ts_ms[i] + gap), gap being gaps_ms[i] or, when gaps_ms is NULL,
 * gap_ms. sessions[i] is the slot that the record's session has at the end of the call, or -1 if the record
 * is late: the window that it would make, merged with what it touches, ends at `end` with
 * end - 1 + lateness_ms <= watermark_ms. A late record changes nothing. A session that got a record is no
 * longer fired.
 *
 * index->merges lists, in order, which slot was merged into which; those of one record as they were created.
 * The caller merges accumulators accordingly before it updates them with this batch, and clears those of the
 * `from` slots, which are free after the call and may be given out by the next one. Sessions that
 * fc_session_purgeable gives for the watermark have to be released before, or else late records may join them.
 *
 * taken, unless NULL, has the call end before a record that would merge sessions, if that is not its first
 * one, and is set to how many records are in. So all merges of a call are its first record's, and come before
 * its updates: for aggregates whose result depends on that order.
 *
 * FC_ERR_INVALID, before anything changes, if a gap is <= 0, an id or lateness_ms negative, or ts + gap
 * leaves int64. After FC_ERR_MEMORY or FC_ERR_CAPACITY (2^31 sessions) a part of the batch is in. */
fc_status fc_session_assign(fc_session_index *index, const int32_t *ids, const int64_t *ts_ms, int64_t n,
                            const int64_t *gaps_ms, int64_t gap_ms, int64_t watermark_ms, int64_t lateness_ms,
                            int32_t *sessions, int64_t *taken);

/* The slots of the sessions that are complete and not fired (end - 1 <= watermark_ms), as int32[*count] in
 * `slots`, by end, then start, then slot. O(1) when the watermark completes nothing. FC_ERR_MEMORY. */
fc_status fc_session_expired(fc_session_index *index, int64_t watermark_ms, fc_buffer *slots, int64_t *count);

/* The same for sessions, fired or not, that no record can reach any more (end - 1 + lateness_ms <=
 * watermark_ms, a sum past int64 counting as INT64_MAX; Flink: WindowOperator.cleanupTime). */
fc_status fc_session_purgeable(fc_session_index *index, int64_t watermark_ms, int64_t lateness_ms,
                               fc_buffer *slots, int64_t *count);

/* FC_ERR_INVALID if a slot is not of a live session, and FC_ERR_MEMORY, both before anything changes: for the
 * next five. created: an order in which sessions of one group began to be; a merged one, with its oldest. */
fc_status fc_session_created(const fc_session_index *index, const int32_t *slots, int64_t n, int64_t *created);
fc_status fc_session_get(const fc_session_index *index, const int32_t *slots, int64_t n, int64_t *starts_ms,
                         int64_t *ends_ms, int32_t *group_ids);   /* each output may be NULL */
fc_status fc_session_fired(const fc_session_index *index, const int32_t *slots, int64_t n, uint8_t *fired);
fc_status fc_session_mark_fired(fc_session_index *index, const int32_t *slots, int64_t n);
fc_status fc_session_release(fc_session_index *index, const int32_t *slots, int64_t n);

/* has[i] = 1 if the group has a live session. FC_ERR_INVALID for a negative id. */
fc_status fc_session_groups(const fc_session_index *index, const int32_t *ids, int64_t n, uint8_t *has);

/* The slots of all live sessions, ascending: index->live_count of them. */
void fc_session_slots(const fc_session_index *index, int32_t *slots);

int64_t fc_session_memory_bytes(const fc_session_index *index);

/* Take over the sessions of another index whose group id g has group_ids[g] >= 0 here; n group ids, -1 drops
 * a group. Order of creation within a group and what was fired are kept. slots[s] is the slot of the other's
 * slot s, -1 where it had no session or dropped it; the other's slot_bound of them. FC_ERR_INVALID, before
 * anything changes, if a group of the other is not among the n, or one here would get the sessions of two or
 * has sessions already. After FC_ERR_MEMORY or FC_ERR_CAPACITY this index is of no use. */
fc_status fc_session_absorb(fc_session_index *index, const fc_session_index *other, const int32_t *group_ids,
                            int64_t n, int32_t *slots);

/* ---- for snapshots --------------------------------------------------------------------------------- */

typedef struct {
    int64_t end_ms, start_ms;
    int32_t slot;
} fc_session_key;

/* Stable sort by end or by start. Returns where the keys are now: in `keys` or in `other`. */
fc_session_key *fc_session_sort(fc_session_key *keys, fc_session_key *other, int64_t n, bool by_end);

/* Room for slots below `slot_bound`. */
fc_status fc_session_reserve(fc_session_index *index, int64_t slot_bound);

/* Room for group ids up to `id_max`. */
fc_status fc_session_reserve_groups(fc_session_index *index, int64_t id_max);

/* Make a page writable in this epoch: its own copy, if a pending part still has to read it. FC_ERR_MEMORY. */
fc_status fc_session_own(fc_session_index *index, int64_t page);

static inline fc_session_page *fc_session_pages(const fc_session_index *index) {
    return (fc_session_page *)index->pages.data;
}

static inline fc_session *fc_session_at(const fc_session_index *index, int32_t slot) {
    const fc_session_page *page = &fc_session_pages(index)[(uint32_t)slot / FC_SESSION_PAGE];
    return &((fc_session *)page->sessions.data)[(uint32_t)slot % FC_SESSION_PAGE];
}

static inline fc_session_bound *fc_session_bounds(const fc_session_index *index) {
    return (fc_session_bound *)index->bounds.data;
}

#endif
