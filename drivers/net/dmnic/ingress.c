// SPDX-License-Identifier: GPL-2.0
/* The receiving hardware: takes a frame off the wire, decides which queue it
 * goes to, and has it written into the buffers posted there.
 */
#include <linux/etherdevice.h>

#include "dmnic.h"

/* Frames on the wire are taken one by one, in the sender's softirq. Returns
 * the queue, -1 if the frame is to be dropped.
 */
static int dmnic_ingress_steer(struct dmnic_port *port,
			       const struct dmnic_flow *flow, u32 hash)
{
	const struct dmnic_rule *rule = NULL;
	const struct dmnic_rss *rss;
	int queue;

	if (port->dev->features & NETIF_F_NTUPLE)
		rule = dmnic_rules_match(&port->rules, flow);
	rss = rcu_dereference(port->rss);
	queue = rule ? rule->queue : rss->indir[hash % DMNIC_RSS_INDIR];
	if (queue < 0)
		atomic64_inc(&port->rule_drops);
	return queue;
}

static void dmnic_hw_count(struct dmnic_rx_hw_stats *stats, u64_stats_t *count)
{
	u64_stats_update_begin(&stats->sync);
	u64_stats_inc(count);
	u64_stats_update_end(&stats->sync);
}

/* A buffer holds bytes of one completion only. */
static u32 dmnic_ring_buffers(const struct dmnic_rx_ring *ring, u32 len)
{
	return len ? DIV_ROUND_UP(len, ring->buf_len) : 0;
}

static struct dmnic_cursor dmnic_ring_cursor(const struct dmnic_rx_ring *ring,
					     u32 buffers)
{
	return (struct dmnic_cursor) {
		.desc = ring->desc,
		.mask = ring->mask,
		.idx = ring->used,
		.end = ring->used + buffers,
	};
}

/* Writes the frame's first @host_len bytes to @host, the others to @payload. */
static int dmnic_ingress_write(struct dmnic_frame *frame, u32 host_len,
			       struct dmnic_cursor *host,
			       struct dmnic_cursor *payload)
{
	struct dmnic_cursor *to = host_len < frame->len ? payload : host;
	u32 in_head = min(host_len, frame->head_len);
	int err;

	err = dmnic_dma_write(host, frame->head, in_head);
	if (!err)
		err = dmnic_dma_write(to, frame->head + in_head,
				      frame->head_len - in_head);
	if (!err)
		err = dmnic_dma_copy(to, &frame->body,
				     frame->len - frame->head_len);
	return err;
}

void dmnic_rx_complete(struct dmnic_rx_mem *mem,
		       const struct dmnic_completion *done)
{
	mem->done[mem->done_used & (2 * mem->host.mask + 1)] = *done;
	dmnic_publish(&mem->done_used, mem->done_used + 1);
}

/* Fills buffers with the frame, as @done says, and completes it, unless more
 * may follow that belongs to it.
 */
static int dmnic_ingress_fill(struct dmnic_rxq *rxq, struct dmnic_frame *frame,
			      const struct dmnic_flow *flow,
			      const struct dmnic_completion *done,
			      u32 host_bufs, u32 payload_bufs)
{
	struct dmnic_rx_mem *mem = &rxq->mem;
	struct dmnic_cursor payload = {};
	struct dmnic_cursor host;
	int err;

	if (dmnic_fault(&rxq->port->faults.rx_dma))
		host_bufs = 0;
	host = dmnic_ring_cursor(&mem->host, host_bufs);
	if (payload_bufs)
		payload = dmnic_ring_cursor(&mem->payload, payload_bufs);
	err = dmnic_ingress_write(frame, done->host_len, &host, &payload);
	if (err)
		return err;

	mem->host.used += host_bufs;
	mem->payload.used += payload_bufs;
	if (dmnic_join_takes(rxq->port, frame, flow, done))
		dmnic_join_begin(rxq, frame, flow, done,
				 payload_bufs ? &payload : &host);
	else
		dmnic_rx_complete(mem, done);
	return 0;
}

/* Returns false if the frame has to wait: the ring is empty, but the driver
 * is about to look after it. Real links have pause frames for that. An empty
 * ring with a driver that has nothing to do is out of memory, and drops.
 */
static bool dmnic_ingress_place(struct dmnic_rxq *rxq,
				struct dmnic_frame *frame,
				const struct dmnic_flow *flow,
				const struct dmnic_completion *done)
{
	struct dmnic_rx_hw_stats *stats = &rxq->hw_stats;
	struct dmnic_rx_mem *mem = &rxq->mem;
	u32 payload_bufs, host_bufs;
	bool idle, short_of;

	payload_bufs = dmnic_ring_buffers(&mem->payload, done->payload_len);
	host_bufs = dmnic_ring_buffers(&mem->host, done->host_len);
	/* The driver posts buffers before it gives completions back, so look
	 * at these first.
	 */
	idle = mem->done_used == dmnic_observe(&mem->done_clean);
	short_of = dmnic_ring_ready(&mem->host) < host_bufs ||
		   (payload_bufs && dmnic_ring_ready(&mem->payload) < payload_bufs);
	if (short_of && !idle)
		return false;

	if (short_of)
		dmnic_hw_count(stats, &stats->ring_empty);
	else if (dmnic_ingress_fill(rxq, frame, flow, done, host_bufs,
				    payload_bufs))
		dmnic_hw_count(stats, &stats->dma_refused);
	else if (payload_bufs)
		dmnic_hw_count(stats, &stats->split_packets);
	else if (done->header_len != frame->len)
		dmnic_hw_count(stats, &stats->unsplit_packets);
	return true;
}

/* Only what is known to be intact is split: nobody above could verify a
 * checksum over device memory.
 */
static bool dmnic_ingress_splits(const struct dmnic_rxq *rxq,
				 const struct dmnic_frame *frame,
				 const struct dmnic_flow *flow,
				 const struct dmnic_completion *done)
{
	return rxq->mem.payload.pool && frame->len > rxq->mem.hds_thresh &&
	       done->csum_ok && flow->l4 == IPPROTO_TCP;
}

/* Joins the frame to what has just come, if it goes on there. Returns false if
 * it does not: then what has come is complete.
 */
static bool dmnic_ingress_join(struct dmnic_rxq *rxq, struct dmnic_frame *frame,
			       const struct dmnic_flow *flow,
			       const struct dmnic_completion *done)
{
	bool split = rxq->join.ring == &rxq->mem.payload;
	struct dmnic_rx_hw_stats *stats = &rxq->hw_stats;
	int err = -EAGAIN;

	if (dmnic_join_takes(rxq->port, frame, flow, done))
		err = dmnic_join_add(rxq, frame, flow);
	if (err)
		dmnic_join_end(rxq);
	if (err == -EAGAIN)
		return false;
	dmnic_hw_count(stats, err ? &stats->dma_refused :
			      split ? &stats->split_packets :
				      &stats->unsplit_packets);
	return true;
}

/* Decides which part of the frame goes where. */
static bool dmnic_ingress_live(struct dmnic_rxq *rxq, struct dmnic_frame *frame,
			       const struct dmnic_flow *flow,
			       struct dmnic_completion *done, bool csum_bad)
{
	struct dmnic_rx_hw_stats *stats = &rxq->hw_stats;

	if (dmnic_ingress_join(rxq, frame, flow, done))
		return true;
	done->host_len = dmnic_ingress_splits(rxq, frame, flow, done) ?
			 flow->header_len : frame->len;
	done->payload_len = frame->len - done->host_len;
	if (!dmnic_ingress_place(rxq, frame, flow, done))
		return false;
	if (csum_bad)
		dmnic_hw_count(stats, &stats->csum_bad);
	return true;
}

static bool dmnic_ingress_queue(struct dmnic_rxq *rxq,
				struct dmnic_frame *frame,
				const struct dmnic_flow *flow,
				struct dmnic_completion *done, bool csum_bad)
{
	bool taken = true;

	spin_lock(&rxq->lock);
	if (rxq->live)
		taken = dmnic_ingress_live(rxq, frame, flow, done, csum_bad);
	else
		dmnic_hw_count(&rxq->hw_stats, &rxq->hw_stats.stopped);
	spin_unlock(&rxq->lock);
	/* Also after a drop: the driver may find memory by now. */
	napi_schedule(&rxq->napi);
	return taken;
}

/* Nothing follows the frame for now. In an RCU section, which keeps @port. */
void dmnic_ingress_pause(struct dmnic_port *port, struct dmnic_frame *frame)
{
	struct dmnic_rxq *rxq;

	if (frame->queue < 0)
		return;
	rxq = &port->rxq[frame->queue];
	frame->queue = -1;
	spin_lock(&rxq->lock);
	dmnic_join_end(rxq);
	spin_unlock(&rxq->lock);
	napi_schedule(&rxq->napi);
}

/* Takes a frame off the wire. Returns false if it has to be offered again. In
 * softirq and in an RCU section, which keeps @port.
 */
bool dmnic_ingress(struct dmnic_port *port, struct dmnic_frame *frame)
{
	netdev_features_t features = port->dev->features;
	struct dmnic_completion done = { .frames = 1 };
	struct dmnic_flow flow;
	bool csum_bad = false;
	u32 hash;
	int queue;

	if (frame->len > READ_ONCE(port->dev->mtu) + ETH_HLEN + 2 * VLAN_HLEN) {
		atomic64_inc(&port->oversize);
		return true;
	}
	dmnic_frame_parse(frame, &flow);
	hash = dmnic_rss_hash(rcu_dereference(port->rss), &flow, &done.l4_hash);
	queue = dmnic_ingress_steer(port, &flow, hash);
	if (queue < 0)
		return true;
	if (queue != frame->queue)
		dmnic_ingress_pause(port, frame);
	frame->queue = queue;

	if (flow.header_len && (features & NETIF_F_RXCSUM)) {
		done.csum_ok = frame->csum_at == flow.l4_off ||
			       dmnic_frame_csum_good(frame, &flow);
		csum_bad = !done.csum_ok;
	}
	done.header_len = flow.header_len;
	done.hash = hash;
	done.hashed = flow.l3 && (features & NETIF_F_RXHASH);
	return dmnic_ingress_queue(&port->rxq[queue], frame, &flow, &done,
				   csum_bad);
}
