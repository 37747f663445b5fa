// SPDX-License-Identifier: GPL-2.0
/* The netdev netlink family, devices as it shows them, and dumps of all kinds. */
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/sock.h>

#include "netdev-genl.h"

static const struct genl_multicast_group netdev_nl_groups[] = {
	[NETDEV_NLGRP_MGMT] = { .name = NETDEV_MCGRP_MGMT },
	[NETDEV_NLGRP_PAGE_POOL] = { .name = NETDEV_MCGRP_PAGE_POOL },
};

struct genl_family netdev_nl_family __ro_after_init = {
	.name = NETDEV_FAMILY_NAME,
	.version = NETDEV_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.mcgrps = netdev_nl_groups,
	.n_mcgrps = ARRAY_SIZE(netdev_nl_groups),
};

int netdev_nl_check_uint(const struct nlattr *attr,
			 struct netlink_ext_ack *extack)
{
	if (nla_len(attr) == sizeof(u32) || nla_len(attr) == sizeof(u64))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "invalid attribute length");
	return -EINVAL;
}

struct net_device *netdev_nl_dev(struct net *net, const struct nlattr *ifindex,
				 struct netlink_ext_ack *extack)
{
	struct net_device *dev = __dev_get_by_index(net, nla_get_u32(ifindex));

	if (!dev)
		NL_SET_BAD_ATTR(extack, ifindex);
	return dev;
}

/* The first device not before @from in an order that stays the same however
 * devices come and go: by their bucket of the ifindex hash, which is the lower
 * bits of the ifindex and of @from, and in there by the ifindex.
 */
static struct net_device *netdev_nl_next_dev(struct net *net,
					     unsigned long from)
{
	unsigned int bucket = from % NETDEV_HASHENTRIES;
	struct net_device *dev, *next = NULL;

	for (; bucket < NETDEV_HASHENTRIES && !next; bucket++, from = 0)
		hlist_for_each_entry(dev, &net->dev_index_head[bucket],
				     index_hlist)
			if (dev->ifindex >= from &&
			    (!next || dev->ifindex < next->ifindex))
				next = dev;
	return next;
}

/* Dumps one device, or all. The next one after a device is in its bucket or in
 * a later one; what the context says of queues is for one device only.
 */
int netdev_nl_dump(struct sk_buff *msg, struct netlink_callback *cb,
		   const struct nlattr *ifindex, netdev_nl_dump_dev_t *dump)
{
	struct netdev_nl_dump_ctx *ctx = netdev_nl_dump_ctx(cb);
	struct net *net = sock_net(msg->sk);
	struct net_device *dev;
	int err = 0;

	rtnl_lock();
	if (ifindex) {
		dev = netdev_nl_dev(net, ifindex, cb->extack);
		err = dev ? dump(dev, msg, cb) : -ENODEV;
		goto unlock;
	}
	while ((dev = netdev_nl_next_dev(net, ctx->from))) {
		if (dev->ifindex != ctx->from)
			*ctx = (typeof(*ctx)) { .from = dev->ifindex };
		err = dump(dev, msg, cb);
		if (err)
			break;
		*ctx = (typeof(*ctx)) {
			.from = ctx->from + NETDEV_HASHENTRIES,
		};
	}
unlock:
	rtnl_unlock();
	return netdev_nl_dump_end(msg, err);
}

/* One policy serves do and dump, so what a dump doesn't take must be refused
 * here: all but the attribute that internal_flags has the number of.
 */
int netdev_nl_dump_start(struct netlink_callback *cb)
{
	const struct genl_dumpit_info *info = genl_dumpit_info(cb);
	unsigned int i;

	for (i = 1; i <= info->op.maxattr; i++)
		if (info->attrs[i] && i != info->op.internal_flags)
			return -EINVAL;
	return 0;
}

const struct nla_policy netdev_nl_dev_policy[] = {
	[NETDEV_A_DEV_IFINDEX] = NETDEV_NL_IFINDEX,
};

/* Which XDP features the driver has, nobody knows on this kernel, so there is
 * no word of them. There is no XDP metadata in any driver.
 */
static int netdev_nl_dev_fill(struct net_device *dev, struct sk_buff *msg,
			      const struct netdev_nl_head *head)
{
	void *hdr = netdev_nl_begin(msg, head);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(msg, NETDEV_A_DEV_IFINDEX, dev->ifindex) ||
	    nla_put_u64_64bit(msg, NETDEV_A_DEV_XDP_RX_METADATA_FEATURES, 0,
			      NETDEV_A_DEV_PAD) ||
	    nla_put_u64_64bit(msg, NETDEV_A_DEV_XSK_FEATURES, 0,
			      NETDEV_A_DEV_PAD)) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

int netdev_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct netdev_nl_head head = netdev_nl_do_head(info);
	struct net_device *dev;
	struct sk_buff *rsp;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_DEV_IFINDEX))
		return -EINVAL;
	rsp = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!rsp)
		return -ENOMEM;

	rtnl_lock();
	dev = netdev_nl_dev(genl_info_net(info),
			    info->attrs[NETDEV_A_DEV_IFINDEX], info->extack);
	err = dev ? netdev_nl_dev_fill(dev, rsp, &head) : -ENODEV;
	rtnl_unlock();
	return netdev_nl_reply(rsp, info, err);
}

static int netdev_nl_dev_dump(struct net_device *dev, struct sk_buff *msg,
			      struct netlink_callback *cb)
{
	struct netdev_nl_head head = netdev_nl_dump_head(cb);

	return netdev_nl_dev_fill(dev, msg, &head);
}

int netdev_nl_dev_get_dumpit(struct sk_buff *msg, struct netlink_callback *cb)
{
	return netdev_nl_dump(msg, cb, NULL, netdev_nl_dev_dump);
}

static void netdev_nl_dev_notify(struct net_device *dev, u8 cmd)
{
	struct netdev_nl_head head = netdev_nl_ntf_head(cmd);
	struct net *net = dev_net(dev);
	struct sk_buff *ntf;

	if (!genl_has_listeners(&netdev_nl_family, net, NETDEV_NLGRP_MGMT))
		return;
	ntf = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!ntf)
		return;
	if (netdev_nl_dev_fill(dev, ntf, &head)) {
		nlmsg_free(ntf);
		return;
	}
	genlmsg_multicast_netns(&netdev_nl_family, net, ntf, 0,
				NETDEV_NLGRP_MGMT, GFP_KERNEL);
}

/* To leave a netns for another is to be unregistered and registered there, but
 * to stay a device.
 */
static int netdev_nl_netdevice_event(struct notifier_block *nb,
				     unsigned long event, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	switch (event) {
	case NETDEV_REGISTER:
		netdev_nl_dev_notify(dev, NETDEV_CMD_DEV_ADD_NTF);
		break;
	case NETDEV_UNREGISTER:
		netdev_nl_dev_notify(dev, NETDEV_CMD_DEV_DEL_NTF);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nl_netdevice_nb = {
	.notifier_call = netdev_nl_netdevice_event,
};

int __init netdev_nl_dev_init(void)
{
	return register_netdevice_notifier(&netdev_nl_netdevice_nb);
}
