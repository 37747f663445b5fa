// SPDX-License-Identifier: GPL-2.0
/* /sys/kernel/debug/dmnic/ADDRESS/: knobs to make a port fail. A number written
 * to one is how many of the next
 *
 *   fail_alloc    allocations of a queue's memory
 *   fail_start    starts of a queue
 *   fail_rx_dma   frames received are refused by the DMA engine
 *   fail_tx_dma   packets to be sent are refused by the DMA engine
 *
 * fail. So many of the first two go well before that:
 *
 *   spare_alloc, spare_start
 *
 * ADDRESS is the port's permanent one, which no renaming or moving
 * changes. Of ports that share one, the second has ADDRESS.2, and so on.
 */
#include <linux/debugfs.h>
#include <linux/netdevice.h>

#include "dmnic.h"

/* An address, a dot, a number */
#define DMNIC_DEBUGFS_NAME	(3 * ETH_ALEN + 11)

static struct dentry *dmnic_debugfs_root;

void dmnic_debugfs_init(void)
{
	dmnic_debugfs_root = debugfs_create_dir(KBUILD_MODNAME, NULL);
}

void dmnic_debugfs_exit(void)
{
	debugfs_remove(dmnic_debugfs_root);
}

static bool dmnic_debugfs_taken(const char *name)
{
	struct dentry *dir = debugfs_lookup(name, dmnic_debugfs_root);

	if (IS_ERR_OR_NULL(dir))
		return false;
	dput(dir);
	return true;
}

/* Under RTNL, so a name that is free stays free. */
static void dmnic_debugfs_name(const struct dmnic_port *port, char *name)
{
	unsigned int n = 1;

	snprintf(name, DMNIC_DEBUGFS_NAME, "%pM", port->dev->dev_addr);
	while (dmnic_debugfs_taken(name))
		snprintf(name, DMNIC_DEBUGFS_NAME, "%pM.%u",
			 port->dev->dev_addr, ++n);
}

void dmnic_debugfs_add(struct dmnic_port *port)
{
	struct dmnic_faults *faults = &port->faults;
	char name[DMNIC_DEBUGFS_NAME];
	struct dentry *dir;

	dmnic_debugfs_name(port, name);
	dir = debugfs_create_dir(name, dmnic_debugfs_root);
	debugfs_create_atomic_t("fail_alloc", 0600, dir, &faults->alloc);
	debugfs_create_atomic_t("fail_start", 0600, dir, &faults->start);
	debugfs_create_atomic_t("spare_alloc", 0600, dir, &faults->spare_alloc);
	debugfs_create_atomic_t("spare_start", 0600, dir, &faults->spare_start);
	debugfs_create_atomic_t("fail_rx_dma", 0600, dir, &faults->rx_dma);
	debugfs_create_atomic_t("fail_tx_dma", 0600, dir, &faults->tx_dma);
	port->debugfs = dir;
}

void dmnic_debugfs_del(struct dmnic_port *port)
{
	debugfs_remove(port->debugfs);
}
