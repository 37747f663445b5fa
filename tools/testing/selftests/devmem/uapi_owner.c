// SPDX-License-Identifier: GPL-2.0
/* Whose tokens are, and how long they last. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi.h"

static struct message message;

/* Receives a frag and keeps its token. */
static struct frag take_one(struct stage *s, size_t bytes)
{
	stage_send(s, bytes);
	receive(s->here, &message, bytes, 40, 0);
	KTAP_NEED(message.got == (ssize_t)bytes && message.pieces == 1);
	expect_stream(s, &message);
	return message.piece[0].frag;
}

/* The frag still holds the bytes of the stream from @at on. */
static void expect_intact(const struct stage *s, const struct frag *frag,
			  uint64_t at)
{
	unsigned char bytes[2000];
	size_t i;

	memory_read(s->memory, frag->offset, bytes, frag->size);
	for (i = 0; i < frag->size && bytes[i] == stream_byte(at + i); i++)
		;
	KTAP_CHECK(i == frag->size);
}

static void become_unconnected(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	KTAP_NEED(!connect(fd, &none, sizeof(none)));
}

void uapi_token_disconnect(void)
{
	struct frag frag;
	struct stage s;

	stage_open(&s);
	/* The peer's end, a shutdown here, and tcp_disconnect(). */
	frag = take_one(&s, 1000);
	KTAP_NEED(!shutdown(s.there, SHUT_WR));
	receive(s.here, &message, 1000, 40, 0);
	KTAP_CHECK(message.got == 0);
	KTAP_NEED(!shutdown(s.here, SHUT_RDWR));
	expect_intact(&s, &frag, 0);
	become_unconnected(s.here);
	expect_intact(&s, &frag, 0);
	KTAP_CHECK(dontneed_one(s.here, frag.token, 1) == 1);
	KTAP_CHECK(dontneed_one(s.here, frag.token, 1) == 0);
	stage_disconnect(&s);

	/* Without its return: with the socket it goes. */
	stage_connect(&s);
	take_one(&s, 1000);
	become_unconnected(s.here);
	stage_close(&s);
}

void uapi_token_close(void)
{
	struct stage s;
	uint64_t held;

	stage_open(&s);
	take_one(&s, 1000);
	close(s.netlink);
	close(s.memory);
	s.netlink = netlink_open();
	s.memory = -1;
	KTAP_CHECK(unbound(&s, QUEUE));
	held = memory_used();
	KTAP_CHECK(held >= s.before + s.size);
	stage_disconnect(&s);
	KTAP_CHECK(memory_back(held - s.size));
	stage_close(&s);
}

/* A child has the same socket, so the same tokens, and they outlive it. */
void uapi_token_process(void)
{
	struct frag mine, theirs;
	struct stage s;
	int status;
	pid_t pid;

	stage_open(&s);
	mine = take_one(&s, 100);
	theirs = take_one(&s, 100);
	pid = fork();
	if (!pid)
		_exit(dontneed_one(s.here, theirs.token, 1) == 1 ? 0 : 1);
	KTAP_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	KTAP_CHECK(dontneed_one(s.here, theirs.token, 1) == 0);
	expect_intact(&s, &mine, 0);
	KTAP_CHECK(dontneed_one(s.here, mine.token, 1) == 1);
	stage_close(&s);
}

/* A socket that holds a token listens, and has a child: the child is a copy of
 * it, but it has no token, and its end frees none.
 */
void uapi_token_listener(void)
{
	struct frag old, new;
	struct stage s;

	stage_open(&s);
	old = take_one(&s, 1000);
	become_unconnected(s.here);
	close(s.there);
	close(s.listener);
	stage_listen(&s, s.here);
	stage_connect(&s);

	KTAP_CHECK(dontneed_one(s.here, 1, MAX_RETURNED) == 0);
	new = take_one(&s, 500);
	KTAP_CHECK(dontneed_one(s.listener, new.token, 1) ==
		   (new.token == old.token));
	KTAP_CHECK(dontneed_one(s.here, new.token, 1) == 1);
	stage_disconnect(&s);

	/* The listener's own is out for as long as it is. */
	stage_connect(&s);
	take_one(&s, 500);
	stage_disconnect(&s);
	KTAP_CHECK(dontneed_one(s.listener, old.token, 1) ==
		   (new.token != old.token));
	stage_close(&s);
}
