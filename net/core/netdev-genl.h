/* SPDX-License-Identifier: GPL-2.0 */
/* The netdev netlink family, for the files that it is made of. */
#ifndef _NET_CORE_NETDEV_GENL_H
#define _NET_CORE_NETDEV_GENL_H

#include <net/genetlink.h>
#include <uapi/linux/netdev.h>

enum netdev_nl_group {
	NETDEV_NLGRP_MGMT,
	NETDEV_NLGRP_PAGE_POOL,
};

#define NETDEV_NL_IFINDEX	NLA_POLICY_MIN(NLA_U32, 1)
#define NETDEV_NL_QUEUE_TYPE	NLA_POLICY_MAX(NLA_U32, NETDEV_QUEUE_TYPE_TX)
#define NETDEV_NL_UINT(check)	NLA_POLICY_VALIDATE_FN(NLA_BINARY, check, 8)

/* Has no commands until netdev-genl-ops.c gives it these and registers it. */
extern struct genl_family netdev_nl_family;

/* What a message begins with, as reply, part of a dump, or notification. */
struct netdev_nl_head {
	u32 portid;
	u32 seq;
	int flags;
	u8 cmd;
};

static inline struct netdev_nl_head
netdev_nl_do_head(const struct genl_info *info)
{
	return (struct netdev_nl_head) {
		.portid = info->snd_portid,
		.seq = info->snd_seq,
		.cmd = info->genlhdr->cmd,
	};
}

static inline struct netdev_nl_head
netdev_nl_dump_head(struct netlink_callback *cb)
{
	return (struct netdev_nl_head) {
		.portid = NETLINK_CB(cb->skb).portid,
		.seq = cb->nlh->nlmsg_seq,
		.flags = NLM_F_MULTI,
		.cmd = genl_dumpit_info(cb)->op.cmd,
	};
}

static inline struct netdev_nl_head netdev_nl_ntf_head(u8 cmd)
{
	return (struct netdev_nl_head) { .cmd = cmd };
}

static inline void *netdev_nl_begin(struct sk_buff *msg,
				    const struct netdev_nl_head *head)
{
	return genlmsg_put(msg, head->portid, head->seq, &netdev_nl_family,
			   head->flags, head->cmd);
}

/* Sends the reply, or frees it if making it has failed. */
static inline int netdev_nl_reply(struct sk_buff *rsp, struct genl_info *info,
				  int err)
{
	if (err) {
		nlmsg_free(rsp);
		return err;
	}
	return genlmsg_reply(rsp, info);
}

/* A dump that ran out of room goes on in the next message. */
static inline int netdev_nl_dump_end(const struct sk_buff *msg, int err)
{
	return err == -EMSGSIZE && msg->len ? msg->len : err;
}

/* Numbers that take 4 bytes, or 8 if they don't fit. */
static inline int netdev_nl_put_uint(struct sk_buff *msg, int attr, u64 value)
{
	if (value <= U32_MAX)
		return nla_put_u32(msg, attr, value);
	return nla_put(msg, attr, sizeof(value), &value);
}

static inline u64 netdev_nl_get_uint(const struct nlattr *attr)
{
	if (nla_len(attr) == sizeof(u32))
		return nla_get_u32(attr);
	return nla_get_u64(attr);
}

/**
 * struct netdev_nl_dump_ctx - where a dump of all devices goes on
 * @from: the device, see netdev_nl_dump()
 * @rxq: the first RX queue of it that is still to come
 * @txq: the first TX queue
 * @napi_id: the lowest NAPI id
 */
struct netdev_nl_dump_ctx {
	unsigned long from;
	u32 rxq;
	u32 txq;
	u64 napi_id;
};

static inline struct netdev_nl_dump_ctx *
netdev_nl_dump_ctx(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct netdev_nl_dump_ctx) > sizeof(cb->ctx));
	return (struct netdev_nl_dump_ctx *)cb->ctx;
}

/* Adds to @msg what there is of @dev, from where the context says, and returns
 * -EMSGSIZE if there is more. Under RTNL.
 */
typedef int netdev_nl_dump_dev_t(struct net_device *dev, struct sk_buff *msg,
				 struct netlink_callback *cb);

/* netdev-genl.c */
int netdev_nl_check_uint(const struct nlattr *attr,
			 struct netlink_ext_ack *extack);
struct net_device *netdev_nl_dev(struct net *net, const struct nlattr *ifindex,
				 struct netlink_ext_ack *extack);
int netdev_nl_dump(struct sk_buff *msg, struct netlink_callback *cb,
		   const struct nlattr *ifindex, netdev_nl_dump_dev_t *dump);
int netdev_nl_dump_start(struct netlink_callback *cb);

extern const struct nla_policy netdev_nl_dev_policy[NETDEV_A_DEV_IFINDEX + 1];
int netdev_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info);
int netdev_nl_dev_get_dumpit(struct sk_buff *msg, struct netlink_callback *cb);
int netdev_nl_dev_init(void);

/* netdev-genl-queue.c */
extern const struct nla_policy
netdev_nl_queue_policy[NETDEV_A_QUEUE_TYPE + 1];
int netdev_nl_queue_get_doit(struct sk_buff *skb, struct genl_info *info);
int netdev_nl_queue_get_dumpit(struct sk_buff *msg,
			       struct netlink_callback *cb);

extern const struct nla_policy netdev_nl_napi_policy[NETDEV_A_NAPI_ID + 1];
int netdev_nl_napi_get_doit(struct sk_buff *skb, struct genl_info *info);
int netdev_nl_napi_get_dumpit(struct sk_buff *msg,
			      struct netlink_callback *cb);

/* page_pool_user.c */
extern const struct nla_policy
netdev_nl_page_pool_policy[NETDEV_A_PAGE_POOL_ID + 1];
int netdev_nl_page_pool_get_doit(struct sk_buff *skb, struct genl_info *info);
int netdev_nl_page_pool_get_dumpit(struct sk_buff *msg,
				   struct netlink_callback *cb);

extern const struct nla_policy
netdev_nl_page_pool_stats_policy[NETDEV_A_PAGE_POOL_STATS_INFO + 1];
int netdev_nl_page_pool_stats_get_doit(struct sk_buff *skb,
				       struct genl_info *info);
int netdev_nl_page_pool_stats_get_dumpit(struct sk_buff *msg,
					 struct netlink_callback *cb);

/* netdev-genl-stats.c */
extern const struct nla_policy
netdev_nl_qstats_policy[NETDEV_A_QSTATS_SCOPE + 1];
int netdev_nl_qstats_get_dumpit(struct sk_buff *msg,
				struct netlink_callback *cb);

/* netdev-genl-bind.c */
extern const struct nla_policy
netdev_nl_bind_rx_policy[NETDEV_A_DMABUF_RX_PAGE_SIZE + 1];
int netdev_nl_bind_rx_doit(struct sk_buff *skb, struct genl_info *info);

extern const struct nla_policy netdev_nl_bind_tx_policy[NETDEV_A_DMABUF_FD + 1];
int netdev_nl_bind_tx_doit(struct sk_buff *skb, struct genl_info *info);
int netdev_nl_bind_init(void);

#endif /* _NET_CORE_NETDEV_GENL_H */
