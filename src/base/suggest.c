/* SPDX-License-Identifier: BSD-3-Clause */
/* The nearest right word, for error messages: optimal string alignment (Damerau-Levenshtein). */
#include <string.h>

#include "base/prop.h"

/* Longer words are not compared: nobody mistypes them by accident. */
#define WORD_MAX 63

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	return MIN(a, MIN(b, c));
}

/* Insertions, deletions, substitutions and swaps of neighbours from @a to @b, both at most
 * WORD_MAX. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int rows[3][WORD_MAX + 1];
	unsigned int *before = rows[0], *prev = rows[1], *row = rows[2];
	size_t na = strlen(a), nb = strlen(b);

	for (size_t j = 0; j <= nb; j++)
		prev[j] = (unsigned int)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned int *spare = before;

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = min3(prev[j] + 1, row[j - 1] + 1,
				      prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		before = prev;
		prev = row;
		row = spare;
	}
	return prev[nb];
}

const char *suggest(const char *wrong, const char *const *words)
{
	const char *best = NULL;
	size_t len = strlen(wrong);
	unsigned int best_distance = 0;

	if (len > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t longer = MAX(len, strlen(*words));
		unsigned int d;

		if (longer > WORD_MAX)
			continue;
		d = distance(wrong, *words);
		/* Near: a third of the letters wrong, but one in a word of two. */
		if (d > MAX(longer / 3, 1) || d >= longer)
			continue;
		if (!best || d < best_distance) {
			best = *words;
			best_distance = d;
		}
	}
	return best;
}
