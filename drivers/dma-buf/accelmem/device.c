// SPDX-License-Identifier: GPL-2.0
/* Devices: what programs open */

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "accelmem.h"

static int accelmem_open(struct inode *inode, struct file *file)
{
	struct accelmem_device *device;
	struct accelmem_context *context;

	device = container_of(file->private_data, struct accelmem_device, misc);
	context = accelmem_context_create(device);
	if (!context)
		return -ENOMEM;
	file->private_data = context;
	return nonseekable_open(inode, file);
}

static int accelmem_release(struct inode *inode, struct file *file)
{
	accelmem_context_put(file->private_data);
	return 0;
}

static long accelmem_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case ACCELMEM_IOC_INFO:
		return accelmem_context_info(file->private_data, uarg);
	case ACCELMEM_IOC_ALLOC:
		return accelmem_dmabuf_alloc(file->private_data, uarg);
	case ACCELMEM_IOC_TO_DEVICE:
		return accelmem_copy_host(uarg, true);
	case ACCELMEM_IOC_TO_HOST:
		return accelmem_copy_host(uarg, false);
	case ACCELMEM_IOC_GATHER:
		return accelmem_copy_gather(uarg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations accelmem_fops = {
	.owner		= THIS_MODULE,
	.open		= accelmem_open,
	.release	= accelmem_release,
	.unlocked_ioctl	= accelmem_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/* The mode stays 0600, as for /dev/udmabuf and the dma-buf heaps: whoever may
 * open this can pin half of the machine's memory. Opening it to more people
 * is a decision for udev.
 *
 * The caller has set the backend, the size and the name. The last put releases
 * the device, also if this fails.
 */
int accelmem_device_register(struct accelmem_device *device)
{
	kref_init(&device->ref);
	spin_lock_init(&device->lock);
	device->misc.minor = MISC_DYNAMIC_MINOR;
	device->misc.fops = &accelmem_fops;
	return misc_register(&device->misc);
}

static void accelmem_device_release(struct kref *ref)
{
	struct accelmem_device *device;

	device = container_of(ref, struct accelmem_device, ref);
	if (device->backend->release)
		device->backend->release(device);
}

void accelmem_device_put(struct accelmem_device *device)
{
	kref_put(&device->ref, accelmem_device_release);
}

/* Nobody opens it any more; who has it open may go on. */
void accelmem_device_unregister(struct accelmem_device *device)
{
	misc_deregister(&device->misc);
	accelmem_device_put(device);
}
