// SPDX-License-Identifier: GPL-2.0
/* Queues and NAPIs, as the netdev netlink family shows them: those of devices
 * that are up.
 */
#include <linux/netdevice.h>
#include <linux/pid_namespace.h>
#include <linux/rtnetlink.h>
#include <net/busy_poll.h>
#include <net/page_pool/memory_provider.h>

#include "netdev-genl.h"

const struct nla_policy netdev_nl_queue_policy[] = {
	[NETDEV_A_QUEUE_ID] = { .type = NLA_U32 },
	[NETDEV_A_QUEUE_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_QUEUE_TYPE] = NETDEV_NL_QUEUE_TYPE,
};

const struct nla_policy netdev_nl_napi_policy[] = {
	[NETDEV_A_NAPI_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_NAPI_ID] = { .type = NLA_U32 },
};

static int netdev_nl_put_queue_napi(struct sk_buff *msg,
				    const struct napi_struct *napi)
{
	if (!napi || napi->napi_id < MIN_NAPI_ID)
		return 0;
	return nla_put_u32(msg, NETDEV_A_QUEUE_NAPI_ID, napi->napi_id);
}

static int netdev_nl_put_rx_queue(struct sk_buff *msg,
				  struct netdev_rx_queue *rxq)
{
	const struct pp_memory_provider_params *mp = &rxq->mp_params;
	int err;

	err = netdev_nl_put_queue_napi(msg, rxq->napi);
	if (!err && mp->mp_ops)
		err = mp->mp_ops->nl_fill(mp->mp_priv, msg, rxq);
	return err;
}

static int netdev_nl_put_tx_queue(struct sk_buff *msg,
				  const struct netdev_queue *txq)
{
	return netdev_nl_put_queue_napi(msg, txq->napi);
}

static int netdev_nl_queue_fill(struct net_device *dev, u32 type, u32 id,
				struct sk_buff *msg,
				const struct netdev_nl_head *head)
{
	void *hdr = netdev_nl_begin(msg, head);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(msg, NETDEV_A_QUEUE_ID, id) ||
	    nla_put_u32(msg, NETDEV_A_QUEUE_TYPE, type) ||
	    nla_put_u32(msg, NETDEV_A_QUEUE_IFINDEX, dev->ifindex) ||
	    (type == NETDEV_QUEUE_TYPE_RX ?
	     netdev_nl_put_rx_queue(msg, __netif_get_rx_queue(dev, id)) :
	     netdev_nl_put_tx_queue(msg, netdev_get_tx_queue(dev, id)))) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

static u32 netdev_nl_num_queues(const struct net_device *dev, u32 type)
{
	return type == NETDEV_QUEUE_TYPE_RX ? dev->real_num_rx_queues :
					      dev->real_num_tx_queues;
}

static int netdev_nl_queue_get(struct sk_buff *rsp, struct genl_info *info)
{
	struct netdev_nl_head head = netdev_nl_do_head(info);
	u32 type = nla_get_u32(info->attrs[NETDEV_A_QUEUE_TYPE]);
	u32 id = nla_get_u32(info->attrs[NETDEV_A_QUEUE_ID]);
	struct net_device *dev;

	dev = netdev_nl_dev(genl_info_net(info),
			    info->attrs[NETDEV_A_QUEUE_IFINDEX], info->extack);
	if (!dev)
		return -ENODEV;
	if (!(dev->flags & IFF_UP))
		return -ENOENT;
	if (id >= netdev_nl_num_queues(dev, type)) {
		NL_SET_BAD_ATTR(info->extack, info->attrs[NETDEV_A_QUEUE_ID]);
		return -EINVAL;
	}
	return netdev_nl_queue_fill(dev, type, id, rsp, &head);
}

int netdev_nl_queue_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *rsp;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_QUEUE_ID) ||
	    GENL_REQ_ATTR_CHECK(info, NETDEV_A_QUEUE_TYPE) ||
	    GENL_REQ_ATTR_CHECK(info, NETDEV_A_QUEUE_IFINDEX))
		return -EINVAL;
	rsp = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!rsp)
		return -ENOMEM;

	rtnl_lock();
	err = netdev_nl_queue_get(rsp, info);
	rtnl_unlock();
	return netdev_nl_reply(rsp, info, err);
}

static int netdev_nl_queue_dump_type(struct net_device *dev, u32 type, u32 *id,
				     struct sk_buff *msg,
				     const struct netdev_nl_head *head)
{
	int err = 0;

	while (!err && *id < netdev_nl_num_queues(dev, type)) {
		err = netdev_nl_queue_fill(dev, type, *id, msg, head);
		if (!err)
			++*id;
	}
	return err;
}

static int netdev_nl_queue_dump(struct net_device *dev, struct sk_buff *msg,
				struct netlink_callback *cb)
{
	struct netdev_nl_dump_ctx *ctx = netdev_nl_dump_ctx(cb);
	struct netdev_nl_head head = netdev_nl_dump_head(cb);
	int err;

	if (!(dev->flags & IFF_UP))
		return 0;
	err = netdev_nl_queue_dump_type(dev, NETDEV_QUEUE_TYPE_RX, &ctx->rxq,
					msg, &head);
	if (!err)
		err = netdev_nl_queue_dump_type(dev, NETDEV_QUEUE_TYPE_TX,
						&ctx->txq, msg, &head);
	return err;
}

int netdev_nl_queue_get_dumpit(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_dumpit_info(cb)->attrs;

	return netdev_nl_dump(msg, cb, attrs[NETDEV_A_QUEUE_IFINDEX],
			      netdev_nl_queue_dump);
}

static int netdev_nl_napi_fill(const struct napi_struct *napi,
			       struct sk_buff *msg,
			       const struct netdev_nl_head *head)
{
	struct task_struct *thread = READ_ONCE(napi->thread);
	void *hdr = netdev_nl_begin(msg, head);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(msg, NETDEV_A_NAPI_ID, napi->napi_id) ||
	    nla_put_u32(msg, NETDEV_A_NAPI_IFINDEX, napi->dev->ifindex) ||
	    (napi->irq >= 0 &&
	     nla_put_u32(msg, NETDEV_A_NAPI_IRQ, napi->irq)) ||
	    (thread &&
	     nla_put_u32(msg, NETDEV_A_NAPI_PID,
			 task_pid_nr_ns(thread,
					task_active_pid_ns(current))))) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

/* The NAPI with the lowest id not below @from: a device's list has no order
 * that a dump could go on in. Under RCU, for drivers delete NAPIs whenever they
 * like.
 */
static struct napi_struct *netdev_nl_next_napi(struct net_device *dev, u64 from)
{
	struct napi_struct *napi, *next = NULL;

	if (!(dev->flags & IFF_UP))
		return NULL;
	from = max_t(u64, from, MIN_NAPI_ID);
	list_for_each_entry_rcu(napi, &dev->napi_list, dev_list)
		if (napi->napi_id >= from &&
		    (!next || napi->napi_id < next->napi_id))
			next = napi;
	return next;
}

static int netdev_nl_napi_get(struct sk_buff *rsp, struct genl_info *info)
{
	struct netdev_nl_head head = netdev_nl_do_head(info);
	u32 id = nla_get_u32(info->attrs[NETDEV_A_NAPI_ID]);
	struct napi_struct *napi;
	struct net_device *dev;

	for_each_netdev(genl_info_net(info), dev) {
		napi = netdev_nl_next_napi(dev, id);
		if (napi && napi->napi_id == id)
			return netdev_nl_napi_fill(napi, rsp, &head);
	}
	NL_SET_BAD_ATTR(info->extack, info->attrs[NETDEV_A_NAPI_ID]);
	return -ENOENT;
}

int netdev_nl_napi_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *rsp;
	int err;

	if (info->attrs[NETDEV_A_NAPI_IFINDEX]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[NETDEV_A_NAPI_IFINDEX],
				    "Unsupported attribute");
		return -EINVAL;
	}
	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_NAPI_ID))
		return -EINVAL;
	rsp = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!rsp)
		return -ENOMEM;

	rtnl_lock();
	rcu_read_lock();
	err = netdev_nl_napi_get(rsp, info);
	rcu_read_unlock();
	rtnl_unlock();
	return netdev_nl_reply(rsp, info, err);
}

static int netdev_nl_napi_dump(struct net_device *dev, struct sk_buff *msg,
			       struct netlink_callback *cb)
{
	struct netdev_nl_dump_ctx *ctx = netdev_nl_dump_ctx(cb);
	struct netdev_nl_head head = netdev_nl_dump_head(cb);
	struct napi_struct *napi;
	int err = 0;

	rcu_read_lock();
	while (!err && (napi = netdev_nl_next_napi(dev, ctx->napi_id))) {
		err = netdev_nl_napi_fill(napi, msg, &head);
		if (!err)
			ctx->napi_id = napi->napi_id + 1ULL;
	}
	rcu_read_unlock();
	return err;
}

int netdev_nl_napi_get_dumpit(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_dumpit_info(cb)->attrs;

	return netdev_nl_dump(msg, cb, attrs[NETDEV_A_NAPI_IFINDEX],
			      netdev_nl_napi_dump);
}
