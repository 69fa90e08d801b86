/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bitmaps as arrays of u64: bit n is bit n % 64 of word n / 64. No bit outside the given range is
 * changed, and no word without a bit in it is touched.
 */
#ifndef BASE_BITMAP_H
#define BASE_BITMAP_H

#include <stdbool.h>

#include "base/util.h"

/* The number of words, and of bytes, that hold @bits bits. */
#define BITMAP_WORDS(bits) ((bits) / 64 + ((bits) % 64 != 0))
#define BITMAP_BYTES(bits) (BITMAP_WORDS(bits) * sizeof(u64))

static inline bool bitmap_test(const u64 *map, u64 bit)
{
	return map[bit / 64] >> bit % 64 & 1;
}

/* Sets, clears the bits [first, first + nr). */
void bitmap_set(u64 *map, u64 first, u64 nr);
void bitmap_clear(u64 *map, u64 first, u64 nr);
/* How many of the bits [first, first + nr) are set. */
u64 bitmap_weight(const u64 *map, u64 first, u64 nr);
/* The first bit of [first, end) that is set (clear), or @end. */
u64 bitmap_next_set(const u64 *map, u64 first, u64 end);
u64 bitmap_next_clear(const u64 *map, u64 first, u64 end);
/* dst[dst_first + i] = (or |=) src[src_first + i] for i < nr. The bitmaps must not overlap. */
void bitmap_copy(u64 *dst, u64 dst_first, const u64 *src, u64 src_first, u64 nr);
void bitmap_or(u64 *dst, u64 dst_first, const u64 *src, u64 src_first, u64 nr);
/* Converts @words words between this machine's order and the little endian of the interfaces. */
void bitmap_swap_le(u64 *map, u64 words);

#endif
