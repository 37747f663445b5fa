// SPDX-License-Identifier: GPL-2.0
/* What bind-rx refuses: its errno, what it says, and that nothing is bound. */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi.h"

static struct request request;
static struct reply reply;

static void ask_for_queue(const struct stage *s, int netlink)
{
	bind_begin(&request, s, s->memory);
	bind_add(&request, QUEUE, NETDEV_QUEUE_TYPE_RX);
	request_ask(netlink, &request, &reply);
}

static void expect_message(const char *text)
{
	errno = reply.error;
	if (strcmp(reply.message, text)) {
		printf("# extack: \"%s\"\n", reply.message);
		ktap_note(__FILE__, __LINE__, text);
	}
}

/* And once the reason is gone, it works. */
static void expect_possible(const struct stage *s)
{
	int fd = netlink_open();

	KTAP_CHECK(bind_queue(s, fd, s->memory, QUEUE) >= 1);
	close(fd);
	KTAP_CHECK(unbound(s, QUEUE));
}

/* --- privilege ------------------------------------------------------------- */

/* In a child: who it is when the request is made counts. */
static void in_child(void (*body)(const struct stage *), const struct stage *s)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		body(s);
		ktap_end();
	}
	KTAP_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void as_nobody(const struct stage *s)
{
	int before = netlink_open();

	KTAP_NEED(!setresgid(65534, 65534, 65534));
	KTAP_NEED(!setresuid(65534, 65534, 65534));
	ask_for_queue(s, before);
	KTAP_CHECK(reply.error == EPERM);
	ask_for_queue(s, netlink_open());
	KTAP_CHECK(reply.error == EPERM);
}

/* Root in a user namespace, over a network namespace of its own. Since 7.2 that
 * is privilege enough, but it has no such interface.
 */
static void as_own_root(const struct stage *s)
{
	KTAP_NEED(!setresuid(65534, 65534, 65534));
	KTAP_NEED(!unshare(CLONE_NEWUSER | CLONE_NEWNET));
	ask_for_queue(s, netlink_open());
	KTAP_CHECK(reply.error == EPERM ||
		   (!ours() && (reply.error == ENODEV ||
				reply.error == EOPNOTSUPP)));
}

void uapi_bind_privilege(void)
{
	struct stage s;

	stage_open_bare(&s);
	in_child(as_nobody, &s);
	in_child(as_own_root, &s);
	KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	expect_possible(&s);
	stage_close(&s);
}

/* --- how the NIC is set up ------------------------------------------------- */

void uapi_bind_split(void)
{
	struct stage s;
	bool told;

	stage_open_bare(&s);
	nic_split(ETHTOOL_TCP_DATA_SPLIT_DISABLED);
	ask_for_queue(&s, s.netlink);
	told = reply.error == EINVAL;
	KTAP_CHECK(told || (!ours() && reply.error == ENODATA));
	if (told)
		expect_message("tcp-data-split is disabled");
	differs("header split off", told ? "EINVAL" : "ENODATA, by the driver",
		"ENODATA in 6.12, EINVAL since 6.14");
	KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	nic_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED);
	expect_possible(&s);
	stage_close(&s);
}

static int xdp_attach(uint32_t ifindex)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = (uintptr_t)pass,
		.insn_cnt = 2, .license = (uintptr_t)"GPL",
	}, link = { .link_create = {
		.target_ifindex = ifindex, .attach_type = BPF_XDP,
		.flags = XDP_FLAGS_SKB_MODE,
	} };

	link.link_create.prog_fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load,
					   sizeof(load));
	KTAP_NEED((int)link.link_create.prog_fd >= 0);
	return syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
}

void uapi_bind_xdp(void)
{
	struct stage s;
	int link;

	stage_open_bare(&s);
	link = xdp_attach(s.ifindex);
	KTAP_NEED(link >= 0);
	ask_for_queue(&s, s.netlink);
	KTAP_CHECK(reply.error == EEXIST);
	if (ours())
		expect_message("unable to custom memory provider to device with XDP program attached");
	else
		KTAP_CHECK(strstr(reply.message, "with XDP program attached"));
	KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	close(link);
	expect_possible(&s);
	stage_close(&s);
}

static void set_ring(int fd, int option, int entries)
{
	KTAP_NEED(!setsockopt(fd, SOL_XDP, option, &entries, sizeof(entries)));
}

/* An AF_XDP socket in copy mode, which any NIC has. */
static int xsk_bind(uint32_t ifindex, uint32_t queue)
{
	struct sockaddr_xdp at = {
		.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY,
		.sxdp_ifindex = ifindex, .sxdp_queue_id = queue,
	};
	struct xdp_umem_reg umem = { .len = 16 * PAGE, .chunk_size = PAGE };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	void *area = mmap(NULL, umem.len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	KTAP_NEED(fd >= 0 && area != MAP_FAILED);
	umem.addr = (uintptr_t)area;
	KTAP_NEED(!setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)));
	set_ring(fd, XDP_UMEM_FILL_RING, 16);
	set_ring(fd, XDP_UMEM_COMPLETION_RING, 16);
	set_ring(fd, XDP_RX_RING, 16);
	KTAP_NEED(!bind(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

void uapi_bind_xsk(void)
{
	struct stage s;
	double end;
	int xsk;

	stage_open_bare(&s);
	xsk = xsk_bind(s.ifindex, QUEUE);
	ask_for_queue(&s, s.netlink);
	KTAP_CHECK(reply.error == EBUSY);
	expect_message("designated queue already in use by AF_XDP");
	KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	close(xsk);
	/* The socket leaves its queue some time after it is closed. */
	for (end = now() + 120; reply.error == EBUSY && now() < end; usleep(2000))
		ask_for_queue(&s, s.netlink);
	KTAP_CHECK(!reply.error);
	stage_close(&s);
}

static void ask_with_page_size(const struct stage *s, int netlink, uint32_t size)
{
	bind_begin(&request, s, s->memory);
	bind_add(&request, QUEUE, NETDEV_QUEUE_TYPE_RX);
	request_u32(&request, NETDEV_A_DMABUF_RX_PAGE_SIZE, size);
	request_ask(netlink, &request, &reply);
}

/* Did that work? For a moment; if it failed, reply tells why. */
static bool bind_with_page_size(const struct stage *s, uint32_t size)
{
	int fd = netlink_open();

	ask_with_page_size(s, fd, size);
	KTAP_CHECK((binding_of(s, QUEUE) != 0) == !reply.error);
	close(fd);
	KTAP_CHECK(unbound(s, QUEUE));
	return !reply.error;
}

void uapi_bind_page_size(void)
{
	static const uint32_t bad[] = { 0, 1, 2048, 4095, 4097, 12288, 0x7fffffff,
					UINT32_MAX };
	struct stage s;
	bool known;
	size_t i;

	stage_open_bare(&s);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ask_with_page_size(&s, s.netlink, bad[i]);
		KTAP_CHECK(reply.error == EINVAL || reply.error == ERANGE);
		KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	}
	known = bind_with_page_size(&s, PAGE);
	KTAP_CHECK(known || (!ours() && reply.error == EINVAL));
	/* More than a page is the driver's to allow. */
	KTAP_CHECK(!bind_with_page_size(&s, 4 * PAGE) || known);
	differs("rx-page-size", known ? "known" : "an unknown attribute",
		"known since 7.3");
	stage_close(&s);
}

/* --- the answer ------------------------------------------------------------ */

/* Answers fill the socket's buffer, nobody reads, and then it is asked to bind. */
static int netlink_full(const struct stage *s)
{
	int fd = netlink_open(), small = 1, i;

	KTAP_NEED(!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	request_begin(&request, s->family, NETDEV_CMD_QUEUE_GET);
	request_u32(&request, NETDEV_A_QUEUE_IFINDEX, s->ifindex);
	request_u32(&request, NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX);
	request_u32(&request, NETDEV_A_QUEUE_ID, 0);
	request.head.nlmsg_len = request.len;
	for (i = 0; i < 50; i++)
		request_send(fd, &request);
	return fd;
}

/* The binding may stay, it is the socket's: but then it ends with that. */
void uapi_bind_unanswered(void)
{
	struct stage s;
	bool stays;
	int i, fd;

	stage_open_bare(&s);
	for (i = 0; i < 20; i++) {
		fd = netlink_full(&s);
		bind_begin(&request, &s, s.memory);
		bind_add(&request, QUEUE, NETDEV_QUEUE_TYPE_RX);
		request.head.nlmsg_len = request.len;
		request_send(fd, &request);
		stays = binding_of(&s, QUEUE);
		KTAP_CHECK(!stays || !ours());
		close(fd);
		KTAP_CHECK(unbound(&s, QUEUE));
	}
	differs("a binding whose id can't be told", stays ? "stays" : "is undone",
		"stays");
	expect_possible(&s);
	stage_close(&s);
}
