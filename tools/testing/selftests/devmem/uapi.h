/* SPDX-License-Identifier: GPL-2.0 */
/* The uapi of device memory TCP, used by plain system calls: what the tests in
 * uapi*.c share. Nothing here stands between them and the kernel.
 *
 *    "there"                          "here", where the test runs
 *    dm0p  10.9.0.2           <====>  dm0  10.9.0.1, queues 0..3, or what nic.h has
 *    struct stage: .there             .here, .listener, .netlink, .memory
 */
#ifndef SELFTEST_UAPI_H
#define SELFTEST_UAPI_H

#include <linux/netdev.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "ktap.h"
#include "nic.h"

/* Spelled out, as libc does not have them: where it does, it must agree. */
#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM		0x2000000
#endif
#ifndef SO_DEVMEM_LINEAR
#define SO_DEVMEM_LINEAR	78
#define SO_DEVMEM_DMABUF	79
#define SO_DEVMEM_DONTNEED	80
#endif
#ifndef SCM_DEVMEM_LINEAR
#define SCM_DEVMEM_LINEAR	SO_DEVMEM_LINEAR
#define SCM_DEVMEM_DMABUF	SO_DEVMEM_DMABUF
#endif

/* What upstream says if a control buffer is too small; no errno of libc's. */
#define UPSTREAM_ETOOSMALL	525

#define MAX_RANGES		128	/* in one SO_DEVMEM_DONTNEED */
#define MAX_RETURNED		1024	/* frags by one SO_DEVMEM_DONTNEED */

#define PAGE			4096

/* The payload of SCM_DEVMEM_LINEAR and SCM_DEVMEM_DMABUF. */
struct frag {
	uint64_t offset;
	uint32_t size;
	uint32_t token;
	uint32_t dmabuf_id;
	uint32_t flags;
};

/* SO_DEVMEM_DONTNEED takes an array of these. */
struct range {
	uint32_t start;
	uint32_t count;
};

/* --- what differs from upstream on purpose -------------------------------- */

/* Is this the patched 6.1, which must behave as its documentation says? */
bool ours(void);

/* --- uapi_netlink.c: generic netlink, byte by byte ------------------------ */

struct request {
	union {
		struct nlmsghdr head;
		unsigned char bytes[65536];
	};
	size_t len;
};

struct reply {
	int error;		/* errno; 0: done */
	char message[160];	/* extack's */
	unsigned char attrs[2048];
	size_t len;		/* of @attrs, the last answer's */
};

/* A socket whose receives time out. */
int netlink_open(void);
/* The same to a NETLINK_... other than NETLINK_GENERIC. */
int netlink_open_to(int protocol);
uint16_t netlink_family(int fd, const char *name);
void request_begin(struct request *r, uint16_t family, uint8_t command);
void request_attr(struct request *r, uint16_t type, const void *data,
		  size_t len);
void request_u32(struct request *r, uint16_t type, uint32_t value);
/* What follows goes inside, until request_end() of what this returns. */
size_t request_nest(struct request *r, uint16_t type);
void request_end(struct request *r, size_t nest);
/* Sends what there is, whatever its header says of its length. */
void request_send(int fd, const struct request *r);
/* Sends it with its true length; waits for its ACK or error. */
void request_ask(int fd, struct request *r, struct reply *reply);
/* The u32 attribute, 0 if there is none. */
uint32_t reply_u32(const struct reply *reply, uint16_t type);

/* --- uapi_nic.c: the pair of ports ---------------------------------------- */

void nic_open(unsigned int mtu);
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same in the other namespace. */
void shell_there(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
int socket_there(int family, int type);
/* Header split: ETHTOOL_TCP_DATA_SPLIT_ENABLED or _DISABLED. */
void nic_split(uint8_t value);
/* The same, and it may be refused. */
void nic_ask_split(uint8_t value, struct reply *reply);
/* Channels that receive, got and set by ioctl: 0 or errno. */
uint32_t nic_channels(void);
int nic_set_channels(uint32_t rx);
/* The queue that is bound. */
#define QUEUE			(nic_kind()->queue)
/* All that comes in from now on goes to that queue; if there is one, it does. */
void nic_steer(uint32_t queue);

/* --- uapi_memory.c: dmabufs of accelmem ----------------------------------- */

int memory_open(size_t bytes);
void memory_read(int fd, uint64_t offset, void *to, size_t bytes);
/* Bytes in dmabufs that something still holds. */
uint64_t memory_used(void);
/* Polls until no more than @before is used; two minutes at most. */
bool memory_back(uint64_t before);

/* --- uapi_stage.c: a binding and a connection into it --------------------- */

struct stage {
	uint64_t before;	/* memory_used() at the start */
	int netlink;		/* keeps the binding */
	uint16_t family;	/* "netdev" */
	uint32_t ifindex;
	int memory;		/* a dmabuf, @size bytes */
	size_t size;
	uint32_t id;		/* of the binding to QUEUE */
	int other;		/* another one, bound to queue 2, if any */
	uint32_t other_id;
	int listener;
	int here, there;	/* both ends of a connection */
	uint64_t sent, read;	/* bytes of its stream */
};

/* Only the NIC and a netlink socket: nothing is bound. */
void stage_open_bare(struct stage *s);
/* All of it, and all traffic goes to QUEUE. */
void stage_open(struct stage *s);
/* The rest of it, with the NIC as it is now. */
void stage_bind(struct stage *s);
/* Makes @fd the listener. */
void stage_listen(struct stage *s, int fd);
/* A new connection instead of the one there is. */
void stage_connect(struct stage *s);
void stage_disconnect(struct stage *s);
/* Closes everything; fails the test if any memory is still held. */
void stage_close(struct stage *s);
/* One segment's worth or more; waits until all of it is in the receive queue. */
void stage_send(struct stage *s, size_t bytes);
/* With flags of send(), and @arrive bytes more appear in the receive queue. */
void stage_send_as(struct stage *s, size_t bytes, int flags, size_t arrive);
/* As many segments of @bytes each. */
void stage_send_each(struct stage *s, int segments, size_t bytes);
/* Bytes that wait to be read. */
int stage_waiting(const struct stage *s);

unsigned char stream_byte(uint64_t position);
/* Seconds. */
double now(void);

/* bind-rx: the request for @memory, without queues; one more queue; and all. */
void bind_begin(struct request *r, const struct stage *s, int memory);
void bind_add(struct request *r, uint32_t queue, uint32_t type);
uint32_t bind_queue(const struct stage *s, int netlink, int memory,
		    uint32_t queue);
/* What queue-get says: the id, 0 for none. */
uint32_t binding_of(const struct stage *s, uint32_t queue);
/* Polls until @queue is not bound. */
bool unbound(const struct stage *s, uint32_t queue);

/* --- uapi_message.c: one recvmsg() ---------------------------------------- */

#define MAX_PIECES	64

struct message {
	ssize_t got;
	int error;		/* errno, if got is -1 */
	int flags;		/* msg_flags */
	size_t control_len;	/* msg_controllen */
	int pieces;
	struct {
		int type;
		struct frag frag;
	} piece[MAX_PIECES];
	unsigned char host[65536];
};

/* recvmsg() of @len bytes with MSG_SOCK_DEVMEM, @flags and a control buffer of
 * @room bytes. Whatever it returns, no message is cut, none is of another
 * layout, and nothing is written beyond them.
 */
void receive(int fd, struct message *m, size_t len, size_t room, int flags);
/* The pieces tell all bytes of the stream from where it stands, and each byte is
 * where they say. Moves on.
 */
void expect_stream(struct stage *s, const struct message *m);
/* Returns its tokens; each of them must be known. */
void give_back(int fd, const struct message *m);
/* Receives all that waits, checks it and returns it. */
void drain(struct stage *s);
/* SO_DEVMEM_DONTNEED */
int dontneed(int fd, const struct range *ranges, int count);
int dontneed_one(int fd, uint32_t start, uint32_t count);
/* Receives so many times one byte; a token each. */
void mint(struct stage *s, uint32_t *tokens, int count);

/* --- uapi_linear.c: payload that a NIC left in host memory ---------------- */

#define LINEAR_BYTES	12

/* From now on stage.there can send it. */
void linear_open(void);
/* A segment of so many bytes, before which LINEAR_BYTES in host memory appear. A
 * connection's only one.
 */
void linear_send(struct stage *s, size_t bytes);

/* --- the tests, listed in uapi.c ------------------------------------------- */

/* uapi_recv.c */
void uapi_numbers(void);
void uapi_frags(void);
void uapi_large_frags(void);
void uapi_no_flag(void);
void uapi_no_flag_mixed(void);
void uapi_readable(void);
void uapi_mixed(void);
void uapi_waitall(void);
void uapi_dontwait(void);
void uapi_peek(void);
void uapi_trunc(void);
void uapi_urgent(void);
void uapi_short_iovec(void);

/* uapi_linear.c */
void uapi_linear(void);

/* uapi_control.c */
void uapi_control_lengths(void);
void uapi_control_lengths_linear(void);
void uapi_control_bad(void);
void uapi_control_others(void);

/* uapi_compat.c */
void uapi_compat(void);

/* uapi_token.c */
void uapi_token_errors(void);
void uapi_token_ranges(void);
void uapi_token_zero(void);
void uapi_token_order(void);
void uapi_token_limit(void);
void uapi_token_race(void);

/* uapi_owner.c */
void uapi_token_disconnect(void);
void uapi_token_close(void);
void uapi_token_process(void);
void uapi_token_listener(void);

/* uapi_bind.c */
void uapi_bind_ids(void);
void uapi_bind_lifetime(void);
void uapi_bind_down(void);
void uapi_bind_small(void);
void uapi_bind_two(void);

/* uapi_refuse.c */
void uapi_bind_privilege(void);
void uapi_bind_split(void);
void uapi_bind_xdp(void);
void uapi_bind_xsk(void);
void uapi_bind_page_size(void);
void uapi_bind_unanswered(void);
void uapi_bound_xdp(void);
void uapi_bound_xdp_first(void);
void uapi_bound_xsk(void);
void uapi_bound_channels(void);
void uapi_split_xdp(void);

/* uapi_malformed.c */
void uapi_malformed_lengths(void);
void uapi_malformed_nests(void);
void uapi_malformed_counts(void);
void uapi_malformed_attributes(void);

#endif /* SELFTEST_UAPI_H */
