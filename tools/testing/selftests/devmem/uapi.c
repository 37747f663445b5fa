// SPDX-License-Identifier: GPL-2.0
/* The uapi of device memory TCP as a program sees it that brings nothing of its
 * own: raw netlink, recvmsg(), setsockopt(). The same tests run on any kernel;
 * where patched 6.1 means to differ from upstream, a line "# differs: ..." says
 * what was seen.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "uapi.h"

static const struct ktap_test tests[] = {
	{ "numbers, layouts and errnos of the options", uapi_numbers },
	{ "SCM_DEVMEM_DMABUF: offset, size, token, id, in the dmabuf", uapi_frags },
	{ "a segment of several pages", uapi_large_frags },
	{ "SCM_DEVMEM_LINEAR: bytes before the frags, in the iovec", uapi_linear },
	{ "device memory without MSG_SOCK_DEVMEM: EFAULT", uapi_no_flag },
	{ "without MSG_SOCK_DEVMEM: an ordinary read up to device memory", uapi_no_flag_mixed },
	{ "MSG_SOCK_DEVMEM with host memory: an ordinary copy", uapi_readable },
	{ "device and host memory are never in one recvmsg()", uapi_mixed },
	{ "MSG_WAITALL", uapi_waitall },
	{ "MSG_DONTWAIT, and the end of the stream", uapi_dontwait },
	{ "MSG_PEEK", uapi_peek },
	{ "MSG_TRUNC: consumed, no token", uapi_trunc },
	{ "urgent data in device memory", uapi_urgent },
	{ "an iovec that is short, empty, many or bad", uapi_short_iovec },
	{ "control buffers of 0 to 200 bytes", uapi_control_lengths },
	{ "the same with linear bytes first", uapi_control_lengths_linear },
	{ "a control buffer that can't be written: EFAULT, no token", uapi_control_bad },
	{ "a program of 32 bits: the same messages, with its headers", uapi_compat },
	{ "other control messages come after, and only they are cut", uapi_control_others },
	{ "SO_DEVMEM_DONTNEED: bad sockets, lengths, addresses", uapi_token_errors },
	{ "SO_DEVMEM_DONTNEED: what it counts and skips", uapi_token_ranges },
	{ "SO_DEVMEM_DONTNEED: token 0", uapi_token_zero },
	{ "SO_DEVMEM_DONTNEED: partial and out of order", uapi_token_order },
	{ "SO_DEVMEM_DONTNEED: 1024 frags a call, huge ranges quickly", uapi_token_limit },
	{ "a token is valid as soon as it can be seen", uapi_token_race },
	{ "tokens survive the end of a connection", uapi_token_disconnect },
	{ "tokens end with the socket", uapi_token_close },
	{ "tokens are the socket's, not the process's", uapi_token_process },
	{ "a listener's tokens are not its children's", uapi_token_listener },
	{ "ids from 1 on, none soon again", uapi_bind_ids },
	{ "a binding lasts as long as its netlink socket", uapi_bind_lifetime },
	{ "bound while the interface is down", uapi_bind_down },
	{ "a dmabuf smaller than the ring", uapi_bind_small },
	{ "two bindings feed one connection: the id changes", uapi_bind_two },
	{ "bind-rx without privilege: EPERM", uapi_bind_privilege },
	{ "bind-rx without header split", uapi_bind_split },
	{ "bind-rx beside an XDP program: EEXIST", uapi_bind_xdp },
	{ "bind-rx of a queue that AF_XDP has: EBUSY", uapi_bind_xsk },
	{ "bind-rx with rx-page-size", uapi_bind_page_size },
	{ "bind-rx whose answer has no room", uapi_bind_unanswered },
	{ "while a queue is bound, an XDP program: EBUSY", uapi_bound_xdp },
	{ "the same while it is queue 0", uapi_bound_xdp_first },
	{ "AF_XDP on a bound queue: EBUSY", uapi_bound_xsk },
	{ "fewer channels than the bound queues need, by ioctl: EINVAL", uapi_bound_channels },
	{ "header split beside a single buffer XDP program: EINVAL", uapi_split_xdp },
	{ "bind-rx cut at every byte, and lying lengths", uapi_malformed_lengths },
	{ "bind-rx with garbage for queues", uapi_malformed_nests },
	{ "bind-rx with thousands of queues", uapi_malformed_counts },
	{ "bind-rx with every attribute there isn't", uapi_malformed_attributes },
};

#define TESTS	((int)(sizeof(tests) / sizeof(*tests)))

bool ours(void)
{
	struct utsname kernel;

	return !uname(&kernel) && !strncmp(kernel.release, "6.1.", 4);
}

int main(int argc, char **argv)
{
	struct ktap_test chosen[TESTS];
	const char *missing = nic_missing();
	int i, count = 0;

	if (missing)
		return ktap_skip_all(missing);
	for (i = 0; i < TESTS; i++)
		if (argc < 2 || strstr(tests[i].name, argv[1]))
			chosen[count++] = tests[i];
	return ktap_main(chosen, count);
}
