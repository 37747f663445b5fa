// SPDX-License-Identifier: GPL-2.0
#include <linux/ethtool_netlink.h>
#include <linux/log2.h>
#include <linux/netdevice.h>
#include <net/netdev_rx_queue.h>

#include "dmnic.h"

static void dmnic_get_drvinfo(struct net_device *dev,
			      struct ethtool_drvinfo *info)
{
	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
}

static int dmnic_get_link_ksettings(struct net_device *dev,
				    struct ethtool_link_ksettings *settings)
{
	settings->base.duplex = DUPLEX_FULL;
	settings->base.speed = SPEED_UNKNOWN;
	settings->base.port = PORT_DA;
	settings->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static void dmnic_get_ringparam(struct net_device *dev,
				struct ethtool_ringparam *ring,
				struct kernel_ethtool_ringparam *kernel_ring,
				struct netlink_ext_ack *extack)
{
	const struct dmnic_port *port = netdev_priv(dev);

	ring->rx_max_pending = DMNIC_RING_MAX;
	ring->tx_max_pending = DMNIC_RING_MAX;
	ring->rx_pending = port->config.rx_ring;
	ring->tx_pending = port->config.tx_ring;
	kernel_ring->tcp_data_split = dmnic_splits(&port->config) ?
		ETHTOOL_TCP_DATA_SPLIT_ENABLED :
		ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	dmnic_show_hds_thresh(kernel_ring, port->config.hds_thresh,
			      DMNIC_HDS_THRESH_MAX);
}

static bool dmnic_bound(struct net_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->real_num_rx_queues; i++)
		if (__netif_get_rx_queue(dev, i)->mp_params.mp_priv)
			return true;
	return false;
}

static int dmnic_set_ringparam(struct net_device *dev,
			       struct ethtool_ringparam *ring,
			       struct kernel_ethtool_ringparam *kernel_ring,
			       struct netlink_ext_ack *extack)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_config config = port->config;

	if (ring->rx_pending < DMNIC_RING_MIN ||
	    ring->tx_pending < DMNIC_RING_MIN) {
		NL_SET_ERR_MSG(extack, "a ring has at least 64 entries");
		return -EINVAL;
	}
	config.rx_ring = roundup_pow_of_two(ring->rx_pending);
	config.tx_ring = roundup_pow_of_two(ring->tx_pending);
	config.split = kernel_ring->tcp_data_split;
	config.hds_thresh = dmnic_wanted_hds_thresh(kernel_ring);
	if (dmnic_splits(&port->config) && !dmnic_splits(&config) &&
	    dmnic_bound(dev)) {
		NL_SET_ERR_MSG(extack, "a queue is bound to a dmabuf, which needs tcp-data-split");
		return -EBUSY;
	}
	if (!memcmp(&config, &port->config, sizeof(config)))
		return 0;
	return dmnic_reconfigure(port, &config);
}

static void dmnic_get_channels(struct net_device *dev,
			       struct ethtool_channels *channels)
{
	channels->max_rx = dev->num_rx_queues;
	channels->max_tx = dev->num_tx_queues;
	channels->rx_count = dev->real_num_rx_queues;
	channels->tx_count = dev->real_num_tx_queues;
}

/* ethtool has checked the maxima, the indirection table and bindings. */
static int dmnic_set_channels(struct net_device *dev,
			      struct ethtool_channels *channels)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_config config = port->config;
	int last = dmnic_rules_last_queue(&port->rules);

	if (!channels->rx_count || !channels->tx_count ||
	    last >= (int)channels->rx_count)
		return -EINVAL;
	config.rx_queues = channels->rx_count;
	config.tx_queues = channels->tx_count;
	return dmnic_reconfigure(port, &config);
}

static u32 dmnic_get_rxfh_key_size(struct net_device *dev)
{
	return DMNIC_RSS_KEY;
}

static u32 dmnic_get_rxfh_indir_size(struct net_device *dev)
{
	return DMNIC_RSS_INDIR;
}

static int dmnic_get_rxfh(struct net_device *dev,
			  struct ethtool_rxfh_param *param)
{
	struct dmnic_port *port = netdev_priv(dev);
	const struct dmnic_rss *rss = rtnl_dereference(port->rss);

	param->hfunc = ETH_RSS_HASH_TOP;
	if (param->indir)
		memcpy(param->indir, rss->indir, sizeof(rss->indir));
	if (param->key)
		memcpy(param->key, rss->key, sizeof(rss->key));
	return 0;
}

static int dmnic_set_rxfh(struct net_device *dev,
			  struct ethtool_rxfh_param *param,
			  struct netlink_ext_ack *extack)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_rss *rss;

	if (param->hfunc != ETH_RSS_HASH_NO_CHANGE &&
	    param->hfunc != ETH_RSS_HASH_TOP) {
		NL_SET_ERR_MSG(extack, "the only hash function is toeplitz");
		return -EOPNOTSUPP;
	}
	rss = dmnic_rss_dup(port);
	if (!rss)
		return -ENOMEM;
	if (param->key)
		dmnic_rss_set_key(rss, param->key);
	if (param->indir)
		memcpy(rss->indir, param->indir, sizeof(rss->indir));
	dmnic_rss_replace(port, rss);
	return 0;
}

static int dmnic_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info,
			   u32 *locations)
{
	struct dmnic_port *port = netdev_priv(dev);
	int n;

	switch (info->cmd) {
	case ETHTOOL_GRXRINGS:
		info->data = dev->real_num_rx_queues;
		return 0;
	case ETHTOOL_GRXFH:
		info->data = dmnic_rss_get_fields(port, info->flow_type);
		return 0;
	case ETHTOOL_GRXCLSRLCNT:
		info->rule_cnt = port->rules.count;
		info->data = DMNIC_RULES | RX_CLS_LOC_SPECIAL;
		return 0;
	case ETHTOOL_GRXCLSRULE:
		return dmnic_rule_get(&port->rules, &info->fs);
	case ETHTOOL_GRXCLSRLALL:
		n = dmnic_rules_list(&port->rules, locations, info->rule_cnt);
		if (n < 0)
			return n;
		info->rule_cnt = n;
		info->data = DMNIC_RULES;
		return 0;
	}
	return -EOPNOTSUPP;
}

static int dmnic_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info)
{
	struct dmnic_port *port = netdev_priv(dev);

	switch (info->cmd) {
	case ETHTOOL_SRXFH:
		return dmnic_rss_set_fields(port, info->flow_type, info->data);
	case ETHTOOL_SRXCLSRLINS:
		return dmnic_rule_add(port, &info->fs);
	case ETHTOOL_SRXCLSRLDEL:
		return dmnic_rule_del(&port->rules, info->fs.location);
	}
	return -EOPNOTSUPP;
}

const struct ethtool_ops dmnic_ethtool_ops = {
	.supported_ring_params	= DMNIC_RING_PARAMS,
	.get_drvinfo		= dmnic_get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= dmnic_get_link_ksettings,
	.get_ts_info		= ethtool_op_get_ts_info,
	.get_ringparam		= dmnic_get_ringparam,
	.set_ringparam		= dmnic_set_ringparam,
	.get_channels		= dmnic_get_channels,
	.set_channels		= dmnic_set_channels,
	.get_rxfh_key_size	= dmnic_get_rxfh_key_size,
	.get_rxfh_indir_size	= dmnic_get_rxfh_indir_size,
	.get_rxfh		= dmnic_get_rxfh,
	.set_rxfh		= dmnic_set_rxfh,
	.get_rxnfc		= dmnic_get_rxnfc,
	.set_rxnfc		= dmnic_set_rxnfc,
	.get_sset_count		= dmnic_get_sset_count,
	.get_strings		= dmnic_get_strings,
	.get_ethtool_stats	= dmnic_get_ethtool_stats,
};
