// SPDX-License-Identifier: GPL-2.0
/* The driver's send side: skbs to descriptors, and back when they are sent. */
#include <linux/dma-mapping.h>
#include <linux/netdevice.h>
#include <linux/tcp.h>
#include <net/netdev_queues.h>

#include "dmnic.h"

/* Frames a poll puts on the wire before others have their turn. */
#define DMNIC_WIRE_BUDGET	64

static u32 dmnic_tx_room(const struct dmnic_tx_mem *mem)
{
	return mem->mask + 1 - (mem->posted - dmnic_observe(&mem->clean));
}

static struct dmnic_desc *dmnic_tx_desc(struct dmnic_tx_mem *mem, u32 idx)
{
	return &mem->desc[idx & mem->mask];
}

/* Undoes the mapping of an skb's first @descs descriptors, from @idx on. */
static void dmnic_tx_unmap(struct dmnic_tx_mem *mem, u32 idx, u32 descs)
{
	struct device *dev = dmnic_parent();
	struct dmnic_tx_unmap *unmap;
	u32 i, len;

	for (i = 0; i < descs; i++) {
		unmap = &mem->unmap[(idx + i) & mem->mask];
		len = dmnic_tx_desc(mem, idx + i)->len;
		if (i)
			netmem_dma_unmap_page_attrs(dev, dma_unmap_addr(unmap, addr),
						    len, DMA_TO_DEVICE, 0);
		else
			dma_unmap_single(dev, dma_unmap_addr(unmap, addr), len,
					 DMA_TO_DEVICE);
	}
}

/* Returns the number of descriptors, -ENOMEM if there is no mapping. */
static int dmnic_tx_map(struct dmnic_tx_mem *mem, struct sk_buff *skb)
{
	u32 idx = READ_ONCE(mem->posted);
	struct device *dev = dmnic_parent();
	struct dmnic_tx_unmap *unmap;
	struct dmnic_desc *desc;
	const skb_frag_t *frag;
	int i;

	desc = dmnic_tx_desc(mem, idx);
	desc->len = skb_headlen(skb);
	desc->addr = dma_map_single(dev, skb->data, desc->len, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, desc->addr))
		return -ENOMEM;
	dma_unmap_addr_set(&mem->unmap[idx & mem->mask], addr, desc->addr);

	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		frag = &skb_shinfo(skb)->frags[i];
		desc = dmnic_tx_desc(mem, idx + i + 1);
		desc->len = skb_frag_size(frag);
		desc->addr = skb_frag_dma_map(dev, frag, 0, desc->len,
					      DMA_TO_DEVICE);
		if (dma_mapping_error(dev, desc->addr)) {
			dmnic_tx_unmap(mem, idx, i + 1);
			return -ENOMEM;
		}
		unmap = &mem->unmap[(idx + i + 1) & mem->mask];
		netmem_dma_unmap_addr_set(skb_frag_netmem(frag), unmap, addr,
					  desc->addr);
	}
	return skb_shinfo(skb)->nr_frags + 1;
}

static u32 dmnic_tx_niov_bytes(const struct sk_buff *skb)
{
	const skb_frag_t *frag;
	u32 bytes = 0;
	int i;

	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		frag = &skb_shinfo(skb)->frags[i];
		if (netmem_is_net_iov(skb_frag_netmem(frag)))
			bytes += skb_frag_size(frag);
	}
	return bytes;
}

static void dmnic_tx_job_init(struct dmnic_tx_job *job, struct sk_buff *skb)
{
	*job = (struct dmnic_tx_job) {
		.skb = skb,
		.len = skb->len,
		.niov_bytes = dmnic_tx_niov_bytes(skb),
	};
	if (skb_is_gso(skb)) {
		job->mss = skb_shinfo(skb)->gso_size;
		job->l3_off = skb_network_offset(skb);
		job->l4_off = skb_transport_offset(skb);
		job->header_len = job->l4_off + tcp_hdrlen(skb);
	} else if (skb->ip_summed == CHECKSUM_PARTIAL) {
		job->csum = true;
		job->csum_start = skb_checksum_start_offset(skb);
		job->csum_off = skb->csum_offset;
	}
}

/* What the stack has been told of, and the hardware relies on. */
static bool dmnic_tx_job_fits(const struct dmnic_tx_job *job)
{
	return job->len >= ETH_HLEN && job->header_len <= DMNIC_HEAD_MAX &&
	       job->csum_start + job->csum_off + sizeof(__sum16) <=
	       DMNIC_HEAD_MAX;
}

static void dmnic_tx_stop_if_full(struct dmnic_txq *txq,
				  struct netdev_queue *nq)
{
	if (dmnic_tx_room(&txq->mem) > MAX_SKB_FRAGS)
		return;
	netif_tx_stop_queue(nq);
	/* Pairs with the barrier in dmnic_tx_wake(). */
	smp_mb();
	if (dmnic_tx_room(&txq->mem) > MAX_SKB_FRAGS)
		netif_tx_start_queue(nq);
}

netdev_tx_t dmnic_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	u16 queue = skb_get_queue_mapping(skb);
	struct netdev_queue *nq = netdev_get_tx_queue(dev, queue);
	struct dmnic_txq *txq = &port->txq[queue];
	struct dmnic_tx_mem *mem = &txq->mem;
	bool more = netdev_xmit_more();
	struct dmnic_tx_job *job;
	int descs;

	job = &mem->job[mem->posted & mem->mask];
	dmnic_tx_job_init(job, skb);
	descs = dmnic_tx_job_fits(job) ? dmnic_tx_map(mem, skb) : -EINVAL;
	if (descs < 0) {
		dev_core_stats_tx_dropped_inc(dev);
		dev_kfree_skb_any(skb);
	} else {
		skb_tx_timestamp(skb);
		job->descs = descs;
		more = __netdev_tx_sent_queue(nq, skb->len, more) ? false : more;
		dmnic_publish(&mem->posted, mem->posted + descs);
		dmnic_tx_stop_if_full(txq, nq);
	}
	if (!more || netif_xmit_stopped(nq))
		napi_schedule(&txq->napi);
	return NETDEV_TX_OK;
}

/* Takes back the oldest job. */
static void dmnic_tx_complete(struct dmnic_tx_mem *mem, int budget, u32 *bytes)
{
	struct dmnic_tx_job *job = &mem->job[mem->clean & mem->mask];
	struct sk_buff *skb = job->skb;

	dmnic_tx_unmap(mem, mem->clean, job->descs);
	*bytes += job->len;
	dmnic_publish(&mem->clean, mem->clean + job->descs);
	napi_consume_skb(skb, budget);
}

static void dmnic_tx_wake(struct dmnic_txq *txq, struct netdev_queue *nq,
			  u32 packets, u32 bytes)
{
	netdev_tx_completed_queue(nq, packets, bytes);
	/* Pairs with the barrier in dmnic_tx_stop_if_full(). */
	smp_mb();
	if (netif_tx_queue_stopped(nq) &&
	    dmnic_tx_room(&txq->mem) > min_t(u32, 2 * MAX_SKB_FRAGS,
					     txq->mem.mask))
		netif_tx_wake_queue(nq);
}

static int dmnic_tx_poll(struct napi_struct *napi, int budget)
{
	struct dmnic_txq *txq = container_of(napi, struct dmnic_txq, napi);
	struct dmnic_port *port = txq->port;
	struct dmnic_tx_mem *mem = &txq->mem;
	int frames = DMNIC_WIRE_BUDGET;
	u32 packets = 0, bytes = 0;

	/* netpoll, maybe in hard interrupt context: the wire can't run there. */
	if (!budget)
		return 0;
	while (mem->clean != dmnic_observe(&mem->posted)) {
		if (!dmnic_wire_send(txq, &frames))
			break;
		dmnic_tx_complete(mem, budget, &bytes);
		packets++;
	}
	if (packets)
		dmnic_tx_wake(txq, netdev_get_tx_queue(port->dev,
						       txq - port->txq),
			      packets, bytes);
	if (mem->clean != dmnic_observe(&mem->posted))
		return budget;
	napi_complete_done(napi, 0);
	return 0;
}

void dmnic_txq_init(struct dmnic_port *port, int idx)
{
	struct dmnic_txq *txq = &port->txq[idx];

	txq->port = port;
	u64_stats_init(&txq->stats.sync);
	netif_napi_add_tx(port->dev, &txq->napi, dmnic_tx_poll);
}

int dmnic_tx_mem_alloc(const struct dmnic_config *config,
		       struct dmnic_tx_mem *mem)
{
	u32 size = config->tx_ring;

	memset(mem, 0, sizeof(*mem));
	mem->mask = size - 1;
	mem->desc = kvcalloc(size, sizeof(*mem->desc), GFP_KERNEL);
	mem->unmap = kvcalloc(size, sizeof(*mem->unmap), GFP_KERNEL);
	mem->job = kvcalloc(size, sizeof(*mem->job), GFP_KERNEL);
	if (mem->desc && mem->unmap && mem->job)
		return 0;
	dmnic_tx_mem_free(mem);
	return -ENOMEM;
}

void dmnic_tx_mem_free(struct dmnic_tx_mem *mem)
{
	kvfree(mem->desc);
	kvfree(mem->unmap);
	kvfree(mem->job);
	memset(mem, 0, sizeof(*mem));
}

void dmnic_txq_start(struct dmnic_txq *txq, struct dmnic_tx_mem *mem)
{
	struct net_device *dev = txq->port->dev;
	int idx = txq - txq->port->txq;

	txq->mem = *mem;
	memset(mem, 0, sizeof(*mem));
	memset(&txq->next, 0, sizeof(txq->next));
	netdev_tx_reset_queue(netdev_get_tx_queue(dev, idx));
	napi_enable(&txq->napi);
	netif_queue_set_napi(dev, idx, NETDEV_QUEUE_TYPE_TX, &txq->napi);
}

/* Makes nobody send, and nobody wake those who wait to send. In this order: a
 * poll that still runs could wake a queue that was just disabled.
 */
void dmnic_tx_quiesce(struct dmnic_port *port)
{
	u32 i;

	for (i = 0; i < port->dev->num_tx_queues; i++)
		if (port->txq[i].mem.desc)
			napi_disable(&port->txq[i].napi);
	netif_tx_disable(port->dev);
}

/* Gives the queue's memory to @mem, none if the queue failed to start. After
 * dmnic_tx_quiesce(). Jobs that are not on the wire yet are dropped: the queue
 * may start again with this memory, and counts its bytes from zero then.
 */
void dmnic_txq_stop(struct dmnic_txq *txq, struct dmnic_tx_mem *mem)
{
	u32 bytes = 0;

	memset(mem, 0, sizeof(*mem));
	if (!txq->mem.desc)
		return;
	netif_queue_set_napi(txq->port->dev, txq - txq->port->txq,
			     NETDEV_QUEUE_TYPE_TX, NULL);
	while (txq->mem.clean != txq->mem.posted) {
		dmnic_tx_complete(&txq->mem, 0, &bytes);
		dev_core_stats_tx_dropped_inc(txq->port->dev);
	}
	*mem = txq->mem;
	memset(&txq->mem, 0, sizeof(txq->mem));
}
