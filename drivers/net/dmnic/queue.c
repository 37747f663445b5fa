// SPDX-License-Identifier: GPL-2.0
/* The memory of an RX queue: made while the old one still runs, so that a
 * queue restarts without the others noticing, and a failure changes nothing.
 */
#include <linux/netdevice.h>
#include <net/netdev_queues.h>
#include <net/page_pool/helpers.h>

#include "dmnic.h"

static struct page_pool *dmnic_pool_create(struct dmnic_port *port, u32 size,
					   u32 buf_len, int idx,
					   unsigned int flags)
{
	struct page_pool_params params = {
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV | flags,
		.order = get_order(buf_len),
		.pool_size = size,
		.nid = NUMA_NO_NODE,
		.dev = dmnic_parent(),
		.dma_dir = DMA_FROM_DEVICE,
		.max_len = buf_len,
		.netdev = port->dev,
		.queue_idx = idx,
	};

	return page_pool_create(&params);
}

/* On failure leaves what dmnic_rx_mem_free() can free. */
static int dmnic_ring_alloc(struct dmnic_rx_ring *ring,
			    struct dmnic_port *port, u32 size, u32 buf_len,
			    int idx, unsigned int flags)
{
	struct page_pool *pool;

	ring->mask = size - 1;
	ring->buf_len = buf_len;
	ring->desc = kvcalloc(size, sizeof(*ring->desc), GFP_KERNEL);
	ring->netmem = kvcalloc(size, sizeof(*ring->netmem), GFP_KERNEL);
	if (!ring->desc || !ring->netmem)
		return -ENOMEM;
	pool = dmnic_pool_create(port, size, buf_len, idx, flags);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	ring->pool = pool;
	return 0;
}

/* No hardware and no NAPI poll know the ring any more. Its pool lives on until
 * the last buffer has come back, from wherever it is.
 */
static void dmnic_ring_free(struct dmnic_rx_ring *ring)
{
	for (; ring->clean != ring->posted; ring->clean++)
		page_pool_put_full_netmem(ring->pool,
					  ring->netmem[ring->clean & ring->mask],
					  false);
	page_pool_destroy(ring->pool);
	kvfree(ring->netmem);
	kvfree(ring->desc);
}

/* Frames that the queue was stopped with, and that nobody will look at now. */
static void dmnic_rx_mem_count(const struct dmnic_rx_mem *mem)
{
	struct dmnic_rx_hw_stats *stats = &mem->rxq->hw_stats;
	u32 mask = 2 * mem->host.mask + 1;
	u32 i, frames = 0;

	for (i = mem->done_clean; i != mem->done_used; i++)
		frames += mem->done[i & mask].frames;
	spin_lock_bh(&mem->rxq->lock);
	u64_stats_update_begin(&stats->sync);
	u64_stats_add(&stats->stopped, frames);
	u64_stats_update_end(&stats->sync);
	spin_unlock_bh(&mem->rxq->lock);
}

void dmnic_rx_mem_free(struct dmnic_rx_mem *mem)
{
	if (mem->done_used != mem->done_clean)
		dmnic_rx_mem_count(mem);
	dmnic_ring_free(&mem->host);
	dmnic_ring_free(&mem->payload);
	kvfree(mem->done);
	memset(mem, 0, sizeof(*mem));
}

/* A ring that can't be filled is no failure: device memory may be scarce for
 * now, or forever.
 */
int dmnic_rx_mem_alloc(struct dmnic_port *port,
		       const struct dmnic_config *config, int idx,
		       struct dmnic_rx_mem *mem)
{
	struct netdev_queue_config qcfg;
	u32 size = config->rx_ring;
	int err;

	memset(mem, 0, sizeof(*mem));
	if (dmnic_fault_after(&port->faults.spare_alloc,
			      &port->faults.alloc))
		return -ENOMEM;
	mem->rxq = &port->rxq[idx];
	mem->hds_thresh = config->hds_thresh;
	/* Twice the buffers: see dmnic_rx_poll(), which gives buffers out
	 * again before it gives the completions back.
	 */
	mem->done = kvcalloc(2 * size, sizeof(*mem->done), GFP_KERNEL);
	err = mem->done ? 0 : -ENOMEM;
	if (!err)
		err = dmnic_ring_alloc(&mem->host, port, size, PAGE_SIZE, idx,
				       0);
	netdev_queue_config(port->dev, idx, &qcfg);
	if (!err && dmnic_splits(config))
		err = dmnic_ring_alloc(&mem->payload, port, size,
				       qcfg.rx_page_size, idx,
				       PP_FLAG_ALLOW_UNREADABLE_NETMEM);
	if (err) {
		dmnic_rx_mem_free(mem);
		return err;
	}
	dmnic_rx_fill(mem);
	return 0;
}

/* A pool may take the fast way back only while this queue's NAPI is the one
 * that allocates from it.
 */
static void dmnic_rx_mem_attach(struct dmnic_rx_mem *mem,
				struct napi_struct *napi)
{
	mem->host.pool->p.napi = napi;
	if (mem->payload.pool)
		mem->payload.pool->p.napi = napi;
}

static void dmnic_rx_mem_detach(struct dmnic_rx_mem *mem)
{
	page_pool_disable_direct_recycling(mem->host.pool);
	if (mem->payload.pool)
		page_pool_disable_direct_recycling(mem->payload.pool);
}

/* Takes @mem over, or fails and leaves it. */
int dmnic_rxq_start(struct dmnic_rxq *rxq, struct dmnic_rx_mem *mem)
{
	struct dmnic_port *port = rxq->port;

	/* What a queue left that had not started itself. */
	if (!mem->host.pool)
		return -EIO;
	if (dmnic_fault_after(&port->faults.spare_start,
			      &port->faults.start))
		return -EIO;
	rxq->mem = *mem;
	memset(mem, 0, sizeof(*mem));
	dmnic_rx_mem_attach(&rxq->mem, &rxq->napi);
	napi_enable(&rxq->napi);
	netif_queue_set_napi(port->dev, rxq - port->rxq, NETDEV_QUEUE_TYPE_RX,
			     &rxq->napi);

	spin_lock_bh(&rxq->lock);
	rxq->live = true;
	spin_unlock_bh(&rxq->lock);
	/* The rings may want more than they got at allocation. */
	dmnic_rx_kick(rxq);
	return 0;
}

/* Gives the queue's memory to @mem, none if the queue failed to start. The
 * order is: the hardware lets go, under the lock that it holds while it writes;
 * then the poll ends for good; then the timer, which only the poll arms; then
 * nobody knows the memory.
 */
void dmnic_rxq_stop(struct dmnic_rxq *rxq, struct dmnic_rx_mem *mem)
{
	struct dmnic_port *port = rxq->port;

	memset(mem, 0, sizeof(*mem));
	if (!rxq->mem.host.pool)
		return;
	spin_lock_bh(&rxq->lock);
	dmnic_join_end(rxq);
	rxq->live = false;
	spin_unlock_bh(&rxq->lock);

	netif_queue_set_napi(port->dev, rxq - port->rxq, NETDEV_QUEUE_TYPE_RX,
			     NULL);
	napi_disable(&rxq->napi);
	del_timer_sync(&rxq->refill);
	dmnic_rx_mem_detach(&rxq->mem);
	*mem = rxq->mem;
	memset(&rxq->mem, 0, sizeof(rxq->mem));
}

static int dmnic_queue_mem_alloc(struct net_device *dev, void *mem, int idx)
{
	struct dmnic_port *port = netdev_priv(dev);

	return dmnic_rx_mem_alloc(port, &port->config, idx, mem);
}

static void dmnic_queue_mem_free(struct net_device *dev, void *mem)
{
	dmnic_rx_mem_free(mem);
}

/* A kernel may restart queues of an interface that is down, to see whether
 * they take a memory provider. Then the queue has nothing to give, and what it
 * is given it has no use for: it gets memory when the interface comes up.
 */
static int dmnic_queue_start(struct net_device *dev, void *mem, int idx)
{
	struct dmnic_port *port = netdev_priv(dev);

	if (netif_running(dev))
		return dmnic_rxq_start(&port->rxq[idx], mem);
	dmnic_rx_mem_free(mem);
	return 0;
}

static int dmnic_queue_stop(struct net_device *dev, void *mem, int idx)
{
	struct dmnic_port *port = netdev_priv(dev);

	if (netif_running(dev))
		dmnic_rxq_stop(&port->rxq[idx], mem);
	else
		memset(mem, 0, sizeof(struct dmnic_rx_mem));
	return 0;
}

static int __maybe_unused
dmnic_validate_qcfg(struct net_device *dev, struct netdev_queue_config *qcfg,
		    struct netlink_ext_ack *extack)
{
	if (qcfg->rx_page_size <= DMNIC_BUF_MAX)
		return 0;
	NL_SET_ERR_MSG(extack, "a buffer of dmnic has at most 64 KiB");
	return -ERANGE;
}

const struct netdev_queue_mgmt_ops dmnic_queue_mgmt_ops = {
	.ndo_queue_mem_size = sizeof(struct dmnic_rx_mem),
	.ndo_queue_mem_alloc = dmnic_queue_mem_alloc,
	.ndo_queue_mem_free = dmnic_queue_mem_free,
	.ndo_queue_start = dmnic_queue_start,
	.ndo_queue_stop = dmnic_queue_stop,
	DMNIC_QUEUE_CONFIG_OPS
};
