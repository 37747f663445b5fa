// SPDX-License-Identifier: GPL-2.0
/* What recvmsg() reports, and what its flags do. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "uapi.h"

#define ROOM	(MAX_PIECES * 40)
#define ALL	65536

static struct message message;

void uapi_numbers(void)
{
	uint32_t value[2] = { 1, 1 };
	socklen_t len = sizeof(value);
	int fd;

#if !defined(__sparc__) && !defined(__hppa__)
	_Static_assert(SCM_DEVMEM_LINEAR == 78 && SCM_DEVMEM_DMABUF == 79 &&
		       SO_DEVMEM_DONTNEED == 80, "numbers");
#endif
	_Static_assert(MSG_SOCK_DEVMEM == 0x2000000, "numbers");
	_Static_assert(offsetof(struct frag, size) == 8 &&
		       offsetof(struct frag, token) == 12 &&
		       offsetof(struct frag, dmabuf_id) == 16 &&
		       offsetof(struct frag, flags) == 20, "layout");
	_Static_assert(NETDEV_CMD_BIND_RX == 13 && NETDEV_A_DMABUF_ID == 4 &&
		       NETDEV_A_QUEUE_DMABUF == 5 &&
		       NETDEV_A_PAGE_POOL_DMABUF == 7, "numbers");
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Two name messages only, the third can only be set. */
	KTAP_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_LINEAR, value, len),
		   ENOPROTOOPT);
	KTAP_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DMABUF, value, len),
		   ENOPROTOOPT);
	KTAP_ERRNO(getsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, value, &len),
		   ENOPROTOOPT);
	KTAP_CHECK(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, value, len) == 0);
}

void uapi_frags(void)
{
	static const size_t sizes[] = { 1, 7, 100, 1000, 1448 };
	struct stage s;
	size_t i;

	stage_open(&s);
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		stage_send(&s, sizes[i]);
	receive(s.here, &message, ALL, ROOM, 0);
	KTAP_CHECK(message.got == 2556 && message.pieces == 5);
	for (i = 0; i < (size_t)message.pieces; i++) {
		KTAP_CHECK(message.piece[i].frag.size == sizes[i]);
		KTAP_CHECK(message.piece[i].frag.dmabuf_id == s.id);
	}
	expect_stream(&s, &message);
	give_back(s.here, &message);
	stage_close(&s);
}

/* How many frags a segment of more than two pages is, seen from a new binding,
 * whose memory is given out in order.
 */
void uapi_large_frags(void)
{
	struct stage s;
	char seen[16];

	stage_open_bare(&s);
	shell("ip link set dm0 mtu 9000");
	shell_there("ip link set dm0p mtu 9000");
	stage_bind(&s);
	stage_send(&s, 2 * PAGE + 100);
	receive(s.here, &message, ALL, ROOM, 0);
	KTAP_CHECK(message.got == 2 * PAGE + 100);
	KTAP_CHECK(message.pieces >= 1 && message.pieces <= 3);
	KTAP_CHECK(!ours() || message.pieces < 3);
	snprintf(seen, sizeof(seen), "%d", message.pieces);
	ktap_differs("frags of a segment of 3 adjoining pages", seen, "3");
	expect_stream(&s, &message);
	give_back(s.here, &message);

	/* A part that ends in the second page, and the rest. */
	stage_send(&s, 2 * PAGE + 100);
	receive(s.here, &message, PAGE + 1, ROOM, 0);
	KTAP_CHECK(message.got == PAGE + 1);
	expect_stream(&s, &message);
	give_back(s.here, &message);
	drain(&s);
	stage_close(&s);
}

void uapi_no_flag(void)
{
	unsigned char bytes[100];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct stage s;

	stage_open(&s);
	stage_send(&s, 100);
	KTAP_ERRNO(recv(s.here, bytes, sizeof(bytes), 0), EFAULT);
	KTAP_ERRNO(recv(s.here, bytes, sizeof(bytes), MSG_PEEK), EFAULT);
	KTAP_ERRNO(recv(s.here, bytes, sizeof(bytes), MSG_WAITALL), EFAULT);
	KTAP_ERRNO(read(s.here, bytes, sizeof(bytes)), EFAULT);
	KTAP_ERRNO(readv(s.here, &iov, 1), EFAULT);
	KTAP_CHECK(stage_waiting(&s) == 100);
	drain(&s);
	stage_close(&s);
}

void uapi_no_flag_mixed(void)
{
	unsigned char bytes[100];
	struct stage s;

	nic_need(NIC_QUEUES);
	stage_open(&s);
	nic_steer(0);
	stage_send(&s, 60);
	nic_steer(QUEUE);
	stage_send(&s, 30);
	KTAP_CHECK(recv(s.here, bytes, sizeof(bytes), 0) == 60);
	KTAP_CHECK(bytes[0] == stream_byte(0) && bytes[59] == stream_byte(59));
	KTAP_ERRNO(recv(s.here, bytes, sizeof(bytes), 0), EFAULT);
	s.read += 60;
	drain(&s);
	stage_close(&s);
}

void uapi_readable(void)
{
	struct stage s;

	nic_need(NIC_QUEUES);
	stage_open(&s);
	nic_steer(0);
	stage_send(&s, 1000);
	receive(s.here, &message, 100, 0, 0);
	KTAP_CHECK(message.got == 100 && !message.pieces);
	expect_stream(&s, &message);
	receive(s.here, &message, 100, ROOM, MSG_PEEK);
	KTAP_CHECK(message.got == 100 && !message.pieces);
	KTAP_CHECK(message.host[0] == stream_byte(100));
	receive(s.here, &message, ALL, ROOM, 0);
	KTAP_CHECK(message.got == 900 && !message.pieces);
	expect_stream(&s, &message);
	stage_close(&s);
}

/* Host, device, host, device: each call stops where the kind changes. */
static void receive_by_kind(int flags)
{
	struct stage s;
	int i;

	nic_need(NIC_QUEUES);
	stage_open(&s);
	for (i = 0; i < 4; i++) {
		nic_steer(i % 2);
		stage_send_each(&s, 3, 50);
	}
	for (i = 0; i < 4; i++) {
		receive(s.here, &message, 600 - 150 * i, ROOM, flags);
		KTAP_CHECK(message.got == 150);
		KTAP_CHECK(message.pieces == (i % 2 ? 3 : 0));
		expect_stream(&s, &message);
		give_back(s.here, &message);
	}
	KTAP_CHECK(!stage_waiting(&s));
	stage_close(&s);
}

void uapi_mixed(void)
{
	receive_by_kind(0);
	receive_by_kind(MSG_WAITALL);
}

static void *send_later(void *stage)
{
	struct stage *s = stage;
	unsigned char bytes[500];
	size_t i;

	usleep(100000);
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = stream_byte(s->sent + i);
	KTAP_CHECK(send(s->there, bytes, sizeof(bytes), 0) == sizeof(bytes));
	return NULL;
}

void uapi_waitall(void)
{
	pthread_t thread;
	struct stage s;

	stage_open(&s);
	stage_send_each(&s, 2, 500);
	KTAP_NEED(!pthread_create(&thread, NULL, send_later, &s));
	receive(s.here, &message, 1500, ROOM, MSG_WAITALL);
	pthread_join(thread, NULL);
	KTAP_CHECK(message.got == 1500 && message.pieces == 3);
	expect_stream(&s, &message);
	give_back(s.here, &message);

	/* What has no room in the control buffer is not waited for. */
	s.sent += 500;
	stage_send_each(&s, 2, 500);
	receive(s.here, &message, 1500, 40, MSG_WAITALL);
	KTAP_CHECK(message.got == 500 && message.pieces == 1);
	expect_stream(&s, &message);
	give_back(s.here, &message);
	drain(&s);
	stage_close(&s);
}

void uapi_dontwait(void)
{
	struct stage s;

	stage_open(&s);
	receive(s.here, &message, ALL, ROOM, MSG_DONTWAIT);
	KTAP_CHECK(message.got == -1 && message.error == EAGAIN);
	stage_send(&s, 100);
	receive(s.here, &message, ALL, ROOM, MSG_DONTWAIT | MSG_WAITALL);
	KTAP_CHECK(message.got == 100 && message.pieces == 1);
	expect_stream(&s, &message);
	give_back(s.here, &message);

	stage_send(&s, 100);
	KTAP_NEED(!shutdown(s.there, SHUT_WR));
	receive(s.here, &message, ALL, ROOM, MSG_WAITALL);
	KTAP_CHECK(message.got == 100 && message.pieces == 1);
	expect_stream(&s, &message);
	give_back(s.here, &message);
	receive(s.here, &message, ALL, ROOM, 0);
	KTAP_CHECK(message.got == 0 && !message.pieces);
	stage_close(&s);
}

/* Either it is refused, and makes no token, or it makes tokens that are as good
 * as any others.
 */
void uapi_peek(void)
{
	struct stage s;
	bool refused;

	stage_open(&s);
	stage_send_each(&s, 2, 100);
	receive(s.here, &message, ALL, ROOM, MSG_PEEK);
	refused = message.got == -1 && message.error == EOPNOTSUPP;
	KTAP_CHECK(refused || (message.got == 200 && message.pieces == 2));
	KTAP_CHECK(refused || !ours());
	ktap_differs("MSG_PEEK of device memory", refused ? "EOPNOTSUPP" : "tokens",
		"tokens");
	KTAP_CHECK(stage_waiting(&s) == 200);
	if (refused) {
		KTAP_CHECK(dontneed_one(s.here, 1, MAX_RETURNED) == 0);
	} else {
		expect_stream(&s, &message);
		give_back(s.here, &message);
		s.read = 0;
	}
	drain(&s);
	KTAP_CHECK(s.read == 200);
	stage_close(&s);
}

void uapi_trunc(void)
{
	struct stage s;

	stage_open(&s);
	stage_send_each(&s, 3, 100);
	receive(s.here, &message, 150, ROOM, MSG_TRUNC | MSG_PEEK);
	KTAP_CHECK(message.got == 150 && !message.pieces);
	KTAP_CHECK(stage_waiting(&s) == 300);
	receive(s.here, &message, 150, ROOM, MSG_TRUNC);
	KTAP_CHECK(message.got == 150 && !message.pieces);
	KTAP_CHECK(stage_waiting(&s) == 150);
	KTAP_CHECK(dontneed_one(s.here, 1, MAX_RETURNED) == 0);
	/* The rest begins within a frag. */
	s.read = 150;
	drain(&s);
	stage_close(&s);
}

/* The byte can't be delivered out of band, so it stays where it is. */
static void receive_urgent(struct stage *s, int inlined)
{
	char byte;

	setsockopt(s->here, SOL_SOCKET, SO_OOBINLINE, &inlined, sizeof(inlined));
	stage_send(s, 100);
	stage_send_as(s, 100, MSG_OOB, 100);
	stage_send(s, 100);
	KTAP_ERRNO(recv(s->here, &byte, 1, MSG_OOB), EINVAL);
	receive(s->here, &message, 300, ROOM, 0);
	KTAP_CHECK(message.got == 300 && message.pieces == 3);
	expect_stream(s, &message);
	give_back(s->here, &message);
}

void uapi_urgent(void)
{
	struct stage s;

	ktap_differs("an urgent byte in device memory",
		ours() ? "stays in the stream" : "not tried", "BUG()");
	if (!ours())
		ktap_skip("upstream dies of it");
	stage_open(&s);
	receive_urgent(&s, 0);
	receive_urgent(&s, 1);
	stage_close(&s);
}

/* recvmsg() with these iovecs; the frags' bytes need only be counted. */
static ssize_t receive_into(struct stage *s, struct iovec *iov, size_t count)
{
	unsigned char control[ROOM];
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = count,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(s->here, &msg, MSG_SOCK_DEVMEM);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct frag frag;

	if (got <= 0)
		return got;
	memcpy(&frag, CMSG_DATA(c), sizeof(frag));
	KTAP_CHECK(frag.size == got);
	KTAP_CHECK(dontneed_one(s->here, frag.token, 1) == 1);
	s->read += got;
	return got;
}

/* Iovecs say how many bytes are wanted; those of the device touch none of it. */
void uapi_short_iovec(void)
{
	struct iovec iov[3];
	struct stage s;
	void *nowhere;

	stage_open(&s);
	stage_send(&s, 1000);
	nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	KTAP_NEED(nowhere != MAP_FAILED);
	iov[0] = (struct iovec) { message.host, 1 };
	iov[1] = (struct iovec) { message.host, 0 };
	iov[2] = (struct iovec) { nowhere, 20 };
	KTAP_CHECK(receive_into(&s, &iov[1], 1) == 0);
	KTAP_CHECK(receive_into(&s, NULL, 0) == 0);
	KTAP_CHECK(stage_waiting(&s) == 1000);
	KTAP_CHECK(receive_into(&s, &iov[0], 1) == 1);
	KTAP_CHECK(receive_into(&s, &iov[0], 3) == 21);
	KTAP_CHECK(receive_into(&s, &iov[2], 1) == 20);
	KTAP_CHECK(stage_waiting(&s) == 958);
	drain(&s);
	stage_close(&s);
}
