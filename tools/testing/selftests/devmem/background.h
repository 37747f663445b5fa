/* SPDX-License-Identifier: GPL-2.0 */
/* A shell must know that a server or a capture is ready before it goes on.
 * So those programs open their sockets first and only then leave for the
 * background: the caller reads one line, the pid, when all is set up.
 */
#ifndef SELFTEST_BACKGROUND_H
#define SELFTEST_BACKGROUND_H

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Returns in the child alone, with stdout in the file @out. */
static inline void go_background(const char *out)
{
	int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	pid_t pid;

	if (fd < 0)
		err(2, "%s", out);

	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (pid) {
		printf("%d\n", pid);
		exit(0);
	}

	if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(2);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	if (fd >= 0)
		dup2(fd, STDIN_FILENO);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

#endif
