// SPDX-License-Identifier: GPL-2.0
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>
#include <net/netdev_queues.h>

#include "fake_netdev.h"

struct page_pool_params fake_netdev_pool_params(struct net_device *dev, int idx)
{
	struct fake_netdev *driver = netdev_priv(dev);
	struct netdev_queue_config qcfg;
	struct page_pool_params params = {
		.flags = driver->flags,
		.pool_size = FAKE_NETDEV_RING,
		.nid = NUMA_NO_NODE,
		.dev = dev->dev.parent,
		.dma_dir = DMA_FROM_DEVICE,
		.netdev = dev,
		.queue_idx = idx,
	};

	netdev_queue_config(dev, idx, &qcfg);
	params.order = driver->order < 0 ? get_order(qcfg.rx_page_size) :
					   driver->order;
	params.max_len = PAGE_SIZE << params.order;
	return params;
}

static void fake_netdev_called(struct net_device *dev, char call)
{
	struct fake_netdev *driver = netdev_priv(dev);
	size_t n = strlen(driver->calls);

	if (n + 1 < sizeof(driver->calls))
		driver->calls[n] = call;
}

/* The memory of a queue is a pointer to its pool. */
static int fake_netdev_mem_alloc(struct net_device *dev, void *mem, int idx)
{
	struct page_pool_params params = fake_netdev_pool_params(dev, idx);
	struct fake_netdev *driver = netdev_priv(dev);
	struct page_pool *pool;

	fake_netdev_called(dev, 'A');
	if (driver->alloc_err)
		return driver->alloc_err;
	pool = page_pool_create(&params);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	*(struct page_pool **)mem = pool;
	return 0;
}

static void fake_netdev_mem_free(struct net_device *dev, void *mem)
{
	fake_netdev_called(dev, 'F');
	page_pool_destroy(*(struct page_pool **)mem);
}

static int fake_netdev_start(struct net_device *dev, void *mem, int idx)
{
	struct fake_netdev *driver = netdev_priv(dev);

	fake_netdev_called(dev, 'T');
	if (driver->start_errs) {
		driver->start_errs--;
		return driver->start_err;
	}
	driver->pool[idx] = *(struct page_pool **)mem;
	*(struct page_pool **)mem = NULL;
	return 0;
}

static int fake_netdev_stop(struct net_device *dev, void *mem, int idx)
{
	struct fake_netdev *driver = netdev_priv(dev);

	fake_netdev_called(dev, 'P');
	if (driver->stop_err)
		return driver->stop_err;
	*(struct page_pool **)mem = driver->pool[idx];
	driver->pool[idx] = NULL;
	return 0;
}

static const struct netdev_queue_mgmt_ops fake_netdev_queue_mgmt_ops = {
	.ndo_queue_mem_size = sizeof(struct page_pool *),
	.ndo_queue_mem_alloc = fake_netdev_mem_alloc,
	.ndo_queue_mem_free = fake_netdev_mem_free,
	.ndo_queue_start = fake_netdev_start,
	.ndo_queue_stop = fake_netdev_stop,
	.supported_params = QCFG_RX_PAGE_SIZE,
};

static netdev_tx_t fake_netdev_xmit(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops fake_netdev_ops = {
	.ndo_start_xmit = fake_netdev_xmit,
};

static struct net_device *fake_netdev_alloc(struct device *parent)
{
	struct fake_netdev *driver;
	struct net_device *dev;

	dev = alloc_etherdev_mqs(sizeof(*driver), 1, FAKE_NETDEV_QUEUES);
	if (!dev)
		return NULL;
	driver = netdev_priv(dev);
	driver->flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV |
			PP_FLAG_ALLOW_UNREADABLE_NETMEM;
	driver->order = -1;
	dev->netdev_ops = &fake_netdev_ops;
	dev->queue_mgmt_ops = &fake_netdev_queue_mgmt_ops;
	eth_hw_addr_random(dev);
	SET_NETDEV_DEV(dev, parent);
	if (register_netdev(dev)) {
		free_netdev(dev);
		return NULL;
	}
	set_bit(__LINK_STATE_START, &dev->state);
	return dev;
}

struct net_device *fake_netdev_create(void)
{
	struct platform_device *parent;
	struct net_device *dev;

	parent = platform_device_register_simple("fake_netdev",
						 PLATFORM_DEVID_AUTO, NULL, 0);
	if (IS_ERR(parent))
		return NULL;
	dev = fake_netdev_alloc(&parent->dev);
	if (!dev)
		platform_device_unregister(parent);
	return dev;
}

void fake_netdev_destroy(struct net_device *dev)
{
	struct platform_device *parent = to_platform_device(dev->dev.parent);
	struct fake_netdev *driver = netdev_priv(dev);
	int i;

	for (i = 0; i < FAKE_NETDEV_QUEUES; i++)
		page_pool_destroy(driver->pool[i]);
	clear_bit(__LINK_STATE_START, &dev->state);
	unregister_netdev(dev);
	free_netdev(dev);
	platform_device_unregister(parent);
}

bool fake_netdev_wait(const bool *flag)
{
	unsigned long end = jiffies + 60 * HZ;

	/* Pairs with the release of who sets it. */
	while (!smp_load_acquire(flag) && time_before(jiffies, end))
		msleep(20);
	return *flag;
}
