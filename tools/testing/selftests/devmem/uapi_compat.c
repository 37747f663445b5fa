// SPDX-License-Identifier: GPL-2.0
/* Programs of 32 bits on a kernel of 64: their messages have other headers. A program of 64 bits can
 * make their calls, too, with what it passes below 4 GiB.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi.h"

#ifdef __x86_64__

#define CMSG		36	/* bytes of a message */
#define GETPID		20
#define SETSOCKOPT	366
#define RECVMSG		372

struct cmsghdr32 {
	uint32_t len;
	int32_t level, type;
};

/* What is passed. */
struct passed {
	struct {
		uint32_t name, namelen, iov, iovlen, control, controllen, flags;
	} msg;
	struct {
		uint32_t base, len;
	} iov;
	struct range range;
	unsigned char control[200], host[1000];
};

/* Like the kernel: -errno. */
static int call32(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
	int result;

	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
		     : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void need_calls32(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(call32(GETPID, 0, 0, 0, 0, 0) != getpid());
	KTAP_NEED(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		ktap_skip("no calls of 32 bits (CONFIG_IA32_EMULATION)");
	KTAP_NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static uint32_t address(const void *p)
{
	return (uintptr_t)p;
}

static int receive32(int fd, struct passed *p, size_t room)
{
	memset(p->control, 0xff, sizeof(p->control));
	p->iov.base = address(p->host);
	p->iov.len = sizeof(p->host);
	p->msg.iov = address(&p->iov);
	p->msg.iovlen = 1;
	p->msg.control = address(p->control);
	p->msg.controllen = room;
	return call32(RECVMSG, fd, address(&p->msg), MSG_SOCK_DEVMEM, 0, 0);
}

/* The message that is there, whose frag has @size bytes, and whose token goes back. */
static void expect_frag32(const struct stage *s, struct passed *p, size_t at, uint32_t size)
{
	struct cmsghdr32 head;
	struct frag frag;

	memcpy(&head, p->control + at, sizeof(head));
	memcpy(&frag, p->control + at + sizeof(head), sizeof(frag));
	KTAP_CHECK(head.len == CMSG);
	KTAP_CHECK(head.level == SOL_SOCKET && head.type == SCM_DEVMEM_DMABUF);
	KTAP_CHECK(frag.size == size);
	KTAP_CHECK(frag.dmabuf_id == s->id);
	p->range = (struct range){ frag.token, 1 };
	KTAP_CHECK(call32(SETSOCKOPT, s->here, SOL_SOCKET, SO_DEVMEM_DONTNEED, address(&p->range),
			  sizeof(p->range)) == 1);
}

void uapi_compat(void)
{
	struct passed *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	/* Upstream wants room for a header of 64 bits, and does not fill it. */
	const size_t spare = ours() ? 0 : 4;
	struct stage s;
	size_t room;
	int error;

	KTAP_NEED(p != MAP_FAILED);
	need_calls32();
	stage_open(&s);
	stage_send_each(&s, 3, 50);
	for (room = 0; room < CMSG + spare; room++) {
		error = -receive32(s.here, p, room);
		KTAP_CHECK(error == EMSGSIZE || (!ours() && error == UPSTREAM_ETOOSMALL));
		KTAP_CHECK(stage_waiting(&s) == 150);
	}
	KTAP_CHECK(receive32(s.here, p, CMSG + spare) == 50);
	KTAP_CHECK(p->msg.controllen == CMSG);
	KTAP_CHECK(p->control[CMSG] == 0xff);
	expect_frag32(&s, p, 0, 50);
	KTAP_CHECK(receive32(s.here, p, 2 * CMSG + spare) == 100);
	KTAP_CHECK(p->msg.controllen == 2 * CMSG);
	expect_frag32(&s, p, 0, 50);
	expect_frag32(&s, p, CMSG, 50);
	KTAP_CHECK(stage_waiting(&s) == 0);
	ktap_differs("room for a message to a program of 32 bits", spare ? "40" : "36", "40");
	stage_close(&s);
	munmap(p, sizeof(*p));
}

#else

void uapi_compat(void)
{
	ktap_skip("it knows the calls of 32 bits on x86-64 only");
}

#endif
