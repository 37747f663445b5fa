// SPDX-License-Identifier: GPL-2.0
/* Statistics of queues, as the netdev netlink family shows them. */
#include <linux/netdevice.h>
#include <linux/string.h>
#include <net/netdev_queues.h>

#include "netdev-genl.h"

static int netdev_nl_check_scope(const struct nlattr *attr,
				 struct netlink_ext_ack *extack)
{
	int err = netdev_nl_check_uint(attr, extack);

	if (err)
		return err;
	if (!(netdev_nl_get_uint(attr) & ~(u64)NETDEV_QSTATS_SCOPE_QUEUE))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "reserved bit set");
	return -EINVAL;
}

const struct nla_policy netdev_nl_qstats_policy[] = {
	[NETDEV_A_QSTATS_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_QSTATS_SCOPE] = NETDEV_NL_UINT(netdev_nl_check_scope),
};

/* What a driver doesn't write stays like this, in every byte. */
#define NETDEV_STAT_UNSET	U64_MAX

struct netdev_nl_stats {
	struct netdev_queue_stats_rx rx;
	struct netdev_queue_stats_tx tx;
};

#define NETDEV_NL_NUM_STATS	(sizeof(struct netdev_nl_stats) / sizeof(u64))
#define NETDEV_NL_STAT(stat, attr) \
	[offsetof(struct netdev_nl_stats, stat) / sizeof(u64)] = \
		NETDEV_A_QSTATS_##attr

static const u8 netdev_nl_stat_attrs[] = {
	NETDEV_NL_STAT(rx.bytes, RX_BYTES),
	NETDEV_NL_STAT(rx.packets, RX_PACKETS),
	NETDEV_NL_STAT(rx.alloc_fail, RX_ALLOC_FAIL),
	NETDEV_NL_STAT(rx.hw_drops, RX_HW_DROPS),
	NETDEV_NL_STAT(rx.hw_drop_overruns, RX_HW_DROP_OVERRUNS),
	NETDEV_NL_STAT(rx.csum_unnecessary, RX_CSUM_UNNECESSARY),
	NETDEV_NL_STAT(rx.csum_none, RX_CSUM_NONE),
	NETDEV_NL_STAT(rx.csum_bad, RX_CSUM_BAD),
	NETDEV_NL_STAT(rx.hw_gro_packets, RX_HW_GRO_PACKETS),
	NETDEV_NL_STAT(rx.hw_gro_bytes, RX_HW_GRO_BYTES),
	NETDEV_NL_STAT(rx.hw_gro_wire_packets, RX_HW_GRO_WIRE_PACKETS),
	NETDEV_NL_STAT(rx.hw_gro_wire_bytes, RX_HW_GRO_WIRE_BYTES),
	NETDEV_NL_STAT(rx.hw_drop_ratelimits, RX_HW_DROP_RATELIMITS),

	NETDEV_NL_STAT(tx.bytes, TX_BYTES),
	NETDEV_NL_STAT(tx.packets, TX_PACKETS),
	NETDEV_NL_STAT(tx.hw_drops, TX_HW_DROPS),
	NETDEV_NL_STAT(tx.hw_drop_errors, TX_HW_DROP_ERRORS),
	NETDEV_NL_STAT(tx.csum_none, TX_CSUM_NONE),
	NETDEV_NL_STAT(tx.needs_csum, TX_NEEDS_CSUM),
	NETDEV_NL_STAT(tx.hw_gso_packets, TX_HW_GSO_PACKETS),
	NETDEV_NL_STAT(tx.hw_gso_bytes, TX_HW_GSO_BYTES),
	NETDEV_NL_STAT(tx.hw_gso_wire_packets, TX_HW_GSO_WIRE_PACKETS),
	NETDEV_NL_STAT(tx.hw_gso_wire_bytes, TX_HW_GSO_WIRE_BYTES),
	NETDEV_NL_STAT(tx.hw_drop_ratelimits, TX_HW_DROP_RATELIMITS),
	NETDEV_NL_STAT(tx.stop, TX_STOP),
	NETDEV_NL_STAT(tx.wake, TX_WAKE),
};

static_assert(ARRAY_SIZE(netdev_nl_stat_attrs) == NETDEV_NL_NUM_STATS);

static void netdev_nl_stats_unset(void *stats, size_t size)
{
	memset(stats, 0xff, size);
}

static int netdev_nl_put_stats(struct sk_buff *msg,
			       const struct netdev_nl_stats *stats)
{
	const u64 *stat = (const u64 *)stats;
	unsigned int i;

	for (i = 0; i < NETDEV_NL_NUM_STATS; i++)
		if (stat[i] != NETDEV_STAT_UNSET &&
		    netdev_nl_put_uint(msg, netdev_nl_stat_attrs[i], stat[i]))
			return -EMSGSIZE;
	return 0;
}

/* Adds a message, unless there is nothing to say. Without @type and @id it is
 * about the whole device.
 */
static int netdev_nl_stats_fill(struct net_device *dev, const u32 *type, u32 id,
				const struct netdev_nl_stats *stats,
				struct sk_buff *msg,
				const struct netdev_nl_head *head)
{
	void *hdr;

	if (!memchr_inv(stats, 0xff, sizeof(*stats)))
		return 0;
	hdr = netdev_nl_begin(msg, head);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(msg, NETDEV_A_QSTATS_IFINDEX, dev->ifindex) ||
	    (type && (nla_put_u32(msg, NETDEV_A_QSTATS_QUEUE_TYPE, *type) ||
		      nla_put_u32(msg, NETDEV_A_QSTATS_QUEUE_ID, id))) ||
	    netdev_nl_put_stats(msg, stats)) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

static void netdev_nl_get_stats(struct net_device *dev, u32 type, u32 id,
				struct netdev_nl_stats *stats)
{
	const struct netdev_stat_ops *ops = dev->stat_ops;

	netdev_nl_stats_unset(stats, sizeof(*stats));
	if (type == NETDEV_QUEUE_TYPE_RX && ops->get_queue_stats_rx)
		ops->get_queue_stats_rx(dev, id, &stats->rx);
	if (type == NETDEV_QUEUE_TYPE_TX && ops->get_queue_stats_tx)
		ops->get_queue_stats_tx(dev, id, &stats->tx);
}

static void netdev_nl_stats_add(void *sum, const void *add, size_t size)
{
	const u64 *stat = add;
	u64 *total = sum;
	unsigned int i;

	for (i = 0; i < size / sizeof(u64); i++)
		if (total[i] != NETDEV_STAT_UNSET &&
		    stat[i] != NETDEV_STAT_UNSET)
			total[i] += stat[i];
}

/**
 * netdev_stat_queue_sum - add up the statistics of some queues
 * @netdev: the device
 * @rx_start: first RX queue
 * @rx_end: the one after the last
 * @rx_sum: to add to; what is not set here stays so
 * @tx_start: first TX queue
 * @tx_end: the one after the last
 * @tx_sum: like @rx_sum
 *
 * For drivers' get_base_stats(), to count queues that are not in use.
 */
void netdev_stat_queue_sum(struct net_device *netdev,
			   int rx_start, int rx_end,
			   struct netdev_queue_stats_rx *rx_sum,
			   int tx_start, int tx_end,
			   struct netdev_queue_stats_tx *tx_sum)
{
	struct netdev_nl_stats stats;
	int i;

	for (i = rx_start; i < rx_end; i++) {
		netdev_nl_get_stats(netdev, NETDEV_QUEUE_TYPE_RX, i, &stats);
		netdev_nl_stats_add(rx_sum, &stats.rx, sizeof(stats.rx));
	}
	for (i = tx_start; i < tx_end; i++) {
		netdev_nl_get_stats(netdev, NETDEV_QUEUE_TYPE_TX, i, &stats);
		netdev_nl_stats_add(tx_sum, &stats.tx, sizeof(stats.tx));
	}
}
EXPORT_SYMBOL(netdev_stat_queue_sum);

static int netdev_nl_stats_dump_type(struct net_device *dev, u32 type, u32 *id,
				     u32 end, struct sk_buff *msg,
				     const struct netdev_nl_head *head)
{
	struct netdev_nl_stats stats;
	int err = 0;

	while (!err && *id < end) {
		netdev_nl_get_stats(dev, type, *id, &stats);
		err = netdev_nl_stats_fill(dev, &type, *id, &stats, msg, head);
		if (!err)
			++*id;
	}
	return err;
}

static int netdev_nl_stats_by_queue(struct net_device *dev, struct sk_buff *msg,
				    struct netdev_nl_dump_ctx *ctx,
				    const struct netdev_nl_head *head)
{
	int err;

	if (!(dev->flags & IFF_UP))
		return 0;
	err = netdev_nl_stats_dump_type(dev, NETDEV_QUEUE_TYPE_RX, &ctx->rxq,
					dev->real_num_rx_queues, msg, head);
	if (!err)
		err = netdev_nl_stats_dump_type(dev, NETDEV_QUEUE_TYPE_TX,
						&ctx->txq,
						dev->real_num_tx_queues, msg,
						head);
	return err;
}

static int netdev_nl_stats_by_device(struct net_device *dev,
				     struct sk_buff *msg,
				     const struct netdev_nl_head *head)
{
	struct netdev_nl_stats sum;

	if (!dev->stat_ops->get_base_stats)
		return 0;
	netdev_nl_stats_unset(&sum, sizeof(sum));
	dev->stat_ops->get_base_stats(dev, &sum.rx, &sum.tx);
	netdev_stat_queue_sum(dev, 0, dev->real_num_rx_queues, &sum.rx,
			      0, dev->real_num_tx_queues, &sum.tx);
	return netdev_nl_stats_fill(dev, NULL, 0, &sum, msg, head);
}

static int netdev_nl_qstats_dump(struct net_device *dev, struct sk_buff *msg,
				 struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_dumpit_info(cb)->attrs;
	struct netdev_nl_head head = netdev_nl_dump_head(cb);

	if (!dev->stat_ops) {
		if (!attrs[NETDEV_A_QSTATS_IFINDEX])
			return 0;
		NL_SET_BAD_ATTR(cb->extack, attrs[NETDEV_A_QSTATS_IFINDEX]);
		return -EOPNOTSUPP;
	}
	if (attrs[NETDEV_A_QSTATS_SCOPE] &&
	    netdev_nl_get_uint(attrs[NETDEV_A_QSTATS_SCOPE]))
		return netdev_nl_stats_by_queue(dev, msg,
						netdev_nl_dump_ctx(cb), &head);
	return netdev_nl_stats_by_device(dev, msg, &head);
}

int netdev_nl_qstats_get_dumpit(struct sk_buff *msg,
				struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_dumpit_info(cb)->attrs;

	return netdev_nl_dump(msg, cb, attrs[NETDEV_A_QSTATS_IFINDEX],
			      netdev_nl_qstats_dump);
}
