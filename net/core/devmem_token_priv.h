/* SPDX-License-Identifier: GPL-2.0 */
/* What tokens are made of, for devmem_token.c and its tests. */
#ifndef _NET_CORE_DEVMEM_TOKEN_PRIV_H
#define _NET_CORE_DEVMEM_TOKEN_PRIV_H

#include <linux/build_bug.h>
#include <linux/limits.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/netmem.h>

/* Of the table; kvmalloc() WARNs of 2 GiB and more. */
#define DEVMEM_TOKENS_MIN	64
#define DEVMEM_TOKENS_MAX	BIT(26)

/* Most numbers that one call looks at, known or not. */
#define DEVMEM_RETURN_MAX	1024

/* Slots that are emptied at one go when a socket is destroyed. */
#define DEVMEM_DESTROY_MAX	BIT(14)

/**
 * struct devmem_token - what a token stands for
 * @niov: the first of @count niovs that adjoin; a reference on each
 * @count: how many
 * @token: the number; 0 if the slot is free
 */
struct devmem_token {
	struct net_iov *niov;
	u32 count;
	u32 token;
};

static_assert(DEVMEM_TOKENS_MAX * sizeof(struct devmem_token) <= INT_MAX);

/**
 * struct devmem_tokens - all tokens of a socket
 * @lock: guards all else. Returning takes no socket lock, so that one thread
 *	  may return while another one sleeps in recvmsg(). Process context.
 * @slot: the table
 * @mask: its size - 1
 * @used: how many slots are taken
 * @next: the number to try next, from 1 to INT_MAX
 * @destroy_work: empties a large table, as sockets are destroyed with BH off
 *
 * There from the first frag on until the socket is destroyed, and a large one
 * until @destroy_work is done: nobody else has it then, and it needs no lock.
 */
struct devmem_tokens {
	spinlock_t lock; /* see above */
	struct devmem_token *slot;
	u32 mask;
	u32 used;
	u32 next;
	struct work_struct destroy_work;
};

#endif /* _NET_CORE_DEVMEM_TOKEN_PRIV_H */
