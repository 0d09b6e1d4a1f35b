/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_serde.h"

#include <string.h>

#include "fc_hash.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the table in the header is copied as it stands");

static inline int32_t bytes_length(const fc_column *column, int64_t i) {
    return column->offsets[i + 1] - column->offsets[i];
}

void fc_serde_offsets(const fc_column *columns, int column_count, int64_t start, int64_t n,
                      int64_t *offsets) {
    offsets[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t bytes = column_count;
        for (int c = 0; c < column_count; c++) {
            const fc_column *column = &columns[c];
            if (!fc_is_valid(column, start + i)) continue;
            if (column->kind == FC_BYTES) bytes += 4 + (int64_t)bytes_length(column, start + i);
            else bytes += column->kind == FC_BOOL ? 1 : 8;
        }
        offsets[i + 1] = offsets[i] + bytes;
    }
}

void fc_serde_write(const fc_column *columns, int column_count, int64_t start, int64_t n,
                    const int64_t *offsets, uint8_t *data) {
    for (int64_t i = 0; i < n; i++) {
        uint8_t *to = data + offsets[i];
        for (int c = 0; c < column_count; c++) {
            const fc_column *column = &columns[c];
            int64_t row = start + i;
            if (!fc_is_valid(column, row)) {
                *to++ = FC_SERDE_NULL;
                continue;
            }
            *to++ = FC_SERDE_PRESENT;
            if (column->kind == FC_BYTES) {
                int32_t length = bytes_length(column, row);
                memcpy(to, &length, 4);
                const uint8_t *data = column->values;
                if (length > 0) memcpy(to + 4, data + column->offsets[row], (size_t)length);
                to += 4 + length;
            } else if (column->kind == FC_BOOL) {
                *to++ = fc_bit(column->values, column->bit_offset + row);
            } else {
                uint64_t word = ((const uint64_t *)column->values)[row];
                if (column->kind == FC_F64) word = fc_word_f64(word);
                memcpy(to, &word, 8);
                to += 8;
            }
        }
    }
}

fc_status fc_serde_read(const uint8_t *row, int64_t row_bytes, const fc_kind *kinds, int field_count,
                        fc_field *fields, int64_t *bytes_read) {
    const uint8_t *at = row, *end = row + row_bytes;
    for (int c = 0; c < field_count; c++) {
        fc_field field = {0};
        if (at == end) return FC_ERR_INVALID;
        uint8_t presence = *at++;
        if (presence == FC_SERDE_PRESENT) {
            field.valid = true;
            if (kinds[c] == FC_BYTES) {
                if (end - at < 4) return FC_ERR_INVALID;
                memcpy(&field.length, at, 4);
                at += 4;
                if (field.length < 0 || end - at < field.length) return FC_ERR_INVALID;
                field.data = at;
                at += field.length;
            } else if (kinds[c] == FC_BOOL) {
                if (at == end || *at > 1) return FC_ERR_INVALID;
                field.word = *at++;
            } else {
                if (end - at < 8) return FC_ERR_INVALID;
                memcpy(&field.word, at, 8);
                if (kinds[c] == FC_F64 && fc_word_f64(field.word) != field.word) return FC_ERR_INVALID;
                at += 8;
            }
        } else if (presence != FC_SERDE_NULL) {
            return FC_ERR_INVALID;
        }
        fields[c] = field;
    }
    *bytes_read = at - row;
    return FC_OK;
}
