/* SPDX-License-Identifier: GPL-2.0 */
/* netmem: memory that packets are made of, which the CPU may not be able to
 * read.
 *
 * A &netmem_ref stands for either a page or a niov (&struct net_iov), a piece
 * of device memory. Which one it is, the lowest bit tells. Code that moves
 * packets about passes netmem_refs on; code that wants to look inside asks for
 * the page, and must cope with there being none.
 */
#ifndef _NET_NETMEM_H
#define _NET_NETMEM_H

#include <linux/atomic.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/percpu-refcount.h>
#include <net/net_debug.h>

struct page_pool;
struct net_iov_area;

/**
 * struct net_iov - a piece of device memory, as long as its area says
 * @pp: the page pool that it was allocated from, or NULL while it is free; NULL
 *	if it is for sending
 * @owner: the area that it belongs to; never changes
 * @dma: where it is, for the device that it is bound to, in units of pages;
 *	 never changes
 * @pp_ref_count: how many hold it: the pool's user, each skb frag, each token.
 *		  The last one gives it back to @pp. Unused if it is for
 *		  sending: then they hold the area's @users.
 */
struct net_iov {
	struct page_pool *pp;
	struct net_iov_area *owner;
	unsigned long dma;
	atomic_long_t pp_ref_count;
};

/**
 * struct net_iov_area - all niovs of one piece of device memory
 * @niovs: one after the other, in the order of the memory
 * @num_niovs: how many
 * @shift: log2 of the size of each, if it is for receiving
 * @users: if it is for sending: one reference for each skb frag, whichever niov
 *	   it has. NULL if it is for receiving.
 */
struct net_iov_area {
	struct net_iov *niovs;
	unsigned int num_niovs;
	unsigned int shift;
	struct percpu_ref *users;
};

static inline struct net_iov_area *net_iov_owner(const struct net_iov *niov)
{
	return niov->owner;
}

/* Is it memory to send from? If not, it is a page pool's, to receive into. */
static inline bool net_iov_is_tx(const struct net_iov *niov)
{
	return niov->owner->users;
}

/* One more user of a niov that is in use. */
static inline void net_iov_get(struct net_iov *niov)
{
	if (net_iov_is_tx(niov))
		percpu_ref_get(niov->owner->users);
	else
		atomic_long_inc(&niov->pp_ref_count);
}

static inline unsigned int net_iov_idx(const struct net_iov *niov)
{
	return niov - niov->owner->niovs;
}

static inline dma_addr_t net_iov_dma_addr(const struct net_iov *niov)
{
	return (dma_addr_t)niov->dma << PAGE_SHIFT;
}

/* The type exists for sparse to tell references from numbers. */
typedef unsigned long __bitwise netmem_ref;

#define NET_IOV	1UL

static inline bool netmem_is_net_iov(netmem_ref netmem)
{
	return (__force unsigned long)netmem & NET_IOV;
}

/* For callers who know that it is a page, from a header pool for instance. */
static inline struct page *__netmem_to_page(netmem_ref netmem)
{
	return (__force struct page *)netmem;
}

static inline struct page *netmem_to_page(netmem_ref netmem)
{
	if (WARN_ON_ONCE(netmem_is_net_iov(netmem)))
		return NULL;
	return __netmem_to_page(netmem);
}

static inline struct net_iov *__netmem_to_net_iov(netmem_ref netmem)
{
	return (struct net_iov *)((__force unsigned long)netmem - NET_IOV);
}

static inline struct net_iov *netmem_to_net_iov(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return __netmem_to_net_iov(netmem);
	DEBUG_NET_WARN_ON_ONCE(true);
	return NULL;
}

static inline netmem_ref net_iov_to_netmem(struct net_iov *niov)
{
	return (__force netmem_ref)((unsigned long)niov + NET_IOV);
}

static inline netmem_ref page_to_netmem(struct page *page)
{
	return (__force netmem_ref)page;
}

static inline netmem_ref virt_to_netmem(const void *data)
{
	return page_to_netmem(virt_to_page(data));
}

/* References that are not the page pool's own count. A niov has no others. */
static inline int netmem_ref_count(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return 1;
	return page_ref_count(__netmem_to_page(netmem));
}

static inline unsigned long netmem_pfn_trace(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return 0;
	return page_to_pfn(__netmem_to_page(netmem));
}

static inline struct page_pool *netmem_get_pp(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return __netmem_to_net_iov(netmem)->pp;
	return __netmem_to_page(netmem)->pp;
}

static inline atomic_long_t *netmem_get_pp_ref_count_ref(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return &__netmem_to_net_iov(netmem)->pp_ref_count;
	return &__netmem_to_page(netmem)->pp_frag_count;
}

/* Device memory has no node to prefer: the provider has chosen it. */
static inline bool netmem_is_pref_nid(netmem_ref netmem, int pref_nid)
{
	if (netmem_is_net_iov(netmem))
		return true;
	return page_to_nid(__netmem_to_page(netmem)) == pref_nid;
}

static inline bool netmem_is_pfmemalloc(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return false;
	return page_is_pfmemalloc(__netmem_to_page(netmem));
}

static inline netmem_ref netmem_compound_head(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return netmem;
	return page_to_netmem(compound_head(__netmem_to_page(netmem)));
}

static inline void *__netmem_address(netmem_ref netmem)
{
	return page_address(__netmem_to_page(netmem));
}

/* NULL if the CPU can't read it. */
static inline void *netmem_address(netmem_ref netmem)
{
	if (netmem_is_net_iov(netmem))
		return NULL;
	return __netmem_address(netmem);
}

/* For drivers that send. Nothing was mapped for a niov's frag, so nothing may be
 * unmapped: these keep in @PTR an address to unmap, or 0.
 */
#define netmem_dma_unmap_addr_set(NETMEM, PTR, ADDR_NAME, VAL)		\
	dma_unmap_addr_set(PTR, ADDR_NAME,				\
			   netmem_is_net_iov(NETMEM) ? 0 : (VAL))

static inline void netmem_dma_unmap_page_attrs(struct device *dev,
					       dma_addr_t addr, size_t size,
					       enum dma_data_direction dir,
					       unsigned long attrs)
{
	if (addr)
		dma_unmap_page_attrs(dev, addr, size, dir, attrs);
}

#endif /* _NET_NETMEM_H */
