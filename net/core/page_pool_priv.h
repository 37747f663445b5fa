/* SPDX-License-Identifier: GPL-2.0 */
/* The page pool, for the core alone. */
#ifndef _NET_CORE_PAGE_POOL_PRIV_H
#define _NET_CORE_PAGE_POOL_PRIV_H

#include <net/page_pool/types.h>

s32 page_pool_inflight(struct page_pool *pool, bool strict);

/* page_pool_return_skb_niov() for each, with less locking: those of one pool are
 * best next to each other. In any context but hard interrupts.
 */
void page_pool_return_skb_niovs(struct net_iov *const *niovs, unsigned int n);

int page_pool_list(struct page_pool *pool);
void page_pool_detached(struct page_pool *pool);
void page_pool_unlist(struct page_pool *pool);

#ifdef CONFIG_PAGE_POOL
int page_pool_check_memory_provider(struct net_device *dev,
				    struct netdev_rx_queue *rxq);
#else
static inline int page_pool_check_memory_provider(struct net_device *dev,
						  struct netdev_rx_queue *rxq)
{
	return rxq->mp_params.mp_ops ? -ENODATA : 0;
}
#endif

#endif /* _NET_CORE_PAGE_POOL_PRIV_H */
