// SPDX-License-Identifier: GPL-2.0
/* What most tests stand on: a binding, and a connection whose payload lands in
 * it. The test has both ends, so it knows what waits in the receive queue.
 */
#define _GNU_SOURCE
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "uapi.h"

#define PORT	5201

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

unsigned char stream_byte(uint64_t position)
{
	return position * 2654435761U >> 24;
}

/* --- bindings -------------------------------------------------------------- */

void bind_begin(struct request *r, const struct stage *s, int memory)
{
	request_begin(r, s->family, NETDEV_CMD_BIND_RX);
	request_u32(r, NETDEV_A_DMABUF_IFINDEX, s->ifindex);
	request_u32(r, NETDEV_A_DMABUF_FD, memory);
}

void bind_add(struct request *r, uint32_t queue, uint32_t type)
{
	size_t nest = request_nest(r, NETDEV_A_DMABUF_QUEUES);

	request_u32(r, NETDEV_A_QUEUE_ID, queue);
	request_u32(r, NETDEV_A_QUEUE_TYPE, type);
	request_end(r, nest);
}

uint32_t bind_queue(const struct stage *s, int netlink, int memory,
		    uint32_t queue)
{
	struct request r;
	struct reply reply;
	uint32_t id;

	bind_begin(&r, s, memory);
	bind_add(&r, queue, NETDEV_QUEUE_TYPE_RX);
	request_ask(netlink, &r, &reply);
	if (reply.error)
		printf("# bind-rx: errno %d, \"%s\"\n", reply.error,
		       reply.message);
	id = reply_u32(&reply, NETDEV_A_DMABUF_ID);
	KTAP_NEED(!reply.error && id >= 1);
	return id;
}

uint32_t binding_of(const struct stage *s, uint32_t queue)
{
	struct request r;
	struct reply reply;
	int fd = netlink_open();

	request_begin(&r, s->family, NETDEV_CMD_QUEUE_GET);
	request_u32(&r, NETDEV_A_QUEUE_IFINDEX, s->ifindex);
	request_u32(&r, NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX);
	request_u32(&r, NETDEV_A_QUEUE_ID, queue);
	request_ask(fd, &r, &reply);
	KTAP_NEED(!reply.error);
	close(fd);
	return reply_u32(&reply, NETDEV_A_QUEUE_DMABUF);
}

bool unbound(const struct stage *s, uint32_t queue)
{
	double end = now() + 120;

	while (binding_of(s, queue)) {
		if (now() > end)
			return false;
		usleep(2000);
	}
	return true;
}

/* --- the connection -------------------------------------------------------- */

void stage_listen(struct stage *s, int fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int one = 1;

	s->listener = fd;
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	KTAP_NEED(!bind(s->listener, (struct sockaddr *)&at, sizeof(at)));
	KTAP_NEED(!listen(s->listener, 8));
}

void stage_connect(struct stage *s)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(0x0a090001),
	};
	int one = 1;

	s->there = socket_there(AF_INET, SOCK_STREAM);
	setsockopt(s->there, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	KTAP_NEED(!connect(s->there, (struct sockaddr *)&to, sizeof(to)));
	s->here = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	KTAP_NEED(s->here >= 0);
	s->sent = s->read = 0;
}

/* A reset: both ends are gone at once. */
void stage_disconnect(struct stage *s)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(s->here, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	setsockopt(s->there, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(s->here);
	close(s->there);
	s->here = s->there = -1;
}

int stage_waiting(const struct stage *s)
{
	int bytes = 0;

	KTAP_NEED(!ioctl(s->here, FIONREAD, &bytes));
	return bytes;
}

static void await(const struct stage *s, int bytes)
{
	double end = now() + 120;

	while (stage_waiting(s) < bytes) {
		KTAP_NEED(now() < end);
		usleep(100);
	}
	KTAP_CHECK(stage_waiting(s) == bytes);
}

void stage_send_as(struct stage *s, size_t bytes, int flags, size_t arrive)
{
	int wanted = stage_waiting(s) + arrive;
	unsigned char buffer[65536];
	size_t i;

	KTAP_NEED(bytes <= sizeof(buffer));
	for (i = 0; i < bytes; i++)
		buffer[i] = stream_byte(s->sent + i);
	KTAP_NEED(send(s->there, buffer, bytes, flags) == (ssize_t)bytes);
	s->sent += bytes;
	await(s, wanted);
}

void stage_send(struct stage *s, size_t bytes)
{
	stage_send_as(s, bytes, 0, bytes);
}

void stage_send_each(struct stage *s, int segments, size_t bytes)
{
	while (segments--)
		stage_send(s, bytes);
}

/* --- all of it ------------------------------------------------------------- */

void stage_open_bare(struct stage *s)
{
	memset(s, 0, sizeof(*s));
	s->listener = s->here = s->there = s->other = -1;
	s->before = memory_used();
	nic_open(1500);
	nic_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED);
	s->ifindex = if_nametoindex("dm0");
	s->netlink = netlink_open();
	s->family = netlink_family(s->netlink, NETDEV_FAMILY_NAME);
	s->size = 1 << 20;
	s->memory = memory_open(s->size);
}

void stage_open(struct stage *s)
{
	stage_open_bare(s);
	stage_bind(s);
}

void stage_bind(struct stage *s)
{
	s->id = bind_queue(s, s->netlink, s->memory, QUEUE);
	nic_steer(QUEUE);
	stage_listen(s, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	stage_connect(s);
}

void stage_close(struct stage *s)
{
	if (s->here >= 0)
		stage_disconnect(s);
	close(s->netlink);
	close(s->memory);
	if (s->other >= 0)
		close(s->other);
	if (s->listener >= 0)
		close(s->listener);
	KTAP_CHECK(memory_back(s->before));
}
