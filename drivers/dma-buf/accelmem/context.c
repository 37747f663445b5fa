// SPDX-License-Identifier: GPL-2.0
/* Contexts: what each open file holds, and what the device has left */

#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "accelmem.h"

struct accelmem_context *
accelmem_context_create(struct accelmem_device *device)
{
	struct accelmem_context *context;

	context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);
	if (!context)
		return NULL;
	kref_init(&context->ref);
	kref_get(&device->ref);
	context->device = device;
	return context;
}

static void accelmem_context_free(struct kref *ref)
{
	struct accelmem_context *context;

	context = container_of(ref, struct accelmem_context, ref);
	accelmem_device_put(context->device);
	kfree(context);
}

void accelmem_context_put(struct accelmem_context *context)
{
	kref_put(&context->ref, accelmem_context_free);
}

/* On success the charge holds a reference to @context, until uncharge. */
int accelmem_context_charge(struct accelmem_context *context, u64 size)
{
	struct accelmem_device *device = context->device;
	int err = 0;

	spin_lock(&device->lock);
	if (size > device->size - context->used) {
		err = -EDQUOT;
	} else if (size > device->size - device->used) {
		err = -ENOSPC;
	} else {
		context->used += size;
		device->used += size;
		kref_get(&context->ref);
	}
	spin_unlock(&device->lock);
	return err;
}

void accelmem_context_uncharge(struct accelmem_context *context, u64 size)
{
	struct accelmem_device *device = context->device;

	spin_lock(&device->lock);
	context->used -= size;
	device->used -= size;
	spin_unlock(&device->lock);
	accelmem_context_put(context);
}

long accelmem_context_info(struct accelmem_context *context, void __user *arg)
{
	struct accelmem_device *device = context->device;
	struct accelmem_info info = {
		.size	= device->size,
		.limit	= device->size,
	};

	spin_lock(&device->lock);
	info.used = device->used;
	info.used_here = context->used;
	spin_unlock(&device->lock);

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}
