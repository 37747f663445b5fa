// SPDX-License-Identifier: GPL-2.0
/* Tests of restarting RX queues: which ops of the driver are called in which
 * order, and what the queue has after that. See struct fake_netdev for what
 * the letters stand for.
 */
#include <linux/rtnetlink.h>
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/memory_provider.h>

#include "fake_netdev.h"

static int rxq_test_init(struct kunit *test)
{
	test->priv = fake_netdev_create();
	return test->priv ? 0 : -ENODEV;
}

static void rxq_test_exit(struct kunit *test)
{
	if (test->priv)
		fake_netdev_destroy(test->priv);
}

/* Restarts queue 1, and begins a new list of calls. */
static int rxq_restart(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	int err;

	memset(driver->calls, 0, sizeof(driver->calls));
	rtnl_lock();
	err = netdev_rx_queue_restart(test->priv, 1);
	rtnl_unlock();
	return err;
}

static void restart_swaps(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct page_pool *old;

	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "APTF", driver->calls);
	old = driver->pool[1];
	KUNIT_ASSERT_NOT_NULL(test, old);
	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "APTF", driver->calls);
	KUNIT_ASSERT_NOT_NULL(test, driver->pool[1]);
	KUNIT_EXPECT_PTR_NE(test, old, driver->pool[1]);
	KUNIT_EXPECT_NULL(test, driver->pool[0]);
}

static void failed_alloc_touches_nothing(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct page_pool *old;

	KUNIT_ASSERT_EQ(test, 0, rxq_restart(test));
	old = driver->pool[1];
	driver->alloc_err = -ENOSPC;
	KUNIT_EXPECT_EQ(test, -ENOSPC, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "A", driver->calls);
	KUNIT_EXPECT_PTR_EQ(test, old, driver->pool[1]);
}

static void failed_stop_touches_nothing(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct page_pool *old;

	KUNIT_ASSERT_EQ(test, 0, rxq_restart(test));
	old = driver->pool[1];
	driver->stop_err = -EBUSY;
	KUNIT_EXPECT_EQ(test, -EBUSY, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "APF", driver->calls);
	KUNIT_EXPECT_PTR_EQ(test, old, driver->pool[1]);
}

static void failed_start_goes_back(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct page_pool *old;

	KUNIT_ASSERT_EQ(test, 0, rxq_restart(test));
	old = driver->pool[1];
	driver->start_err = -EIO;
	driver->start_errs = 1;
	KUNIT_EXPECT_EQ(test, -EIO, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "APTTF", driver->calls);
	KUNIT_EXPECT_PTR_EQ(test, old, driver->pool[1]);
	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "APTF", driver->calls);
}

/* Nothing to be replaced, and no provider to be tried. */
static void down_is_left_alone(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct net_device *dev = test->priv;

	clear_bit(__LINK_STATE_START, &dev->state);
	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "", driver->calls);
	KUNIT_EXPECT_NULL(test, driver->pool[1]);
}

static int ignored_mp_init(struct page_pool *pool)
{
	return 0;
}

static void ignored_mp_destroy(struct page_pool *pool)
{
}

static const struct memory_provider_ops ignored_mp_ops = {
	.init = ignored_mp_init,
	.destroy = ignored_mp_destroy,
};

/* A driver that knows nothing of providers makes a pool of host memory. That is
 * found out before the queue is stopped.
 */
static void provider_must_not_be_ignored(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct net_device *dev = test->priv;
	unsigned int flags = driver->flags;
	struct netdev_rx_queue *rxq;

	rxq = __netif_get_rx_queue(dev, 1);
	rxq->mp_params.mp_ops = &ignored_mp_ops;
	rxq->mp_params.mp_priv = test;
	driver->flags &= ~PP_FLAG_ALLOW_UNREADABLE_NETMEM;
	KUNIT_EXPECT_EQ(test, -ENODATA, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "AF", driver->calls);

	clear_bit(__LINK_STATE_START, &dev->state);
	KUNIT_EXPECT_EQ(test, -ENODATA, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "AF", driver->calls);

	driver->flags = flags;
	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "AF", driver->calls);
	KUNIT_EXPECT_NULL(test, driver->pool[1]);

	set_bit(__LINK_STATE_START, &dev->state);
	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_STREQ(test, "APTF", driver->calls);
	memset(&rxq->mp_params, 0, sizeof(rxq->mp_params));
}

static void all_ops_are_needed(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct netdev_queue_mgmt_ops ops[4];
	struct net_device *dev = test->priv;
	const struct netdev_queue_mgmt_ops *all = dev->queue_mgmt_ops;
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		ops[i] = *all;
	ops[0].ndo_queue_mem_alloc = NULL;
	ops[1].ndo_queue_mem_free = NULL;
	ops[2].ndo_queue_start = NULL;
	ops[3].ndo_queue_stop = NULL;
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		dev->queue_mgmt_ops = &ops[i];
		KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, rxq_restart(test));
		KUNIT_EXPECT_STREQ(test, "", driver->calls);
	}
	dev->queue_mgmt_ops = NULL;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, rxq_restart(test));
	dev->queue_mgmt_ops = all;
}

static void queues_are_configured(struct kunit *test)
{
	struct fake_netdev *driver = netdev_priv(test->priv);
	struct net_device *dev = test->priv;
	struct netdev_queue_config qcfg;

	rtnl_lock();
	netdev_queue_config(dev, 1, &qcfg);
	KUNIT_EXPECT_EQ(test, (u32)PAGE_SIZE, qcfg.rx_page_size);
	__netif_get_rx_queue(dev, 1)->mp_params.rx_page_size = SZ_1M;
	netdev_queue_config(dev, 1, &qcfg);
	KUNIT_EXPECT_EQ(test, (u32)SZ_1M, qcfg.rx_page_size);
	netdev_queue_config(dev, 0, &qcfg);
	KUNIT_EXPECT_EQ(test, (u32)PAGE_SIZE, qcfg.rx_page_size);
	rtnl_unlock();

	KUNIT_EXPECT_EQ(test, 0, rxq_restart(test));
	KUNIT_EXPECT_EQ(test, (unsigned int)get_order(SZ_1M),
			driver->pool[1]->p.order);
	__netif_get_rx_queue(dev, 1)->mp_params.rx_page_size = 0;
}

static struct kunit_case rxq_test_cases[] = {
	KUNIT_CASE(restart_swaps),
	KUNIT_CASE(failed_alloc_touches_nothing),
	KUNIT_CASE(failed_stop_touches_nothing),
	KUNIT_CASE(failed_start_goes_back),
	KUNIT_CASE(down_is_left_alone),
	KUNIT_CASE(provider_must_not_be_ignored),
	KUNIT_CASE(all_ops_are_needed),
	KUNIT_CASE(queues_are_configured),
	{}
};

static struct kunit_suite rxq_test_suite = {
	.name = "netdev_rx_queue",
	.init = rxq_test_init,
	.exit = rxq_test_exit,
	.test_cases = rxq_test_cases,
};

kunit_test_suite(rxq_test_suite);
