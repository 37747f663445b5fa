// SPDX-License-Identifier: GPL-2.0
/* Pairs of ports: "ip link add NAME type dmnic" makes NAME and NAMEp. */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <net/rtnetlink.h>

#include "dmnic.h"

static unsigned int dmnic_num_queues(void)
{
	return DMNIC_QUEUES_DEFAULT;
}

static int dmnic_check_queues(const struct net_device *dev,
			      struct netlink_ext_ack *extack)
{
	if (dev->num_rx_queues > DMNIC_QUEUES_MAX ||
	    dev->num_tx_queues > DMNIC_QUEUES_MAX) {
		NL_SET_ERR_MSG(extack, "a dmnic port has at most 64 queues each way");
		return -EINVAL;
	}
	return 0;
}

/* Settles the name of @dev and makes that of its peer from it. */
static int dmnic_peer_name(struct net_device *dev, char *name,
			   struct netlink_ext_ack *extack)
{
	int err;

	if (strchr(dev->name, '%')) {
		err = dev_alloc_name(dev, dev->name);
		if (err < 0)
			return err;
	}
	if (snprintf(name, IFNAMSIZ, "%sp", dev->name) >= IFNAMSIZ) {
		NL_SET_ERR_MSG(extack, "name too long: the peer has the same with a 'p' behind it");
		return -EINVAL;
	}
	return 0;
}

/* The peer gets as many queues and the same MTU, and is in the same netns. */
static struct net_device *dmnic_peer_create(struct net_device *dev,
					    struct nlattr *tb[],
					    struct netlink_ext_ack *extack)
{
	struct nlattr *peer_tb[IFLA_MAX + 1] = {
		[IFLA_NUM_RX_QUEUES] = tb[IFLA_NUM_RX_QUEUES],
		[IFLA_NUM_TX_QUEUES] = tb[IFLA_NUM_TX_QUEUES],
		[IFLA_MTU] = tb[IFLA_MTU],
	};
	struct net_device *peer;
	char name[IFNAMSIZ];
	int err;

	err = dmnic_peer_name(dev, name, extack);
	if (err)
		return ERR_PTR(err);
	peer = rtnl_create_link(dev_net(dev), name, NET_NAME_ENUM,
				&dmnic_link_ops, peer_tb, extack);
	if (IS_ERR(peer))
		return peer;
	eth_hw_addr_random(peer);
	err = register_netdevice(peer);
	if (err) {
		if (err == -EEXIST)
			NL_SET_ERR_MSG(extack, "the peer's name, this one and a 'p', is taken");
		free_netdev(peer);
		return ERR_PTR(err);
	}
	return peer;
}

static void dmnic_link(struct net_device *dev, struct net_device *peer)
{
	struct dmnic_port *port = netdev_priv(dev);

	rcu_assign_pointer(port->peer, netdev_priv(peer));
}

/* Hardware that is in the middle of a frame may finish it: the peer's memory
 * outlives the grace period that unregistration waits for.
 */
static struct net_device *dmnic_unlink(struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_port *peer = rtnl_dereference(port->peer);

	RCU_INIT_POINTER(port->peer, NULL);
	return peer ? peer->dev : NULL;
}

static int dmnic_newlink(struct net *src_net, struct net_device *dev,
			 struct nlattr *tb[], struct nlattr *data[],
			 struct netlink_ext_ack *extack)
{
	struct net_device *peer;
	int err;

	err = dmnic_check_queues(dev, extack);
	if (err)
		return err;
	peer = dmnic_peer_create(dev, tb, extack);
	if (IS_ERR(peer))
		return PTR_ERR(peer);
	netif_carrier_off(peer);
	err = rtnl_configure_link(peer, NULL, 0, NULL);
	if (err)
		goto err_unregister_peer;

	if (!tb[IFLA_ADDRESS])
		eth_hw_addr_random(dev);
	err = register_netdevice(dev);
	if (err)
		goto err_unregister_peer;
	netif_carrier_off(dev);
	dmnic_link(dev, peer);
	dmnic_link(peer, dev);
	return 0;

err_unregister_peer:
	unregister_netdevice(peer);
	return err;
}

static void dmnic_dellink(struct net_device *dev, struct list_head *head)
{
	struct net_device *peer = dmnic_unlink(dev);

	unregister_netdevice_queue(dev, head);
	if (peer) {
		dmnic_unlink(peer);
		unregister_netdevice_queue(peer, head);
	}
}

static struct net *dmnic_get_link_net(const struct net_device *dev)
{
	struct dmnic_port *port = netdev_priv(dev);
	struct dmnic_port *peer = rtnl_dereference(port->peer);

	return peer ? dev_net(peer->dev) : dev_net(dev);
}

struct rtnl_link_ops dmnic_link_ops __read_mostly = {
	.kind = KBUILD_MODNAME,
	.priv_size = sizeof(struct dmnic_port),
	.setup = dmnic_setup,
	.get_num_rx_queues = dmnic_num_queues,
	.get_num_tx_queues = dmnic_num_queues,
	.newlink = dmnic_newlink,
	.dellink = dmnic_dellink,
	.get_link_net = dmnic_get_link_net,
};
