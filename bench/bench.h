/* SPDX-License-Identifier: BSD-3-Clause */
/* What the benchmarks share: a clock, medians, a line of the table. Header only. */
#ifndef BENCH_H
#define BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* As many rounds, each with its own baseline; the table shows medians. */
#define BENCH_ROUNDS 9
#define BENCH_MAX 64

static inline double bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double bench_median(const double *values, size_t n)
{
	double sorted[BENCH_MAX];

	for (size_t i = 0; i < n; i++)
		sorted[i] = values[i];
	qsort(sorted, n, sizeof(*sorted), bench_compare);
	return sorted[n / 2];
}

static inline void bench_header(void)
{
	printf("%-44s %12s %12s %7s %6s\n", "", "floor", "uvfio", "ratio", "goal");
}

/* Medians of both, and of the ratios of the rounds. */
static inline void bench_line(const char *name, const char *unit, double scale, const double *floor,
			      const double *ours, size_t n, double goal)
{
	double ratios[BENCH_MAX];

	for (size_t i = 0; i < n; i++)
		ratios[i] = ours[i] / floor[i];
	printf("%-44s %9.2f %s %9.2f %s %7.2f %6.2f\n", name, bench_median(floor, n) / scale, unit,
	       bench_median(ours, n) / scale, unit, bench_median(ratios, n), goal);
}

#endif
