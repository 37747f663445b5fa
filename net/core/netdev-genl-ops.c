// SPDX-License-Identifier: GPL-2.0
/* The netdev netlink family: its commands and what they take. The numbers of
 * commands and attributes are those of newer kernels; what there is only there
 * is refused as unknown.
 */
#include <linux/init.h>

#include "netdev-genl.h"

static int netdev_nl_check_uint(const struct nlattr *attr,
				struct netlink_ext_ack *extack)
{
	if (nla_len(attr) == sizeof(u32) || nla_len(attr) == sizeof(u64))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "invalid attribute length");
	return -EINVAL;
}

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

#define NETDEV_NL_IFINDEX	NLA_POLICY_MIN(NLA_U32, 1)
#define NETDEV_NL_QUEUE_TYPE	NLA_POLICY_MAX(NLA_U32, NETDEV_QUEUE_TYPE_TX)
#define NETDEV_NL_UINT(check)	NLA_POLICY_VALIDATE_FN(NLA_BINARY, check, 8)

static const struct nla_policy netdev_nl_dev_policy[] = {
	[NETDEV_A_DEV_IFINDEX] = NETDEV_NL_IFINDEX,
};

static const struct nla_policy netdev_nl_queue_policy[] = {
	[NETDEV_A_QUEUE_ID] = { .type = NLA_U32 },
	[NETDEV_A_QUEUE_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_QUEUE_TYPE] = NETDEV_NL_QUEUE_TYPE,
};

static const struct nla_policy netdev_nl_napi_policy[] = {
	[NETDEV_A_NAPI_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_NAPI_ID] = { .type = NLA_U32 },
};

static const struct nla_policy netdev_nl_qstats_policy[] = {
	[NETDEV_A_QSTATS_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_QSTATS_SCOPE] = NETDEV_NL_UINT(netdev_nl_check_scope),
};

const struct nla_policy
netdev_nl_queue_id_policy[NETDEV_A_QUEUE_TYPE + 1] = {
	[NETDEV_A_QUEUE_ID] = { .type = NLA_U32 },
	[NETDEV_A_QUEUE_TYPE] = NETDEV_NL_QUEUE_TYPE,
};

static struct netlink_range_validation netdev_nl_rx_page_sizes = {
	.min = PAGE_SIZE,
	.max = U32_MAX,
};

static const struct nla_policy netdev_nl_bind_rx_policy[] = {
	[NETDEV_A_DMABUF_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_DMABUF_QUEUES] = NLA_POLICY_NESTED(netdev_nl_queue_id_policy),
	[NETDEV_A_DMABUF_FD] = { .type = NLA_U32 },
	[NETDEV_A_DMABUF_RX_PAGE_SIZE] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &netdev_nl_rx_page_sizes),
};

static const struct nla_policy netdev_nl_bind_tx_policy[] = {
	[NETDEV_A_DMABUF_IFINDEX] = NETDEV_NL_IFINDEX,
	[NETDEV_A_DMABUF_FD] = { .type = NLA_U32 },
};

#ifdef CONFIG_PAGE_POOL
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

static const struct nla_policy netdev_nl_page_pool_policy[] = {
	[NETDEV_A_PAGE_POOL_ID] = NETDEV_NL_UINT(netdev_nl_check_pool_id),
};
#endif

#ifdef CONFIG_PAGE_POOL_STATS
const struct nla_policy
netdev_nl_page_pool_info_policy[NETDEV_A_PAGE_POOL_IFINDEX + 1] = {
	[NETDEV_A_PAGE_POOL_ID] = NETDEV_NL_UINT(netdev_nl_check_pool_id),
	[NETDEV_A_PAGE_POOL_IFINDEX] = NETDEV_NL_IFINDEX,
};

static const struct nla_policy netdev_nl_page_pool_stats_policy[] = {
	[NETDEV_A_PAGE_POOL_STATS_INFO] =
		NLA_POLICY_NESTED(netdev_nl_page_pool_info_policy),
};
#endif

#define NETDEV_NL_POLICY(_policy)			\
	.policy = (_policy),				\
	.maxattr = ARRAY_SIZE(_policy) - 1

/* internal_flags: see netdev_nl_dump_start() */
static const struct genl_ops netdev_nl_ops[] = {
	{
		.cmd = NETDEV_CMD_DEV_GET,
		.doit = netdev_nl_dev_get_doit,
		.start = netdev_nl_dump_start,
		.dumpit = netdev_nl_dev_get_dumpit,
		NETDEV_NL_POLICY(netdev_nl_dev_policy),
	},
#ifdef CONFIG_PAGE_POOL
	{
		.cmd = NETDEV_CMD_PAGE_POOL_GET,
		.doit = netdev_nl_page_pool_get_doit,
		.start = netdev_nl_dump_start,
		.dumpit = netdev_nl_page_pool_get_dumpit,
		NETDEV_NL_POLICY(netdev_nl_page_pool_policy),
	},
#endif
#ifdef CONFIG_PAGE_POOL_STATS
	{
		.cmd = NETDEV_CMD_PAGE_POOL_STATS_GET,
		.doit = netdev_nl_page_pool_stats_get_doit,
		.start = netdev_nl_dump_start,
		.dumpit = netdev_nl_page_pool_stats_get_dumpit,
		NETDEV_NL_POLICY(netdev_nl_page_pool_stats_policy),
	},
#endif
	{
		.cmd = NETDEV_CMD_QUEUE_GET,
		.internal_flags = NETDEV_A_QUEUE_IFINDEX,
		.doit = netdev_nl_queue_get_doit,
		.start = netdev_nl_dump_start,
		.dumpit = netdev_nl_queue_get_dumpit,
		NETDEV_NL_POLICY(netdev_nl_queue_policy),
	},
	{
		.cmd = NETDEV_CMD_NAPI_GET,
		.internal_flags = NETDEV_A_NAPI_IFINDEX,
		.doit = netdev_nl_napi_get_doit,
		.start = netdev_nl_dump_start,
		.dumpit = netdev_nl_napi_get_dumpit,
		NETDEV_NL_POLICY(netdev_nl_napi_policy),
	},
	{
		.cmd = NETDEV_CMD_QSTATS_GET,
		.dumpit = netdev_nl_qstats_get_dumpit,
		NETDEV_NL_POLICY(netdev_nl_qstats_policy),
	},
	{
		.cmd = NETDEV_CMD_BIND_RX,
		.flags = GENL_ADMIN_PERM,
		.doit = netdev_nl_bind_rx_doit,
		NETDEV_NL_POLICY(netdev_nl_bind_rx_policy),
	},
	{
		.cmd = NETDEV_CMD_BIND_TX,
		.doit = netdev_nl_bind_tx_doit,
		NETDEV_NL_POLICY(netdev_nl_bind_tx_policy),
	},
};

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
	.ops = netdev_nl_ops,
	.n_ops = ARRAY_SIZE(netdev_nl_ops),
	.mcgrps = netdev_nl_groups,
	.n_mcgrps = ARRAY_SIZE(netdev_nl_groups),
};

static int __init netdev_nl_init(void)
{
	int err;

	err = netdev_nl_bind_init();
	if (!err)
		err = netdev_nl_dev_init();
	if (!err)
		err = genl_register_family(&netdev_nl_family);
	return err;
}
subsys_initcall(netdev_nl_init);
