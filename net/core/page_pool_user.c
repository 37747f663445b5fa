// SPDX-License-Identifier: GPL-2.0
/* Page pools, as the netdev netlink family shows them: those that serve one
 * netdev. A pool may outlive its netdev, for as long as its buffers are about.
 * Then it stays visible in the netns, as one of the loopback device, but
 * userspace is not told of this: to it the pool has no netdev.
 */
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/timekeeping.h>
#include <linux/xarray.h>
#include <net/page_pool/memory_provider.h>
#include <net/sock.h>

#include "netdev-genl.h"
#include "page_pool_priv.h"

static int netdev_nl_check_pool_id(const struct nlattr *attr,
				   struct netlink_ext_ack *extack)
{
	int err = netdev_nl_check_uint(attr, extack);
	u64 id;

	if (err)
		return err;
	id = netdev_nl_get_uint(attr);
	if (id && id <= U32_MAX)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "integer out of range");
	return -ERANGE;
}

const struct nla_policy netdev_nl_page_pool_policy[] = {
	[NETDEV_A_PAGE_POOL_ID] = NETDEV_NL_UINT(netdev_nl_check_pool_id),
};

#ifdef CONFIG_PAGE_POOL_STATS
static const struct nla_policy
netdev_nl_page_pool_info_policy[NETDEV_A_PAGE_POOL_IFINDEX + 1] = {
	[NETDEV_A_PAGE_POOL_ID] = NETDEV_NL_UINT(netdev_nl_check_pool_id),
	[NETDEV_A_PAGE_POOL_IFINDEX] = NETDEV_NL_IFINDEX,
};

const struct nla_policy netdev_nl_page_pool_stats_policy[] = {
	[NETDEV_A_PAGE_POOL_STATS_INFO] =
		NLA_POLICY_NESTED(netdev_nl_page_pool_info_policy),
};
#endif

static DEFINE_XARRAY_FLAGS(page_pools, XA_FLAGS_ALLOC1);
/* Guards page_pools and, of the pools in there, user and p.netdev: what it
 * points to does not go away while the lock is held. Taken inside RTNL. A pool
 * that has no user.id will never have one: no lock is needed to see this, and
 * none may be taken, for drivers destroy such pools in any context.
 */
static DEFINE_MUTEX(page_pools_lock);

typedef int page_pool_fill_t(struct sk_buff *msg, struct page_pool *pool,
			     const struct netdev_nl_head *head);

static bool page_pool_is_in(const struct page_pool *pool, const struct net *net)
{
	return net_eq(dev_net(pool->p.netdev), net);
}

static int page_pool_put_id(struct sk_buff *msg, const struct page_pool *pool)
{
	const struct net_device *dev = pool->p.netdev;
	int err;

	err = netdev_nl_put_uint(msg, NETDEV_A_PAGE_POOL_ID, pool->user.id);
	if (!err && dev != dev_net(dev)->loopback_dev)
		err = nla_put_u32(msg, NETDEV_A_PAGE_POOL_IFINDEX,
				  dev->ifindex);
	return err;
}

static int page_pool_fill(struct sk_buff *msg, struct page_pool *pool,
			  const struct netdev_nl_head *head)
{
	u64 inflight = page_pool_inflight(pool, false);
	void *hdr = netdev_nl_begin(msg, head);

	if (!hdr)
		return -EMSGSIZE;
	if (page_pool_put_id(msg, pool) ||
	    (pool->user.napi_id &&
	     netdev_nl_put_uint(msg, NETDEV_A_PAGE_POOL_NAPI_ID,
				pool->user.napi_id)) ||
	    netdev_nl_put_uint(msg, NETDEV_A_PAGE_POOL_INFLIGHT, inflight) ||
	    netdev_nl_put_uint(msg, NETDEV_A_PAGE_POOL_INFLIGHT_MEM,
			       inflight * (PAGE_SIZE << pool->p.order)) ||
	    (pool->user.detach_time &&
	     netdev_nl_put_uint(msg, NETDEV_A_PAGE_POOL_DETACH_TIME,
				pool->user.detach_time)) ||
	    (pool->mp_ops &&
	     pool->mp_ops->nl_fill(pool->mp_priv, msg, NULL))) {
		genlmsg_cancel(msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

static int page_pool_get(struct genl_info *info, const struct nlattr *id,
			 page_pool_fill_t *fill)
{
	struct netdev_nl_head head = netdev_nl_do_head(info);
	struct page_pool *pool;
	struct sk_buff *rsp;
	int err = -ENOENT;

	rsp = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!rsp)
		return -ENOMEM;
	mutex_lock(&page_pools_lock);
	pool = xa_load(&page_pools, netdev_nl_get_uint(id));
	if (pool && page_pool_is_in(pool, genl_info_net(info)))
		err = fill(rsp, pool, &head);
	mutex_unlock(&page_pools_lock);
	return netdev_nl_reply(rsp, info, err);
}

/* In the order of the ids, from the one that the context says. */
static int page_pool_dump(struct sk_buff *msg, struct netlink_callback *cb,
			  page_pool_fill_t *fill)
{
	unsigned long *next = (unsigned long *)cb->ctx, id;
	struct netdev_nl_head head = netdev_nl_dump_head(cb);
	struct page_pool *pool;
	int err = 0;

	mutex_lock(&page_pools_lock);
	xa_for_each_start(&page_pools, id, pool, *next) {
		*next = id;
		if (page_pool_is_in(pool, sock_net(msg->sk)))
			err = fill(msg, pool, &head);
		if (err)
			break;
	}
	mutex_unlock(&page_pools_lock);
	return netdev_nl_dump_end(msg, err);
}

int netdev_nl_page_pool_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_PAGE_POOL_ID))
		return -EINVAL;
	return page_pool_get(info, info->attrs[NETDEV_A_PAGE_POOL_ID],
			     page_pool_fill);
}

int netdev_nl_page_pool_get_dumpit(struct sk_buff *msg,
				   struct netlink_callback *cb)
{
	return page_pool_dump(msg, cb, page_pool_fill);
}

#ifdef CONFIG_PAGE_POOL_STATS
static int page_pool_put_stats(struct sk_buff *msg,
			       const struct page_pool_stats *stats)
{
	const struct page_pool_recycle_stats *recycle = &stats->recycle_stats;
	const struct page_pool_alloc_stats *alloc = &stats->alloc_stats;
	const struct {
		int attr;
		u64 value;
	} all[] = {
		{ NETDEV_A_PAGE_POOL_STATS_ALLOC_FAST, alloc->fast },
		{ NETDEV_A_PAGE_POOL_STATS_ALLOC_SLOW, alloc->slow },
		{ NETDEV_A_PAGE_POOL_STATS_ALLOC_SLOW_HIGH_ORDER,
		  alloc->slow_high_order },
		{ NETDEV_A_PAGE_POOL_STATS_ALLOC_EMPTY, alloc->empty },
		{ NETDEV_A_PAGE_POOL_STATS_ALLOC_REFILL, alloc->refill },
		{ NETDEV_A_PAGE_POOL_STATS_ALLOC_WAIVE, alloc->waive },
		{ NETDEV_A_PAGE_POOL_STATS_RECYCLE_CACHED, recycle->cached },
		{ NETDEV_A_PAGE_POOL_STATS_RECYCLE_CACHE_FULL,
		  recycle->cache_full },
		{ NETDEV_A_PAGE_POOL_STATS_RECYCLE_RING, recycle->ring },
		{ NETDEV_A_PAGE_POOL_STATS_RECYCLE_RING_FULL,
		  recycle->ring_full },
		{ NETDEV_A_PAGE_POOL_STATS_RECYCLE_RELEASED_REFCNT,
		  recycle->released_refcnt },
	};
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(all) && !err; i++)
		err = netdev_nl_put_uint(msg, all[i].attr, all[i].value);
	return err;
}

static int page_pool_fill_stats(struct sk_buff *msg, struct page_pool *pool,
				const struct netdev_nl_head *head)
{
	struct page_pool_stats stats = {};
	struct nlattr *nest;
	void *hdr;

	page_pool_get_stats(pool, &stats);
	hdr = netdev_nl_begin(msg, head);
	if (!hdr)
		return -EMSGSIZE;
	nest = nla_nest_start(msg, NETDEV_A_PAGE_POOL_STATS_INFO);
	if (!nest || page_pool_put_id(msg, pool))
		goto err_cancel;
	nla_nest_end(msg, nest);
	if (page_pool_put_stats(msg, &stats))
		goto err_cancel;
	genlmsg_end(msg, hdr);
	return 0;

err_cancel:
	genlmsg_cancel(msg, hdr);
	return -EMSGSIZE;
}

int netdev_nl_page_pool_stats_get_doit(struct sk_buff *skb,
				       struct genl_info *info)
{
	struct nlattr *tb[NETDEV_A_PAGE_POOL_IFINDEX + 1], *nest;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, NETDEV_A_PAGE_POOL_STATS_INFO))
		return -EINVAL;
	nest = info->attrs[NETDEV_A_PAGE_POOL_STATS_INFO];
	err = nla_parse_nested(tb, NETDEV_A_PAGE_POOL_IFINDEX, nest,
			       netdev_nl_page_pool_info_policy, info->extack);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(info->extack, nest, tb, NETDEV_A_PAGE_POOL_ID))
		return -EINVAL;
	if (tb[NETDEV_A_PAGE_POOL_IFINDEX]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    tb[NETDEV_A_PAGE_POOL_IFINDEX],
				    "selecting by ifindex not supported");
		return -EINVAL;
	}
	return page_pool_get(info, tb[NETDEV_A_PAGE_POOL_ID],
			     page_pool_fill_stats);
}

int netdev_nl_page_pool_stats_get_dumpit(struct sk_buff *msg,
					 struct netlink_callback *cb)
{
	return page_pool_dump(msg, cb, page_pool_fill_stats);
}
#endif

static void page_pool_notify(struct page_pool *pool, u8 cmd)
{
	struct netdev_nl_head head = netdev_nl_ntf_head(cmd);
	struct net *net = dev_net(pool->p.netdev);
	struct sk_buff *ntf;

	lockdep_assert_held(&page_pools_lock);
	if (!genl_has_listeners(&netdev_nl_family, net, NETDEV_NLGRP_PAGE_POOL))
		return;
	ntf = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!ntf)
		return;
	if (page_pool_fill(ntf, pool, &head)) {
		nlmsg_free(ntf);
		return;
	}
	genlmsg_multicast_netns(&netdev_nl_family, net, ntf, 0,
				NETDEV_NLGRP_PAGE_POOL, GFP_KERNEL);
}

/* A new pool. Without a netdev it has no id and nobody sees it. */
int page_pool_list(struct page_pool *pool)
{
	static u32 id_next;
	int err;

	if (!pool->p.netdev)
		return 0;
	mutex_lock(&page_pools_lock);
	err = xa_alloc_cyclic(&page_pools, &pool->user.id, pool, xa_limit_32b,
			      &id_next, GFP_KERNEL);
	if (err >= 0) {
		pool->user.napi_id = pool->p.napi ? pool->p.napi->napi_id : 0;
		page_pool_notify(pool, NETDEV_CMD_PAGE_POOL_ADD_NTF);
	}
	mutex_unlock(&page_pools_lock);
	return min(err, 0);
}

/* Its driver is done with it, but there are buffers yet to come back. */
void page_pool_detached(struct page_pool *pool)
{
	if (!READ_ONCE(pool->user.id))
		return;
	mutex_lock(&page_pools_lock);
	if (pool->user.id) {
		/* 0 would say that it is in use: boot may be that young. */
		pool->user.detach_time = max_t(time64_t, 1,
					       ktime_get_boottime_seconds());
		page_pool_notify(pool, NETDEV_CMD_PAGE_POOL_CHANGE_NTF);
	}
	mutex_unlock(&page_pools_lock);
}

void page_pool_unlist(struct page_pool *pool)
{
	if (!READ_ONCE(pool->user.id))
		return;
	mutex_lock(&page_pools_lock);
	if (pool->user.id) {
		page_pool_notify(pool, NETDEV_CMD_PAGE_POOL_DEL_NTF);
		xa_erase(&page_pools, pool->user.id);
	}
	mutex_unlock(&page_pools_lock);
}

/* Does the queue receive, or is it ready to receive, into what its provider
 * has? Its driver may know nothing of providers, or of this one's kind.
 */
int page_pool_check_memory_provider(struct net_device *dev,
				    struct netdev_rx_queue *rxq)
{
	struct page_pool *pool;
	unsigned long id;
	int err = -ENODATA;

	if (!rxq->mp_params.mp_ops)
		return 0;
	mutex_lock(&page_pools_lock);
	xa_for_each(&page_pools, id, pool)
		if (pool->p.netdev == dev &&
		    pool->p.queue_idx == rxq - dev->_rx &&
		    pool->mp_priv == rxq->mp_params.mp_priv &&
		    pool->mp_ops == rxq->mp_params.mp_ops &&
		    !pool->user.detach_time)
			err = 0;
	mutex_unlock(&page_pools_lock);
	return err;
}

/* The pools of a netdev that goes become those of loopback. When this goes the
 * netns does, and nobody is left to see them.
 */
static void page_pool_netdev_gone(struct net_device *dev)
{
	struct net_device *lo = dev_net(dev)->loopback_dev;
	struct page_pool *pool;
	unsigned long id;

	mutex_lock(&page_pools_lock);
	xa_for_each(&page_pools, id, pool) {
		if (pool->p.netdev != dev)
			continue;
		if (dev != lo) {
			pool->p.netdev = lo;
			page_pool_notify(pool, NETDEV_CMD_PAGE_POOL_CHANGE_NTF);
		} else {
			pool->p.netdev = NULL;
			WRITE_ONCE(pool->user.id, 0);
			xa_erase(&page_pools, id);
		}
	}
	mutex_unlock(&page_pools_lock);
}

/* The pools of a netdev that moves to another netns go with it. */
static void page_pool_netdev_moves(struct net_device *dev, u8 cmd)
{
	struct page_pool *pool;
	unsigned long id;

	mutex_lock(&page_pools_lock);
	xa_for_each(&page_pools, id, pool)
		if (pool->p.netdev == dev)
			page_pool_notify(pool, cmd);
	mutex_unlock(&page_pools_lock);
}

static int page_pool_netdevice_event(struct notifier_block *nb,
				     unsigned long event, void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (event == NETDEV_REGISTER)
		page_pool_netdev_moves(dev, NETDEV_CMD_PAGE_POOL_ADD_NTF);
	else if (event == NETDEV_UNREGISTER &&
		 dev->reg_state == NETREG_REGISTERED)
		page_pool_netdev_moves(dev, NETDEV_CMD_PAGE_POOL_DEL_NTF);
	else if (event == NETDEV_UNREGISTER)
		page_pool_netdev_gone(dev);
	return NOTIFY_DONE;
}

static struct notifier_block page_pool_netdevice_nb = {
	.notifier_call = page_pool_netdevice_event,
};

static int __init page_pool_user_init(void)
{
	return register_netdevice_notifier(&page_pool_netdevice_nb);
}
subsys_initcall(page_pool_user_init);
