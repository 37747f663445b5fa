// SPDX-License-Identifier: GPL-2.0
/* bind-rx and bind-tx of the netdev netlink family: a dmabuf for RX queues to
 * receive into, or for a device to send from, as long as the netlink socket is
 * open that asked for it.
 */
#include <linux/bitmap.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netdev_queues.h>

#include "devmem.h"
#include "netdev-genl.h"

static const struct nla_policy
netdev_nl_queue_id_policy[NETDEV_A_QUEUE_TYPE + 1] = {
	[NETDEV_A_QUEUE_ID] = { .type = NLA_U32 },
	[NETDEV_A_QUEUE_TYPE] = NETDEV_NL_QUEUE_TYPE,
};

static struct netlink_range_validation netdev_nl_rx_page_sizes = {
	.min = PAGE_SIZE,
	.max = U32_MAX,
};

const struct nla_policy netdev_nl_bind_rx_policy[] = {
	[NETDEV_A_DMABUF_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_DMABUF_QUEUES] = NLA_POLICY_NESTED(netdev_nl_queue_id_policy),
	[NETDEV_A_DMABUF_FD] = { .type = NLA_U32 },
	[NETDEV_A_DMABUF_RX_PAGE_SIZE] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &netdev_nl_rx_page_sizes),
};

const struct nla_policy netdev_nl_bind_tx_policy[] = {
	[NETDEV_A_DMABUF_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_DMABUF_FD] = { .type = NLA_U32 },
};

/**
 * struct netdev_nl_owned - a binding and who keeps it
 * @list: in netdev_nl_owned_list, under netdev_nl_owned_lock
 * @sk: the netlink socket. Only its address counts; the binding goes before the
 *	socket does, and while a request is made of a socket it stays.
 * @rx: what the socket keeps, or NULL if it is to send from
 * @tx: likewise
 */
struct netdev_nl_owned {
	struct list_head list;
	const struct sock *sk;
	struct net_devmem_dmabuf_binding *rx;
	struct net_devmem_tx_binding *tx;
};

static LIST_HEAD(netdev_nl_owned_list);
static DEFINE_MUTEX(netdev_nl_owned_lock);

/* Makes the binding of @owned that @info asks for, and returns its id, or an
 * error. Under RTNL.
 */
typedef s64 netdev_nl_bind_t(struct netdev_nl_owned *owned,
			     struct genl_info *info);

static void netdev_nl_unbind(struct netdev_nl_owned *owned)
{
	if (owned->rx)
		net_devmem_unbind_dmabuf(owned->rx);
	else
		net_devmem_tx_unbind(owned->tx);
}

static struct net_device *netdev_nl_bind_dev(struct genl_info *info)
{
	struct net_device *dev;

	dev = netdev_nl_dev(genl_info_net(info),
			    info->attrs[NETDEV_A_DMABUF_IFINDEX],
			    info->extack);
	return dev && netif_device_present(dev) ? dev : NULL;
}

/* Adds to @rxqs the queue that a nest in the request names. */
static int netdev_nl_bind_rx_queue(struct net_device *dev,
				   const struct nlattr *nest,
				   unsigned long *rxqs,
				   struct netlink_ext_ack *extack)
{
	struct nlattr *tb[NETDEV_A_QUEUE_TYPE + 1];
	int err;
	u32 id;

	err = nla_parse_nested(tb, NETDEV_A_QUEUE_TYPE, nest,
			       netdev_nl_queue_id_policy, extack);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(extack, nest, tb, NETDEV_A_QUEUE_ID) ||
	    NL_REQ_ATTR_CHECK(extack, nest, tb, NETDEV_A_QUEUE_TYPE))
		return -EINVAL;
	if (nla_get_u32(tb[NETDEV_A_QUEUE_TYPE]) != NETDEV_QUEUE_TYPE_RX) {
		NL_SET_ERR_MSG_ATTR(extack, tb[NETDEV_A_QUEUE_TYPE],
				    "only RX queues can be bound");
		return -EINVAL;
	}
	id = nla_get_u32(tb[NETDEV_A_QUEUE_ID]);
	if (id >= dev->real_num_rx_queues) {
		NL_SET_ERR_MSG_ATTR(extack, tb[NETDEV_A_QUEUE_ID],
				    "rx queue index out of range");
		return -EINVAL;
	}
	if (__test_and_set_bit(id, rxqs) ||
	    __netif_get_rx_queue(dev, id)->mp_params.mp_ops) {
		NL_SET_ERR_MSG_ATTR(extack, tb[NETDEV_A_QUEUE_ID],
				    "designated queue already memory provider bound");
		return -EEXIST;
	}
#ifdef CONFIG_XDP_SOCKETS
	if (__netif_get_rx_queue(dev, id)->pool) {
		NL_SET_ERR_MSG_ATTR(extack, tb[NETDEV_A_QUEUE_ID],
				    "designated queue already in use by AF_XDP");
		return -EBUSY;
	}
#endif
	return 0;
}

static int netdev_nl_bind_rx_queues(struct net_device *dev,
				    const struct genl_info *info,
				    unsigned long *rxqs)
{
	const struct nlattr *attr;
	int err = 0, rem;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != NETDEV_A_DMABUF_QUEUES)
			continue;
		err = netdev_nl_bind_rx_queue(dev, attr, rxqs, info->extack);
		if (err)
			break;
	}
	return err;
}

/* A program, or that of a device above, which has passed it on to this one. */
static bool netdev_nl_has_xdp(struct net_device *dev)
{
	struct net_device *upper;
	struct list_head *iter;
	bool found;

	found = dev_xdp_prog_count(dev);
	rcu_read_lock();
	netdev_for_each_upper_dev_rcu(dev, upper, iter)
		found |= dev_xdp_prog_count(upper);
	rcu_read_unlock();
	return found;
}

/* All TCP payload must come without headers, for the CPU needs these. */
static int netdev_nl_check_split(struct net_device *dev,
				 struct netlink_ext_ack *extack)
{
	const struct ethtool_ops *ops = dev->ethtool_ops;
	struct kernel_ethtool_ringparam kernel = {};
	struct ethtool_ringparam param = {};

	if (ops->get_ringparam)
		ops->get_ringparam(dev, &param, &kernel, extack);
	if (kernel.tcp_data_split != ETHTOOL_TCP_DATA_SPLIT_ENABLED) {
		NL_SET_ERR_MSG(extack, "tcp-data-split is disabled");
		return -EINVAL;
	}
	if (kernel.hds_thresh) {
		NL_SET_ERR_MSG(extack, "hds-thresh is not zero");
		return -EINVAL;
	}
	return 0;
}

/* Buffers of PAGE_SIZE are what every driver has. */
static int netdev_nl_check_rx_page_size(struct net_device *dev,
					const struct nlattr *size,
					struct netlink_ext_ack *extack)
{
	const struct netdev_queue_mgmt_ops *ops = dev->queue_mgmt_ops;
	struct netdev_queue_config qcfg = {};

	if (!size || nla_get_u32(size) == PAGE_SIZE)
		return 0;
	if (!(ops->supported_params & QCFG_RX_PAGE_SIZE)) {
		NL_SET_ERR_MSG_ATTR(extack, size,
				    "device does not support: rx_page_size");
		return -EOPNOTSUPP;
	}
	if (!ops->ndo_validate_qcfg)
		return 0;
	qcfg.rx_page_size = nla_get_u32(size);
	return ops->ndo_validate_qcfg(dev, &qcfg, extack);
}

static int netdev_nl_bind_rx_check(struct net_device *dev,
				   const struct genl_info *info)
{
	struct netlink_ext_ack *extack = info->extack;
	int err;

	if (netdev_nl_has_xdp(dev)) {
		NL_SET_ERR_MSG(extack,
			       "unable to custom memory provider to device with XDP program attached");
		return -EEXIST;
	}
	err = netdev_nl_check_split(dev, extack);
	if (err)
		return err;
	return netdev_nl_check_rx_page_size(dev,
					    info->attrs[NETDEV_A_DMABUF_RX_PAGE_SIZE],
					    extack);
}

/* The binding, on all of @rxqs, or an error and nothing is bound. */
static struct net_devmem_dmabuf_binding *
netdev_nl_bind(struct net_device *dev, const struct genl_info *info,
	       const unsigned long *rxqs)
{
	const struct nlattr *size = info->attrs[NETDEV_A_DMABUF_RX_PAGE_SIZE];
	u32 fd = nla_get_u32(info->attrs[NETDEV_A_DMABUF_FD]);
	struct net_devmem_dmabuf_binding *binding;
	unsigned int id;
	int err;

	binding = net_devmem_bind_dmabuf(dev, fd, size ? nla_get_u32(size) : 0,
					 info->extack);
	if (IS_ERR(binding))
		return binding;
	for_each_set_bit(id, rxqs, dev->real_num_rx_queues) {
		err = net_devmem_bind_queue(binding, id, info->extack);
		if (err) {
			net_devmem_unbind_dmabuf(binding);
			return ERR_PTR(err);
		}
	}
	return binding;
}

static s64 netdev_nl_bind_rx(struct netdev_nl_owned *owned,
			     struct genl_info *info)
{
	struct net_device *dev = netdev_nl_bind_dev(info);
	unsigned long *rxqs;
	int err;

	if (!dev)
		return -ENODEV;
	if (!dev->queue_mgmt_ops)
		return -EOPNOTSUPP;

	rxqs = bitmap_zalloc(dev->real_num_rx_queues, GFP_KERNEL);
	if (!rxqs)
		return -ENOMEM;
	err = netdev_nl_bind_rx_queues(dev, info, rxqs);
	if (!err)
		err = netdev_nl_bind_rx_check(dev, info);
	owned->rx = err ? ERR_PTR(err) : netdev_nl_bind(dev, info, rxqs);
	bitmap_free(rxqs);
	if (IS_ERR(owned->rx))
		return PTR_ERR(owned->rx);
	return net_devmem_binding_id(owned->rx);
}

static s64 netdev_nl_bind_tx(struct netdev_nl_owned *owned,
			     struct genl_info *info)
{
	struct net_device *dev = netdev_nl_bind_dev(info);
	u32 fd = nla_get_u32(info->attrs[NETDEV_A_DMABUF_FD]);

	if (!dev)
		return -ENODEV;
	owned->tx = net_devmem_tx_bind(dev, fd, info->extack);
	if (IS_ERR(owned->tx))
		return PTR_ERR(owned->tx);
	return owned->tx->id;
}

/* Tells the id. Consumes @rsp. */
static int netdev_nl_bind_reply(struct genl_info *info, struct sk_buff *rsp,
				u32 id)
{
	struct netdev_nl_head head = netdev_nl_do_head(info);
	void *hdr = netdev_nl_begin(rsp, &head);

	if (!hdr || nla_put_u32(rsp, NETDEV_A_DMABUF_ID, id)) {
		nlmsg_free(rsp);
		return -EMSGSIZE;
	}
	genlmsg_end(rsp, hdr);
	return genlmsg_reply(rsp, info);
}

static int netdev_nl_bind_rx_check_attrs(struct genl_info *info)
{
	const struct nlattr *size = info->attrs[NETDEV_A_DMABUF_RX_PAGE_SIZE];

	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_DMABUF_IFINDEX) ||
	    GENL_REQ_ATTR_CHECK(info, NETDEV_A_DMABUF_FD) ||
	    GENL_REQ_ATTR_CHECK(info, NETDEV_A_DMABUF_QUEUES))
		return -EINVAL;
	if (size && !is_power_of_2(nla_get_u32(size))) {
		NL_SET_ERR_MSG_ATTR(info->extack, size,
				    "rx_page_size must be a power of 2 >= PAGE_SIZE");
		return -EINVAL;
	}
	return 0;
}

/* RTNL is held until the reply is on its way, and the socket cannot be closed
 * meanwhile: so nobody but us finds the binding if it has to go again because
 * the reply can't be delivered.
 */
static int netdev_nl_bind_doit(struct sk_buff *skb, struct genl_info *info,
			       netdev_nl_bind_t *bind)
{
	struct netdev_nl_owned *owned;
	struct sk_buff *rsp;
	int err;
	s64 id;

	owned = kzalloc(sizeof(*owned), GFP_KERNEL);
	rsp = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!owned || !rsp) {
		err = -ENOMEM;
		goto err_free;
	}

	rtnl_lock();
	id = bind(owned, info);
	if (id < 0) {
		rtnl_unlock();
		err = id;
		goto err_free;
	}
	err = netdev_nl_bind_reply(info, rsp, id);
	if (err)
		netdev_nl_unbind(owned);
	rtnl_unlock();
	if (err) {
		kfree(owned);
		return err;
	}

	owned->sk = NETLINK_CB(skb).sk;
	mutex_lock(&netdev_nl_owned_lock);
	list_add(&owned->list, &netdev_nl_owned_list);
	mutex_unlock(&netdev_nl_owned_lock);
	return 0;

err_free:
	nlmsg_free(rsp);
	kfree(owned);
	return err;
}

int netdev_nl_bind_rx_doit(struct sk_buff *skb, struct genl_info *info)
{
	int err = netdev_nl_bind_rx_check_attrs(info);

	return err ?: netdev_nl_bind_doit(skb, info, netdev_nl_bind_rx);
}

int netdev_nl_bind_tx_doit(struct sk_buff *skb, struct genl_info *info)
{
	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_DMABUF_IFINDEX) ||
	    GENL_REQ_ATTR_CHECK(info, NETDEV_A_DMABUF_FD))
		return -EINVAL;
	return netdev_nl_bind_doit(skb, info, netdev_nl_bind_tx);
}

/* A netlink socket has been closed, for good: nobody can send on it any more,
 * and the number that it was bound to may be another's already.
 */
static int netdev_nl_bind_socket_event(struct notifier_block *nb,
				       unsigned long event, void *info)
{
	const struct netlink_notify *notify = info;
	struct netdev_nl_owned *owned, *next;
	LIST_HEAD(gone);

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;

	mutex_lock(&netdev_nl_owned_lock);
	list_for_each_entry_safe(owned, next, &netdev_nl_owned_list, list)
		if (owned->sk == notify->sk)
			list_move(&owned->list, &gone);
	mutex_unlock(&netdev_nl_owned_lock);
	if (list_empty(&gone))
		return NOTIFY_DONE;

	rtnl_lock();
	list_for_each_entry_safe(owned, next, &gone, list) {
		netdev_nl_unbind(owned);
		kfree(owned);
	}
	rtnl_unlock();
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nl_bind_socket_nb = {
	.notifier_call = netdev_nl_bind_socket_event,
};

/* What is bound to a device ends with it, but stays the socket's. */
static int netdev_nl_bind_netdevice_event(struct notifier_block *nb,
					  unsigned long event, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (event == NETDEV_UNREGISTER && dev->reg_state != NETREG_REGISTERED)
		net_devmem_dev_gone(dev);
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nl_bind_netdevice_nb = {
	.notifier_call = netdev_nl_bind_netdevice_event,
};

int __init netdev_nl_bind_init(void)
{
	return netlink_register_notifier(&netdev_nl_bind_socket_nb) ?:
	       register_netdevice_notifier(&netdev_nl_bind_netdevice_nb);
}
