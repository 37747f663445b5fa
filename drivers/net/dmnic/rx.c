// SPDX-License-Identifier: GPL-2.0
/* The driver's receive side: posts buffers, and turns completions into skbs. */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/tcp.h>
#include <net/gro.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/page_pool/helpers.h>
#include <net/tcp.h>

#include "dmnic.h"

/* Writes a descriptor, without telling the hardware. */
static void dmnic_ring_write(struct dmnic_rx_ring *ring, u32 at,
			     netmem_ref netmem)
{
	struct dmnic_desc *desc = &ring->desc[at & ring->mask];

	ring->netmem[at & ring->mask] = netmem;
	desc->addr = page_pool_get_dma_addr_netmem(netmem);
	desc->len = ring->buf_len;
}

/* Posts buffers until the ring is full. Returns false if the pool ran dry. */
static bool dmnic_ring_fill(struct dmnic_rx_ring *ring)
{
	u32 posted = ring->posted + ring->kept;
	netmem_ref netmem;

	ring->kept = 0;
	while (posted - ring->clean <= ring->mask) {
		netmem = page_pool_alloc_netmems(ring->pool,
						 GFP_ATOMIC | __GFP_NOWARN);
		if (!netmem)
			break;
		dmnic_ring_write(ring, posted++, netmem);
	}
	dmnic_publish(&ring->posted, posted);
	return posted - ring->clean > ring->mask;
}

/* Returns false if a pool ran dry. */
bool dmnic_rx_fill(struct dmnic_rx_mem *mem)
{
	bool full = dmnic_ring_fill(&mem->host);

	if (mem->payload.pool)
		full &= dmnic_ring_fill(&mem->payload);
	return full;
}

/* Takes the oldest buffer back from the hardware. */
static netmem_ref dmnic_ring_take(struct dmnic_rx_ring *ring)
{
	return ring->netmem[ring->clean++ & ring->mask];
}

/* Takes back the buffers with @len bytes and lets them go. */
static void dmnic_ring_drop(struct dmnic_rx_ring *ring, u32 len)
{
	u32 n;

	for (; len; len -= n) {
		n = min(len, ring->buf_len);
		page_pool_put_full_netmem(ring->pool, dmnic_ring_take(ring),
					  true);
	}
}

/* Takes back a buffer of whose @len bytes there is a copy by now, to post it
 * again: its way to the pool and back would cost more.
 */
static void dmnic_ring_keep(struct dmnic_rx_ring *ring, u32 len)
{
	netmem_ref netmem = dmnic_ring_take(ring);

	dma_sync_single_for_device(ring->pool->p.dev,
				   page_pool_get_dma_addr_netmem(netmem), len,
				   DMA_FROM_DEVICE);
	dmnic_ring_write(ring, ring->posted + ring->kept++, netmem);
}

/* Moves the buffers with @len bytes to the skb, less the first @skip bytes. */
static void dmnic_rx_add_frags(struct sk_buff *skb, struct dmnic_rx_ring *ring,
			       u32 len, u32 skip)
{
	netmem_ref netmem;
	u32 n;

	for (; len; len -= n, skip = 0) {
		n = min(len, ring->buf_len);
		netmem = dmnic_ring_take(ring);
		page_pool_dma_sync_netmem_for_cpu(ring->pool, netmem, 0, n);
		skb_add_rx_frag_netmem(skb, skb_shinfo(skb)->nr_frags, netmem,
				       skip, n - skip, ring->buf_len);
	}
}

/* The headers go to the skb's head, and small frames as a whole; their buffer
 * takes the next ones.
 */
static struct sk_buff *dmnic_rx_skb(struct dmnic_rxq *rxq,
				    const struct dmnic_completion *done)
{
	struct dmnic_rx_mem *mem = &rxq->mem;
	u32 copy = done->host_len;
	struct sk_buff *skb;
	netmem_ref first;

	skb = napi_alloc_skb(&rxq->napi, DMNIC_HEAD_MAX);
	if (!skb)
		return NULL;
	if (copy > DMNIC_HEAD_MAX)
		copy = done->header_len ?: DMNIC_HEAD_MAX;
	first = mem->host.netmem[mem->host.clean & mem->host.mask];
	page_pool_dma_sync_netmem_for_cpu(mem->host.pool, first, 0, copy);
	skb_put_data(skb, netmem_address(first), copy);
	if (copy == done->host_len)
		dmnic_ring_keep(&mem->host, copy);
	else
		dmnic_rx_add_frags(skb, &mem->host, done->host_len, copy);
	dmnic_rx_add_frags(skb, &mem->payload, done->payload_len, 0);
	skb_mark_for_recycle(skb);
	return skb;
}

/* Several frames' payload behind the headers of the first: makes them the
 * headers of all, as GRO does.
 */
static void dmnic_rx_joined(struct sk_buff *skb,
			    const struct dmnic_completion *done)
{
	struct ipv6hdr *ip6 = (struct ipv6hdr *)(skb->data + ETH_HLEN);
	struct iphdr *ip = (struct iphdr *)(skb->data + ETH_HLEN);
	u32 l3_len = ip->version == 4 ? sizeof(*ip) : sizeof(*ip6);
	u32 len = skb->len - ETH_HLEN - l3_len;
	struct tcphdr *tcp;

	skb_set_network_header(skb, ETH_HLEN);
	skb_set_transport_header(skb, ETH_HLEN + l3_len);
	tcp = tcp_hdr(skb);
	tcp->psh = done->psh;
	if (ip->version == 4) {
		ip->tot_len = htons(l3_len + len);
		ip_send_check(ip);
		tcp->check = ~tcp_v4_check(len, ip->saddr, ip->daddr, 0);
		skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4;
	} else {
		ip6->payload_len = htons(len);
		tcp->check = ~tcp_v6_check(len, &ip6->saddr, &ip6->daddr, 0);
		skb_shinfo(skb)->gso_type = SKB_GSO_TCPV6;
	}
	skb_shinfo(skb)->gso_size = done->mss;
	NAPI_GRO_CB(skb)->count = done->frames;
	tcp_gro_complete(skb);
}

static void dmnic_rx_count(struct dmnic_rx_stats *stats,
			   const struct dmnic_completion *done, u32 len)
{
	u32 wire = len + (done->frames - 1) * done->header_len;

	u64_stats_add(&stats->packets, done->frames);
	u64_stats_add(&stats->bytes, wire);
	if (done->frames == 1)
		return;
	u64_stats_inc(&stats->gro_packets);
	u64_stats_add(&stats->gro_bytes, len);
	u64_stats_add(&stats->gro_wire_packets, done->frames);
	u64_stats_add(&stats->gro_wire_bytes, wire);
}

static void dmnic_rx_one(struct dmnic_rxq *rxq,
			 const struct dmnic_completion *done)
{
	struct dmnic_rx_mem *mem = &rxq->mem;
	struct sk_buff *skb = dmnic_rx_skb(rxq, done);

	u64_stats_update_begin(&rxq->stats.sync);
	if (skb)
		dmnic_rx_count(&rxq->stats, done, skb->len);
	else
		u64_stats_inc(&rxq->stats.alloc_failed);
	u64_stats_update_end(&rxq->stats.sync);
	if (!skb) {
		dmnic_ring_drop(&mem->host, done->host_len);
		dmnic_ring_drop(&mem->payload, done->payload_len);
		return;
	}

	if (done->csum_ok)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (done->hashed)
		skb_set_hash(skb, done->hash, done->l4_hash ?
			     PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
	if (done->frames > 1)
		dmnic_rx_joined(skb, done);
	skb_record_rx_queue(skb, rxq - rxq->port->rxq);
	skb->protocol = eth_type_trans(skb, rxq->port->dev);
	napi_gro_receive(&rxq->napi, skb);
}

static bool dmnic_ring_low(const struct dmnic_rx_ring *ring)
{
	return ring->pool && ring->posted - ring->clean <= ring->mask / 8;
}

int dmnic_rx_poll(struct napi_struct *napi, int budget)
{
	struct dmnic_rxq *rxq = container_of(napi, struct dmnic_rxq, napi);
	struct dmnic_rx_mem *mem = &rxq->mem;
	u32 used = dmnic_observe(&mem->done_used);
	u32 mask = 2 * mem->host.mask + 1;
	u32 clean = mem->done_clean;
	int work = 0;

	/* netpoll, maybe in hard interrupt context: pools can't be used there. */
	if (!budget)
		return 0;
	while (work < budget && clean != used) {
		dmnic_rx_one(rxq, &mem->done[clean++ & mask]);
		work++;
	}
	if (!dmnic_rx_fill(mem)) {
		u64_stats_update_begin(&rxq->stats.sync);
		u64_stats_inc(&rxq->stats.alloc_failed);
		u64_stats_update_end(&rxq->stats.sync);
		/* Otherwise the next frame brings us back. */
		if (dmnic_ring_low(&mem->host) || dmnic_ring_low(&mem->payload))
			mod_timer(&rxq->refill, jiffies + 1);
	}
	/* Only now may the wire conclude that an empty ring stays empty. */
	dmnic_publish(&mem->done_clean, clean);

	if (work < budget)
		napi_complete_done(napi, work);
	return work;
}

/* What an interrupt would do. */
void dmnic_rx_kick(struct dmnic_rxq *rxq)
{
	local_bh_disable();
	napi_schedule(&rxq->napi);
	local_bh_enable();
}

static void dmnic_rx_refill(struct timer_list *timer)
{
	struct dmnic_rxq *rxq = from_timer(rxq, timer, refill);

	napi_schedule(&rxq->napi);
}

void dmnic_rxq_init(struct dmnic_port *port, int idx)
{
	struct dmnic_rxq *rxq = &port->rxq[idx];

	rxq->port = port;
	spin_lock_init(&rxq->lock);
	u64_stats_init(&rxq->stats.sync);
	u64_stats_init(&rxq->hw_stats.sync);
	timer_setup(&rxq->refill, dmnic_rx_refill, 0);
	netif_napi_add(port->dev, &rxq->napi, dmnic_rx_poll);
}
