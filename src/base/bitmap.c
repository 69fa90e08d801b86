/* SPDX-License-Identifier: BSD-3-Clause */
/* Bitmaps as arrays of u64. */
#include <endian.h>

#include "base/bitmap.h"

/* The bits of the word that holds @bit which lie in [bit, bit + nr); *taken is how many. */
static u64 word_mask(u64 bit, u64 nr, u64 *taken)
{
	u64 shift = bit % 64, n = MIN(nr, 64 - shift);

	*taken = n;
	return (n == 64 ? ~0ULL : (1ULL << n) - 1) << shift;
}

void bitmap_set(u64 *map, u64 first, u64 nr)
{
	u64 n;

	for (; nr; first += n, nr -= n)
		map[first / 64] |= word_mask(first, nr, &n);
}

void bitmap_clear(u64 *map, u64 first, u64 nr)
{
	u64 n;

	for (; nr; first += n, nr -= n)
		map[first / 64] &= ~word_mask(first, nr, &n);
}

u64 bitmap_weight(const u64 *map, u64 first, u64 nr)
{
	u64 n, sum = 0;

	for (; nr; first += n, nr -= n)
		sum += (u64)__builtin_popcountll(map[first / 64] & word_mask(first, nr, &n));
	return sum;
}

/* The first bit of [first, end) that differs from the bits of @flip, which is 0 or ~0. */
static u64 next_differing(const u64 *map, u64 first, u64 end, u64 flip)
{
	u64 n;

	for (; first < end; first += n) {
		u64 found = (map[first / 64] ^ flip) & word_mask(first, end - first, &n);

		if (found)
			return ALIGN_DOWN(first, 64ULL) + (u64)__builtin_ctzll(found);
	}
	return end;
}

u64 bitmap_next_set(const u64 *map, u64 first, u64 end)
{
	return next_differing(map, first, end, 0);
}

u64 bitmap_next_clear(const u64 *map, u64 first, u64 end)
{
	return next_differing(map, first, end, ~0ULL);
}

/* @nr bits (1 to 64) of @map from @first on, in the low bits; what lies above them is anything. */
static u64 extract(const u64 *map, u64 first, u64 nr)
{
	u64 shift = first % 64, low = map[first / 64] >> shift;

	/* The next word may lie past the end of the bitmap: read it only for a bit that is wanted.
	 */
	if (shift + nr <= 64)
		return low;
	return low | map[first / 64 + 1] << (64 - shift);
}

static void merge(u64 *dst, u64 dst_first, const u64 *src, u64 src_first, u64 nr, bool keep)
{
	u64 n;

	for (; nr; dst_first += n, src_first += n, nr -= n) {
		u64 mask = word_mask(dst_first, nr, &n), *word = &dst[dst_first / 64];
		u64 bits = extract(src, src_first, n) << dst_first % 64 & mask;

		*word = (keep ? *word : *word & ~mask) | bits;
	}
}

void bitmap_copy(u64 *dst, u64 dst_first, const u64 *src, u64 src_first, u64 nr)
{
	merge(dst, dst_first, src, src_first, nr, false);
}

void bitmap_or(u64 *dst, u64 dst_first, const u64 *src, u64 src_first, u64 nr)
{
	merge(dst, dst_first, src, src_first, nr, true);
}

void bitmap_swap_le(u64 *map, u64 words)
{
	for (u64 i = 0; i < words; i++)
		map[i] = htole64(map[i]);
}
