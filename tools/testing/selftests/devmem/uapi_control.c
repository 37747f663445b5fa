// SPDX-License-Identifier: GPL-2.0
/* Control buffers of any size: a message is there as a whole or not at all, and
 * what is not told is not consumed.
 */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <sys/mman.h>

#include "uapi.h"

#define CMSG	40	/* bytes of a message; there is no padding */
#define ALL	65536

static struct message message;

/* There is no room for a single message. */
static void expect_too_small(const struct stage *s, int waiting)
{
	KTAP_CHECK(message.got == -1);
	KTAP_CHECK(message.error == EMSGSIZE ||
		   (!ours() && message.error == UPSTREAM_ETOOSMALL));
	KTAP_CHECK(stage_waiting(s) == waiting);
	KTAP_CHECK(dontneed_one(s->here, 1, MAX_RETURNED) == 0);
}

static void tell_errno(int error)
{
	ktap_differs("errno of a control buffer that is too small",
		error == EMSGSIZE ? "EMSGSIZE" : "525", "525");
}

void uapi_control_lengths(void)
{
	size_t room, most;
	struct stage s;

	stage_open(&s);
	stage_send_each(&s, 6, 50);
	for (room = 0; room < CMSG; room++) {
		receive(s.here, &message, ALL, room, 0);
		expect_too_small(&s, 300);
	}
	tell_errno(message.error);
	for (; room <= 200; room++) {
		most = room / CMSG;
		receive(s.here, &message, ALL, room, 0);
		KTAP_CHECK(message.pieces == (int)most);
		KTAP_CHECK(message.got == (ssize_t)(50 * most));
		expect_stream(&s, &message);
		give_back(s.here, &message);
		KTAP_CHECK(stage_waiting(&s) == (int)(300 - 50 * most));
		stage_send_each(&s, most, 50);
	}
	drain(&s);
	stage_close(&s);
}

/* A segment that has LINEAR_BYTES in host memory: uapi_linear.c makes it. */
static void one_linear(struct stage *s, size_t room)
{
	bool both = room >= 2 * CMSG;

	stage_connect(s);
	linear_send(s, 1000);
	receive(s->here, &message, ALL, room, 0);
	KTAP_CHECK(message.pieces == (both ? 2 : 1));
	KTAP_CHECK(message.got == LINEAR_BYTES + (both ? 1000 : 0));
	KTAP_CHECK(message.piece[0].type == SCM_DEVMEM_LINEAR);
	KTAP_CHECK(stage_waiting(s) == (both ? 0 : 1000));
	if (!both)
		receive(s->here, &message, ALL, room, 0);
	KTAP_CHECK(message.piece[both].type == SCM_DEVMEM_DMABUF);
	KTAP_CHECK(message.piece[both].frag.size == 1000);
	give_back(s->here, &message);
	stage_disconnect(s);
}

void uapi_control_lengths_linear(void)
{
	struct stage s;
	size_t room;

	stage_open(&s);
	linear_open();
	stage_disconnect(&s);
	stage_connect(&s);
	linear_send(&s, 1000);
	for (room = 0; room < CMSG; room++) {
		receive(s.here, &message, ALL, room, 0);
		expect_too_small(&s, LINEAR_BYTES + 1000);
	}
	stage_disconnect(&s);
	for (; room <= 200; room += room < 100 ? 1 : 20)
		one_linear(&s, room);
	stage_close(&s);
}

/* --- beside other messages ------------------------------------------------- */

/* Receives a frag and perhaps TCP_INQ in a control buffer of @room bytes. */
static void receive_inq(struct stage *s, size_t room, bool told)
{
	unsigned char byte, control[200];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = room,
	};
	int waiting = stage_waiting(s), left;
	struct cmsghdr *c;
	struct frag frag;

	KTAP_CHECK(recvmsg(s->here, &msg, MSG_SOCK_DEVMEM) == 1);
	KTAP_CHECK(!(msg.msg_flags & MSG_CTRUNC) == told);
	c = CMSG_FIRSTHDR(&msg);
	KTAP_NEED(c && c->cmsg_type == SCM_DEVMEM_DMABUF && c->cmsg_len == CMSG);
	memcpy(&frag, CMSG_DATA(c), sizeof(frag));
	KTAP_CHECK(frag.size == 1);
	KTAP_CHECK(dontneed_one(s->here, frag.token, 1) == 1);
	c = CMSG_NXTHDR(&msg, c);
	if (!told)
		return;
	KTAP_NEED(c && c->cmsg_level == SOL_TCP && c->cmsg_type == TCP_CM_INQ);
	memcpy(&left, CMSG_DATA(c), sizeof(left));
	KTAP_CHECK(left == waiting - 1);
}

void uapi_control_others(void)
{
	struct stage s;
	int one = 1;

	stage_open(&s);
	stage_send(&s, 100);
	KTAP_NEED(!setsockopt(s.here, SOL_TCP, TCP_INQ, &one, sizeof(one)));
	receive_inq(&s, 200, true);
	receive_inq(&s, CMSG + CMSG_SPACE(sizeof(int)), true);
	receive_inq(&s, CMSG + CMSG_LEN(sizeof(int)), true);
	receive_inq(&s, CMSG + CMSG_LEN(sizeof(int)) - 1, false);
	receive_inq(&s, CMSG, false);
	KTAP_CHECK(stage_waiting(&s) == 95);
	stage_close(&s);
}

/* --- where it can't be written --------------------------------------------- */

static ssize_t receive_control(int fd, void *control, size_t len)
{
	unsigned char host[ALL];
	struct iovec iov = { host, sizeof(host) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = len,
	};

	errno = 0;
	return recvmsg(fd, &msg, MSG_SOCK_DEVMEM);
}

/* The page after @page is missing. */
static unsigned char *last_page(void)
{
	unsigned char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	KTAP_NEED(page != MAP_FAILED);
	KTAP_NEED(!mprotect(page + PAGE, PAGE, PROT_NONE));
	return page;
}

/* Whatever can't be told leaves no token behind: not even one that was written
 * in part.
 */
void uapi_control_bad(void)
{
	unsigned char *page = last_page();
	struct frag frag;
	struct stage s;
	size_t fits;

	stage_open(&s);
	stage_send_each(&s, 3, 100);
	for (fits = 0; fits < CMSG; fits++) {
		KTAP_ERRNO(receive_control(s.here, page + PAGE - fits, 120),
			   EFAULT);
		KTAP_CHECK(stage_waiting(&s) == 300);
		KTAP_CHECK(dontneed_one(s.here, 1, MAX_RETURNED) == 0);
	}
	KTAP_CHECK(receive_control(s.here, NULL, 120) == -1);
	KTAP_CHECK(errno == EMSGSIZE || errno == EFAULT ||
		   (!ours() && errno == UPSTREAM_ETOOSMALL));
	KTAP_CHECK(stage_waiting(&s) == 300);

	/* The first message can be written, the second can't. */
	KTAP_CHECK(receive_control(s.here, page + PAGE - CMSG, 120) == 100);
	KTAP_CHECK(stage_waiting(&s) == 200);
	memcpy(&frag, CMSG_DATA((struct cmsghdr *)(page + PAGE - CMSG)),
	       sizeof(frag));
	KTAP_CHECK(dontneed_one(s.here, 1, MAX_RETURNED) == 1);
	KTAP_CHECK(dontneed_one(s.here, frag.token, 1) == 0);
	s.read = 100;
	drain(&s);
	stage_close(&s);
}
