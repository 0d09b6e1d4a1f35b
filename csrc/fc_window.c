/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_window.h"

#include <stdlib.h>
#include <string.h>

/* ---- panes ----------------------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 fc_u128;

/* A grid of pane starts, counted from `base`, its first point in int64. `scale` is 2^64 / size: the high
 * half of distance * scale is the quotient distance / size or one less, which one comparison settles: 1040 M
 * rows/s against 575 with the division instruction, where that is fast (Zen 5). */
typedef struct {
    uint64_t base, size, scale;
} fc_grid;

static fc_grid grid_of(int64_t size_ms, int64_t offset_ms) {
    uint64_t size = (uint64_t)size_ms, lowest = (uint64_t)INT64_MIN;
    int64_t offset = offset_ms % size_ms;
    return (fc_grid){lowest + ((uint64_t)offset - lowest) % size, size, UINT64_MAX / size};
}

/* How far ts is past the start of its pane. */
static inline uint64_t grid_remainder(fc_grid grid, int64_t ts) {
    uint64_t distance = (uint64_t)ts - grid.base;
    uint64_t quotient = (uint64_t)((fc_u128)distance * grid.scale >> 64);
    uint64_t remainder = distance - quotient * grid.size;
    return remainder >= grid.size ? remainder - grid.size : remainder;
}

fc_status fc_pane_starts(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms,
                         int64_t *starts) {
    if (size_ms <= 0) return FC_ERR_INVALID;
    const fc_grid grid = grid_of(size_ms, offset_ms);
    for (int64_t i = 0; i < n; i++)
        starts[i] = (int64_t)((uint64_t)ts_ms[i] - grid_remainder(grid, ts_ms[i]));
    return FC_OK;
}

/* Are all timestamps at least `margin_ms` away from both limits of int64? */
static bool is_inside(const int64_t *ts_ms, int64_t n, int64_t margin_ms) {
    const int64_t lower = INT64_MIN + margin_ms, upper = INT64_MAX - margin_ms;
    bool inside = lower <= upper;
    for (int64_t i = 0; i < n; i++) inside &= (ts_ms[i] >= lower) & (ts_ms[i] <= upper);
    return inside || n == 0;
}

fc_status fc_pane_starts_checked(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms,
                                 int64_t *starts) {
    if (size_ms <= 0 || !is_inside(ts_ms, n, size_ms)) return FC_ERR_INVALID;
    return fc_pane_starts(ts_ms, n, size_ms, offset_ms, starts);
}

/* The panes found so far, in order of appearance. Up to FC_PANES_FEW they are searched one by one, beyond
 * that through a hash table of their numbers + 1. */
#define FC_PANES_FEW 16

typedef struct {
    fc_buffer *starts;      /* int64[count] */
    fc_buffer table;        /* int32[mask + 1] */
    int64_t count, mask;
} fc_found;

static int64_t found_slot(const fc_found *found, int64_t start) {
    const int32_t *table = (const int32_t *)found->table.data;
    const int64_t *starts = (const int64_t *)found->starts->data;
    uint64_t hash = (uint64_t)start * UINT64_C(0x9E3779B97F4A7C15);
    int64_t slot = (int64_t)(hash ^ hash >> 32) & found->mask;
    while (table[slot] != 0 && starts[table[slot] - 1] != start) slot = (slot + 1) & found->mask;
    return slot;
}

static fc_status found_rehash(fc_found *found) {
    fc_buffer_free(&found->table);
    int64_t capacity = 64;
    while (capacity < 4 * found->count) capacity *= 2;
    fc_status status = fc_buffer_init_zeroed(&found->table, capacity * (int64_t)sizeof(int32_t));
    if (status != FC_OK) return status;
    found->mask = capacity - 1;
    int32_t *table = (int32_t *)found->table.data;
    const int64_t *starts = (const int64_t *)found->starts->data;
    for (int64_t p = 0; p < found->count; p++)
        table[found_slot(found, starts[p])] = (int32_t)(p + 1);
    return FC_OK;
}

/* The number of a pane, a new one if it was not there. */
static fc_status found_number(fc_found *found, int64_t start, int32_t *number) {
    int64_t slot = 0;
    const int64_t *starts = (const int64_t *)found->starts->data;
    if (found->count <= FC_PANES_FEW) {
        for (int64_t p = 0; p < found->count; p++) {
            if (starts[p] == start) {
                *number = (int32_t)p;
                return FC_OK;
            }
        }
    } else {
        slot = found_slot(found, start);
        *number = ((int32_t *)found->table.data)[slot] - 1;
        if (*number >= 0) return FC_OK;
    }
    fc_status status = fc_buffer_reserve(found->starts, (found->count + 1) * (int64_t)sizeof(int64_t));
    if (status != FC_OK) return status;
    *number = (int32_t)found->count;
    ((int64_t *)found->starts->data)[found->count++] = start;
    if (found->count <= FC_PANES_FEW) return FC_OK;
    if (found->count == FC_PANES_FEW + 1 || found->count * 2 > found->mask) return found_rehash(found);
    ((int32_t *)found->table.data)[slot] = (int32_t)found->count;
    return FC_OK;
}

static int compare_i64(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sort the panes and number the rows by the new order. */
static fc_status found_sort(fc_found *found, int32_t *pane_of_row, int64_t n) {
    fc_buffer work = {0};
    fc_status status = fc_buffer_reserve(&work, found->count * (int64_t)(sizeof(int64_t) + sizeof(int32_t)));
    if (status != FC_OK) return status;
    int64_t *starts = (int64_t *)found->starts->data, *old = (int64_t *)work.data;
    int32_t *rank = (int32_t *)(old + found->count);
    memcpy(old, starts, (size_t)found->count * sizeof *old);
    qsort(starts, (size_t)found->count, sizeof *starts, compare_i64);
    for (int64_t p = 0; p < found->count; p++) {
        int64_t low = 0, high = found->count - 1;
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (starts[middle] < old[p]) low = middle + 1;
            else high = middle;
        }
        rank[p] = (int32_t)low;
    }
    for (int64_t i = 0; i < n; i++) pane_of_row[i] = rank[pane_of_row[i]];
    fc_buffer_free(&work);
    return FC_OK;
}

fc_status fc_pane_index(const int64_t *starts, int64_t n, int32_t *pane_of_row, fc_buffer *panes,
                        int64_t *pane_count) {
    *pane_count = 0;
    if (n > INT32_MAX) return FC_ERR_CAPACITY;
    fc_found found = {.starts = panes};
    fc_status status = FC_OK;
    int64_t last = 0, i = 0;
    int32_t number = -1;
    while (i < n && status == FC_OK) {
        if (number < 0 || starts[i] != last) {
            last = starts[i];
            status = found_number(&found, last, &number);
            if (status != FC_OK) break;
        }
        for (; i < n && starts[i] == last; i++) pane_of_row[i] = number;
    }
    bool sorted = true;
    for (int64_t p = 1; p < found.count; p++)
        sorted &= ((int64_t *)panes->data)[p - 1] < ((int64_t *)panes->data)[p];
    if (status == FC_OK && !sorted) status = found_sort(&found, pane_of_row, n);
    fc_buffer_free(&found.table);
    *pane_count = found.count;
    return status;
}

#define FC_SLIDING_MAX (INT64_C(1) << 40)

fc_status fc_sliding_bounds(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t slide_ms,
                            int64_t offset_ms, int64_t *bounds) {
    int64_t margin_ms;
    if (size_ms <= 0 || slide_ms <= 0 || __builtin_add_overflow(size_ms, slide_ms, &margin_ms))
        return FC_ERR_INVALID;
    if (!is_inside(ts_ms, n, margin_ms)) return FC_ERR_INVALID;
    const fc_grid grid = grid_of(slide_ms, offset_ms);
    int64_t total = 0;
    bounds[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t remainder = (int64_t)grid_remainder(grid, ts_ms[i]);
        int64_t windows = remainder >= size_ms ? 0 : (size_ms - remainder - 1) / slide_ms + 1;
        if (windows > FC_SLIDING_MAX - total) return FC_ERR_CAPACITY;
        bounds[i + 1] = total += windows;
    }
    return FC_OK;
}

void fc_sliding_starts(const int64_t *ts_ms, int64_t n, int64_t slide_ms, int64_t offset_ms,
                       const int64_t *bounds, int64_t *starts) {
    const fc_grid grid = grid_of(slide_ms, offset_ms);
    for (int64_t i = 0; i < n; i++) {
        int64_t start = ts_ms[i] - (int64_t)grid_remainder(grid, ts_ms[i]);
        for (int64_t w = bounds[i]; w < bounds[i + 1]; w++, start -= slide_ms) starts[w] = start;
    }
}

/* ---- sessions -------------------------------------------------------------------------------------- */

enum { LIVE = 1, FIRED = 2 };

/* State above this size, the 1 MB of L2, is prefetched: 41 -> 80 M rows/s at 1e5 groups, 16 -> 23 at 1e6. */
#define FC_PREFETCH_BYTES (1 << 20)

static inline fc_session *sessions_of(const fc_session_index *index) {
    return (fc_session *)index->sessions.data;
}

static inline fc_session_bound *bounds_of(const fc_session_index *index) {
    return (fc_session_bound *)index->bounds.data;
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

void fc_session_init(fc_session_index *index) {
    *index = (fc_session_index){.free_slot = -1, .least = {INT64_MAX, INT64_MAX}};
}

void fc_session_free(fc_session_index *index) {
    fc_buffer_free(&index->sessions);
    fc_buffer_free(&index->bounds);
    fc_buffer_free(&index->heads);
    fc_buffer_free(&index->merges);
    fc_session_init(index);
}

/* The session in `slot` is live, unfired, and ends at its end: keep the bounds below that. A session that
 * is only extended needs no call, since its end grows. */
static inline void bound_below(fc_session_index *index, int32_t slot) {
    int64_t end_ms = sessions_of(index)[slot].end_ms;
    fc_session_bound *bound = &bounds_of(index)[slot / FC_SESSION_PAGE];
    bound->fire_ms = smaller(bound->fire_ms, end_ms);
    bound->purge_ms = smaller(bound->purge_ms, end_ms);
    index->least.fire_ms = smaller(index->least.fire_ms, end_ms);
    index->least.purge_ms = smaller(index->least.purge_ms, end_ms);
}

static fc_status slot_take(fc_session_index *index, int32_t *slot) {
    if (index->free_slot >= 0) {
        *slot = index->free_slot;
        index->free_slot = sessions_of(index)[*slot].older;
        return FC_OK;
    }
    if (index->slot_bound > INT32_MAX - 1) return FC_ERR_CAPACITY;
    int64_t page = index->slot_bound / FC_SESSION_PAGE;
    fc_status status = fc_buffer_reserve(&index->sessions,
                                         (index->slot_bound + 1) * (int64_t)sizeof(fc_session));
    if (status == FC_OK)
        status = fc_buffer_reserve(&index->bounds, (page + 1) * (int64_t)sizeof(fc_session_bound));
    if (status != FC_OK) return status;
    if (index->slot_bound % FC_SESSION_PAGE == 0)
        bounds_of(index)[page] = (fc_session_bound){INT64_MAX, INT64_MAX};
    *slot = (int32_t)index->slot_bound++;
    return FC_OK;
}

static void slot_give(fc_session_index *index, int32_t slot) {
    sessions_of(index)[slot].state = 0;
    sessions_of(index)[slot].older = index->free_slot;
    index->free_slot = slot;
}

/* Put `slot` between two neighbours of its group. */
static inline void link(fc_session_index *index, int32_t group_id, int32_t newer, int32_t slot,
                        int32_t older) {
    fc_session *sessions = sessions_of(index);
    sessions[slot].newer = newer;
    sessions[slot].older = older;
    if (older >= 0) sessions[older].newer = slot;
    if (newer >= 0) sessions[newer].older = slot;
    else ((int32_t *)index->heads.data)[group_id] = slot + 1;
}

/* Merge the sessions first .. last, neighbours in their group from late to early, and the window
 * [start, end) into the one that was created first. */
static fc_status merge_run(fc_session_index *index, int32_t first, int32_t last, int64_t start_ms,
                           int64_t end_ms, int32_t *survivor) {
    fc_session *sessions = sessions_of(index);
    int32_t newer = sessions[first].newer, older = sessions[last].older, oldest = first;
    int64_t merge_bound = index->merge_count;
    for (int32_t slot = first; slot != older; slot = sessions[slot].older, merge_bound++)
        if (sessions[slot].created < sessions[oldest].created) oldest = slot;
    fc_status status = fc_buffer_reserve(&index->merges, merge_bound * 2 * (int64_t)sizeof(int32_t));
    if (status != FC_OK) return status;
    for (int32_t slot = first; slot != older;) {
        int32_t next = sessions[slot].older;
        if (slot != oldest) {
            int32_t *pair = (int32_t *)index->merges.data + 2 * index->merge_count++;
            pair[0] = oldest;
            pair[1] = slot;
            sessions[slot].state = 0;
            sessions[slot].newer = oldest;       /* where its records went; see final_slot */
            index->live_count--;
        }
        slot = next;
    }
    sessions[oldest].start_ms = start_ms;
    sessions[oldest].end_ms = end_ms;
    link(index, sessions[oldest].group_id, newer, oldest, older);
    *survivor = oldest;
    return FC_OK;
}

static fc_status create(fc_session_index *index, int32_t group_id, int32_t newer, int32_t older,
                        int64_t start_ms, int64_t end_ms, int32_t *slot) {
    fc_status status = slot_take(index, slot);
    if (status != FC_OK) return status;
    sessions_of(index)[*slot] = (fc_session){
        .start_ms = start_ms, .end_ms = end_ms, .created = index->created++, .group_id = group_id,
        .state = LIVE};
    link(index, group_id, newer, *slot, older);
    bound_below(index, *slot);
    index->live_count++;
    return FC_OK;
}

/* The last millisecond up to which windows are done when the watermark is watermark_ms; false when none is.
 * That is end - 1 + lateness <= watermark, solved for end - 1, where a sum past int64 counts as INT64_MAX. */
static bool done_until(int64_t watermark_ms, int64_t lateness_ms, int64_t *last_ms) {
    if (watermark_ms == INT64_MAX) {
        *last_ms = INT64_MAX;
        return true;
    }
    return !__builtin_sub_overflow(watermark_ms, lateness_ms, last_ms);
}

static fc_status check_assign(fc_session_index *index, const int32_t *ids, const int64_t *ts_ms, int64_t n,
                              const int64_t *gaps_ms, int64_t gap_ms) {
    int32_t id_max = -1, id_min = 0;
    bool inside = gaps_ms != NULL || gap_ms > 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t end_ms, gap = gaps_ms == NULL ? gap_ms : gaps_ms[i];
        inside &= (gap > 0) & !__builtin_add_overflow(ts_ms[i], gap, &end_ms);
        id_max = ids[i] > id_max ? ids[i] : id_max;
        id_min = ids[i] < id_min ? ids[i] : id_min;
    }
    if (!inside || id_min < 0) return FC_ERR_INVALID;
    if (id_max < index->group_bound) return FC_OK;
    fc_status status = fc_buffer_reserve_zeroed(&index->heads,
                                                ((int64_t)id_max + 1) * (int64_t)sizeof(int32_t));
    if (status == FC_OK) index->group_bound = index->heads.bytes / (int64_t)sizeof(int32_t);
    return status;
}

/* Where the records of a slot of this call are in the end: a slot that was merged points to its survivor. */
static inline int32_t final_slot(const fc_session *sessions, int32_t slot) {
    while (!(sessions[slot].state & LIVE)) slot = sessions[slot].newer;
    return slot;
}

/* Fetch the list head of a record to come, and the latest session of one that comes sooner. */
static inline void prefetch_ahead(const fc_session_index *index, const int32_t *ids, int64_t i, int64_t n) {
    const int32_t *heads = (const int32_t *)index->heads.data;
    if (i + 32 < n) __builtin_prefetch(&heads[ids[i + 32]]);
    if (i + 16 >= n) return;
    int32_t head = heads[ids[i + 16]];
    __builtin_prefetch(&sessions_of(index)[head > 0 ? head - 1 : 0], 1);
}

fc_status fc_session_assign(fc_session_index *index, const int32_t *ids, const int64_t *ts_ms, int64_t n,
                            const int64_t *gaps_ms, int64_t gap_ms, int64_t watermark_ms, int64_t lateness_ms,
                            int32_t *sessions) {
    index->merge_count = 0;
    if (lateness_ms < 0) return FC_ERR_INVALID;
    fc_status status = check_assign(index, ids, ts_ms, n, gaps_ms, gap_ms);
    int64_t done_ms;
    const bool some_done = done_until(watermark_ms, lateness_ms, &done_ms);
    const bool large = index->slot_bound * (int64_t)sizeof(fc_session) > FC_PREFETCH_BYTES;

    for (int64_t i = 0; i < n && status == FC_OK; i++) {
        if (large) prefetch_ahead(index, ids, i, n);
        const int64_t start_ms = ts_ms[i], end_ms = start_ms + (gaps_ms == NULL ? gap_ms : gaps_ms[i]);
        fc_session *all = sessions_of(index);
        int32_t newer = -1, slot = ((int32_t *)index->heads.data)[ids[i]] - 1;
        while (slot >= 0 && all[slot].start_ms > end_ms) {
            newer = slot;
            slot = all[slot].older;
        }
        bool touches = slot >= 0 && all[slot].end_ms >= start_ms;
        int64_t merged_end_ms = touches && all[slot].end_ms > end_ms ? all[slot].end_ms : end_ms;
        if (some_done && merged_end_ms - 1 <= done_ms) {
            sessions[i] = -1;
            continue;
        }
        if (!touches) {
            status = create(index, ids[i], newer, slot, start_ms, end_ms, &sessions[i]);
            continue;
        }
        int32_t first = slot, last = slot, next = all[slot].older;
        for (; next >= 0 && all[next].end_ms >= start_ms; next = all[next].older) last = next;
        int64_t merged_start_ms = smaller(start_ms, all[last].start_ms);
        if (first == last) {
            all[slot].start_ms = merged_start_ms;
            all[slot].end_ms = merged_end_ms;
        } else {
            status = merge_run(index, first, last, merged_start_ms, merged_end_ms, &slot);
        }
        if (all[slot].state & FIRED) {
            all[slot].state = LIVE;
            bound_below(index, slot);
        }
        sessions[i] = slot;
    }

    if (index->merge_count > 0) {
        if (status == FC_OK)
            for (int64_t i = 0; i < n; i++)
                if (sessions[i] >= 0) sessions[i] = final_slot(sessions_of(index), sessions[i]);
        for (int64_t m = 0; m < index->merge_count; m++)
            slot_give(index, ((int32_t *)index->merges.data)[2 * m + 1]);
    }
    return status;
}

typedef struct {
    int64_t end_ms, start_ms;
    int32_t slot;
} fc_session_key;

static int compare_keys(const void *a, const void *b) {
    const fc_session_key *x = a, *y = b;
    if (x->end_ms != y->end_ms) return x->end_ms < y->end_ms ? -1 : 1;
    if (x->start_ms != y->start_ms) return x->start_ms < y->start_ms ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static inline int64_t time_of(const fc_session_key *key, bool by_end) {
    return by_end ? key->end_ms : key->start_ms;
}

/* Stable sort by one of the times, a byte of its distance from the least at a time. Returns where the keys
 * are now: in `keys` or in `other`. */
static fc_session_key *radix_sort(fc_session_key *keys, fc_session_key *other, int64_t n, bool by_end) {
    int64_t least = INT64_MAX, largest = INT64_MIN;
    for (int64_t i = 0; i < n; i++) {
        int64_t time_ms = time_of(&keys[i], by_end);
        least = smaller(least, time_ms);
        largest = time_ms > largest ? time_ms : largest;
    }
    const uint64_t range = (uint64_t)largest - (uint64_t)least;
    for (int shift = 0; shift < 64 && range >> shift != 0; shift += 8) {
        int64_t places[257] = {0};
        for (int64_t i = 0; i < n; i++)
            places[1 + (((uint64_t)time_of(&keys[i], by_end) - (uint64_t)least) >> shift & 255)]++;
        for (int d = 0; d < 256; d++) places[d + 1] += places[d];
        for (int64_t i = 0; i < n; i++)
            other[places[((uint64_t)time_of(&keys[i], by_end) - (uint64_t)least) >> shift & 255]++] = keys[i];
        fc_session_key *sorted = other;
        other = keys;
        keys = sorted;
    }
    return keys;
}

/* By end, then start, then slot; `keys` come by slot. Has room for 2 n keys; returns where they are. With
 * qsort, 23 000 sessions that expire together took 2.9 ms, with this 0.5 ms. */
static fc_session_key *sort_keys(fc_session_key *keys, int64_t n) {
    if (n < 256) {
        qsort(keys, (size_t)n, sizeof *keys, compare_keys);
        return keys;
    }
    fc_session_key *by_start = radix_sort(keys, keys + n, n, false);
    return radix_sort(by_start, by_start == keys ? keys + n : keys, n, true);
}

/* The live sessions with end - 1 <= last_ms, only unfired ones when `firing`. The bounds of the pages that
 * are looked at become exact, and so does the bound of all. */
static fc_status sessions_until(fc_session_index *index, int64_t last_ms, bool firing, fc_buffer *slots,
                                int64_t *count) {
    fc_buffer keys = {0};
    fc_status status = FC_OK;
    fc_session_bound least = {INT64_MAX, INT64_MAX};
    int64_t found = 0;
    for (int64_t begin = 0; begin < index->slot_bound; begin += FC_SESSION_PAGE) {
        fc_session_bound *bound = &bounds_of(index)[begin / FC_SESSION_PAGE];
        if ((firing ? bound->fire_ms : bound->purge_ms) - 1 <= last_ms) {
            int64_t end = smaller(begin + FC_SESSION_PAGE, index->slot_bound);
            fc_session_bound exact = {INT64_MAX, INT64_MAX};
            status = fc_buffer_reserve(&keys, (found + FC_SESSION_PAGE) * (int64_t)sizeof(fc_session_key));
            if (status != FC_OK) break;
            for (int64_t slot = begin; slot < end; slot++) {
                const fc_session *session = &sessions_of(index)[slot];
                if (!(session->state & LIVE)) continue;
                exact.purge_ms = smaller(exact.purge_ms, session->end_ms);
                if (!(session->state & FIRED)) exact.fire_ms = smaller(exact.fire_ms, session->end_ms);
                if (session->end_ms - 1 > last_ms || (firing && (session->state & FIRED))) continue;
                ((fc_session_key *)keys.data)[found++] =
                    (fc_session_key){session->end_ms, session->start_ms, (int32_t)slot};
            }
            *bound = exact;
        }
        least.fire_ms = smaller(least.fire_ms, bound->fire_ms);
        least.purge_ms = smaller(least.purge_ms, bound->purge_ms);
    }
    if (status == FC_OK) {
        index->least = least;
        status = fc_buffer_reserve(slots, found * (int64_t)sizeof(int32_t));
        if (status == FC_OK) status = fc_buffer_reserve(&keys, 2 * found * (int64_t)sizeof(fc_session_key));
    }
    if (status == FC_OK && found > 0) {
        const fc_session_key *sorted = sort_keys((fc_session_key *)keys.data, found);
        for (int64_t f = 0; f < found; f++) ((int32_t *)slots->data)[f] = sorted[f].slot;
        *count = found;
    }
    fc_buffer_free(&keys);
    return status;
}

fc_status fc_session_expired(fc_session_index *index, int64_t watermark_ms, fc_buffer *slots,
                             int64_t *count) {
    *count = 0;
    if (index->live_count == 0 || index->least.fire_ms - 1 > watermark_ms) return FC_OK;
    return sessions_until(index, watermark_ms, true, slots, count);
}

fc_status fc_session_purgeable(fc_session_index *index, int64_t watermark_ms, int64_t lateness_ms,
                               fc_buffer *slots, int64_t *count) {
    int64_t last_ms;
    *count = 0;
    if (lateness_ms < 0) return FC_ERR_INVALID;
    if (!done_until(watermark_ms, lateness_ms, &last_ms)) return FC_OK;
    if (index->live_count == 0 || index->least.purge_ms - 1 > last_ms) return FC_OK;
    return sessions_until(index, last_ms, false, slots, count);
}

static bool all_live(const fc_session_index *index, const int32_t *slots, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (slots[i] < 0 || slots[i] >= index->slot_bound) return false;
        if (!(sessions_of(index)[slots[i]].state & LIVE)) return false;
    }
    return true;
}

fc_status fc_session_get(const fc_session_index *index, const int32_t *slots, int64_t n, int64_t *starts_ms,
                         int64_t *ends_ms, int32_t *group_ids) {
    if (!all_live(index, slots, n)) return FC_ERR_INVALID;
    for (int64_t i = 0; i < n; i++) {
        const fc_session *session = &sessions_of(index)[slots[i]];
        if (starts_ms != NULL) starts_ms[i] = session->start_ms;
        if (ends_ms != NULL) ends_ms[i] = session->end_ms;
        if (group_ids != NULL) group_ids[i] = session->group_id;
    }
    return FC_OK;
}

fc_status fc_session_fired(const fc_session_index *index, const int32_t *slots, int64_t n, uint8_t *fired) {
    if (!all_live(index, slots, n)) return FC_ERR_INVALID;
    for (int64_t i = 0; i < n; i++) fired[i] = (sessions_of(index)[slots[i]].state & FIRED) != 0;
    return FC_OK;
}

fc_status fc_session_mark_fired(fc_session_index *index, const int32_t *slots, int64_t n) {
    if (!all_live(index, slots, n)) return FC_ERR_INVALID;
    for (int64_t i = 0; i < n; i++) sessions_of(index)[slots[i]].state = LIVE | FIRED;
    return FC_OK;
}

fc_status fc_session_release(fc_session_index *index, const int32_t *slots, int64_t n) {
    if (!all_live(index, slots, n)) return FC_ERR_INVALID;
    for (int64_t i = 0; i < n; i++) {
        fc_session *all = sessions_of(index), session = all[slots[i]];
        if (!(session.state & LIVE)) continue;       /* named twice */
        if (session.older >= 0) all[session.older].newer = session.newer;
        if (session.newer >= 0) all[session.newer].older = session.older;
        else ((int32_t *)index->heads.data)[session.group_id] = session.older + 1;
        slot_give(index, slots[i]);
        index->live_count--;
    }
    return FC_OK;
}

fc_status fc_session_groups(const fc_session_index *index, const int32_t *ids, int64_t n, uint8_t *has) {
    const int32_t *heads = (const int32_t *)index->heads.data;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0) return FC_ERR_INVALID;
        has[i] = ids[i] < index->group_bound && heads[ids[i]] != 0;
    }
    return FC_OK;
}

void fc_session_slots(const fc_session_index *index, int32_t *slots) {
    for (int64_t slot = 0; slot < index->slot_bound; slot++)
        if (sessions_of(index)[slot].state & LIVE) *slots++ = (int32_t)slot;
}

int64_t fc_session_memory_bytes(const fc_session_index *index) {
    return (int64_t)sizeof *index + index->sessions.bytes + index->bounds.bytes + index->heads.bytes
           + index->merges.bytes;
}
