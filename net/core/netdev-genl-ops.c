// SPDX-License-Identifier: GPL-2.0
/* The netdev netlink family: all of its commands. The numbers of these and of
 * attributes are those of newer kernels; what there is only there is refused as
 * unknown.
 */
#include <linux/init.h>

#include "netdev-genl.h"

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

static int __init netdev_nl_init(void)
{
	int err;

	netdev_nl_family.ops = netdev_nl_ops;
	netdev_nl_family.n_ops = ARRAY_SIZE(netdev_nl_ops);
	err = netdev_nl_bind_init();
	if (!err)
		err = netdev_nl_dev_init();
	if (!err)
		err = genl_register_family(&netdev_nl_family);
	return err;
}
subsys_initcall(netdev_nl_init);
