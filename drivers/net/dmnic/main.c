// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <net/rtnetlink.h>

#include "dmnic.h"

static struct platform_device *dmnic_device;

struct device *dmnic_parent(void)
{
	return &dmnic_device->dev;
}

/* The engine is a CPU, and sees what is in the caches. Some architectures take
 * a device that no firmware described for one that doesn't.
 */
static void dmnic_device_coherent(struct device *dev)
{
#if defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_DEVICE) || \
	defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU) || \
	defined(CONFIG_ARCH_HAS_SYNC_DMA_FOR_CPU_ALL)
	dev->dma_coherent = true;
#endif
}

/* The device that memory is mapped for. It stands for the hardware, and like a
 * card in its slot it stays when the driver goes: a dma-buf may still be
 * attached to it, by a binding that nobody has closed yet. A driver loaded
 * later finds it again.
 */
static int dmnic_device_get(void)
{
	struct device *dev;
	int err;

	dev = bus_find_device_by_name(&platform_bus_type, NULL, KBUILD_MODNAME);
	if (dev) {
		dmnic_device = to_platform_device(dev);
		return 0;
	}
	dmnic_device = platform_device_register_simple(KBUILD_MODNAME,
						       PLATFORM_DEVID_NONE,
						       NULL, 0);
	if (IS_ERR(dmnic_device))
		return PTR_ERR(dmnic_device);
	get_device(dmnic_parent());
	dmnic_device_coherent(dmnic_parent());
	/* The engine takes any address, and pieces of any length. */
	dma_set_max_seg_size(dmnic_parent(), UINT_MAX);
	err = dma_set_mask_and_coherent(dmnic_parent(), DMA_BIT_MASK(64));
	if (err) {
		put_device(dmnic_parent());
		platform_device_unregister(dmnic_device);
	}
	return err;
}

static void dmnic_device_put(void)
{
	put_device(dmnic_parent());
}

static int __init dmnic_init(void)
{
	int err;

	err = dmnic_device_get();
	if (err)
		return err;
	dmnic_debugfs_init();
	err = rtnl_link_register(&dmnic_link_ops);
	if (err)
		goto err_debugfs_exit;
	return 0;

err_debugfs_exit:
	dmnic_debugfs_exit();
	dmnic_device_put();
	return err;
}

static void __exit dmnic_exit(void)
{
	rtnl_link_unregister(&dmnic_link_ops);
	dmnic_debugfs_exit();
	dmnic_device_put();
	/* Rules and RSS tables that frames were still looking at. */
	rcu_barrier();
}

module_init(dmnic_init);
module_exit(dmnic_exit);
MODULE_DESCRIPTION("Device-memory NIC in software");
MODULE_LICENSE("GPL");
MODULE_ALIAS_RTNL_LINK("dmnic");
