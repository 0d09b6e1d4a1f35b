/* SPDX-License-Identifier: Apache-2.0
 *
 * Selection: the rows where a mask of a byte per row, 0 or 1, is 1.
 *
 * It goes block by block: a block's mask is looked at once, for all columns, and its rows are numbered by bytes. */
#ifndef FC_SELECT_H
#define FC_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#define FC_SELECT_BLOCK 128
#define FC_SELECT_SLACK 8       /* values behind the last of an output that a selection may write over */

/* The rows of a block that are selected. */
typedef struct {
    int64_t n, count;                    /* rows of the block; selected ones */
    uint8_t at[FC_SELECT_BLOCK];         /* positions of the selected ones, ascending */
    uint8_t bits[FC_SELECT_BLOCK / 8];   /* the mask, a bit a row, the first one the lowest; of whole eights of rows */
} fc_selection;

/* n <= FC_SELECT_BLOCK. */
void fc_select(const uint8_t *mask, int64_t n, fc_selection *selection);

/* The selected of n values of 8 bytes; room for FC_SELECT_SLACK more.
 * plain : without instructions that not every processor has, for tests; the outcome is the same */
void fc_select_words(const fc_selection *selection, const uint64_t *values, bool plain, uint64_t *out);

/* The selected of the n bits from bit `offset` on, a byte each. */
void fc_select_bits(const fc_selection *selection, const uint8_t *bits, int64_t offset, uint8_t *out);

/* The same for any number of rows: their positions, their values, how many there are. Room for FC_SELECT_SLACK more. */
void fc_mask_rows(const uint8_t *mask, int64_t n, int64_t *rows);
void fc_mask_words(const uint64_t *values, const uint8_t *mask, int64_t n, bool plain, uint64_t *out);
int64_t fc_mask_count(const uint8_t *mask, int64_t n);

#endif
