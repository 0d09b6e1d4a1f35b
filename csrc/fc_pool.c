/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_pool.h"

#include <sched.h>
#include <string.h>

#define FC_SLAB_FRAMES 64

void fc_lock(atomic_flag *lock) {
    while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire)) sched_yield();
}

void fc_unlock(atomic_flag *lock) { atomic_flag_clear_explicit(lock, memory_order_release); }

void fc_pool_init(fc_pool *pool, fc_pool_file file, int64_t budget_pages) {
    memset(pool, 0, sizeof *pool);
    pool->file = file;
    pool->budget_pages = budget_pages;
    atomic_flag_clear(&pool->lock);
}

void fc_pool_free(fc_pool *pool) {
    for (int64_t s = 0; s < pool->slab_count; s++) fc_buffer_free(&((fc_buffer *)pool->slabs.data)[s]);
    for (int64_t m = 0; pool->maps != NULL && m < FC_POOL_MAPS; m++)
        if (pool->maps[m] != NULL)
            pool->file.unmap(pool->file.context, pool->maps[m], FC_POOL_MAP_SLOTS * FC_POOL_PAGE_BYTES);
    pool->maps = NULL;
    fc_buffer_free(&pool->map_table);
    fc_buffer_free(&pool->slabs);
    fc_buffer_free(&pool->free_frames);
    fc_buffer_free(&pool->free_slots);
    pool->slab_count = pool->frame_count = pool->free_frame_count = pool->free_slot_count = 0;
}

void fc_share_init(fc_share *share, fc_pool *pool) {
    memset(share, 0, sizeof *share);
    share->pool = pool;
    atomic_flag_clear(&share->lock);
}

/* One slab more; every frame has room in the list of free ones, so that giving one back cannot fail. */
static fc_status slab_add(fc_pool *pool) {
    fc_buffer slab = {0};
    fc_status status = fc_buffer_reserve(&pool->slabs, (pool->slab_count + 1) * (int64_t)sizeof(fc_buffer));
    if (status == FC_OK)
        status = fc_buffer_reserve(&pool->free_frames,
                                   (pool->frame_count + FC_SLAB_FRAMES) * (int64_t)sizeof(uint8_t *));
    if (status == FC_OK) status = fc_buffer_init_zeroed(&slab, FC_SLAB_FRAMES * FC_POOL_PAGE_BYTES);
    if (status != FC_OK) return status;
    ((fc_buffer *)pool->slabs.data)[pool->slab_count++] = slab;
    pool->frame_count += FC_SLAB_FRAMES;
    for (int64_t i = FC_SLAB_FRAMES - 1; i >= 0; i--)
        ((uint8_t **)pool->free_frames.data)[pool->free_frame_count++] = slab.data + i * FC_POOL_PAGE_BYTES;
    return FC_OK;
}

fc_status fc_share_frame_take(fc_share *share, uint8_t **frame) {
    fc_pool *pool = share->pool;
    fc_status status = FC_OK;
    fc_lock(&pool->lock);
    if (pool->free_frame_count == 0) status = slab_add(pool);
    if (status == FC_OK) *frame = ((uint8_t **)pool->free_frames.data)[--pool->free_frame_count];
    fc_unlock(&pool->lock);
    if (status == FC_OK) fc_share_reserve(share, 1);
    return status;
}

void fc_share_reserve(fc_share *share, int64_t frames) {
    atomic_fetch_add_explicit(&share->pool->frames_used, frames, memory_order_relaxed);
    atomic_fetch_add_explicit(&share->frames_used, frames, memory_order_relaxed);
}

void fc_share_frame_give(fc_share *share, uint8_t *frame) {
    fc_pool *pool = share->pool;
    fc_lock(&pool->lock);
    ((uint8_t **)pool->free_frames.data)[pool->free_frame_count++] = frame;
    fc_unlock(&pool->lock);
    fc_share_reserve(share, -1);
}

fc_status fc_pool_slot_take(fc_pool *pool, int64_t *slot) {
    fc_status status = FC_OK;
    fc_lock(&pool->lock);
    if (pool->free_slot_count > 0) {
        *slot = ((int64_t *)pool->free_slots.data)[--pool->free_slot_count];
    } else {
        status = fc_buffer_reserve(&pool->free_slots, (pool->slot_bound + 1) * (int64_t)sizeof(int64_t));
        if (status == FC_OK) *slot = pool->slot_bound++;
    }
    fc_unlock(&pool->lock);
    if (status == FC_OK) atomic_fetch_add_explicit(&pool->slots_used, 1, memory_order_relaxed);
    return status;
}

void fc_pool_slot_give(fc_pool *pool, int64_t slot) {
    fc_lock(&pool->lock);
    ((int64_t *)pool->free_slots.data)[pool->free_slot_count++] = slot;
    fc_unlock(&pool->lock);
    atomic_fetch_sub_explicit(&pool->slots_used, 1, memory_order_relaxed);
}

fc_status fc_pool_read(fc_pool *pool, int64_t slot, uint8_t *page) {
    atomic_fetch_add_explicit(&pool->pages_read, 1, memory_order_relaxed);
    return pool->file.read(pool->file.context, slot, page);
}

fc_status fc_pool_write(fc_pool *pool, int64_t slot, const uint8_t *page) {
    atomic_fetch_add_explicit(&pool->pages_written, 1, memory_order_relaxed);
    return pool->file.write(pool->file.context, slot, page);
}

/* The address where slots from `map` * FC_POOL_MAP_SLOTS on lie, made if there is none yet. */
static uint8_t *map_made(fc_pool *pool, int64_t map) {
    const int64_t bytes = (int64_t)FC_POOL_MAP_SLOTS * FC_POOL_PAGE_BYTES;
    uint8_t *address = NULL;
    fc_lock(&pool->lock);
    if (pool->maps == NULL
        && fc_buffer_init_zeroed(&pool->map_table, FC_POOL_MAPS * (int64_t)sizeof(uint8_t *)) == FC_OK)
        atomic_store_explicit(&pool->maps, (_Atomic(uint8_t *) *)pool->map_table.data, memory_order_release);
    if (pool->maps != NULL) {
        address = pool->maps[map];
        if (address == NULL) {
            address = pool->file.map(pool->file.context, map * bytes, bytes);
            atomic_store_explicit(&pool->maps[map], address, memory_order_release);
        }
    }
    fc_unlock(&pool->lock);
    return address;
}

uint8_t *fc_pool_at(fc_pool *pool, int64_t slot) {
    const int64_t map = slot / FC_POOL_MAP_SLOTS;
    if (map >= FC_POOL_MAPS) return NULL;
    _Atomic(uint8_t *) *maps = atomic_load_explicit(&pool->maps, memory_order_acquire);
    uint8_t *address = maps == NULL ? NULL : atomic_load_explicit(&maps[map], memory_order_acquire);
    if (__builtin_expect(address == NULL, 0)) address = map_made(pool, map);
    return address == NULL ? NULL : address + slot % FC_POOL_MAP_SLOTS * FC_POOL_PAGE_BYTES;
}

bool fc_pool_has_room(fc_pool *pool) {
    return atomic_load_explicit(&pool->frames_used, memory_order_relaxed) < pool->budget_pages;
}

bool fc_share_exceeds(fc_share *share) {
    fc_pool *pool = share->pool;
    int64_t shares = atomic_load_explicit(&pool->share_count, memory_order_relaxed);
    int64_t part = pool->budget_pages / (shares < 1 ? 1 : shares);
    bool is_above = atomic_load_explicit(&share->frames_used, memory_order_relaxed) > part;
    if (atomic_load_explicit(&pool->frames_used, memory_order_relaxed) > pool->budget_pages) {
        if (!is_above) atomic_store_explicit(&pool->is_contended, true, memory_order_relaxed);
        return true;
    }
    if (!atomic_load_explicit(&pool->is_contended, memory_order_relaxed)) return false;
    if (!is_above) atomic_store_explicit(&pool->is_contended, false, memory_order_relaxed);
    return is_above;
}
