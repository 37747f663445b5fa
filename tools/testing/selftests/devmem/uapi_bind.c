// SPDX-License-Identifier: GPL-2.0
/* Bindings: their ids, how long they last, and where payload goes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi.h"

#define ROOM	(MAX_PIECES * 40)

static struct message message;

static void expect_received(struct stage *s, int segments)
{
	stage_send_each(s, segments, 700);
	receive(s->here, &message, 65536, ROOM, 0);
	KTAP_CHECK(message.got == 700 * segments);
	KTAP_CHECK(message.pieces == segments);
	expect_stream(s, &message);
	give_back(s->here, &message);
}

void uapi_bind_ids(void)
{
	uint32_t seen[40];
	struct stage s;
	int fd, i, j;

	stage_open_bare(&s);
	for (i = 0; i < 40; i++) {
		fd = netlink_open();
		seen[i] = bind_queue(&s, fd, s.memory, QUEUE);
		KTAP_CHECK(binding_of(&s, QUEUE) == seen[i]);
		for (j = 0; j < i; j++)
			KTAP_CHECK(seen[j] != seen[i]);
		close(fd);
		KTAP_NEED(unbound(&s, QUEUE));
	}
	stage_close(&s);
}

/* The socket is open as long as anybody has it, whatever else he does. */
void uapi_bind_lifetime(void)
{
	struct stage s;
	int copy, pipes[2];
	pid_t pid;
	char c;

	stage_open(&s);
	expect_received(&s, 3);
	copy = dup(s.netlink);
	close(s.netlink);
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	expect_received(&s, 3);

	KTAP_NEED(!pipe(pipes));
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		_exit(read(pipes[0], &c, 1) != 0);
	}
	close(pipes[0]);
	close(copy);
	s.netlink = netlink_open();
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	expect_received(&s, 3);
	close(pipes[1]);
	KTAP_NEED(waitpid(pid, NULL, 0) == pid);
	KTAP_CHECK(unbound(&s, QUEUE));

	stage_send(&s, 100);
	receive(s.here, &message, 65536, ROOM, 0);
	KTAP_CHECK(message.got == 100 && !message.pieces);
	expect_stream(&s, &message);
	stage_close(&s);
}

/* The queue is bound by now. */
static void receive_through(struct stage *s)
{
	nic_steer(QUEUE);
	stage_listen(s, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	stage_connect(s);
	expect_received(s, 3);
}

/* Another queue is bound and let go, if there is another. */
static void use_other(const struct stage *s)
{
	int fd = netlink_open();

	if (nic_kind()->queues > 1)
		bind_queue(s, fd, s->memory, 2);
	close(fd);
}

void uapi_bind_down(void)
{
	struct stage s;

	stage_open_bare(&s);
	shell("ip link set dm0 down");
	s.id = bind_queue(&s, s.netlink, s.memory, QUEUE);
	shell("ip link set dm0 up");
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	receive_through(&s);

	shell("ip link set dm0 down");
	use_other(&s);
	shell("ip link set dm0 up");
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	KTAP_CHECK(nic_kind()->queues == 1 || unbound(&s, 2));
	expect_received(&s, 5);

	/* Unbound while it is down. */
	shell("ip link set dm0 down");
	close(s.netlink);
	s.netlink = netlink_open();
	shell("ip link set dm0 up");
	KTAP_CHECK(unbound(&s, QUEUE));
	stage_send(&s, 100);
	receive(s.here, &message, 65536, ROOM, 0);
	KTAP_CHECK(message.got == 100 && !message.pieces);
	expect_stream(&s, &message);
	stage_close(&s);
}

/* A ring of 512 with 4 pages to fill it: as much is received as there are
 * frags that came back. No CPU may keep skbs for another to free: theirs would be
 * all the memory there is.
 */
void uapi_bind_small(void)
{
	int i, kept = open("/proc/sys/net/core/skb_defer_max", O_WRONLY);
	struct stage s;

	KTAP_NEED(kept >= 0);
	KTAP_CHECK(write(kept, "0", 1) == 1);
	stage_open_bare(&s);
	close(s.memory);
	s.size = 4 * PAGE;
	s.memory = memory_open(s.size);
	s.id = bind_queue(&s, s.netlink, s.memory, QUEUE);
	receive_through(&s);
	for (i = 0; i < 20; i++)
		expect_received(&s, 2);
	stage_close(&s);
	KTAP_CHECK(pwrite(kept, "64", 2, 0) == 2);
}

static void expect_ids(const struct stage *s, int switch_at)
{
	int i;

	for (i = 0; i < message.pieces; i++)
		KTAP_CHECK(message.piece[i].frag.dmabuf_id ==
			   (i < switch_at ? s->id : s->other_id));
}

void uapi_bind_two(void)
{
	struct stage s;

	nic_need(NIC_QUEUES);
	stage_open(&s);
	s.other = memory_open(s.size);
	s.other_id = bind_queue(&s, s.netlink, s.other, 2);
	KTAP_CHECK(s.other_id != s.id);
	stage_send_each(&s, 4, 300);
	nic_steer(2);
	stage_send_each(&s, 5, 300);
	/* Both are device memory: one call reports both. */
	receive(s.here, &message, 65536, ROOM, 0);
	KTAP_CHECK(message.got == 9 * 300 && message.pieces == 9);
	expect_ids(&s, 4);
	/* expect_stream() looks into the dmabuf of each frag's id, from its start. */
	expect_stream(&s, &message);
	give_back(s.here, &message);
	nic_steer(QUEUE);
	stage_send(&s, 300);
	receive(s.here, &message, 65536, ROOM, 0);
	expect_ids(&s, 1);
	expect_stream(&s, &message);
	give_back(s.here, &message);
	stage_close(&s);
}
