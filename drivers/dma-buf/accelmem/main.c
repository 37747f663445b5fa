// SPDX-License-Identifier: GPL-2.0
/* accelmem: memory that behaves like an accelerator's, see accelmem.h in uapi */

#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "accelmem.h"

static int accelmem_open(struct inode *inode, struct file *file)
{
	struct accelmem_context *context = accelmem_context_create();

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
 */
static struct miscdevice accelmem_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "accelmem",
	.fops	= &accelmem_fops,
};

static int __init accelmem_init(void)
{
	accelmem_context_init();
	return misc_register(&accelmem_misc);
}

static void __exit accelmem_exit(void)
{
	misc_deregister(&accelmem_misc);
}

module_init(accelmem_init);
module_exit(accelmem_exit);

MODULE_DESCRIPTION("Memory that behaves like an accelerator's, as dma-bufs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_BUF);
