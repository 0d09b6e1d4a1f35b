/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows in event time: pane starts, the panes of a batch, sliding expansion, and sessions.
 *
 * All times are int64 milliseconds. Windows are half-open, [start, end); a window's last millisecond is
 * end - 1, and it is complete when the watermark has reached that (Flink: TimeWindow.maxTimestamp). */
#ifndef FC_WINDOW_H
#define FC_WINDOW_H

#include "fc_buffer.h"
#include "fc_status.h"

#include <stdbool.h>
#include <stdint.h>

/* Write the start of the pane holding each of `n` timestamps.
 *
 * starts[i] is the largest value <= ts_ms[i] congruent to offset_ms mod size_ms; the remainder is floored,
 * so -1 with size 1000 starts at -1000 (Flink: TimeWindow.getWindowStartWithOffset). Timestamps within
 * size_ms of the int64 limits are the caller's to refuse. `starts` may alias `ts_ms`. FC_ERR_INVALID if
 * size_ms <= 0. O(n), no allocation. */
fc_status fc_pane_starts(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms,
                         int64_t *starts);

/* The same, and FC_ERR_INVALID if a timestamp is within size_ms of the int64 limits, so that neither a
 * start nor an end leaves int64. Flink's "no timestamp" marker, INT64_MIN, is refused by it. */
fc_status fc_pane_starts_checked(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms,
                                 int64_t *starts);

/* Number the distinct values of starts[0 .. n): `panes` holds *pane_count int64, ascending, and
 * starts[i] == panes[pane_of_row[i]]. Made for few panes, each in runs of rows; O(n) for many.
 * FC_ERR_MEMORY; FC_ERR_CAPACITY if n is above INT32_MAX. */
fc_status fc_pane_index(const int64_t *starts, int64_t n, int32_t *pane_of_row, fc_buffer *panes,
                        int64_t *pane_count);

/* How many sliding windows hold each timestamp: bounds[0] = 0, bounds[i + 1] = bounds[i] + windows of
 * ts_ms[i]. FC_ERR_INVALID if size_ms or slide_ms <= 0 or a timestamp is within size_ms + slide_ms of the
 * int64 limits; FC_ERR_CAPACITY if there are more than 2^40 windows. */
fc_status fc_sliding_bounds(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t slide_ms,
                            int64_t offset_ms, int64_t *bounds);

/* The starts of the windows of ts_ms[i] at starts[bounds[i] .. bounds[i + 1]), the latest first, as Flink
 * assigns them (SlidingEventTimeWindows.assignWindows): every start in (ts - size, ts] congruent to
 * offset_ms mod slide_ms. `bounds` comes from fc_sliding_bounds with the same arguments. */
void fc_sliding_starts(const int64_t *ts_ms, int64_t n, int64_t slide_ms, int64_t offset_ms,
                       const int64_t *bounds, int64_t *starts);

/* ---- sessions ---------------------------------------------------------------------------------------
 *
 * A session is a window [first timestamp, last timestamp + gap) of one group id. Sessions of a group never
 * touch: a record whose own window [ts, ts + gap) intersects or touches sessions merges them all into one
 * (Flink: MergingWindowSet.addWindow, TimeWindow.mergeWindows; touching is start <= other end and
 * end >= other start). Each session has a slot, a dense int32 that accumulators use as their row. When
 * sessions merge, the oldest keeps its slot.
 *
 * The sessions of a group are a list from the latest to the earliest, so that a record in order finds its
 * session at the head. Memory is 40 bytes per session and 4 per group id, by the most that were alive. */

#define FC_SESSION_PAGE 256      /* slots that share one bound; scans skip pages by it */

typedef struct {
    int64_t start_ms, end_ms;
    uint64_t created;            /* order of creation; a slot says nothing, it is reused */
    int32_t group_id;
    int32_t newer, older;        /* slots of the neighbours in the group, -1 at the ends */
    int32_t state;               /* 0 free, else FC_SESSION_LIVE and so on */
} fc_session;

typedef struct {
    int64_t fire_ms;             /* no unfired session ends before */
    int64_t purge_ms;            /* no live session ends before */
} fc_session_bound;

typedef struct {
    fc_buffer sessions;          /* fc_session[slot_bound] */
    fc_buffer bounds;            /* fc_session_bound per page of slots */
    fc_buffer heads;             /* int32 per group id: slot of its latest session + 1 */
    fc_buffer merges;            /* int32 pairs (into, from) of the last assign */
    int64_t merge_count;
    int64_t slot_bound;          /* every slot ever used is below */
    int64_t group_bound;         /* group ids that `heads` has room for */
    int64_t live_count;
    uint64_t created;            /* sessions ever made */
    int32_t free_slot;           /* head of the list of free slots, linked by `older`, -1 when empty */
    fc_session_bound least;      /* of all pages */
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
 * index->merges lists, in order, which slot was merged into which. The caller merges accumulators
 * accordingly before it updates them with this batch, and clears those of the `from` slots, which are free
 * after the call and may be given out by the next one. Sessions that fc_session_purgeable gives for the
 * watermark have to be released before, or else late records may join them.
 *
 * FC_ERR_INVALID, before anything changes, if a gap is <= 0, an id or lateness_ms negative, or ts + gap
 * leaves int64. After FC_ERR_MEMORY or FC_ERR_CAPACITY (2^31 sessions) a part of the batch is in. */
fc_status fc_session_assign(fc_session_index *index, const int32_t *ids, const int64_t *ts_ms, int64_t n,
                            const int64_t *gaps_ms, int64_t gap_ms, int64_t watermark_ms, int64_t lateness_ms,
                            int32_t *sessions);

/* The slots of the sessions that are complete and not fired (end - 1 <= watermark_ms), as int32[*count] in
 * `slots`, by end, then start, then slot. O(1) when the watermark completes nothing. FC_ERR_MEMORY. */
fc_status fc_session_expired(fc_session_index *index, int64_t watermark_ms, fc_buffer *slots, int64_t *count);

/* The same for sessions, fired or not, that no record can reach any more (end - 1 + lateness_ms <=
 * watermark_ms, a sum past int64 counting as INT64_MAX; Flink: WindowOperator.cleanupTime). */
fc_status fc_session_purgeable(fc_session_index *index, int64_t watermark_ms, int64_t lateness_ms,
                               fc_buffer *slots, int64_t *count);

/* FC_ERR_INVALID, before anything changes, if a slot is not of a live session: for the next four. */
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

#endif
