// SPDX-License-Identifier: GPL-2.0
#include "fake_mp.h"

void fake_mp_init(struct fake_mp *mp)
{
	int i;

	mp->area.niovs = mp->niovs;
	mp->area.num_niovs = FAKE_MP_NIOVS;
	mp->area.shift = PAGE_SHIFT;
	for (i = 0; i < FAKE_MP_NIOVS; i++) {
		mp->niovs[i].owner = &mp->area;
		mp->free[mp->num_free++] = &mp->niovs[i];
	}
}

static int fake_mp_pool_init(struct page_pool *pool)
{
	struct fake_mp *mp = pool->mp_priv;

	if (!mp->init_err)
		mp->inits++;
	return mp->init_err;
}

static void fake_mp_pool_destroy(struct page_pool *pool)
{
	struct fake_mp *mp = pool->mp_priv;

	if (--mp->inits)
		return;
	mp->free_then = mp->num_free;
	/* Pairs with fake_netdev_wait(). */
	smp_store_release(&mp->destroyed, true);
}

static unsigned int fake_mp_alloc(struct page_pool *pool, netmem_ref *netmems,
				  unsigned int n)
{
	struct fake_mp *mp = pool->mp_priv;
	unsigned int i;

	mp->allocs++;
	mp->most = max(mp->most, n);
	n = min(n, mp->num_free);
	for (i = 0; i < n; i++)
		netmems[i] = net_iov_to_netmem(mp->free[--mp->num_free]);
	return n;
}

static void fake_mp_release(struct page_pool *pool, netmem_ref netmem)
{
	struct fake_mp *mp = pool->mp_priv;

	mp->free[mp->num_free++] = netmem_to_net_iov(netmem);
}

static int fake_mp_nl_fill(void *mp_priv, struct sk_buff *rsp,
			   struct netdev_rx_queue *rxq)
{
	return 0;
}

const struct memory_provider_ops fake_mp_ops = {
	.init = fake_mp_pool_init,
	.destroy = fake_mp_pool_destroy,
	.alloc = fake_mp_alloc,
	.release = fake_mp_release,
	.nl_fill = fake_mp_nl_fill,
};
