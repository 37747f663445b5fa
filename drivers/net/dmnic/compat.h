/* SPDX-License-Identifier: GPL-2.0 */
/* Every difference between the kernels that dmnic builds on: patched 6.1 and
 * stock 6.12. The code beside it is written for 6.12.
 */
#ifndef _DMNIC_COMPAT_H
#define _DMNIC_COMPAT_H

#include <linux/dma-mapping.h>
#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/netdev_queues.h>
#include <net/netmem.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define ethtool_puts(data, str)	ethtool_sprintf(data, "%s", str)

/* What the hash operations take: 6.1 hands it over piece by piece. */
struct ethtool_rxfh_param {
	u8 hfunc;
	u32 *indir;
	u8 *key;
};

/* These stand where the functions are defined, not where they are named: there
 * a function is made that 6.1 can call, and the one that follows is called by
 * it. The arguments are parameter declarations.
 */
#define dmnic_get_rxfh(dev, param)					\
	dmnic_get_rxfh_param(dev, param);				\
									\
static int dmnic_get_rxfh(struct net_device *netdev, u32 *indir,	\
			  u8 *key, u8 *hfunc)				\
{									\
	struct ethtool_rxfh_param rxfh = { .indir = indir, .key = key }; \
	int err = dmnic_get_rxfh_param(netdev, &rxfh);			\
									\
	if (!err && hfunc)						\
		*hfunc = rxfh.hfunc;					\
	return err;							\
}									\
									\
static int dmnic_get_rxfh_param(dev, param)

#define dmnic_set_rxfh(dev, param, extack)				\
	dmnic_set_rxfh_param(dev, param, extack);			\
									\
static int dmnic_set_rxfh(struct net_device *netdev, const u32 *indir,	\
			  const u8 *key, const u8 hfunc)		\
{									\
	struct ethtool_rxfh_param rxfh = {				\
		.hfunc = hfunc,						\
		.indir = (u32 *)indir,					\
		.key = (u8 *)key,					\
	};								\
									\
	return dmnic_set_rxfh_param(netdev, &rxfh, NULL);		\
}									\
									\
static int dmnic_set_rxfh_param(dev, param, extack)
#endif

/* A threshold for header split: patched 6.1 has it, 6.12 has not. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define DMNIC_RING_PARAMS \
	(ETHTOOL_RING_USE_TCP_DATA_SPLIT | ETHTOOL_RING_USE_HDS_THRS)

static inline void dmnic_show_hds_thresh(struct kernel_ethtool_ringparam *ring,
					 u32 thresh, u32 max)
{
	ring->hds_thresh = thresh;
	ring->hds_thresh_max = max;
}

static inline u32
dmnic_wanted_hds_thresh(const struct kernel_ethtool_ringparam *ring)
{
	return ring->hds_thresh;
}
#else
#define DMNIC_RING_PARAMS	ETHTOOL_RING_USE_TCP_DATA_SPLIT

static inline void dmnic_show_hds_thresh(struct kernel_ethtool_ringparam *ring,
					 u32 thresh, u32 max)
{
}

static inline u32
dmnic_wanted_hds_thresh(const struct kernel_ethtool_ringparam *ring)
{
	return 0;
}
#endif

#ifdef QCFG_RX_PAGE_SIZE
#define DMNIC_QUEUE_CONFIG_OPS						\
	.ndo_validate_qcfg = dmnic_validate_qcfg,			\
	.supported_params = QCFG_RX_PAGE_SIZE,
#else
#define DMNIC_QUEUE_CONFIG_OPS

struct netdev_queue_config {
	u32 rx_page_size;
};

static inline void netdev_queue_config(struct net_device *dev, int rxq_idx,
				       struct netdev_queue_config *config)
{
	config->rx_page_size = PAGE_SIZE;
}
#endif

/* Kernels that send device memory have this macro. Others give a driver pages
 * only, all of which it maps itself.
 */
#ifdef netmem_dma_unmap_addr_set
static inline void dmnic_set_netmem_tx(struct net_device *dev)
{
	dev->netmem_tx = true;
}
#else
#define netmem_dma_unmap_addr_set(netmem, ptr, addr_name, val) do {	\
	(void)(netmem);							\
	dma_unmap_addr_set(ptr, addr_name, val);			\
} while (0)

static inline void netmem_dma_unmap_page_attrs(struct device *dev,
					       dma_addr_t addr, size_t size,
					       enum dma_data_direction dir,
					       unsigned long attrs)
{
	dma_unmap_page_attrs(dev, addr, size, dir, attrs);
}

static inline void dmnic_set_netmem_tx(struct net_device *dev)
{
}
#endif

#endif /* _DMNIC_COMPAT_H */
