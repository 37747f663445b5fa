// SPDX-License-Identifier: GPL-2.0
/* Payload in an skb's head, before frags of device memory: what a NIC leaves
 * there that splits late. Ours splits exactly, so a program at ingress moves the
 * end of the TCP header instead: the options before the payload become payload.
 * Later bytes of such a stream would not fit, so it is good for one segment.
 */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "uapi.h"

#define MARK		0x20	/* TOS of segments to be changed */
#define TOS_AT		15	/* from the Ethernet header on */
#define DOFF_AT		46
#define PINNED		"/sys/fs/bpf/devmem-uapi"

#define INSN(c, d, s, o, i) \
	{ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }

/* If this is payload, and marked: TCP header of 20 bytes. */
static const struct bpf_insn late_split[] = {
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
	INSN(BPF_LDX | BPF_MEM | BPF_W, 0, 6, offsetof(struct __sk_buff, len), 0),
	INSN(BPF_JMP | BPF_JLT | BPF_K, 0, 0, 10, 200),
	INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, TOS_AT),
	INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 8, MARK),
	INSN(BPF_ST | BPF_MEM | BPF_B, 10, 0, -1, 0x50),
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, DOFF_AT),
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0),
	INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -1),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 1),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 5, 0, 0, 0),
	INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_store_bytes),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static struct message message;

void linear_open(void)
{
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (uintptr_t)late_split,
		.insn_cnt = sizeof(late_split) / sizeof(*late_split),
		.license = (uintptr_t)"GPL",
	}, pin = { .pathname = (uintptr_t)PINNED };

	unlink(PINNED);
	pin.bpf_fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	KTAP_NEED((int)pin.bpf_fd >= 0);
	KTAP_NEED(!syscall(SYS_bpf, BPF_OBJ_PIN, &pin, sizeof(pin)));
	shell("modprobe -qa sch_ingress cls_bpf; tc qdisc add dev dm0 clsact");
	shell("tc filter add dev dm0 ingress bpf direct-action object-pinned %s",
	      PINNED);
	unlink(PINNED);
	close(pin.bpf_fd);
}

void linear_send(struct stage *s, size_t bytes)
{
	int tos = MARK;

	KTAP_NEED(bytes >= 200);
	KTAP_NEED(!setsockopt(s->there, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
	stage_send_as(s, bytes, 0, LINEAR_BYTES + bytes);
}

static void expect_options(const unsigned char *bytes)
{
	static const unsigned char timestamp[] = { 1, 1, 8, 10 };

	KTAP_CHECK(!memcmp(bytes, timestamp, sizeof(timestamp)));
}

static void expect_linear(const struct frag *frag, uint32_t size)
{
	const struct frag wanted = { .size = size };

	KTAP_CHECK(!memcmp(frag, &wanted, sizeof(wanted)));
}

static void whole(struct stage *s)
{
	stage_connect(s);
	linear_send(s, 1000);
	receive(s->here, &message, 65536, 120, 0);
	KTAP_CHECK(message.got == LINEAR_BYTES + 1000 && message.pieces == 2);
	KTAP_CHECK(message.piece[0].type == SCM_DEVMEM_LINEAR);
	expect_linear(&message.piece[0].frag, LINEAR_BYTES);
	expect_options(message.host);
	KTAP_CHECK(message.piece[1].type == SCM_DEVMEM_DMABUF);
	KTAP_CHECK(message.piece[1].frag.size == 1000);
	KTAP_CHECK(message.host[LINEAR_BYTES] == 0);
	give_back(s->here, &message);
	stage_disconnect(s);
}

/* Reads that end within the linear bytes, at their end, and after it. */
static void in_parts(struct stage *s)
{
	stage_connect(s);
	linear_send(s, 1000);
	receive(s->here, &message, 5, 120, 0);
	KTAP_CHECK(message.got == 5 && message.pieces == 1);
	expect_linear(&message.piece[0].frag, 5);
	expect_options(message.host);
	receive(s->here, &message, LINEAR_BYTES - 5, 120, 0);
	KTAP_CHECK(message.got == LINEAR_BYTES - 5 && message.pieces == 1);
	expect_linear(&message.piece[0].frag, LINEAR_BYTES - 5);
	receive(s->here, &message, 400, 120, 0);
	KTAP_CHECK(message.got == 400 && message.pieces == 1);
	KTAP_CHECK(message.piece[0].type == SCM_DEVMEM_DMABUF);
	give_back(s->here, &message);
	receive(s->here, &message, 65536, 120, 0);
	KTAP_CHECK(message.got == 600);
	give_back(s->here, &message);
	stage_disconnect(s);
}

/* Nothing of it is told if they can't be copied. */
static void nowhere(struct stage *s)
{
	void *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	unsigned char control[120];
	struct iovec iov = { page, PAGE };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	stage_connect(s);
	linear_send(s, 1000);
	KTAP_ERRNO(recvmsg(s->here, &msg, MSG_SOCK_DEVMEM), EFAULT);
	KTAP_CHECK(stage_waiting(s) == LINEAR_BYTES + 1000);
	KTAP_CHECK(dontneed_one(s->here, 1, MAX_RETURNED) == 0);
	stage_disconnect(s);
}

void uapi_linear(void)
{
	struct stage s;

	stage_open(&s);
	linear_open();
	stage_disconnect(&s);
	whole(&s);
	in_parts(&s);
	nowhere(&s);
	stage_close(&s);
}
