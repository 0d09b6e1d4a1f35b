/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_frozen.h"

#include <stddef.h>

typedef struct {
    fc_buffer buffer;
    int64_t last;    /* parts with this number and below may read it */
} fc_retired;

fc_status fc_freezes_add(fc_freezes *freezes, int64_t bytes, fc_frozen **frozen) {
    fc_buffer memory = {0};
    fc_status status = fc_buffer_init_zeroed(&memory, bytes);
    if (status != FC_OK) return status;
    *frozen = (fc_frozen *)memory.data;
    **frozen = (fc_frozen){.older = freezes->newest, .number = ++freezes->count, .memory = memory};
    freezes->newest = *frozen;
    return FC_OK;
}

fc_status fc_freezes_reserve(fc_freezes *freezes, int64_t more) {
    return fc_buffer_reserve(&freezes->retired, (freezes->retired_count + more) * (int64_t)sizeof(fc_retired));
}

void fc_freezes_retire(fc_freezes *freezes, fc_buffer *buffer) {
    if (freezes->newest == NULL) {
        fc_buffer_free(buffer);
        return;
    }
    ((fc_retired *)freezes->retired.data)[freezes->retired_count++] =
        (fc_retired){.buffer = *buffer, .last = freezes->count};
    *buffer = (fc_buffer){0};
}

void fc_freezes_release(fc_freezes *freezes, fc_frozen *frozen) {
    fc_frozen **link = &freezes->newest;
    while (*link != frozen) link = &(*link)->older;
    *link = frozen->older;
    fc_buffer memory = frozen->memory;
    fc_buffer_free(&memory);

    int64_t oldest = INT64_MAX, kept = 0;
    for (const fc_frozen *part = freezes->newest; part != NULL; part = part->older) oldest = part->number;
    fc_retired *retired = (fc_retired *)freezes->retired.data;
    for (int64_t i = 0; i < freezes->retired_count; i++) {
        if (retired[i].last < oldest) fc_buffer_free(&retired[i].buffer);
        else retired[kept++] = retired[i];
    }
    freezes->retired_count = kept;
}

void fc_freezes_free(fc_freezes *freezes) {
    for (int64_t i = 0; i < freezes->retired_count; i++)
        fc_buffer_free(&((fc_retired *)freezes->retired.data)[i].buffer);
    fc_buffer_free(&freezes->retired);
    *freezes = (fc_freezes){0};
}
