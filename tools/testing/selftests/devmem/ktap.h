/* SPDX-License-Identifier: GPL-2.0 */
/* KTAP for test programs in C and C++.
 *
 * Each test runs in a process of its own: what it leaves open goes with it,
 * a crash or a hang fails that test alone, and it may end at any depth.
 *
 *	static void adds(void)
 *	{
 *		KTAP_CHECK(1 + 1 == 2);
 *		KTAP_ERRNO(close(-1), EBADF);
 *	}
 *
 *	static const struct ktap_test tests[] = { { "adds", adds } };
 *
 *	int main(void)
 *	{
 *		return ktap_main(tests, 1);
 *	}
 */
#ifndef DEVMEM_KTAP_H
#define DEVMEM_KTAP_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KTAP_PASS	0
#define KTAP_FAIL	1
#define KTAP_SKIP	4

/* A test that takes longer hangs, even in an emulated machine that others keep
 * from its processors. Longer than any wait in a test, so that those tell.
 */
#define KTAP_SECONDS	480

/* As many failures as this are worth reading. */
#define KTAP_NOTES	10

struct ktap_test {
	const char *name;
	void (*run)(void);
};

/* What the running test has to tell; shared with the processes it forks. */
struct ktap_report {
	int failures;
	char why_skipped[128];
};

/* One for the program, in whichever of its files tests are. */
__attribute__((weak)) struct ktap_report *ktap_report;

/* Note a failure and go on with the test. */
#define KTAP_CHECK(cond) \
	((cond) ? (void)0 : ktap_note(__FILE__, __LINE__, #cond))

/* Give up on the test if what it stands on is missing. */
#define KTAP_NEED(cond) \
	((cond) ? (void)0 : ktap_stop(__FILE__, __LINE__, #cond))

/* The call must fail, with just this errno. */
#define KTAP_ERRNO(call, wanted) \
	(errno = 0, ktap_errno(__FILE__, __LINE__, #call, (call), wanted))

static inline void ktap_note(const char *file, int line, const char *what)
{
	int err = errno;

	if (__atomic_add_fetch(&ktap_report->failures, 1, __ATOMIC_RELAXED) <=
	    KTAP_NOTES)
		printf("# %s:%d: not so: %s (errno %d, %s)\n", file, line, what,
		       err, strerror(err));
}

/* What has been accepted though it is not the same on all kernels, for the
 * output: as it is here, and upstream.
 */
static inline void ktap_differs(const char *what, const char *here,
				const char *upstream)
{
	printf("# differs: %s here: %s, upstream: %s\n", what, here, upstream);
}

__attribute__((noreturn))
static inline void ktap_end(void)
{
	fflush(stdout);
	_exit(KTAP_PASS);
}

__attribute__((noreturn))
static inline void ktap_stop(const char *file, int line, const char *what)
{
	ktap_note(file, line, what);
	ktap_end();
}

static inline void ktap_errno(const char *file, int line, const char *call,
			      long ret, int wanted)
{
	int err = errno;

	if (ret == -1 && err == wanted)
		return;
	printf("# %s gave %ld, errno %d; wanted errno %d\n", call, ret, err,
	       wanted);
	ktap_note(file, line, call);
}

__attribute__((noreturn, format(printf, 1, 2)))
static inline void ktap_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ktap_report->why_skipped, sizeof(ktap_report->why_skipped),
		  format, args);
	va_end(args);
	ktap_end();
}

static inline void ktap_child(const struct ktap_test *test)
{
	alarm(KTAP_SECONDS);
	test->run();
	ktap_end();
}

static inline int ktap_run(const struct ktap_test *test, int number)
{
	int status = 0;
	pid_t pid;

	memset(ktap_report, 0, sizeof(*ktap_report));
	fflush(stdout);
	pid = fork();
	if (!pid)
		ktap_child(test);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		printf("# the test died, wait status %#x\n", (unsigned)status);
		ktap_report->failures++;
	}

	if (ktap_report->failures) {
		printf("not ok %d %s\n", number, test->name);
		return KTAP_FAIL;
	}
	if (ktap_report->why_skipped[0]) {
		printf("ok %d %s # SKIP %s\n", number, test->name,
		       ktap_report->why_skipped);
		return KTAP_SKIP;
	}
	printf("ok %d %s\n", number, test->name);
	return KTAP_PASS;
}

/* For a program that can't run here at all. */
static inline int ktap_skip_all(const char *why)
{
	printf("KTAP version 1\n1..0 # SKIP %s\n", why);
	return KTAP_SKIP;
}

/* Runs all tests; returns what main() is to return. */
static inline int ktap_main(const struct ktap_test *tests, int count)
{
	int results[KTAP_SKIP + 1] = { 0 };
	int i;

	ktap_report = (struct ktap_report *)
		mmap(NULL, sizeof(*ktap_report), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ktap_report == MAP_FAILED)
		return KTAP_FAIL;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	printf("KTAP version 1\n1..%d\n", count);
	for (i = 0; i < count; i++)
		results[ktap_run(&tests[i], i + 1)]++;
	printf("# %d passed, %d failed, %d skipped\n", results[KTAP_PASS],
	       results[KTAP_FAIL], results[KTAP_SKIP]);

	if (results[KTAP_FAIL] || !count)
		return KTAP_FAIL;
	return results[KTAP_PASS] ? KTAP_PASS : KTAP_SKIP;
}

#endif /* DEVMEM_KTAP_H */
