/* SPDX-License-Identifier: Apache-2.0
 *
 * Key rows <-> bytes. The encoding is canonical (equal keys, equal bytes; NaNs are one) and
 * self-delimiting, so a row of bytes is a key by itself, in a group index as in a state file.
 *
 * Per column, in order, little-endian:
 *   OFFSET  SIZE  FIELD
 *        0     1  presence         1 = null (nothing follows), 2 = present
 *        1     8  value            FC_I64, FC_F64
 *        1     1  value            FC_BOOL: 0 or 1
 *        1     4  length           FC_BYTES, at most 2^31 - 1
 *        5  length  bytes          FC_BYTES */
#ifndef FC_SERDE_H
#define FC_SERDE_H

#include <stdint.h>

#include "fc_column.h"
#include "fc_status.h"

#define FC_SERDE_NULL 1
#define FC_SERDE_PRESENT 2

/* One value of a decoded row. */
typedef struct {
    bool valid;
    uint64_t word;          /* FC_I64, FC_F64, FC_BOOL: the canonical word, 0 when null */
    const uint8_t *data;    /* FC_BYTES: `length` bytes inside the row */
    int32_t length;
} fc_field;

/* offsets[i] .. offsets[i + 1]: where rows [start, start + n) of the columns lie in the bytes that
 * fc_serde_write makes; n + 1 offsets, from 0. */
void fc_serde_offsets(const fc_column *columns, int column_count, int64_t start, int64_t n, int64_t *offsets);

/* The rows, to data[offsets[i]] .. data[offsets[i + 1]]. */
void fc_serde_write(const fc_column *columns, int column_count, int64_t start, int64_t n,
                    const int64_t *offsets, uint8_t *data);

/* The values of columns [0, field_count) of a row of at most `row_bytes` bytes. FC_ERR_INVALID when the row
 * is cut short or holds what fc_serde_write never writes; reads nothing beyond it. */
fc_status fc_serde_read(const uint8_t *row, int64_t row_bytes, const fc_kind *kinds, int field_count,
                        fc_field *fields, int64_t *bytes_read);

#endif
