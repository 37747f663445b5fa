/* SPDX-License-Identifier: GPL-2.0 */
/* The page pool, for the core alone. */
#ifndef _NET_CORE_PAGE_POOL_PRIV_H
#define _NET_CORE_PAGE_POOL_PRIV_H

#include <net/page_pool/types.h>

s32 page_pool_inflight(struct page_pool *pool, bool strict);

/**
 * struct page_pool_return - niovs on their way back, one after the other
 * @pool: whose ring is locked; NULL: none's, and the rest is void
 * @next: where in the ring the next goes
 * @end: of the ring
 * @recycled: how many it has taken
 * @in_softirq: how it was locked
 */
struct page_pool_return {
	struct page_pool *pool;
	void **next;
	void **end;
	unsigned int recycled;
	bool in_softirq;
};

/* page_pool_return_skb_niov(), but the lock is kept for the next: those of one
 * pool are best next to each other. In any context but hard interrupts;
 * page_pool_return_end() must follow.
 */
void page_pool_return_next(struct page_pool_return *ret, struct net_iov *niov);
void page_pool_return_end(struct page_pool_return *ret);

/* The same for whoever has very many: to those that go to the pool at hand and
 * have no other user, if there is room at @next, up to the end of the ring.
 */
static inline bool page_pool_return_fits(const struct page_pool *pool,
					 void *const *next,
					 const struct net_iov *niov)
{
	return niov->pp == pool && !*next &&
	       atomic_long_read(&niov->pp_ref_count) == 1;
}

static inline void page_pool_return_produce(void **next, struct net_iov *niov)
{
	/* Pairs with the consumer, as in __ptr_ring_produce(). */
	smp_store_release(next, (__force void *)net_iov_to_netmem(niov));
}

static inline void page_pool_return_advance(struct page_pool_return *ret, u32 n)
{
	ret->recycled += n;
	ret->next += n;
	if (ret->next == ret->end)
		ret->next = ret->pool->ring.queue;
}

/* Gives back those of the @n niovs that adjoin from @niov on. */
static inline void page_pool_return_adjoining(struct page_pool_return *ret,
					      struct net_iov *niov, u32 n)
{
	struct page_pool *pool;
	void **next;
	u32 room, i;

	for (; n; n--, niov++) {
		pool = ret->pool;
		next = ret->next;
		room = pool ? min_t(u32, n, ret->end - next) : 0;
		for (i = 0; i < room; i++, niov++) {
			if (!page_pool_return_fits(pool, next + i, niov))
				break;
			page_pool_return_produce(next + i, niov);
		}
		if (i)
			page_pool_return_advance(ret, i);
		n -= i;
		if (!n)
			break;
		page_pool_return_next(ret, niov);
	}
}

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
