/* SPDX-License-Identifier: GPL-2.0 */
/* The object graph of dmnic.
 *
 * A port is one end of a cable and one net_device; its peer is the other end.
 * A frame's way: ndo_start_xmit maps an skb and posts descriptors on a
 * &dmnic_txq (tx.c); the queue's NAPI plays the sending hardware, which cuts
 * frames (wire.c), asks the peer which queue they go to (frame.c, rule.c,
 * rss.c) and has the DMA engine (dma.c) write them into the buffers posted on
 * a &dmnic_rxq, those of a TCP stream behind each other if asked to (join.c);
 * that queue's NAPI turns completions into skbs (rx.c).
 *
 * "Hardware" code sees descriptors: DMA addresses and lengths. Only "driver"
 * code sees pages, netmems and skbs.
 */
#ifndef _DMNIC_H
#define _DMNIC_H

#include <linux/dma-mapping.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/sizes.h>
#include <linux/u64_stats_sync.h>
#include <net/netmem.h>

#include "compat.h"
#include "dma.h"
#include "frame.h"
#include "rss.h"
#include "rule.h"

#define DMNIC_QUEUES_DEFAULT	4
#define DMNIC_QUEUES_MAX	64
#define DMNIC_RING_MIN		64
#define DMNIC_RING_DEFAULT	512
#define DMNIC_RING_MAX		4096
#define DMNIC_MTU_MAX		9216
#define DMNIC_BUF_MAX		SZ_64K
#define DMNIC_HDS_THRESH_MAX	DMNIC_MTU_MAX

struct page_pool;
struct dmnic_port;

/**
 * struct dmnic_rx_ring - posted receive buffers of one kind
 * @hw: descriptors, the hardware's view; @hw.end is where posting ends
 * @netmem: what each descriptor stands for, the driver's view
 * @pool: where the buffers come from and go back to
 * @buf_len: bytes of a buffer
 * @posted: buffers posted so far; written by the driver, release
 * @used: buffers filled so far; written by the hardware under &dmnic_rxq.lock
 * @clean: buffers the driver has taken back; driver only
 * @kept: of those, how many lie behind @posted to be posted again as they are;
 *	  driver only, within a NAPI poll
 *
 * Three run freely and never pass each other: clean <= used <= posted, and
 * posted + kept - clean is at most the ring's size.
 */
struct dmnic_rx_ring {
	struct dmnic_desc *desc;
	netmem_ref *netmem;
	struct page_pool *pool;
	u32 buf_len;
	u32 mask;
	u32 posted;
	u32 used;
	u32 clean;
	u32 kept;
};

/**
 * struct dmnic_completion - what the hardware says of one received frame, or of
 *			     several that it has joined
 * @host_len: bytes in host buffers: the headers, or the whole frame
 * @payload_len: bytes in payload buffers
 * @header_len: L2-L4 headers of the frame, 0 if it made no sense of them
 * @hash: RSS hash
 * @l4_hash: @hash covers the ports
 * @hashed: @hash is valid
 * @csum_ok: checksum verified
 * @frames: how many; if more than one, the headers are the first's, and the
 *	    others' payload follows the first's
 * @mss: payload of each frame that was joined, but for the last
 * @psh: the last of them says PSH
 *
 * Buffers are used in ring order, so lengths say which ones.
 */
struct dmnic_completion {
	u32 host_len;
	u32 payload_len;
	u32 hash;
	u16 header_len;
	u16 frames;
	u16 mss;
	bool psh;
	bool l4_hash;
	bool hashed;
	bool csum_ok;
};

/**
 * struct dmnic_rx_mem - all memory of an RX queue
 * @rxq: whose it is
 * @host: buffers in host memory, for headers and for frames left whole
 * @payload: buffers for TCP payload, possibly in device memory and as large as
 *	     the binding asks for; there only with header split
 *	     (@payload.pool is NULL without)
 * @hds_thresh: frames with no more bytes than this are not split
 * @done: completions, as many as @host has buffers, so that it can't overflow
 * @done_used: written by the hardware, release
 * @done_clean: driver only
 *
 * This is what moves through netdev_queue_mgmt_ops: allocated while the old
 * one still runs, started, stopped, freed. Zeroed means none.
 */
struct dmnic_rx_mem {
	struct dmnic_rxq *rxq;
	struct dmnic_rx_ring host;
	struct dmnic_rx_ring payload;
	u32 hds_thresh;
	struct dmnic_completion *done;
	u32 done_used;
	u32 done_clean;
};

/* Counted by the NAPI poll. The last four are of what the hardware has joined:
 * what came of it, and the frames that it came in.
 */
struct dmnic_rx_stats {
	u64_stats_t packets;
	u64_stats_t bytes;
	u64_stats_t alloc_failed;
	u64_stats_t gro_packets;
	u64_stats_t gro_bytes;
	u64_stats_t gro_wire_packets;
	u64_stats_t gro_wire_bytes;
	struct u64_stats_sync sync;
};

/**
 * struct dmnic_rx_hw_stats - counted by the hardware, under &dmnic_rxq.lock
 * @split_packets, @unsplit_packets: frames with a payload, by what became of it
 * @ring_empty: dropped, there were no buffers
 * @dma_refused: dropped, the buffers were not what the driver said
 * @stopped: dropped, the queue was stopped before the driver saw them
 * @csum_bad: received with a bad checksum
 */
struct dmnic_rx_hw_stats {
	u64_stats_t split_packets;
	u64_stats_t unsplit_packets;
	u64_stats_t ring_empty;
	u64_stats_t dma_refused;
	u64_stats_t stopped;
	u64_stats_t csum_bad;
	struct u64_stats_sync sync;
};

/**
 * struct dmnic_tx_stats - counted by the sending hardware
 * @packets, @bytes: frames that the other end took
 * @tso_packets: jobs that were cut into frames
 * @niov_bytes: of the jobs sent, what was fetched from device memory
 * @dma_refused: jobs given up, the buffers were not what the driver said
 */
struct dmnic_tx_stats {
	u64_stats_t packets;
	u64_stats_t bytes;
	u64_stats_t tso_packets;
	u64_stats_t niov_bytes;
	u64_stats_t dma_refused;
	struct u64_stats_sync sync;
};

/* The headers of a frame that may be joined: no VLAN tag, no IP options. As in
 * &dmnic_frame, the IP header is on a 4-byte boundary.
 */
struct dmnic_join_headers {
	u8 pad[2] __aligned(4);
	u8 bytes[ETH_HLEN + 40 + 60];
};

/**
 * struct dmnic_join - frames on their way into one completion
 * @done: the completion as it is by now; no @done.frames: there is none
 * @at: where the next payload byte goes
 * @ring: which ring's buffers that are
 * @next: what the headers of the next frame must say, see dmnic_join_took()
 */
struct dmnic_join {
	struct dmnic_completion done;
	struct dmnic_cursor at;
	struct dmnic_rx_ring *ring;
	struct dmnic_join_headers next;
};

/**
 * struct dmnic_rxq - a receive queue
 * @lock: serializes the hardware of all sending queues that reach this one;
 *	  also guards @live. Taken in softirq context only, or with BH off.
 * @live: hardware may touch @mem. Cleared before @mem is taken away.
 * @join: under @lock; lasts no longer than the sending hardware's pass that
 *	  began it, or @live
 * @refill: retries when a pool had nothing to give, for a pool gets memory
 *	    back without telling anyone: tokens come home from userspace.
 *
 * Lives as long as its net_device; @mem comes and goes, under RTNL.
 */
struct dmnic_rxq {
	spinlock_t lock; /* the hardware's, see above */
	bool live;
	struct dmnic_join join;
	struct dmnic_rx_mem mem;
	struct dmnic_port *port;
	struct napi_struct napi;
	struct timer_list refill;
	struct dmnic_rx_stats stats;
	struct dmnic_rx_hw_stats hw_stats;
} ____cacheline_aligned_in_smp;

/**
 * struct dmnic_tx_job - one skb on its way out
 * @skb: the driver's; freed when the wire has taken the last frame
 * @len: bytes
 * @descs: how many descriptors hold them
 * @l3_off, @l4_off: where the headers begin, if @mss is set
 * @header_len: L2-L4 headers, if @mss is set
 * @mss: cut into TCP segments with this much payload; 0: send as it is
 * @csum_start, @csum_off: if @csum, sum up from here and store it there (an
 *			   offset from @csum_start)
 * @csum: compute a checksum
 *
 * Valid at an skb's first descriptor.
 */
struct dmnic_tx_job {
	struct sk_buff *skb;
	u32 len;
	u32 niov_bytes;
	u16 descs;
	u16 l3_off;
	u16 l4_off;
	u16 header_len;
	u16 mss;
	u16 csum_start;
	u16 csum_off;
	bool csum;
};

/**
 * struct dmnic_segment - how far the wire is with a job
 * @body: the next payload byte
 * @sent: payload bytes sent
 * @frames: frames sent; 0: not begun
 */
struct dmnic_segment {
	struct dmnic_cursor body;
	u32 sent;
	u32 frames;
};

/* What to unmap when a descriptor is done with: no address where nothing was
 * mapped for it, as with frags in device memory.
 */
struct dmnic_tx_unmap {
	DEFINE_DMA_UNMAP_ADDR(addr);
};

/**
 * struct dmnic_tx_mem - the ring of a TX queue
 * @desc: hardware's view; all of one skb's, head first
 * @unmap: driver's view, same index
 * @job: likewise
 * @posted: written by ndo_start_xmit, release
 * @clean: written by the NAPI poll, release
 */
struct dmnic_tx_mem {
	struct dmnic_desc *desc;
	struct dmnic_tx_unmap *unmap;
	struct dmnic_tx_job *job;
	u32 mask;
	u32 posted;
	u32 clean;
};

/**
 * struct dmnic_txq - a send queue and the hardware behind it
 * @next: where the wire stands in an skb that it couldn't send at one go
 */
struct dmnic_txq {
	struct dmnic_tx_mem mem;
	struct dmnic_segment next;
	struct dmnic_port *port;
	struct napi_struct napi;
	struct dmnic_tx_stats stats;
} ____cacheline_aligned_in_smp;

/**
 * struct dmnic_config - what ethtool sets; changes as a whole (config.c)
 * @hds_thresh: frames with no more bytes than this are not split
 * @split: tcp-data-split as asked for, an ETHTOOL_TCP_DATA_SPLIT_* value
 */
struct dmnic_config {
	u32 rx_queues;
	u32 tx_queues;
	u32 rx_ring;
	u32 tx_ring;
	u32 hds_thresh;
	u8 split;
};

/**
 * struct dmnic_faults - what is to go wrong, and how often from now on
 * @alloc: making a queue's memory
 * @start: starting a queue
 * @spare_alloc, @spare_start: how many of those go well first
 * @rx_dma: writing a frame: the DMA engine finds no buffer posted
 * @tx_dma: reading what to send: likewise
 *
 * Written through debugfs at any time; counted down where they strike.
 */
struct dmnic_faults {
	atomic_t alloc;
	atomic_t start;
	atomic_t spare_alloc;
	atomic_t spare_start;
	atomic_t rx_dma;
	atomic_t tx_dma;
};

/**
 * struct dmnic_port - one end of the cable: netdev_priv() of its net_device
 * @dev: the net_device
 * @peer: the other end; cleared under RTNL before either end goes, so that
 *	  hardware in an RCU section may still use what it found
 * @config: under RTNL
 * @rxq, @txq: as many as the device can have; freed with the net_device
 * @rss: hash and indirection; replaced whole, under RTNL
 * @rules: n-tuple rules
 * @rule_drops, @oversize: frames dropped before a queue was chosen
 * @faults: for tests
 */
struct dmnic_port {
	struct net_device *dev;
	struct dmnic_port __rcu *peer;
	struct dmnic_config config;
	struct dmnic_rxq *rxq;
	struct dmnic_txq *txq;
	struct dmnic_rss __rcu *rss;
	struct dmnic_rules rules;
	atomic64_t rule_drops;
	atomic64_t oversize;
	struct dentry *debugfs;
	struct dmnic_faults faults;
};

/* Driver and hardware share rings without a lock: each index has one writer,
 * who publishes it when the slots before it are ready for the other side.
 */
static inline void dmnic_publish(u32 *index, u32 value)
{
	/* Pairs with dmnic_observe(). */
	smp_store_release(index, value);
}

static inline u32 dmnic_observe(const u32 *index)
{
	/* Pairs with dmnic_publish(). */
	return smp_load_acquire(index);
}

/* For the hardware: buffers that it may fill. */
static inline u32 dmnic_ring_ready(const struct dmnic_rx_ring *ring)
{
	return dmnic_observe(&ring->posted) - ring->used;
}

/* Is it to go wrong this time? */
static inline bool dmnic_fault(atomic_t *count)
{
	return atomic_dec_if_positive(count) >= 0;
}

/* The same, but not as long as @spare are to go well. */
static inline bool dmnic_fault_after(atomic_t *spare, atomic_t *count)
{
	return !dmnic_fault(spare) && dmnic_fault(count);
}

/* The bus address space that the ports' DMA engine works in (main.c). */
struct device *dmnic_parent(void);

/* link.c: pairs of ports */
extern struct rtnl_link_ops dmnic_link_ops;

/* netdev.c: what a net_device does */
void dmnic_setup(struct net_device *dev);

/* config.c: changing all queues at once */
bool dmnic_splits(const struct dmnic_config *config);
int dmnic_up(struct dmnic_port *port);
void dmnic_down(struct dmnic_port *port);
int dmnic_reconfigure(struct dmnic_port *port,
		      const struct dmnic_config *config);

/* queue.c: memory of one RX queue */
extern const struct netdev_queue_mgmt_ops dmnic_queue_mgmt_ops;
int dmnic_rx_mem_alloc(struct dmnic_port *port,
		       const struct dmnic_config *config, int idx,
		       struct dmnic_rx_mem *mem);
void dmnic_rx_mem_free(struct dmnic_rx_mem *mem);
int dmnic_rxq_start(struct dmnic_rxq *rxq, struct dmnic_rx_mem *mem);
void dmnic_rxq_stop(struct dmnic_rxq *rxq, struct dmnic_rx_mem *mem);

/* rx.c: the driver's receive side */
void dmnic_rxq_init(struct dmnic_port *port, int idx);
int dmnic_rx_poll(struct napi_struct *napi, int budget);
bool dmnic_rx_fill(struct dmnic_rx_mem *mem);
void dmnic_rx_kick(struct dmnic_rxq *rxq);

/* tx.c: the driver's send side */
void dmnic_txq_init(struct dmnic_port *port, int idx);
netdev_tx_t dmnic_xmit(struct sk_buff *skb, struct net_device *dev);
int dmnic_tx_mem_alloc(const struct dmnic_config *config,
		       struct dmnic_tx_mem *mem);
void dmnic_tx_mem_free(struct dmnic_tx_mem *mem);
void dmnic_txq_start(struct dmnic_txq *txq, struct dmnic_tx_mem *mem);
void dmnic_tx_quiesce(struct dmnic_port *port);
void dmnic_txq_stop(struct dmnic_txq *txq, struct dmnic_tx_mem *mem);

/* wire.c: the sending hardware */
bool dmnic_wire_send(struct dmnic_txq *txq, int *budget);

/* ingress.c: the receiving hardware */
bool dmnic_ingress(struct dmnic_port *port, struct dmnic_frame *frame);
void dmnic_ingress_pause(struct dmnic_port *port, struct dmnic_frame *frame);
void dmnic_rx_complete(struct dmnic_rx_mem *mem,
		       const struct dmnic_completion *done);

/* join.c: the receiving hardware makes one of many frames */
bool dmnic_join_takes(const struct dmnic_port *port,
		      const struct dmnic_frame *frame,
		      const struct dmnic_flow *flow,
		      const struct dmnic_completion *done);
void dmnic_join_begin(struct dmnic_rxq *rxq, const struct dmnic_frame *frame,
		      const struct dmnic_flow *flow,
		      const struct dmnic_completion *done,
		      const struct dmnic_cursor *at);
int dmnic_join_add(struct dmnic_rxq *rxq, struct dmnic_frame *frame,
		   const struct dmnic_flow *flow);
void dmnic_join_end(struct dmnic_rxq *rxq);

/* ethtool.c, stats.c, debugfs.c */
extern const struct ethtool_ops dmnic_ethtool_ops;
extern const struct netdev_stat_ops dmnic_stat_ops;
void dmnic_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *sum);
int dmnic_get_sset_count(struct net_device *dev, int sset);
void dmnic_get_strings(struct net_device *dev, u32 sset, u8 *data);
void dmnic_get_ethtool_stats(struct net_device *dev,
			     struct ethtool_stats *stats, u64 *data);
void dmnic_debugfs_init(void);
void dmnic_debugfs_exit(void);
void dmnic_debugfs_add(struct dmnic_port *port);
void dmnic_debugfs_del(struct dmnic_port *port);

#endif /* _DMNIC_H */
