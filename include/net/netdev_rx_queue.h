/* SPDX-License-Identifier: GPL-2.0 */
/* Where newer kernels keep struct netdev_rx_queue and what goes with it. */
#ifndef _LINUX_NETDEV_RX_QUEUE_H
#define _LINUX_NETDEV_RX_QUEUE_H

#include <linux/netdevice.h>

int netdev_rx_queue_restart(struct net_device *dev, unsigned int rxq_idx);

#endif /* _LINUX_NETDEV_RX_QUEUE_H */
