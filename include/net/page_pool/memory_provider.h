/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NET_PAGE_POOL_MEMORY_PROVIDER_H
#define _NET_PAGE_POOL_MEMORY_PROVIDER_H

#include <net/page_pool/types.h>

struct netdev_rx_queue;
struct nlattr;
struct sk_buff;

/**
 * struct memory_provider_ops - where a page pool's niovs come from
 * @init: a pool begins to use the provider, @pool->mp_priv. Takes a reference
 *	  on it. Under RTNL.
 * @destroy: the pool has given everything back and goes. Drops the reference.
 *	     In process context, with no lock held that the provider could need.
 * @alloc: writes at most @n niovs to @netmems, returns how many. They are
 *	   nobody else's. In NAPI context, or before the queue starts.
 * @release: takes one niov back, in any context. The pool may be gone as soon
 *	     as it has taken back its last.
 * @nl_fill: adds to @rsp what netlink says of queues and pools with the
 *	     provider. @rxq is NULL for a pool.
 *
 * Provider and pool are built into the kernel: nothing here pins a module.
 */
struct memory_provider_ops {
	int (*init)(struct page_pool *pool);
	void (*destroy)(struct page_pool *pool);
	unsigned int (*alloc)(struct page_pool *pool, netmem_ref *netmems,
			      unsigned int n);
	void (*release)(struct page_pool *pool, netmem_ref netmem);
	int (*nl_fill)(void *mp_priv, struct sk_buff *rsp,
		       struct netdev_rx_queue *rxq);
};

#endif /* _NET_PAGE_POOL_MEMORY_PROVIDER_H */
