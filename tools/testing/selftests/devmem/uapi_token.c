// SPDX-License-Identifier: GPL-2.0
/* SO_DEVMEM_DONTNEED: the ranges it takes, what it counts, and when. */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uapi.h"

static void expect_not_tcp(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	KTAP_NEED(fd >= 0);
	KTAP_ERRNO(dontneed_one(fd, 1, 1), EBADF);
	close(fd);
}

static void expect_length(int fd, size_t bytes)
{
	bool legal = bytes && bytes % 8 == 0 && bytes <= MAX_RANGES * 8;
	struct range ranges[MAX_RANGES + 1] = { 0 };
	int ret;

	errno = 0;
	ret = setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges, bytes);
	KTAP_CHECK(legal ? ret == 0 : ret == -1 && errno == EINVAL);
}

void uapi_token_errors(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned char *pages;
	size_t bytes;

	expect_not_tcp(AF_INET, SOCK_DGRAM);
	expect_not_tcp(AF_INET6, SOCK_DGRAM);
	expect_not_tcp(AF_UNIX, SOCK_STREAM);
	expect_not_tcp(AF_NETLINK, SOCK_RAW);
	for (bytes = 0; bytes <= (MAX_RANGES + 1) * 8; bytes++)
		expect_length(fd, bytes);
	KTAP_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, &bytes, -8),
		   EINVAL);

	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	KTAP_NEED(pages != MAP_FAILED);
	KTAP_NEED(!mprotect(pages + PAGE, PAGE, PROT_NONE));
	KTAP_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, NULL, 8),
		   EFAULT);
	KTAP_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED,
			      pages + PAGE - 8, 16), EFAULT);
	KTAP_CHECK(dontneed(fd, (struct range *)(pages + PAGE - 8), 1) == 0);
}

void uapi_token_ranges(void)
{
	struct range mixed[5];
	uint32_t t[4];
	struct stage s;
	int other;

	stage_open(&s);
	stage_send(&s, 100);
	mint(&s, t, 4);
	KTAP_CHECK(t[0] && t[1] && t[2] && t[3]);
	/* Bad ranges after good ones: all are read before any is returned. */
	KTAP_ERRNO(setsockopt(s.here, SOL_SOCKET, SO_DEVMEM_DONTNEED, t, 12),
		   EINVAL);
	KTAP_CHECK(dontneed_one(s.here, t[0], 0) == 0);
	mixed[0] = (struct range) { 0, 1 };
	mixed[1] = (struct range) { t[2], 1 };
	mixed[2] = (struct range) { INT32_MAX, 3 };
	mixed[3] = (struct range) { t[0], 1 };
	mixed[4] = (struct range) { t[2], 1 };
	KTAP_CHECK(dontneed(s.here, mixed, 5) == 2);
	KTAP_CHECK(dontneed(s.here, mixed, 5) == 0);

	other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	KTAP_CHECK(dontneed_one(other, t[1], 1) == 0);
	KTAP_CHECK(dontneed_one(s.there, t[1], 1) == 0);
	KTAP_CHECK(dontneed_one(s.listener, t[1], 1) == 0);
	KTAP_CHECK(dontneed_one(s.here, t[1], 1) == 1);
	/* Numbers wrap at 32 bits: 0xffffffff, 0, and on. */
	KTAP_CHECK(dontneed_one(s.here, UINT32_MAX, t[3] + 2) == 1);
	KTAP_CHECK(dontneed_one(s.here, t[3], 1) == 0);
	drain(&s);
	stage_close(&s);
	close(other);
}

/* There is no token 0, but upstream makes one once it has been returned. */
void uapi_token_zero(void)
{
	struct stage s;
	uint32_t t[2];

	stage_open(&s);
	stage_send(&s, 2);
	mint(&s, &t[0], 1);
	KTAP_CHECK(t[0] != 0);
	KTAP_CHECK(dontneed_one(s.here, 0, 1) == 0);
	mint(&s, &t[1], 1);
	KTAP_CHECK(t[1] != t[0]);
	KTAP_CHECK(t[1] || !ours());
	ktap_differs("the token after 0 was returned", t[1] ? "not 0" : "0", "0");
	KTAP_CHECK(dontneed_one(s.here, t[1], 1) == 1);
	KTAP_CHECK(dontneed_one(s.here, t[0], 1) == 1);
	stage_close(&s);
}

void uapi_token_order(void)
{
	struct range ranges[MAX_RANGES];
	uint32_t t[300];
	struct stage s;
	int i, n;

	stage_open(&s);
	stage_send(&s, 300);
	mint(&s, t, 300);
	/* 7 and 300 have no common divisor: every token once. */
	for (i = 0; i < 300; i += n) {
		for (n = 0; n < 100; n++)
			ranges[n] = (struct range) { t[(i + n) * 7 % 300], 1 };
		KTAP_CHECK(dontneed(s.here, ranges, n) == n);
	}
	KTAP_CHECK(dontneed_one(s.here, 1, MAX_RETURNED) == 0);
	/* Those that are out again are others, or as good as new. */
	stage_send(&s, 10);
	mint(&s, t, 10);
	for (i = 9; i >= 0; i--)
		KTAP_CHECK(dontneed_one(s.here, t[i], 1) == 1);
	stage_close(&s);
}

static int dontneed_all(struct stage *s, const uint32_t *t, int count)
{
	int i, freed = 0;

	for (i = 0; i < count; i++)
		freed += dontneed_one(s->here, t[i], 1);
	return freed;
}

void uapi_token_limit(void)
{
	struct range ranges[MAX_RANGES];
	static uint32_t t[1500];
	double start, most = 0;
	int i, once, freed = 0;
	struct stage s;

	stage_open(&s);
	stage_send(&s, 1500);
	mint(&s, t, 1500);
	/* Each of these asks for 2^39 tokens: 128 looks at 2^32 - 1 numbers. */
	for (i = 0; i < MAX_RANGES; i++)
		ranges[i] = (struct range) { i % 2 ? t[i] : 0, UINT32_MAX };
	for (i = 0; i < 5; i++) {
		start = now();
		once = dontneed(s.here, ranges, MAX_RANGES);
		KTAP_CHECK(once >= 0 && once <= MAX_RETURNED);
		freed += once;
		if (now() - start > most)
			most = now() - start;
	}
	KTAP_CHECK(freed > 0);
	KTAP_CHECK(most < 20);
	printf("# the slowest of 5 calls took %.3f s\n", most);

	KTAP_CHECK(freed + dontneed_all(&s, t, 1500) == 1500);
	KTAP_CHECK(dontneed_all(&s, t, 1500) == 0);
	stage_close(&s);
}

/* --- two threads ----------------------------------------------------------- */

#define RACES	3000

/* The receiver's control buffer, which the other thread watches. */
static struct {
	union {
		struct cmsghdr header;
		unsigned char bytes[40];
	} control;
	int fd;
	int returned;		/* tokens the other thread returned */
	bool over;
} race;

#define TOKEN_AT	(CMSG_LEN(0) + offsetof(struct frag, token))

static uint32_t *race_token(void)
{
	return (uint32_t *)(race.control.bytes + TOKEN_AT);
}

/* Returns each token the moment it can be seen, while recvmsg() still runs. */
static void *return_at_once(void *unused)
{
	uint32_t token;

	while (!__atomic_load_n(&race.over, __ATOMIC_ACQUIRE)) {
		token = __atomic_load_n(race_token(), __ATOMIC_ACQUIRE);
		if (!token)
			continue;
		race.returned += dontneed_one(race.fd, token, 1) == 1;
		__atomic_store_n(race_token(), 0, __ATOMIC_RELEASE);
	}
	return unused;
}

static void receive_watched(int fd)
{
	unsigned char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = race.control.bytes,
		.msg_controllen = sizeof(race.control),
	};
	double end = now() + 60;

	KTAP_NEED(recvmsg(fd, &msg, MSG_SOCK_DEVMEM) == 1);
	while (__atomic_load_n(race_token(), __ATOMIC_ACQUIRE))
		KTAP_NEED(now() < end);
}

void uapi_token_race(void)
{
	pthread_t thread;
	struct stage s;
	int i;

	ktap_differs("a token seen before recvmsg() returns",
		ours() ? "valid" : "not tried", "lost, with its memory");
	if (!ours())
		ktap_skip("upstream loses such a token's memory for good");
	stage_open(&s);
	race.fd = s.here;
	KTAP_NEED(!pthread_create(&thread, NULL, return_at_once, NULL));
	for (i = 0; i < RACES; i++) {
		if (!stage_waiting(&s))
			stage_send(&s, 1000);
		receive_watched(s.here);
	}
	__atomic_store_n(&race.over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	KTAP_CHECK(race.returned == RACES);
	for (i = 1; i <= RACES; i += MAX_RETURNED)
		KTAP_CHECK(dontneed_one(s.here, i, MAX_RETURNED) == 0);
	/* Waits until all memory is back. */
	stage_close(&s);
}
