// SPDX-License-Identifier: GPL-2.0
/* Tests of the life of bindings. */
#include <linux/fdtable.h>
#include <linux/rtnetlink.h>
#include <linux/sizes.h>
#include <linux/uio.h>
#include <net/devmem_token.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/memory_provider.h>
#include <net/sock.h>

#include "devmem_test.h"

static const struct fake_dmabuf_entry entries[] = {
	{ 0x70000000, 3 * PAGE_SIZE },
};

/* Each failure undoes what came before. */
static void failures_are_told(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct device *parent = t->dev->dev.parent;
	u64 *dma_mask = parent->dma_mask;
	unsigned int refs = kref_read(&parent->kobj.kref);

	t->buf.attach_err = -ENXIO;
	devmem_test_refused(test, devmem_test_bind(test, entries, 1, 0), -ENXIO,
			    "Failed to bind dmabuf to device");
	t->buf.attach_err = 0;
	t->buf.map_err = -EIO;
	devmem_test_refused(test, devmem_test_bind(test, entries, 1, 0), -EIO,
			    "Failed to map dmabuf attachment");
	t->buf.map_err = 0;

	parent->dma_mask = NULL;
	devmem_test_refused(test, devmem_test_bind(test, entries, 1, 0),
			    -EOPNOTSUPP, "Device doesn't support DMA");
	parent->dma_mask = dma_mask;

	rtnl_lock();
	binding = net_devmem_bind_dmabuf(t->dev, INT_MAX, 0, &t->extack);
	rtnl_unlock();
	KUNIT_EXPECT_EQ(test, -EBADF, (int)PTR_ERR_OR_ZERO(binding));
	KUNIT_EXPECT_EQ(test, refs, kref_read(&parent->kobj.kref));
}

/* The queue goes on with what it had, and the binding can go. */
static void queue_that_fails_to_start(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct fake_netdev *driver = netdev_priv(t->dev);

	binding = devmem_test_bind(test, entries, 1, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(binding));
	driver->start_err = -EIO;
	driver->start_errs = 1;
	KUNIT_EXPECT_EQ(test, -EIO, devmem_test_bind_queue(test, binding, 0));
	KUNIT_EXPECT_NULL(test,
			  __netif_get_rx_queue(t->dev, 0)->mp_params.mp_ops);
	devmem_test_unbind(binding);
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
}

static void unbind_restarts_only_its_queues(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *first, *second;
	struct devmem_test *t = test->priv;
	struct page_pool *pool;

	first = devmem_test_bound(test, entries, 1, 0);
	second = devmem_test_bind(test, entries, 1, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(second));
	KUNIT_EXPECT_EQ(test, 0, devmem_test_bind_queue(test, second, 1));
	pool = devmem_test_pool(test, 0);

	devmem_test_unbind(second);
	KUNIT_EXPECT_PTR_EQ(test, pool, devmem_test_pool(test, 0));
	KUNIT_EXPECT_NULL(test, devmem_test_pool(test, 1)->mp_ops);
	KUNIT_EXPECT_EQ(test, 1, t->buf.mapped);
	devmem_test_unbind(first);
	KUNIT_EXPECT_NULL(test, devmem_test_pool(test, 0)->mp_ops);
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
}

/* Whoever keeps a niov keeps the dmabuf, though it is bound no more, the device
 * is done with it and no descriptor is open.
 */
static void niovs_outlive_the_binding(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct net_iov *niov;
	u32 id;

	binding = devmem_test_bound(test, entries, 1, 0);
	id = net_devmem_binding_id(binding);
	niov = devmem_test_get(devmem_test_pool(test, 0));
	KUNIT_ASSERT_NOT_NULL(test, niov);
	devmem_test_unbind(binding);
	close_fd(t->fd);
	t->fd = -1;

	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
	KUNIT_EXPECT_EQ(test, 0, t->buf.attached);
	KUNIT_EXPECT_FALSE(test, t->buf.released);
	devmem_test_place(test, niov, id, 0, entries[0].addr);
	page_pool_return_skb_niov(niov);
	KUNIT_EXPECT_TRUE(test, fake_netdev_wait(&t->buf.released));
}

/* A queue that does not restart goes on with the memory. */
static void mapped_as_long_as_a_queue_uses_it(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct fake_netdev *driver = netdev_priv(t->dev);

	binding = devmem_test_bound(test, entries, 1, 0);
	driver->start_err = -EIO;
	driver->start_errs = 1;
	devmem_test_unbind(binding);
	KUNIT_EXPECT_EQ(test, 1, t->buf.mapped);
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, 0, netdev_rx_queue_restart(t->dev, 0));
	rtnl_unlock();
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
}

/* The netlink socket may be open for longer than the device is there. */
static void binding_outlives_the_device(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;

	binding = devmem_test_bound(test, entries, 1, 0);
	rtnl_lock();
	net_devmem_dev_gone(t->dev);
	KUNIT_EXPECT_NULL(test,
			  __netif_get_rx_queue(t->dev, 0)->mp_params.mp_ops);
	rtnl_unlock();
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
	KUNIT_EXPECT_EQ(test, 0, t->buf.attached);
	fake_netdev_destroy(t->dev);
	devmem_test_unbind(binding);
	t->dev = fake_netdev_create();
	KUNIT_ASSERT_NOT_NULL(test, t->dev);
}

/* A queue that goes on with the memory after all has to stop when the device goes,
 * even if somebody has a niov.
 */
static void device_goes_after_a_queue_kept_its_memory(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct fake_netdev *driver = netdev_priv(t->dev);
	struct net_iov *niov;

	binding = devmem_test_bound(test, entries, 1, 0);
	niov = devmem_test_get(devmem_test_pool(test, 0));
	KUNIT_ASSERT_NOT_NULL(test, niov);
	driver->start_err = -EIO;
	driver->start_errs = 1;
	devmem_test_unbind(binding);
	KUNIT_EXPECT_EQ(test, 1, t->buf.mapped);
	rtnl_lock();
	net_devmem_dev_gone(t->dev);
	rtnl_unlock();
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
	KUNIT_EXPECT_EQ(test, 0, t->buf.attached);
	page_pool_return_skb_niov(niov);
}

#ifdef CONFIG_NET_DEVMEM_TX
/* What has been sent, and is not acknowledged yet, has the binding. The device
 * must not have the memory when it goes, nor another one be taken for it.
 */
static void device_goes_with_bytes_in_flight(struct kunit *test)
{
	struct net_devmem_tx_binding *binding, *in_flight;
	struct devmem_test *t = test->priv;

	t->buf.entries = entries;
	t->buf.num_entries = 1;
	t->buf.repeat = 1;
	t->dev->netmem_tx = true;
	rtnl_lock();
	binding = net_devmem_tx_bind(t->dev, t->fd, &t->extack);
	rtnl_unlock();
	KUNIT_ASSERT_FALSE(test, IS_ERR(binding));
	in_flight = net_devmem_tx_get(binding->id);
	KUNIT_EXPECT_PTR_EQ(test, binding, in_flight);

	rtnl_lock();
	net_devmem_tx_unbind(binding);
	KUNIT_EXPECT_EQ(test, 1, t->buf.mapped);
	KUNIT_EXPECT_PTR_EQ(test, t->dev, in_flight->map.dev);
	net_devmem_dev_gone(t->dev);
	rtnl_unlock();
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
	KUNIT_EXPECT_EQ(test, 0, t->buf.attached);
	KUNIT_EXPECT_NULL(test, in_flight->map.dev);
	net_devmem_tx_put(in_flight);
}
#endif

/* A process that learns late that its binding is gone must not find another. */
static void ids_are_not_reused_soon(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	u32 last = 0, id;
	int i;

	for (i = 0; i < 10; i++) {
		binding = devmem_test_bind(test, entries, 1, 0);
		KUNIT_ASSERT_FALSE(test, IS_ERR(binding));
		id = net_devmem_binding_id(binding);
		KUNIT_EXPECT_GT(test, id, last);
		last = id;
		devmem_test_unbind(binding);
	}
}

static void only_dmabufs_are_located(struct kunit *test)
{
	static const struct memory_provider_ops other_ops;
	struct page_pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);
	struct net_iov_area area = {};
	struct net_iov niov = { .pp = pool, .owner = &area };
	u32 id;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	pool->mp_ops = &other_ops;
	KUNIT_EXPECT_EQ(test, -ENODEV, net_devmem_locate(&niov, &id));
}

/* More than a pool's ring holds, in a range that begins with what is no number,
 * and several times round the table. One has a user besides.
 */
static void tokens_come_back_in_a_range(struct kunit *test)
{
	enum { NIOVS = 2 * FAKE_NETDEV_RING - 2, KEPT = 2 };
	static const struct fake_dmabuf_entry entry = { SZ_1M, NIOVS * PAGE_SIZE };
	const struct dmabuf_token all = { .token_count = U32_MAX };
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct net_iov *kept;
	struct sock *sk;
	int round, i;

	sk = kunit_kzalloc(test, sizeof(*sk), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sk);
	devmem_tokens_init(sk);
	binding = devmem_test_bound(test, &entry, 1, 0);
	for (round = 0; round < 5; round++) {
		devmem_test_take_all(test, 0);
		KUNIT_ASSERT_EQ(test, (int)NIOVS, t->num_taken);
		kept = t->taken[KEPT];
		net_iov_get(kept);
		for (i = 0; i < NIOVS; i++)
			KUNIT_ASSERT_GT(test, devmem_token_add(sk, t->taken[i], 1),
					0);
		devmem_test_give_all(test, 1);
		KUNIT_EXPECT_NULL(test, devmem_test_get(devmem_test_pool(test, 0)));

		KUNIT_EXPECT_EQ(test, (u32)NIOVS,
				devmem_tokens_return(sk, &all, 1));
		KUNIT_EXPECT_EQ(test, 0U, devmem_tokens_return(sk, &all, 1));
		KUNIT_EXPECT_EQ(test, 1L, atomic_long_read(&kept->pp_ref_count));
		page_pool_return_skb_niov(kept);
	}
	devmem_tokens_destroy(sk);
	devmem_test_unbind(binding);
}

static void scarce_if_all_is_out(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct net_iov *niov;

	binding = devmem_test_bound(test, entries, 1, 0);
	niov = devmem_test_get(devmem_test_pool(test, 0));
	KUNIT_ASSERT_NOT_NULL(test, niov);
	KUNIT_EXPECT_FALSE(test, net_devmem_scarce(niov));
	devmem_test_take_all(test, 0);
	KUNIT_EXPECT_TRUE(test, net_devmem_scarce(niov));
	devmem_test_give_all(test, 1);
	KUNIT_EXPECT_FALSE(test, net_devmem_scarce(niov));
	page_pool_return_skb_niov(niov);
	devmem_test_unbind(binding);
}

static struct kunit_case binding_test_cases[] = {
	KUNIT_CASE(failures_are_told),
	KUNIT_CASE(queue_that_fails_to_start),
	KUNIT_CASE(unbind_restarts_only_its_queues),
	KUNIT_CASE(niovs_outlive_the_binding),
	KUNIT_CASE(mapped_as_long_as_a_queue_uses_it),
	KUNIT_CASE(binding_outlives_the_device),
	KUNIT_CASE(device_goes_after_a_queue_kept_its_memory),
#ifdef CONFIG_NET_DEVMEM_TX
	KUNIT_CASE(device_goes_with_bytes_in_flight),
#endif
	KUNIT_CASE(ids_are_not_reused_soon),
	KUNIT_CASE(only_dmabufs_are_located),
	KUNIT_CASE(tokens_come_back_in_a_range),
	KUNIT_CASE(scarce_if_all_is_out),
	{}
};

static struct kunit_suite binding_test_suite = {
	.name = "devmem_binding",
	.init = devmem_test_init,
	.exit = devmem_test_exit,
	.test_cases = binding_test_cases,
};

kunit_test_suite(binding_test_suite);
