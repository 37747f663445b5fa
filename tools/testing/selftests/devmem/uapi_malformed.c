// SPDX-License-Identifier: GPL-2.0
/* bind-rx with messages that no program means to send: refused, each of them,
 * and nothing is bound or kept. Whatever is bound by mistake stays until the
 * socket is closed, so it is seen.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "uapi.h"

static struct request request, good;
static struct reply reply;

static void expect_nothing_bound(const struct stage *s)
{
	uint32_t queue;

	for (queue = 0; queue < nic_kind()->queues; queue++)
		KTAP_CHECK(binding_of(s, queue) == 0);
}

/* The request as it is, on which the kernel may not even answer. */
static void send_as_it_is(int fd)
{
	char answer[8192];

	request_send(fd, &request);
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
}

static void expect_refused(const struct stage *s, int error)
{
	request_ask(s->netlink, &request, &reply);
	errno = reply.error;
	KTAP_CHECK(error ? reply.error == error : reply.error != 0);
	KTAP_CHECK(binding_of(s, QUEUE) == 0);
}

static void make_good(const struct stage *s)
{
	bind_begin(&good, s, s->memory);
	bind_add(&good, QUEUE, NETDEV_QUEUE_TYPE_RX);
	good.head.nlmsg_len = good.len;
}

/* Less is sent than the header says, or the header says less than is needed. */
void uapi_malformed_lengths(void)
{
	struct stage s;
	size_t len;

	stage_open_bare(&s);
	make_good(&s);
	for (len = 1; len < good.len; len++) {
		request = good;
		request.len = len;
		send_as_it_is(s.netlink);
		request.head.nlmsg_len = len;
		send_as_it_is(s.netlink);
		request.len = good.len;
		send_as_it_is(s.netlink);
		KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	}
	for (len = good.len + 1; len < good.len + 70000; len = len * 3 / 2) {
		request = good;
		request.head.nlmsg_len = len;
		send_as_it_is(s.netlink);
	}
	request.head.nlmsg_len = UINT32_MAX;
	send_as_it_is(s.netlink);
	request = good;
	request.head.nlmsg_flags = 0;	/* no request */
	send_as_it_is(s.netlink);
	expect_nothing_bound(&s);

	/* It is good, after all. */
	request_ask(s.netlink, &good, &reply);
	KTAP_CHECK(!reply.error && binding_of(&s, QUEUE) != 0);
	stage_close(&s);
}

/* A queue in a queue in a queue: thousands. */
static void nest_deeply(const struct stage *s)
{
	size_t nests[5000];
	int depth;

	bind_begin(&request, s, s->memory);
	for (depth = 0; depth < 5000; depth++)
		nests[depth] = request_nest(&request, NETDEV_A_DMABUF_QUEUES);
	while (depth)
		request_end(&request, nests[--depth]);
}

/* Each attribute's length and type in turn, at all depths, is garbage. */
void uapi_malformed_nests(void)
{
	static const uint16_t lengths[] = { 0, 1, 3, 4, 5, 7, 9, 13, 200, 65535 };
	struct stage s;
	size_t at, i;

	stage_open_bare(&s);
	close(s.memory);	/* so that none of these can be right */
	make_good(&s);
	for (at = NLMSG_HDRLEN + 4; at < good.len; at += 4)
		for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			request = good;
			memcpy(request.bytes + at, &lengths[i], 2);
			expect_refused(&s, 0);
		}
	s.memory = memory_open(s.size);

	bind_begin(&request, &s, s.memory);
	request_attr(&request, NETDEV_A_DMABUF_QUEUES, "\xff\xff\xff\xff\xff", 5);
	expect_refused(&s, EINVAL);
	nest_deeply(&s);
	expect_refused(&s, 0);
	expect_nothing_bound(&s);
	stage_close(&s);
}

static void add_queues(const struct stage *s, uint32_t first, int count,
		       uint32_t step)
{
	bind_begin(&request, s, s->memory);
	for (; count; count--, first += step)
		bind_add(&request, first, NETDEV_QUEUE_TYPE_RX);
}

static void expect_out_of_range(const struct stage *s)
{
	expect_refused(s, 0);
	KTAP_CHECK(reply.error == EINVAL || (!ours() && reply.error == ERANGE));
	KTAP_CHECK(!ours() ||
		   !strcmp(reply.message, "rx queue index out of range"));
}

void uapi_malformed_counts(void)
{
	uint32_t last = nic_kind()->queues - 1;
	struct stage s;

	stage_open_bare(&s);
	add_queues(&s, QUEUE, 2, 0);
	expect_refused(&s, EEXIST);
	add_queues(&s, QUEUE, 3000, 0);
	expect_refused(&s, EEXIST);
	add_queues(&s, 0, 3000, 1);
	expect_out_of_range(&s);
	add_queues(&s, UINT32_MAX, 3000, -1);
	expect_out_of_range(&s);
	ktap_differs("a queue out of range", reply.error == EINVAL ? "EINVAL" : "ERANGE",
		"ERANGE in 6.12, EINVAL later");
	expect_nothing_bound(&s);

	add_queues(&s, 0, last + 1, 1);
	request_ask(s.netlink, &request, &reply);
	KTAP_CHECK(!reply.error && binding_of(&s, last) != 0);
	KTAP_CHECK(binding_of(&s, 0) == binding_of(&s, last));
	stage_close(&s);
}

/* A good request and one attribute that has no place there. */
static void add_unknown(const struct stage *s)
{
	uint16_t type;

	for (type = 0; type < 300; type++) {
		if (type && type != NETDEV_A_DMABUF_ID &&
		    type <= NETDEV_A_DMABUF_RX_PAGE_SIZE)
			continue;
		request = good;
		request_u32(&request, type, 0);
		expect_refused(s, EINVAL);
		request = good;
		request_attr(&request, type | NLA_F_NESTED, "", 0);
		expect_refused(s, 0);
	}
}

/* One that has, but is too long, too short, or a nest. */
static void add_misshapen(const struct stage *s)
{
	uint16_t type;

	for (type = NETDEV_A_DMABUF_IFINDEX; type <= NETDEV_A_DMABUF_FD; type++) {
		if (type == NETDEV_A_DMABUF_QUEUES)
			continue;
		request = good;
		request_attr(&request, type, "12345678", 8);
		expect_refused(s, 0);
		request = good;
		request_attr(&request, type, "", 0);
		expect_refused(s, 0);
		request = good;
		request_u32(&request, type | NLA_F_NESTED, s->ifindex);
		expect_refused(s, 0);
	}
}

void uapi_malformed_attributes(void)
{
	struct stage s;

	stage_open_bare(&s);
	make_good(&s);
	add_unknown(&s);
	add_misshapen(&s);
	request_begin(&request, s.family, 200);
	expect_refused(&s, EOPNOTSUPP);
	request = good;
	request.head.nlmsg_flags |= NLM_F_DUMP;
	expect_refused(&s, EOPNOTSUPP);
	expect_nothing_bound(&s);
	stage_close(&s);
}
