// SPDX-License-Identifier: GPL-2.0
/* Prints how fast this machine's time-stamp counter runs, in kHz.
 *
 * An emulated machine's counter is its host's. The guest's kernel measures it
 * against emulated timers, and on a busy host gets it wrong at times, by any
 * factor: then its clock runs away and all its time-outs with it. So it is told.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
	uint64_t ticks;
	int64_t nanoseconds;
};

/* The two clocks at one moment: of some tries, the one least disturbed. */
static struct moment now(void)
{
	uint64_t best = UINT64_MAX;
	struct moment moment = { 0 };

	for (int i = 0; i < 50; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec time;

		clock_gettime(CLOCK_MONOTONIC, &time);
		after = __rdtsc();
		if (after - before < best) {
			best = after - before;
			moment.ticks = before + best / 2;
			moment.nanoseconds = time.tv_sec * 1000000000LL + time.tv_nsec;
		}
	}
	return moment;
}

int main(void)
{
	struct moment start = now(), end;

	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	end = now();
	printf("%.0f\n", (end.ticks - start.ticks) * 1e6 / (end.nanoseconds - start.nanoseconds));
	return 0;
}
