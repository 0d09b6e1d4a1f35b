/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows in event time: pane starts, the panes of a batch, sliding expansion. Sessions: fc_session.h.
 *
 * All times are int64 milliseconds. Windows are half-open, [start, end); a window's last millisecond is
 * end - 1, and it is complete when the watermark has reached that (Flink: TimeWindow.maxTimestamp). */
#ifndef FC_WINDOW_H
#define FC_WINDOW_H

#include "fc_buffer.h"
#include "fc_status.h"

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

/* The least and the greatest of n > 0 timestamps. */
void fc_time_bounds(const int64_t *ts_ms, int64_t n, int64_t *least, int64_t *greatest);

/* Both in one: the distinct panes of the timestamps, ascending, and the number of each row's. Errors of
 * fc_pane_starts_checked and of fc_pane_index. */
fc_status fc_panes_of(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms, int32_t *pane_of_row,
                      fc_buffer *panes, int64_t *pane_count);

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

#endif
