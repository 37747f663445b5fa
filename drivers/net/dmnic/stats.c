// SPDX-License-Identifier: GPL-2.0
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <net/netdev_queues.h>

#include "dmnic.h"

/* What is shown of a queue, and summed up for the port. */
struct dmnic_rx_counts {
	u64 packets;
	u64 bytes;
	u64 split_packets;
	u64 unsplit_packets;
	u64 ring_empty;
	u64 alloc_failed;
	u64 dma_refused;
	u64 stopped;
	u64 csum_bad;
	u64 gro_packets;
	u64 gro_bytes;
	u64 gro_wire_packets;
	u64 gro_wire_bytes;
};

struct dmnic_tx_counts {
	u64 packets;
	u64 bytes;
	u64 tso_packets;
	u64 niov_bytes;
	u64 dma_refused;
};

static const char * const dmnic_rx_names[] = {
	"packets", "bytes", "split_packets", "unsplit_packets", "ring_empty",
	"alloc_failed", "dma_refused", "stopped", "csum_bad",
	"gro_packets", "gro_bytes", "gro_wire_packets", "gro_wire_bytes",
};

static const char * const dmnic_tx_names[] = {
	"packets", "bytes", "tso_packets", "niov_bytes", "dma_refused",
};

/* Frames that never saw a queue; shown for the port alone. */
static const char * const dmnic_port_names[] = {
	"rx_rule_drops", "rx_oversize",
};

#define DMNIC_RX_COUNTS		ARRAY_SIZE(dmnic_rx_names)
#define DMNIC_TX_COUNTS		ARRAY_SIZE(dmnic_tx_names)
static_assert(sizeof(struct dmnic_rx_counts) == DMNIC_RX_COUNTS * sizeof(u64));
static_assert(sizeof(struct dmnic_tx_counts) == DMNIC_TX_COUNTS * sizeof(u64));

static void dmnic_rxq_counts(const struct dmnic_rxq *rxq,
			     struct dmnic_rx_counts *counts)
{
	const struct dmnic_rx_hw_stats *hw = &rxq->hw_stats;
	const struct dmnic_rx_stats *sw = &rxq->stats;
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&sw->sync);
		counts->packets = u64_stats_read(&sw->packets);
		counts->bytes = u64_stats_read(&sw->bytes);
		counts->alloc_failed = u64_stats_read(&sw->alloc_failed);
		counts->gro_packets = u64_stats_read(&sw->gro_packets);
		counts->gro_bytes = u64_stats_read(&sw->gro_bytes);
		counts->gro_wire_packets =
			u64_stats_read(&sw->gro_wire_packets);
		counts->gro_wire_bytes = u64_stats_read(&sw->gro_wire_bytes);
	} while (u64_stats_fetch_retry(&sw->sync, start));
	do {
		start = u64_stats_fetch_begin(&hw->sync);
		counts->split_packets = u64_stats_read(&hw->split_packets);
		counts->unsplit_packets = u64_stats_read(&hw->unsplit_packets);
		counts->ring_empty = u64_stats_read(&hw->ring_empty);
		counts->dma_refused = u64_stats_read(&hw->dma_refused);
		counts->stopped = u64_stats_read(&hw->stopped);
		counts->csum_bad = u64_stats_read(&hw->csum_bad);
	} while (u64_stats_fetch_retry(&hw->sync, start));
}

static void dmnic_txq_counts(const struct dmnic_txq *txq,
			     struct dmnic_tx_counts *counts)
{
	const struct dmnic_tx_stats *stats = &txq->stats;
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&stats->sync);
		counts->packets = u64_stats_read(&stats->packets);
		counts->bytes = u64_stats_read(&stats->bytes);
		counts->tso_packets = u64_stats_read(&stats->tso_packets);
		counts->niov_bytes = u64_stats_read(&stats->niov_bytes);
		counts->dma_refused = u64_stats_read(&stats->dma_refused);
	} while (u64_stats_fetch_retry(&stats->sync, start));
}

static void dmnic_add(u64 *sum, const void *counts, u32 n)
{
	const u64 *count = counts;
	u32 i;

	for (i = 0; i < n; i++)
		sum[i] += count[i];
}

/* Sums over all queues there ever were, so that totals never go back. */
static void dmnic_totals(const struct dmnic_port *port,
			 struct dmnic_rx_counts *rx, struct dmnic_tx_counts *tx)
{
	struct dmnic_rx_counts rx_one;
	struct dmnic_tx_counts tx_one;
	u32 i;

	memset(rx, 0, sizeof(*rx));
	memset(tx, 0, sizeof(*tx));
	for (i = 0; i < port->dev->num_rx_queues; i++) {
		dmnic_rxq_counts(&port->rxq[i], &rx_one);
		dmnic_add((u64 *)rx, &rx_one, DMNIC_RX_COUNTS);
	}
	for (i = 0; i < port->dev->num_tx_queues; i++) {
		dmnic_txq_counts(&port->txq[i], &tx_one);
		dmnic_add((u64 *)tx, &tx_one, DMNIC_TX_COUNTS);
	}
}

void dmnic_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *sum)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_rx_counts rx;
	struct dmnic_tx_counts tx;

	dmnic_totals(port, &rx, &tx);
	sum->rx_packets = rx.packets;
	sum->rx_bytes = rx.bytes;
	sum->rx_missed_errors = rx.ring_empty;
	sum->rx_dropped = rx.stopped + atomic64_read(&port->rule_drops);
	sum->rx_errors = rx.dma_refused + atomic64_read(&port->oversize);
	sum->rx_length_errors = atomic64_read(&port->oversize);
	sum->tx_packets = tx.packets;
	sum->tx_bytes = tx.bytes;
	sum->tx_errors = tx.dma_refused;
}

int dmnic_get_sset_count(struct net_device *dev, int sset)
{
	if (sset != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return ARRAY_SIZE(dmnic_port_names) +
	       DMNIC_RX_COUNTS * (1 + dev->real_num_rx_queues) +
	       DMNIC_TX_COUNTS * (1 + dev->real_num_tx_queues);
}

static void dmnic_queue_strings(u8 **data, const char *kind, int queue,
				const char * const *names, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (queue < 0)
			ethtool_sprintf(data, "%s_%s", kind, names[i]);
		else
			ethtool_sprintf(data, "%s%d_%s", kind, queue, names[i]);
}

void dmnic_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	int i;

	if (sset != ETH_SS_STATS)
		return;
	dmnic_queue_strings(&data, "rx", -1, dmnic_rx_names, DMNIC_RX_COUNTS);
	dmnic_queue_strings(&data, "tx", -1, dmnic_tx_names, DMNIC_TX_COUNTS);
	for (i = 0; i < ARRAY_SIZE(dmnic_port_names); i++)
		ethtool_puts(&data, dmnic_port_names[i]);
	for (i = 0; i < dev->real_num_rx_queues; i++)
		dmnic_queue_strings(&data, "rx", i, dmnic_rx_names,
				    DMNIC_RX_COUNTS);
	for (i = 0; i < dev->real_num_tx_queues; i++)
		dmnic_queue_strings(&data, "tx", i, dmnic_tx_names,
				    DMNIC_TX_COUNTS);
}

void dmnic_get_ethtool_stats(struct net_device *dev,
			     struct ethtool_stats *stats, u64 *data)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_rx_counts *rx;
	struct dmnic_tx_counts *tx;
	u32 i;

	rx = (struct dmnic_rx_counts *)data;
	tx = (struct dmnic_tx_counts *)(rx + 1);
	dmnic_totals(port, rx, tx);
	data = (u64 *)(tx + 1);
	*data++ = atomic64_read(&port->rule_drops);
	*data++ = atomic64_read(&port->oversize);

	rx = (struct dmnic_rx_counts *)data;
	for (i = 0; i < dev->real_num_rx_queues; i++)
		dmnic_rxq_counts(&port->rxq[i], rx++);
	tx = (struct dmnic_tx_counts *)rx;
	for (i = 0; i < dev->real_num_tx_queues; i++)
		dmnic_txq_counts(&port->txq[i], tx++);
}

static void dmnic_get_queue_stats_rx(struct net_device *dev, int idx,
				     struct netdev_queue_stats_rx *stats)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_rx_counts counts;

	dmnic_rxq_counts(&port->rxq[idx], &counts);
	stats->packets = counts.packets;
	stats->bytes = counts.bytes;
	stats->alloc_fail = counts.alloc_failed;
	stats->hw_drops = counts.ring_empty + counts.dma_refused +
			  counts.stopped;
	stats->hw_drop_overruns = counts.ring_empty;
	stats->csum_bad = counts.csum_bad;
	stats->hw_gro_packets = counts.gro_packets;
	stats->hw_gro_bytes = counts.gro_bytes;
	stats->hw_gro_wire_packets = counts.gro_wire_packets;
	stats->hw_gro_wire_bytes = counts.gro_wire_bytes;
}

static void dmnic_get_queue_stats_tx(struct net_device *dev, int idx,
				     struct netdev_queue_stats_tx *stats)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_tx_counts counts;

	dmnic_txq_counts(&port->txq[idx], &counts);
	stats->packets = counts.packets;
	stats->bytes = counts.bytes;
	stats->hw_drops = counts.dma_refused;
	stats->hw_drop_errors = counts.dma_refused;
	stats->hw_gso_packets = counts.tso_packets;
}

/* What the queues in use don't know of: frames that never came to a queue, and
 * all that queues did which are out of use now.
 */
static void dmnic_get_base_stats(struct net_device *dev,
				 struct netdev_queue_stats_rx *rx,
				 struct netdev_queue_stats_tx *tx)
{
	struct dmnic_port *port = netdev_priv(dev);

	rx->packets = 0;
	rx->bytes = 0;
	rx->alloc_fail = 0;
	rx->hw_drops = atomic64_read(&port->rule_drops) +
		       atomic64_read(&port->oversize);
	rx->hw_drop_overruns = 0;
	rx->csum_bad = 0;
	rx->hw_gro_packets = 0;
	rx->hw_gro_bytes = 0;
	rx->hw_gro_wire_packets = 0;
	rx->hw_gro_wire_bytes = 0;
	tx->packets = 0;
	tx->bytes = 0;
	tx->hw_drops = 0;
	tx->hw_drop_errors = 0;
	tx->hw_gso_packets = 0;
	netdev_stat_queue_sum(dev, dev->real_num_rx_queues, dev->num_rx_queues,
			      rx, dev->real_num_tx_queues, dev->num_tx_queues,
			      tx);
}

const struct netdev_stat_ops dmnic_stat_ops = {
	.get_queue_stats_rx	= dmnic_get_queue_stats_rx,
	.get_queue_stats_tx	= dmnic_get_queue_stats_tx,
	.get_base_stats		= dmnic_get_base_stats,
};
