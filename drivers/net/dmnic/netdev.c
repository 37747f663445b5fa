// SPDX-License-Identifier: GPL-2.0
#include <linux/etherdevice.h>
#include <linux/ethtool_netlink.h>
#include <linux/netdevice.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "dmnic.h"

#define DMNIC_FEATURES	(NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_HIGHDMA | \
			 NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN)

static struct dmnic_port *dmnic_port_peer(struct dmnic_port *port)
{
	return rtnl_dereference(port->peer);
}

/* There is a link when both ends are up. */
static int dmnic_open(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_port *peer = dmnic_port_peer(port);
	int err;

	err = dmnic_up(port);
	if (err)
		return err;
	netif_tx_start_all_queues(dev);
	if (peer && netif_running(peer->dev)) {
		netif_carrier_on(dev);
		netif_carrier_on(peer->dev);
	}
	return 0;
}

static int dmnic_stop(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_port *peer = dmnic_port_peer(port);

	netif_carrier_off(dev);
	if (peer)
		netif_carrier_off(peer->dev);
	dmnic_down(port);
	return 0;
}

static int dmnic_get_iflink(const struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_port *peer;
	int iflink;

	rcu_read_lock();
	peer = rcu_dereference(port->peer);
	iflink = peer ? READ_ONCE(peer->dev->ifindex) : 0;
	rcu_read_unlock();
	return iflink;
}

/* Can the hardware cut this? Not if the checksum covers another address than
 * the one in the header, as with routing headers.
 */
static bool dmnic_can_segment(struct sk_buff *skb, u32 room)
{
	if (skb_transport_offset(skb) + tcp_hdrlen(skb) > room)
		return false;
	return !skb_is_gso_v6(skb) ||
	       ipv6_hdr(skb)->nexthdr == IPPROTO_TCP;
}

/* The hardware edits headers in a buffer of fixed size; a VLAN tag that the
 * stack has yet to push takes room there too.
 */
static netdev_features_t dmnic_features_check(struct sk_buff *skb,
					      struct net_device *dev,
					      netdev_features_t features)
{
	u32 room = DMNIC_HEAD_MAX;

	if (skb_vlan_tag_present(skb))
		room -= VLAN_HLEN;
	features = vlan_features_check(skb, features);
	if (skb_is_gso(skb) && !dmnic_can_segment(skb, room))
		features &= ~NETIF_F_GSO_MASK;
	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    skb_checksum_start_offset(skb) + skb->csum_offset +
	    sizeof(__sum16) > room)
		features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
	return features;
}

static int dmnic_dev_init(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	u32 i;

	memcpy(dev->perm_addr, dev->dev_addr, ETH_ALEN);
	port->config.rx_queues = dev->num_rx_queues;
	port->config.tx_queues = dev->num_tx_queues;
	port->rxq = kvcalloc(dev->num_rx_queues, sizeof(*port->rxq),
			     GFP_KERNEL);
	port->txq = kvcalloc(dev->num_tx_queues, sizeof(*port->txq),
			     GFP_KERNEL);
	if (!port->rxq || !port->txq || dmnic_rss_init(port)) {
		kvfree(port->rxq);
		kvfree(port->txq);
		port->rxq = NULL;
		port->txq = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < dev->num_rx_queues; i++)
		dmnic_rxq_init(port, i);
	for (i = 0; i < dev->num_tx_queues; i++)
		dmnic_txq_init(port, i);
	dmnic_debugfs_add(port);
	return 0;
}

static void dmnic_dev_uninit(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	u32 i;

	dmnic_debugfs_del(port);
	for (i = 0; i < dev->num_rx_queues; i++)
		__netif_napi_del(&port->rxq[i].napi);
	for (i = 0; i < dev->num_tx_queues; i++)
		__netif_napi_del(&port->txq[i].napi);
	synchronize_net();
}

/* The peer's hardware let go of us when the link was cut (dmnic_unlink()) and
 * a grace period went by since, in unregistration.
 */
static void dmnic_dev_destructor(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);

	dmnic_rules_clear(&port->rules);
	dmnic_rss_free(port);
	kvfree(port->rxq);
	kvfree(port->txq);
}

static const struct net_device_ops dmnic_netdev_ops = {
	.ndo_init		= dmnic_dev_init,
	.ndo_uninit		= dmnic_dev_uninit,
	.ndo_open		= dmnic_open,
	.ndo_stop		= dmnic_stop,
	.ndo_start_xmit		= dmnic_xmit,
	.ndo_features_check	= dmnic_features_check,
	.ndo_get_stats64	= dmnic_get_stats64,
	.ndo_get_iflink		= dmnic_get_iflink,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
};

void dmnic_setup(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);

	ether_setup(dev);
	SET_NETDEV_DEV(dev, dmnic_parent());
	dev->netdev_ops = &dmnic_netdev_ops;
	dev->ethtool_ops = &dmnic_ethtool_ops;
	dev->stat_ops = &dmnic_stat_ops;
	dev->queue_mgmt_ops = &dmnic_queue_mgmt_ops;
	dmnic_set_netmem_tx(dev);
	dev->needs_free_netdev = true;
	dev->priv_destructor = dmnic_dev_destructor;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->max_mtu = DMNIC_MTU_MAX;

	dev->features = DMNIC_FEATURES | NETIF_F_RXCSUM | NETIF_F_RXHASH |
			NETIF_F_NTUPLE;
	dev->hw_features = (dev->features & ~NETIF_F_HIGHDMA) | NETIF_F_GRO_HW;
	dev->vlan_features = DMNIC_FEATURES;

	port->dev = dev;
	port->config.rx_ring = DMNIC_RING_DEFAULT;
	port->config.tx_ring = DMNIC_RING_DEFAULT;
	port->config.split = ETHTOOL_TCP_DATA_SPLIT_UNKNOWN;
}
