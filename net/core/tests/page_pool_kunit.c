// SPDX-License-Identifier: GPL-2.0
/* Tests of page pools that take their memory from a provider. */
#include <linux/rtnetlink.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/memory_provider.h>

#include "fake_mp.h"
#include "fake_netdev.h"
#include "../page_pool_priv.h"

struct provider_test {
	struct fake_mp mp;
	struct net_device *dev;
	netmem_ref netmems[FAKE_MP_NIOVS];
};

static int provider_test_init(struct kunit *test)
{
	struct netdev_rx_queue *rxq;
	struct provider_test *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->dev = fake_netdev_create();
	if (!t->dev)
		return -ENODEV;
	fake_mp_init(&t->mp);
	rtnl_lock();
	rxq = __netif_get_rx_queue(t->dev, 0);
	rxq->mp_params.mp_priv = &t->mp;
	rxq->mp_params.mp_ops = &fake_mp_ops;
	rtnl_unlock();
	test->priv = t;
	return 0;
}

/* Whatever a test has done, the provider has everything back. */
static void provider_test_exit(struct kunit *test)
{
	struct provider_test *t = test->priv;
	struct netdev_rx_queue *rxq;
	int i;

	if (!t)
		return;
	rtnl_lock();
	rxq = __netif_get_rx_queue(t->dev, 0);
	memset(&rxq->mp_params, 0, sizeof(rxq->mp_params));
	rtnl_unlock();
	fake_netdev_destroy(t->dev);
	KUNIT_EXPECT_EQ(test, 0, t->mp.inits);
	KUNIT_EXPECT_EQ(test, (unsigned int)FAKE_MP_NIOVS, t->mp.num_free);
	for (i = 0; i < FAKE_MP_NIOVS; i++)
		KUNIT_EXPECT_NULL(test, t->mp.niovs[i].pp);
}

/* A pool of queue 0, with @change made to what drivers ask for. */
static struct page_pool *
provider_pool_with(struct kunit *test,
		   void (*change)(struct page_pool_params *params))
{
	struct provider_test *t = test->priv;
	struct page_pool_params params;
	struct page_pool *pool;

	rtnl_lock();
	params = fake_netdev_pool_params(t->dev, 0);
	if (change)
		change(&params);
	pool = page_pool_create(&params);
	rtnl_unlock();
	return pool;
}

static struct page_pool *provider_pool(struct kunit *test)
{
	struct page_pool *pool = provider_pool_with(test, NULL);

	KUNIT_ASSERT_FALSE(test, IS_ERR(pool));
	return pool;
}

static netmem_ref pool_get(struct page_pool *pool)
{
	netmem_ref netmem;

	local_bh_disable();
	netmem = page_pool_alloc_netmems(pool, GFP_ATOMIC);
	local_bh_enable();
	return netmem;
}

/* As NAPI does. */
static void pool_put_direct(struct page_pool *pool, netmem_ref netmem)
{
	local_bh_disable();
	page_pool_put_full_netmem(pool, netmem, true);
	local_bh_enable();
}

static void pool_get_many(struct kunit *test, struct page_pool *pool,
			  netmem_ref *netmems, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		netmems[i] = pool_get(pool);
		KUNIT_ASSERT_TRUE(test, (__force unsigned long)netmems[i] != 0);
	}
}

static void pool_put_many(struct page_pool *pool, const netmem_ref *netmems,
			  int n)
{
	int i;

	for (i = 0; i < n; i++)
		page_pool_put_full_netmem(pool, netmems[i], false);
}

static void no_unreadable(struct page_pool_params *params)
{
	params->flags &= ~PP_FLAG_ALLOW_UNREADABLE_NETMEM;
}

static void no_netdev(struct page_pool_params *params)
{
	params->netdev = NULL;
}

static void no_such_queue(struct page_pool_params *params)
{
	params->queue_idx = FAKE_NETDEV_QUEUES;
}

static void no_sync(struct page_pool_params *params)
{
	params->flags &= ~PP_FLAG_DMA_SYNC_DEV;
}

static void no_map(struct page_pool_params *params)
{
	params->flags = PP_FLAG_ALLOW_UNREADABLE_NETMEM;
}

static void unknown_flag(struct page_pool_params *params)
{
	params->flags |= BIT(30);
}

static void other_queue(struct page_pool_params *params)
{
	params->queue_idx = 1;
}

/* A pool that says nothing of unreadable memory, or is of another queue, has
 * the host's.
 */
static void only_who_allows_it(struct kunit *test)
{
	struct provider_test *t = test->priv;
	struct page_pool *pool;

	pool = provider_pool_with(test, no_unreadable);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pool));
	KUNIT_EXPECT_NULL(test, pool->mp_ops);
	page_pool_destroy(pool);

	pool = provider_pool_with(test, other_queue);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pool));
	KUNIT_EXPECT_NULL(test, pool->mp_ops);
	page_pool_destroy(pool);
	KUNIT_EXPECT_EQ(test, 0, t->mp.inits);
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);

	pool = provider_pool(test);
	KUNIT_EXPECT_PTR_EQ(test, &fake_mp_ops, pool->mp_ops);
	KUNIT_EXPECT_PTR_EQ(test, (void *)&t->mp, pool->mp_priv);
	KUNIT_EXPECT_EQ(test, 1, t->mp.inits);
	page_pool_destroy(pool);
	KUNIT_EXPECT_TRUE(test, t->mp.destroyed);
}

/* Each pool that can't be made leaves nothing behind. */
static void wrong_params_are_refused(struct kunit *test)
{
	static const struct {
		void (*change)(struct page_pool_params *params);
		int err;
	} cases[] = {
		{ no_netdev,		-EINVAL },
		{ no_such_queue,	-EINVAL },
		{ unknown_flag,		-EINVAL },
		{ no_sync,		-EOPNOTSUPP },
		{ no_map,		-EOPNOTSUPP },
	};
	struct provider_test *t = test->priv;
	struct kobject *parent = &t->dev->dev.parent->kobj;
	unsigned int refs = kref_read(&parent->kref);
	struct page_pool *pool;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pool = provider_pool_with(test, cases[i].change);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].err,
				    (int)PTR_ERR_OR_ZERO(pool), "case %d", i);
		KUNIT_EXPECT_EQ(test, 0, t->mp.inits);
		KUNIT_EXPECT_EQ(test, refs, kref_read(&parent->kref));
	}
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);
}

static void init_failure_leaks_nothing(struct kunit *test)
{
	struct provider_test *t = test->priv;
	struct kobject *parent = &t->dev->dev.parent->kobj;
	unsigned int refs = kref_read(&parent->kref);
	struct page_pool *pool;

	t->mp.init_err = -EXDEV;
	pool = provider_pool_with(test, NULL);
	KUNIT_EXPECT_EQ(test, -EXDEV, (int)PTR_ERR_OR_ZERO(pool));
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);
	KUNIT_EXPECT_EQ(test, refs, kref_read(&parent->kref));

	t->mp.init_err = 0;
	pool = provider_pool(test);
	KUNIT_EXPECT_EQ(test, refs + 1, kref_read(&parent->kref));
	page_pool_destroy(pool);
	KUNIT_EXPECT_EQ(test, refs, kref_read(&parent->kref));
}

/* Memory is taken in batches; what waits in the pool's cache is in flight. */
static void alloc_in_batches(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	struct provider_test *t = test->priv;
	struct net_iov *niov;
	int i;

	KUNIT_EXPECT_EQ(test, 0, page_pool_inflight(pool, true));
	pool_get_many(test, pool, t->netmems, PP_ALLOC_CACHE_REFILL);
	KUNIT_EXPECT_EQ(test, 1, t->mp.allocs);
	KUNIT_EXPECT_EQ(test, (unsigned int)PP_ALLOC_CACHE_REFILL, t->mp.most);
	pool_get_many(test, pool, t->netmems + PP_ALLOC_CACHE_REFILL, 1);
	KUNIT_EXPECT_EQ(test, 2, t->mp.allocs);
	KUNIT_EXPECT_EQ(test, 2 * PP_ALLOC_CACHE_REFILL,
			page_pool_inflight(pool, true));

	for (i = 0; i <= PP_ALLOC_CACHE_REFILL; i++) {
		niov = netmem_to_net_iov(t->netmems[i]);
		KUNIT_EXPECT_PTR_EQ(test, pool, niov->pp);
		KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&niov->pp_ref_count));
	}
	pool_put_many(pool, t->netmems, PP_ALLOC_CACHE_REFILL + 1);
	page_pool_destroy(pool);
	KUNIT_EXPECT_TRUE(test, t->mp.destroyed);
}

static void alloc_until_empty(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	struct provider_test *t = test->priv;
	DECLARE_BITMAP(seen, FAKE_MP_NIOVS) = {};
	int i;

	pool_get_many(test, pool, t->netmems, FAKE_MP_NIOVS);
	for (i = 0; i < FAKE_MP_NIOVS; i++)
		KUNIT_EXPECT_FALSE(test,
				   __test_and_set_bit(net_iov_idx(netmem_to_net_iov(t->netmems[i])),
						      seen));
	KUNIT_EXPECT_EQ(test, 0U, t->mp.num_free);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_TRUE(test, !(__force unsigned long)pool_get(pool));
	KUNIT_EXPECT_EQ(test, FAKE_MP_NIOVS, page_pool_inflight(pool, true));

	/* One comes back: it can be had again, and no other. */
	page_pool_put_full_netmem(pool, t->netmems[7], false);
	KUNIT_EXPECT_TRUE(test, pool_get(pool) == t->netmems[7]);
	KUNIT_EXPECT_TRUE(test, !(__force unsigned long)pool_get(pool));
	pool_put_many(pool, t->netmems, FAKE_MP_NIOVS);
	page_pool_destroy(pool);
}

/* In NAPI what comes back is what goes out next. */
static void recycle_in_cache(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	struct provider_test *t = test->priv;
	netmem_ref a = pool_get(pool), b = pool_get(pool);

	pool_put_direct(pool, a);
	pool_put_direct(pool, b);
	KUNIT_EXPECT_TRUE(test, pool_get(pool) == b);
	KUNIT_EXPECT_TRUE(test, pool_get(pool) == a);
	KUNIT_EXPECT_EQ(test, 1, t->mp.allocs);
	KUNIT_EXPECT_EQ(test, PP_ALLOC_CACHE_REFILL,
			page_pool_inflight(pool, true));
	pool_put_direct(pool, a);
	pool_put_direct(pool, b);
	page_pool_destroy(pool);
}

/* Elsewhere it is kept for later, as long as there is room; then the provider
 * gets it.
 */
static void recycle_in_ring(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	const int n = 2 * FAKE_NETDEV_RING;
	struct provider_test *t = test->priv;
	netmem_ref netmems[2 * FAKE_NETDEV_RING];
	unsigned int had;

	pool_get_many(test, pool, netmems, n);
	had = t->mp.num_free;
	pool_put_many(pool, netmems, FAKE_NETDEV_RING);
	KUNIT_EXPECT_EQ(test, had, t->mp.num_free);
	KUNIT_EXPECT_PTR_EQ(test, pool, netmem_get_pp(netmems[0]));

	pool_put_many(pool, netmems + FAKE_NETDEV_RING, n - FAKE_NETDEV_RING);
	KUNIT_EXPECT_EQ(test, had + n - FAKE_NETDEV_RING, t->mp.num_free);
	KUNIT_EXPECT_NULL(test, netmem_get_pp(netmems[n - 1]));
	KUNIT_EXPECT_EQ(test, PP_ALLOC_CACHE_REFILL - (n - FAKE_NETDEV_RING),
			page_pool_inflight(pool, true));
	page_pool_destroy(pool);
}

static void refs_are_counted(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	netmem_ref netmem = pool_get(pool);
	struct net_iov *niov = netmem_to_net_iov(netmem);
	netmem_ref other;

	page_pool_ref_netmem(netmem);
	KUNIT_EXPECT_EQ(test, 2L, atomic_long_read(&niov->pp_ref_count));
	pool_put_direct(pool, netmem);
	KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&niov->pp_ref_count));
	other = pool_get(pool);
	KUNIT_EXPECT_FALSE(test, other == netmem);
	/* The last one leaves a count of one, for the next user. */
	pool_put_direct(pool, netmem);
	KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&niov->pp_ref_count));
	KUNIT_EXPECT_TRUE(test, pool_get(pool) == netmem);

	page_pool_fragment_netmem(netmem, 3);
	KUNIT_EXPECT_EQ(test, 1L, page_pool_unref_netmem(netmem, 2));
	KUNIT_EXPECT_EQ(test, 0L, page_pool_unref_netmem(netmem, 1));
	KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&niov->pp_ref_count));

	/* As an skb or a token does it: through the ring. */
	page_pool_ref_netmem(netmem);
	page_pool_return_skb_niov(niov);
	KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&niov->pp_ref_count));
	KUNIT_EXPECT_TRUE(test, __ptr_ring_empty(&pool->ring));
	page_pool_return_skb_niov(niov);
	KUNIT_EXPECT_FALSE(test, __ptr_ring_empty(&pool->ring));
	KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&niov->pp_ref_count));
	pool_put_direct(pool, other);
	page_pool_destroy(pool);
}

/* To the pools that they are of, but for one that has another user and one that
 * the ring has no room for. They are used again in the order that they came in.
 */
static void many_come_back_at_once(struct kunit *test)
{
	enum { HERE = FAKE_NETDEV_RING + 2, THERE = 3, ALL = PP_ALLOC_CACHE_REFILL };
	struct page_pool *here = provider_pool(test);
	struct page_pool *there = provider_pool(test);
	struct provider_test *t = test->priv;
	struct net_iov *niovs[HERE + THERE];
	struct page_pool_return back = {};
	netmem_ref *theirs = t->netmems + ALL;
	unsigned int had;
	int i;

	pool_get_many(test, here, t->netmems, ALL);
	pool_get_many(test, there, theirs, ALL);
	for (i = 0; i < HERE; i++)
		niovs[i] = netmem_to_net_iov(t->netmems[i]);
	for (i = 0; i < THERE; i++)
		niovs[HERE + i] = netmem_to_net_iov(theirs[i]);
	page_pool_ref_netmem(t->netmems[2]);
	had = t->mp.num_free;
	for (i = 0; i < HERE + THERE; i++)
		page_pool_return_next(&back, niovs[i]);
	page_pool_return_end(&back);
	KUNIT_EXPECT_EQ(test, had + 1, t->mp.num_free);
	KUNIT_EXPECT_NULL(test, netmem_get_pp(t->netmems[HERE - 1]));

	for (i = 0; i < HERE - 1; i++)
		if (i != 2)
			KUNIT_EXPECT_TRUE(test, pool_get(here) == t->netmems[i]);
	for (i = 0; i < THERE; i++)
		KUNIT_EXPECT_TRUE(test, pool_get(there) == theirs[i]);
	pool_put_many(here, t->netmems, HERE - 1);
	pool_put_many(here, t->netmems + HERE, ALL - HERE);
	pool_put_many(there, theirs, ALL);
	page_pool_destroy(here);
	page_pool_destroy(there);
}

static void node_change_gives_back(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	struct provider_test *t = test->priv;
	netmem_ref netmem = pool_get(pool);

	page_pool_update_nid(pool, 0);
	KUNIT_EXPECT_EQ(test, FAKE_MP_NIOVS - 1U, t->mp.num_free);
	KUNIT_EXPECT_EQ(test, 1, page_pool_inflight(pool, true));
	page_pool_put_full_netmem(pool, netmem, false);
	page_pool_destroy(pool);
}

/* The pool lets go of the provider when the provider has everything. */
static void destroy_comes_last(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	struct provider_test *t = test->priv;
	netmem_ref netmems[100];

	pool_get_many(test, pool, netmems, ARRAY_SIZE(netmems));
	pool_put_many(pool, netmems, ARRAY_SIZE(netmems));
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);
	page_pool_destroy(pool);
	KUNIT_EXPECT_TRUE(test, t->mp.destroyed);
	KUNIT_EXPECT_EQ(test, (unsigned int)FAKE_MP_NIOVS, t->mp.free_then);
}

static void destroy_waits_for_buffers(struct kunit *test)
{
	struct page_pool *pool = provider_pool(test);
	struct provider_test *t = test->priv;
	netmem_ref netmems[3];

	pool_get_many(test, pool, netmems, 3);
	page_pool_destroy(pool);
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);
	KUNIT_EXPECT_EQ(test, FAKE_MP_NIOVS - 3U, t->mp.num_free);
	/* It is no pool that anybody will receive with. */
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, -ENODATA,
			page_pool_check_memory_provider(t->dev,
							__netif_get_rx_queue(t->dev, 0)));
	rtnl_unlock();

	page_pool_return_skb_niov(netmem_to_net_iov(netmems[0]));
	page_pool_return_skb_niov(netmem_to_net_iov(netmems[2]));
	KUNIT_EXPECT_PTR_EQ(test, pool, netmem_get_pp(netmems[1]));
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);
	page_pool_return_skb_niov(netmem_to_net_iov(netmems[1]));
	KUNIT_ASSERT_TRUE(test, fake_netdev_wait(&t->mp.destroyed));
	KUNIT_EXPECT_EQ(test, (unsigned int)FAKE_MP_NIOVS, t->mp.free_then);
}

static void two_pools_share(struct kunit *test)
{
	struct page_pool *first = provider_pool(test);
	struct page_pool *second = provider_pool(test);
	struct provider_test *t = test->priv;
	netmem_ref netmem;

	pool_get_many(test, first, t->netmems, FAKE_MP_NIOVS);
	KUNIT_EXPECT_TRUE(test, !(__force unsigned long)pool_get(second));
	pool_put_many(first, t->netmems, FAKE_MP_NIOVS);
	page_pool_destroy(first);
	KUNIT_EXPECT_FALSE(test, t->mp.destroyed);

	netmem = pool_get(second);
	KUNIT_ASSERT_TRUE(test, (__force unsigned long)netmem != 0);
	KUNIT_EXPECT_PTR_EQ(test, second, netmem_get_pp(netmem));
	page_pool_put_full_netmem(second, netmem, false);
	page_pool_destroy(second);
	KUNIT_EXPECT_TRUE(test, t->mp.destroyed);
}

/* Userspace waits for packets in its memory: is there a pool that has it? */
static void pools_are_found(struct kunit *test)
{
	struct provider_test *t = test->priv;
	struct netdev_rx_queue *rxq = __netif_get_rx_queue(t->dev, 0);
	struct page_pool *pool, *host;

	host = provider_pool_with(test, no_unreadable);
	KUNIT_ASSERT_FALSE(test, IS_ERR(host));
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, -ENODATA,
			page_pool_check_memory_provider(t->dev, rxq));
	KUNIT_EXPECT_EQ(test, 0,
			page_pool_check_memory_provider(t->dev, rxq + 1));
	rtnl_unlock();

	pool = provider_pool(test);
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, 0, page_pool_check_memory_provider(t->dev, rxq));
	/* It is one provider's of the kind, not any's. */
	rxq->mp_params.mp_priv = test;
	KUNIT_EXPECT_EQ(test, -ENODATA,
			page_pool_check_memory_provider(t->dev, rxq));
	rxq->mp_params.mp_priv = &t->mp;
	rtnl_unlock();
	page_pool_destroy(pool);
	page_pool_destroy(host);
}

static struct kunit_case provider_test_cases[] = {
	KUNIT_CASE(only_who_allows_it),
	KUNIT_CASE(wrong_params_are_refused),
	KUNIT_CASE(init_failure_leaks_nothing),
	KUNIT_CASE(alloc_in_batches),
	KUNIT_CASE(alloc_until_empty),
	KUNIT_CASE(recycle_in_cache),
	KUNIT_CASE(recycle_in_ring),
	KUNIT_CASE(refs_are_counted),
	KUNIT_CASE(many_come_back_at_once),
	KUNIT_CASE(node_change_gives_back),
	KUNIT_CASE(destroy_comes_last),
	KUNIT_CASE(destroy_waits_for_buffers),
	KUNIT_CASE(two_pools_share),
	KUNIT_CASE(pools_are_found),
	{}
};

static struct kunit_suite provider_test_suite = {
	.name = "memory_provider",
	.init = provider_test_init,
	.exit = provider_test_exit,
	.test_cases = provider_test_cases,
};

kunit_test_suite(provider_test_suite);
