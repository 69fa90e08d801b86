/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map from disjoint ranges of 64-bit numbers to pointers, for one writer and any number of
 * readers that never lock.
 *
 * Ranges are inclusive at both ends ("last", not "end"), so that the whole 64-bit space can be
 * covered. Cost: logarithmic in the number of ranges, independent of their size.
 *
 * Threads: range_map_insert(), range_map_remove() and the destructor belong to the one writer.
 * Lookups marked "reader" may run in any thread inside rcu_read_begin()/rcu_read_end(), and in the
 * writer without it. Memory of the map that a change makes unreachable is freed after rcu_wait();
 * see range_map_sync(). So that it stays bounded, insert and remove do so themselves now and then:
 * the writer calls them outside of sections.
 */
#ifndef BASE_RANGE_MAP_H
#define BASE_RANGE_MAP_H

#include <stdbool.h>

#include "base/util.h"

struct range_map;

struct range {
	u64 start;
	u64 last; /* inclusive */
	void *value;
};

/* NULL with errno ENOMEM. */
struct range_map *range_map_new(void);
/* A map that the writer's thread alone reads: nothing ever waits for it. */
struct range_map *range_map_new_private(void);
/* No reader may be left. The values are the caller's. NULL is allowed. */
void range_map_free(struct range_map *map);

/* -EEXIST if any part of [start, last] is taken, -ENOMEM (nothing changed), -EINVAL if last <
 * start or @value is NULL. */
int range_map_insert(struct range_map *map, u64 start, u64 last, void *value);

/* Removes the range that starts exactly at @start; returns its value, or NULL with nothing changed.
 * Never fails for memory. */
void *range_map_remove(struct range_map *map, u64 start);

/* Gives the range that starts exactly at @start another value, without a gap for readers; returns
 * the old one as range_map_remove() does. Never fails for memory. */
void *range_map_replace(struct range_map *map, u64 start, void *value);

/*
 * Waits for the readers that may still see what was removed, and frees the map's own memory for it.
 * After it, the caller may free the removed values. The writer calls it before an unmap returns.
 */
void range_map_sync(struct range_map *map);

/* Reader. The range that holds @key; false if there is none. */
bool range_map_find(const struct range_map *map, u64 key, struct range *out);
/* Reader. The first range that intersects [start, last]; false if there is none. */
bool range_map_first(const struct range_map *map, u64 start, u64 last, struct range *out);
/* Reader. The last range that ends before @key; false if there is none. */
bool range_map_before(const struct range_map *map, u64 key, struct range *out);

/* The number of ranges; the writer's view. */
u64 range_map_count(const struct range_map *map);

#endif
