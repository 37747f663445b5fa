/* SPDX-License-Identifier: GPL-2.0 */
/* The page pool for drivers whose buffers may be device memory: what
 * <net/page_pool.h> has for pages, for netmems.
 *
 * On this kernel only niovs, and pages of pools with PP_FLAG_PAGE_FRAG, have a
 * reference count of the pool's. Other pages have one user at a time.
 */
#ifndef _NET_PAGE_POOL_HELPERS_H
#define _NET_PAGE_POOL_HELPERS_H

#include <linux/dma-mapping.h>
#include <net/page_pool/types.h>

static inline netmem_ref page_pool_dev_alloc_netmems(struct page_pool *pool)
{
	return page_pool_alloc_netmems(pool, GFP_ATOMIC | __GFP_NOWARN);
}

/* Says into how many pieces the driver cuts @netmem. */
static inline void page_pool_fragment_netmem(netmem_ref netmem, long nr)
{
	atomic_long_set(netmem_get_pp_ref_count_ref(netmem), nr);
}

static inline void page_pool_ref_netmem(netmem_ref netmem)
{
	atomic_long_inc(netmem_get_pp_ref_count_ref(netmem));
}

/* Returns what is left of the references. The last user leaves one, for whoever
 * the pool gives it to next.
 */
static inline long page_pool_unref_netmem(netmem_ref netmem, long nr)
{
	atomic_long_t *count = netmem_get_pp_ref_count_ref(netmem);
	long left;

	if (nr == 1 && atomic_long_read(count) == 1)
		return 0;
	left = atomic_long_sub_return(nr, count);
	WARN_ON(left < 0);
	if (!left)
		atomic_long_set(count, 1);
	return left;
}

static inline bool page_pool_is_last_ref(netmem_ref netmem)
{
	if (!netmem_is_net_iov(netmem))
		return page_pool_is_last_frag(netmem_get_pp(netmem),
					      __netmem_to_page(netmem));
	return page_pool_unref_netmem(netmem, 1) == 0;
}

static inline void page_pool_put_netmem(struct page_pool *pool,
					netmem_ref netmem,
					unsigned int dma_sync_size,
					bool allow_direct)
{
#ifdef CONFIG_PAGE_POOL
	if (page_pool_is_last_ref(netmem))
		page_pool_put_unrefed_netmem(pool, netmem, dma_sync_size,
					     allow_direct);
#endif
}

static inline void page_pool_put_full_netmem(struct page_pool *pool,
					     netmem_ref netmem,
					     bool allow_direct)
{
	page_pool_put_netmem(pool, netmem, -1, allow_direct);
}

static inline dma_addr_t page_pool_get_dma_addr_netmem(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return net_iov_dma_addr(__netmem_to_net_iov(netmem));
	return page_pool_get_dma_addr(__netmem_to_page(netmem));
}

/* Before the CPU reads what the device wrote: @len bytes from @offset. */
static inline void page_pool_dma_sync_for_cpu(const struct page_pool *pool,
					      struct page *page, u32 offset,
					      u32 len)
{
	dma_sync_single_range_for_cpu(pool->p.dev, page_pool_get_dma_addr(page),
				      offset + pool->p.offset, len,
				      pool->p.dma_dir);
}

/* The CPU won't read a niov, and nothing may be done to its address. */
static inline void
page_pool_dma_sync_netmem_for_cpu(const struct page_pool *pool,
				  netmem_ref netmem, u32 offset, u32 len)
{
	if (!netmem_is_net_iov(netmem))
		page_pool_dma_sync_for_cpu(pool, __netmem_to_page(netmem),
					   offset, len);
}

#endif /* _NET_PAGE_POOL_HELPERS_H */
