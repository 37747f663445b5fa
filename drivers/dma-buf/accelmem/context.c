// SPDX-License-Identifier: GPL-2.0
/* Contexts: what each open file holds, and what the device has left */

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "accelmem.h"

/* The whole device. Half of the machine's memory leaves it room to work. One
 * file may take everything: who may open files at all is the device node's
 * mode, and a limit that another open() lifts would protect nobody.
 */
static u64 accelmem_size;

static DEFINE_SPINLOCK(accelmem_lock);
static u64 accelmem_used;	/* bytes; guarded by accelmem_lock */

void accelmem_context_init(void)
{
	accelmem_size = (u64)(totalram_pages() / 2) << PAGE_SHIFT;
}

struct accelmem_context *accelmem_context_create(void)
{
	struct accelmem_context *context;

	context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);
	if (context)
		kref_init(&context->ref);
	return context;
}

static void accelmem_context_free(struct kref *ref)
{
	kfree(container_of(ref, struct accelmem_context, ref));
}

void accelmem_context_put(struct accelmem_context *context)
{
	kref_put(&context->ref, accelmem_context_free);
}

/* On success the charge holds a reference to @context, until uncharge. */
int accelmem_context_charge(struct accelmem_context *context, u64 size)
{
	int err = 0;

	spin_lock(&accelmem_lock);
	if (size > accelmem_size - context->used) {
		err = -EDQUOT;
	} else if (size > accelmem_size - accelmem_used) {
		err = -ENOSPC;
	} else {
		context->used += size;
		accelmem_used += size;
		kref_get(&context->ref);
	}
	spin_unlock(&accelmem_lock);
	return err;
}

void accelmem_context_uncharge(struct accelmem_context *context, u64 size)
{
	spin_lock(&accelmem_lock);
	context->used -= size;
	accelmem_used -= size;
	spin_unlock(&accelmem_lock);
	accelmem_context_put(context);
}

long accelmem_context_info(struct accelmem_context *context, void __user *arg)
{
	struct accelmem_info info = {
		.size	= accelmem_size,
		.limit	= accelmem_size,
	};

	spin_lock(&accelmem_lock);
	info.used = accelmem_used;
	info.used_here = context->used;
	spin_unlock(&accelmem_lock);

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}
