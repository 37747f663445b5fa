// SPDX-License-Identifier: GPL-2.0
/* What bind-rx refuses: its errno, what it says, and that nothing is bound. And
 * what a binding has others refuse.
 */
#define _GNU_SOURCE
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <linux/rtnetlink.h>
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
	ktap_differs("header split off", told ? "EINVAL" : "ENODATA, by the driver",
		"ENODATA in 6.12, EINVAL since 6.14");
	KTAP_CHECK(binding_of(&s, QUEUE) == 0);
	nic_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED);
	expect_possible(&s);
	stage_close(&s);
}

/* BPF_F_XDP_HAS_FRAGS: it takes packets in several buffers. */
static int xdp_load(uint32_t flags)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = (uintptr_t)pass,
		.insn_cnt = 2, .license = (uintptr_t)"GPL",
		.prog_flags = flags,
	};
	int prog = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	KTAP_NEED(prog >= 0);
	return prog;
}

/* As long as what it returns is open. */
static int xdp_link(uint32_t ifindex, int prog)
{
	union bpf_attr link = { .link_create = {
		.prog_fd = prog, .target_ifindex = ifindex,
		.attach_type = BPF_XDP, .flags = XDP_FLAGS_SKB_MODE,
	} };

	return syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
}

void uapi_bind_xdp(void)
{
	struct stage s;
	int link;

	stage_open_bare(&s);
	link = xdp_link(s.ifindex, xdp_load(0));
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

/* An AF_XDP socket with all that it needs to be bound. */
static int xsk_open(void)
{
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
	return fd;
}

/* In copy mode, which any NIC has. */
static int xsk_bind(int fd, uint32_t ifindex, uint32_t queue)
{
	struct sockaddr_xdp at = {
		.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY,
		.sxdp_ifindex = ifindex, .sxdp_queue_id = queue,
	};

	return bind(fd, (struct sockaddr *)&at, sizeof(at));
}

void uapi_bind_xsk(void)
{
	struct stage s;
	double end;
	int xsk;

	stage_open_bare(&s);
	xsk = xsk_open();
	KTAP_NEED(!xsk_bind(xsk, s.ifindex, QUEUE));
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
	ktap_differs("rx-page-size", known ? "known" : "an unknown attribute",
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
	ktap_differs("a binding whose id can't be told", stays ? "stays" : "is undone",
		"stays");
	expect_possible(&s);
	stage_close(&s);
}

/* --- while a queue is bound ------------------------------------------------ */

static void unbind(struct stage *s)
{
	close(s->netlink);
	s->netlink = netlink_open();
	KTAP_CHECK(unbound(s, QUEUE));
}

/* By rtnetlink, which can tell why not. @prog -1 is none. */
static void xdp_ask(uint32_t ifindex, int prog, uint32_t flags)
{
	struct ifinfomsg link = { .ifi_index = ifindex };
	int fd = netlink_open_to(NETLINK_ROUTE);
	size_t nest;

	request_begin(&request, RTM_SETLINK, 0);
	memcpy(request.bytes + NLMSG_HDRLEN, &link, sizeof(link));
	request.len = NLMSG_HDRLEN + sizeof(link);
	nest = request_nest(&request, IFLA_XDP);
	request_u32(&request, IFLA_XDP_FD, prog);
	request_u32(&request, IFLA_XDP_FLAGS, flags);
	request_end(&request, nest);
	request_ask(fd, &request, &reply);
	close(fd);
}

/* In the driver or before it, whatever there is; before it; and by a link. */
static void expect_no_xdp(const struct stage *s, int prog)
{
	static const uint32_t flags[] = { 0, XDP_FLAGS_SKB_MODE };
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		xdp_ask(s->ifindex, prog, flags[i]);
		KTAP_CHECK(reply.error == EBUSY);
		expect_message("unable to install XDP to device using memory provider");
	}
	KTAP_ERRNO(xdp_link(s->ifindex, prog), EBUSY);
	shell("! ip link show dm0 | grep prog/xdp");
}

static void expect_xdp(const struct stage *s, int prog)
{
	xdp_ask(s->ifindex, prog, XDP_FLAGS_SKB_MODE);
	KTAP_CHECK(!reply.error);
	shell("ip link show dm0 | grep -q prog/xdp");
	xdp_ask(s->ifindex, -1, XDP_FLAGS_SKB_MODE);
	KTAP_CHECK(!reply.error);
}

void uapi_bound_xdp(void)
{
	int single = xdp_load(0), frags = xdp_load(BPF_F_XDP_HAS_FRAGS);
	struct stage s;

	stage_open(&s);
	expect_no_xdp(&s, single);
	expect_no_xdp(&s, frags);
	/* To have none is no program. */
	xdp_ask(s.ifindex, -1, 0);
	KTAP_CHECK(!reply.error);
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	stage_send_each(&s, 3, 700);
	drain(&s);
	unbind(&s);
	expect_xdp(&s, single);
	expect_xdp(&s, frags);
	stage_close(&s);
}

/* How many queues are needed is what counts, not the number of the last. */
void uapi_bound_xdp_first(void)
{
	int prog = xdp_load(0), netlink;
	struct stage s;

	stage_open_bare(&s);
	netlink = netlink_open();
	bind_queue(&s, netlink, s.memory, 0);
	expect_no_xdp(&s, prog);
	close(netlink);
	KTAP_CHECK(unbound(&s, 0));
	expect_xdp(&s, prog);
	stage_close(&s);
}

/* And a socket that was refused has lost nothing. */
void uapi_bound_xsk(void)
{
	struct stage s;
	int xsk, other;
	bool refused;

	stage_open(&s);
	xsk = xsk_open();
	other = xsk_open();
	refused = xsk_bind(xsk, s.ifindex, QUEUE) && errno == EBUSY;
	KTAP_CHECK(refused || !ours());
	ktap_differs("AF_XDP in copy mode on a bound queue",
		refused ? "EBUSY" : "allowed", "allowed in 6.12");
	if (nic_kind()->queues > 1)
		KTAP_CHECK(!xsk_bind(other, s.ifindex, 2));
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	unbind(&s);
	KTAP_CHECK(!refused || !xsk_bind(xsk, s.ifindex, QUEUE));
	close(xsk);
	close(other);
	stage_close(&s);
}

/* No table may need the queues, for that is another reason. By ioctl there is
 * nowhere to tell why.
 */
void uapi_bound_channels(void)
{
	struct stage s;
	int netlink;

	nic_need(NIC_QUEUES);
	stage_open_bare(&s);
	netlink = netlink_open();
	s.id = bind_queue(&s, s.netlink, s.memory, QUEUE);
	bind_queue(&s, netlink, s.memory, 3);
	KTAP_CHECK(nic_set_channels(3) == EINVAL);
	KTAP_CHECK(nic_set_channels(1) == EINVAL);
	KTAP_CHECK(nic_channels() == 4);
	close(netlink);
	KTAP_CHECK(unbound(&s, 3));
	KTAP_CHECK(nic_set_channels(3) == 0);
	KTAP_CHECK(nic_set_channels(1) == EINVAL);
	KTAP_CHECK(nic_channels() == 3);
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	KTAP_CHECK(nic_set_channels(QUEUE + 1) == (ours() ? 0 : EINVAL));
	ktap_differs("just as many channels as a bound queue needs",
		     ours() ? "allowed" : "EINVAL", "EINVAL in 6.12");
	KTAP_CHECK(binding_of(&s, QUEUE) == s.id);
	unbind(&s);
	KTAP_CHECK(nic_set_channels(1) == 0);
	KTAP_CHECK(nic_channels() == 1);
	stage_close(&s);
}

/* --- header split ---------------------------------------------------------- */

/* Nothing is bound, and that split stayed off is why nothing can be. */
static void expect_no_split(const struct stage *s, int link)
{
	KTAP_CHECK(reply.error == EINVAL);
	expect_message("tcp-data-split can not be enabled with single buffer XDP");
	close(link);
	ask_for_queue(s, s->netlink);
	KTAP_CHECK(reply.error == EINVAL);
	expect_message("tcp-data-split is disabled");
}

void uapi_split_xdp(void)
{
	struct stage s;
	bool allowed;
	int link;

	stage_open_bare(&s);
	nic_split(ETHTOOL_TCP_DATA_SPLIT_DISABLED);
	link = xdp_link(s.ifindex, xdp_load(0));
	KTAP_NEED(link >= 0);
	nic_ask_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED, &reply);
	allowed = !reply.error;
	ktap_differs("header split beside single buffer XDP",
		allowed ? "allowed" : "refused", "allowed in 6.12, refused since");
	if (allowed)
		KTAP_CHECK(!ours() && !close(link));
	else
		expect_no_split(&s, link);

	nic_split(ETHTOOL_TCP_DATA_SPLIT_DISABLED);
	link = xdp_link(s.ifindex, xdp_load(BPF_F_XDP_HAS_FRAGS));
	KTAP_NEED(link >= 0);
	nic_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED);
	close(link);
	expect_possible(&s);
	stage_close(&s);
}
