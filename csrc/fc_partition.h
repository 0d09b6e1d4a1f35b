/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash -> key group -> subtask, and the places of rows by target.
 *
 * key_group = hash % max_parallelism and subtask = key_group * parallelism / max_parallelism, so that each
 * subtask owns one range of key groups (Flink: KeyGroupRangeAssignment; the hash is ours, not Java's). */
#ifndef FC_PARTITION_H
#define FC_PARTITION_H

#include <stdint.h>

#include "fc_column.h"
#include "fc_status.h"

/* key_groups[i] = hashes[i] % max_parallelism. FC_ERR_INVALID if max_parallelism < 1. */
fc_status fc_key_groups(const uint64_t *hashes, int64_t n, int32_t max_parallelism, int32_t *key_groups);

/* subtasks[i] in [0, parallelism). FC_ERR_INVALID unless 1 <= parallelism <= max_parallelism. */
fc_status fc_subtasks(const uint64_t *hashes, int64_t n, int32_t max_parallelism, int32_t parallelism,
                      int32_t *subtasks);

/* Where each row goes when the rows of each target stand together in their old order: row i goes to places[i], the
 * places [bounds[t], bounds[t + 1]) are target t's. `places` has n places and may be `targets`, `bounds` has count + 1.
 * FC_ERR_INVALID if count < 1 or a target is outside [0, count), FC_ERR_CAPACITY for more than 2^31 - 1 rows.
 * A counting sort: O(n + count), no allocation. */
fc_status fc_places(const int32_t *targets, int64_t n, int32_t count, int32_t *places, int64_t *bounds);

/* The places of rows among the subtasks that own their keys, as fc_hash_columns, fc_subtasks and fc_places give them,
 * without storing hashes: errors as of these. Columns are of `n` rows each, and of kinds that can be hashed. */
fc_status fc_key_places(const fc_column *columns, int column_count, int64_t n, int32_t max_parallelism,
                        int32_t parallelism, int32_t *places, int64_t *bounds);

#endif
