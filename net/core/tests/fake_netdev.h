/* SPDX-License-Identifier: GPL-2.0 */
/* A netdev for tests of memory providers: each of its RX queues has a page pool
 * that may have a provider's memory, and nothing else.
 */
#ifndef _NET_CORE_TESTS_FAKE_NETDEV_H
#define _NET_CORE_TESTS_FAKE_NETDEV_H

#include <kunit/test.h>
#include <linux/netdevice.h>
#include <net/page_pool/types.h>

#define FAKE_NETDEV_QUEUES	2
/* What a pool keeps to itself when buffers come back; a power of two, and less
 * than what it takes from the provider at one go.
 */
#define FAKE_NETDEV_RING	16

/**
 * struct fake_netdev - what the driver of such a netdev does: netdev_priv()
 * @pool: of each queue that has been started
 * @flags: for pools
 * @order: for pools, if not -1: whatever the queue is configured to be like
 * @alloc_err: what making memory for a queue returns
 * @start_err: what starting a queue returns, as many times as @start_errs says
 * @stop_err: what stopping a queue returns
 * @calls: the first letters of the ops called, in order: Alloc, Free, (sTart) T,
 *	   (stoP) P
 */
struct fake_netdev {
	struct page_pool *pool[FAKE_NETDEV_QUEUES];
	unsigned int flags;
	int order;
	int alloc_err;
	int start_err;
	int start_errs;
	int stop_err;
	char calls[32];
};

/* Registered, with carrier and parent; NULL if that fails. "Up", though nobody
 * has opened it.
 */
struct net_device *fake_netdev_create(void);
void fake_netdev_destroy(struct net_device *dev);

/* What the driver asks for when it makes a pool for a queue. */
struct page_pool_params fake_netdev_pool_params(struct net_device *dev, int idx);

/* Waits, for so long that a busy machine is no excuse, until *@flag is set. */
bool fake_netdev_wait(const bool *flag);

#endif /* _NET_CORE_TESTS_FAKE_NETDEV_H */
