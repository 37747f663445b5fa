// SPDX-License-Identifier: GPL-2.0
/* Giving an RX queue new memory, for instance from another memory provider. */
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>

#include "page_pool_priv.h"

/**
 * netdev_queue_config - what a queue's memory must be like
 * @dev: the device
 * @rxq_idx: which of its RX queues
 * @qcfg: is told
 *
 * For drivers that have any of supported_params, each time that they make
 * memory for a queue. Under RTNL.
 */
void netdev_queue_config(struct net_device *dev, int rxq_idx,
			 struct netdev_queue_config *qcfg)
{
	const struct netdev_rx_queue *rxq = __netif_get_rx_queue(dev, rxq_idx);

	ASSERT_RTNL();
	qcfg->rx_page_size = rxq->mp_params.rx_page_size ?: PAGE_SIZE;
}
EXPORT_SYMBOL(netdev_queue_config);

/**
 * netif_rxq_has_unreadable_mp - will a queue's payload come from a provider?
 * @dev: the device
 * @rxq_idx: which of its RX queues
 *
 * For drivers that make a pool for device memory otherwise than one for pages,
 * each time that they make memory for a queue. Under RTNL.
 *
 * Return: true if the queue's pool for payload will have niovs alone.
 */
bool netif_rxq_has_unreadable_mp(struct net_device *dev, int rxq_idx)
{
	ASSERT_RTNL();
	return __netif_get_rx_queue(dev, rxq_idx)->mp_params.mp_ops;
}
EXPORT_SYMBOL(netif_rxq_has_unreadable_mp);

static bool netdev_rx_queue_can_restart(const struct netdev_queue_mgmt_ops *ops)
{
	return ops && ops->ndo_queue_mem_alloc && ops->ndo_queue_mem_free &&
	       ops->ndo_queue_start && ops->ndo_queue_stop;
}

/* New memory, from the provider if the queue has one. */
static int netdev_rx_queue_alloc(struct net_device *dev, unsigned int idx,
				 void *mem)
{
	const struct netdev_queue_mgmt_ops *ops = dev->queue_mgmt_ops;
	int err;

	err = ops->ndo_queue_mem_alloc(dev, mem, idx);
	if (err)
		return err;
	err = page_pool_check_memory_provider(dev,
					      __netif_get_rx_queue(dev, idx));
	if (err)
		ops->ndo_queue_mem_free(dev, mem);
	return err;
}

/* Has the queue use @new, and leaves what it used in @old; or fails, and leaves
 * both as they were.
 */
static int netdev_rx_queue_swap(struct net_device *dev, unsigned int idx,
				void *old, void *new)
{
	const struct netdev_queue_mgmt_ops *ops = dev->queue_mgmt_ops;
	int err;

	err = ops->ndo_queue_stop(dev, old, idx);
	if (err)
		return err;
	err = ops->ndo_queue_start(dev, new, idx);
	if (err && WARN(ops->ndo_queue_start(dev, old, idx),
			"%s: RX queue %u is stuck: neither new nor old memory work\n",
			dev->name, idx))
		ops->ndo_queue_mem_free(dev, old);
	return err;
}

/**
 * netdev_rx_queue_restart - have an RX queue get its memory anew
 * @dev: a device with queue_mgmt_ops
 * @rxq_idx: which of its RX queues
 *
 * Other queues don't notice, and packets are lost only from stop to start. If
 * it fails the queue goes on with what it had. While the interface is down the
 * queue has nothing, and gets memory when the interface comes up; until then
 * this only finds out whether it could, if it has a memory provider.
 *
 * Return: 0, or what the driver says, or -EOPNOTSUPP if it can't do this, or
 * -ENODATA if it ignores that the queue has a memory provider. Under RTNL.
 */
int netdev_rx_queue_restart(struct net_device *dev, unsigned int rxq_idx)
{
	const struct netdev_queue_mgmt_ops *ops = dev->queue_mgmt_ops;
	struct netdev_rx_queue *rxq = __netif_get_rx_queue(dev, rxq_idx);
	void *old, *new;
	int err;

	ASSERT_RTNL();

	if (!netdev_rx_queue_can_restart(ops))
		return -EOPNOTSUPP;
	if (!netif_running(dev) && !rxq->mp_params.mp_ops)
		return 0;

	old = kvzalloc(ops->ndo_queue_mem_size, GFP_KERNEL);
	new = kvzalloc(ops->ndo_queue_mem_size, GFP_KERNEL);
	err = old && new ? netdev_rx_queue_alloc(dev, rxq_idx, new) : -ENOMEM;
	if (err)
		goto out;

	if (netif_running(dev))
		err = netdev_rx_queue_swap(dev, rxq_idx, old, new);
	else
		swap(old, new);
	ops->ndo_queue_mem_free(dev, err ? new : old);
out:
	kvfree(new);
	kvfree(old);
	return err;
}
