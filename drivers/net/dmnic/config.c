// SPDX-License-Identifier: GPL-2.0
/* Bringing all queues of a port up and down, and changing what they are like.
 * A change is made whole or not at all: the new memory is allocated before the
 * old is touched, and the old goes back if the new doesn't start.
 */
#include <linux/ethtool_netlink.h>
#include <linux/netdevice.h>

#include "dmnic.h"

/* The memory of all queues of a configuration. */
struct dmnic_set {
	const struct dmnic_config *config;
	struct dmnic_rx_mem *rx;
	struct dmnic_tx_mem *tx;
};

bool dmnic_splits(const struct dmnic_config *config)
{
	return config->split == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
}

static void dmnic_set_free(struct dmnic_set *set)
{
	u32 i;

	for (i = 0; set->rx && i < set->config->rx_queues; i++)
		dmnic_rx_mem_free(&set->rx[i]);
	for (i = 0; set->tx && i < set->config->tx_queues; i++)
		dmnic_tx_mem_free(&set->tx[i]);
	kfree(set->rx);
	kfree(set->tx);
}

/* Room for the memory, but no memory. */
static int dmnic_set_init(struct dmnic_set *set,
			  const struct dmnic_config *config)
{
	set->config = config;
	set->rx = kcalloc(config->rx_queues, sizeof(*set->rx), GFP_KERNEL);
	set->tx = kcalloc(config->tx_queues, sizeof(*set->tx), GFP_KERNEL);
	if (set->rx && set->tx)
		return 0;
	dmnic_set_free(set);
	return -ENOMEM;
}

static int dmnic_set_alloc(struct dmnic_set *set, struct dmnic_port *port,
			   const struct dmnic_config *config)
{
	int err;
	u32 i;

	err = dmnic_set_init(set, config);
	if (err)
		return err;
	for (i = 0; !err && i < config->rx_queues; i++)
		err = dmnic_rx_mem_alloc(port, config, i, &set->rx[i]);
	for (i = 0; !err && i < config->tx_queues; i++)
		err = dmnic_tx_mem_alloc(config, &set->tx[i]);
	if (err)
		dmnic_set_free(set);
	return err;
}

/* Hands the queues' memory to the hardware, or fails and keeps it. */
static int dmnic_set_start(struct dmnic_set *set, struct dmnic_port *port)
{
	int err;
	u32 i;

	for (i = 0; i < set->config->rx_queues; i++) {
		err = dmnic_rxq_start(&port->rxq[i], &set->rx[i]);
		if (err)
			goto err_stop;
	}
	for (i = 0; i < set->config->tx_queues; i++)
		dmnic_txq_start(&port->txq[i], &set->tx[i]);
	return 0;

err_stop:
	while (i--)
		dmnic_rxq_stop(&port->rxq[i], &set->rx[i]);
	return err;
}

static void dmnic_set_stop(struct dmnic_set *set, struct dmnic_port *port)
{
	u32 i;

	dmnic_tx_quiesce(port);
	for (i = 0; i < set->config->tx_queues; i++)
		dmnic_txq_stop(&port->txq[i], &set->tx[i]);
	for (i = 0; i < set->config->rx_queues; i++)
		dmnic_rxq_stop(&port->rxq[i], &set->rx[i]);
}

int dmnic_up(struct dmnic_port *port)
{
	struct dmnic_set set;
	int err;

	err = dmnic_set_alloc(&set, port, &port->config);
	if (err)
		return err;
	err = dmnic_set_start(&set, port);
	dmnic_set_free(&set);
	return err;
}

/* Nothing here may fail, so the memory is taken from the queues one by one. */
void dmnic_down(struct dmnic_port *port)
{
	struct dmnic_rx_mem rx;
	struct dmnic_tx_mem tx;
	u32 i;

	dmnic_tx_quiesce(port);
	for (i = 0; i < port->config.tx_queues; i++) {
		dmnic_txq_stop(&port->txq[i], &tx);
		dmnic_tx_mem_free(&tx);
	}
	for (i = 0; i < port->config.rx_queues; i++) {
		dmnic_rxq_stop(&port->rxq[i], &rx);
		dmnic_rx_mem_free(&rx);
	}
}

/* All that depends on the configuration but is not queue memory. */
static int dmnic_apply(struct dmnic_port *port,
		       const struct dmnic_config *config)
{
	struct net_device *dev = port->dev;
	struct dmnic_rss *rss = NULL;
	int err;

	if (config->rx_queues != port->config.rx_queues &&
	    !netif_is_rxfh_configured(dev)) {
		rss = dmnic_rss_dup(port);
		if (!rss)
			return -ENOMEM;
		dmnic_rss_spread(rss, config->rx_queues);
	}
	err = netif_set_real_num_queues(dev, config->tx_queues,
					config->rx_queues);
	if (err) {
		kfree(rss);
		return err;
	}
	if (rss)
		dmnic_rss_replace(port, rss);
	port->config = *config;
	return 0;
}

/* Puts @new to work in place of @old, or @old back. */
static int dmnic_swap(struct dmnic_port *port, struct dmnic_set *old,
		      struct dmnic_set *new)
{
	int err;

	dmnic_set_stop(old, port);
	err = dmnic_set_start(new, port);
	if (!err) {
		err = dmnic_apply(port, new->config);
		if (err)
			dmnic_set_stop(new, port);
	}
	if (err && dmnic_set_start(old, port)) {
		netdev_err(port->dev, "queues don't start: set the interface down and up again\n");
		return -EIO;
	}
	netif_tx_wake_all_queues(port->dev);
	return err;
}

/* Under RTNL. */
int dmnic_reconfigure(struct dmnic_port *port,
		      const struct dmnic_config *config)
{
	struct dmnic_config before = port->config;
	struct dmnic_set old, new;
	int err;

	if (!netif_running(port->dev))
		return dmnic_apply(port, config);

	err = dmnic_set_init(&old, &before);
	if (err)
		return err;
	err = dmnic_set_alloc(&new, port, config);
	if (err)
		goto err_free_old;
	err = dmnic_swap(port, &old, &new);
	dmnic_set_free(&new);
err_free_old:
	dmnic_set_free(&old);
	return err;
}
