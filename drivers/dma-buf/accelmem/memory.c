// SPDX-License-Identifier: GPL-2.0
/* Memory: what one dmabuf has of its device, in chunks */

#include <linux/mm.h>
#include <linux/slab.h>

#include "accelmem.h"

/* Set aside @size bytes, whole pages, and charge them to @context. */
struct accelmem_memory *accelmem_memory_create(struct accelmem_context *context,
					       u64 size)
{
	struct accelmem_memory *memory;
	int err;

	memory = kzalloc(sizeof(*memory), GFP_KERNEL_ACCOUNT);
	if (!memory)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&memory->blocks);
	memory->context = context;
	memory->size = size;

	err = accelmem_context_charge(context, size);
	if (err)
		goto err_free_struct;
	err = context->device->backend->fill(memory);
	if (err)
		goto err_free_memory;
	return memory;

err_free_memory:
	accelmem_memory_free(memory);
	return ERR_PTR(err);
err_free_struct:
	kfree(memory);
	return ERR_PTR(err);
}

void accelmem_memory_free(struct accelmem_memory *memory)
{
	memory->context->device->backend->empty(memory);
	accelmem_context_uncharge(memory->context, memory->size);
	kvfree(memory->chunks);
	kfree(memory);
}

/* The chunk that holds the byte at @offset, which must be inside. */
const struct accelmem_chunk *
accelmem_memory_chunk(const struct accelmem_memory *memory, u64 offset)
{
	unsigned int low = 0, high = memory->nr_chunks;
	unsigned int middle;

	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (memory->chunks[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return &memory->chunks[low];
}
