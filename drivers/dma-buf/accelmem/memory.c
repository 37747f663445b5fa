// SPDX-License-Identifier: GPL-2.0
/* Memory: host pages set aside for one dmabuf, in chunks as long as possible */

#include <linux/gfp.h>
#include <linux/list_sort.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "accelmem.h"

/* What to ask the page allocator for first; it seldom has anything larger. */
#define ACCELMEM_BLOCK_ORDER	get_order(SZ_4M)

/* Long blocks are nice to have: no hard work for them. Single pages are what
 * the caller must get, but nobody should be killed for it. Blocks are not
 * compound pages, because a chunk is copied without regard to the blocks in
 * it, which hardened usercopy forbids for compound pages. The caller's memory
 * cgroup pays.
 */
static gfp_t accelmem_block_gfp(unsigned int order)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;

	return gfp | (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
}

/* Lowers @order to what the allocator can do. The block remembers its own. */
static struct page *accelmem_alloc_block(unsigned int *order)
{
	struct page *page;

	while (1) {
		page = alloc_pages(accelmem_block_gfp(*order), *order);
		if (page || !*order)
			break;
		--*order;
	}
	if (page)
		set_page_private(page, *order);
	return page;
}

static unsigned long accelmem_block_pages(struct page *page)
{
	return 1UL << page_private(page);
}

static int accelmem_alloc_blocks(struct accelmem_memory *memory)
{
	unsigned long left = memory->size >> PAGE_SHIFT;
	unsigned int order = ACCELMEM_BLOCK_ORDER;
	struct page *page;

	while (left) {
		order = min_t(unsigned int, order, ilog2(left));
		page = accelmem_alloc_block(&order);
		if (!page)
			return -ENOMEM;
		list_add_tail(&page->lru, &memory->blocks);
		left -= accelmem_block_pages(page);

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static void accelmem_free_blocks(struct accelmem_memory *memory)
{
	struct page *page, *next;
	unsigned int order;

	list_for_each_entry_safe(page, next, &memory->blocks, lru) {
		order = page_private(page);
		set_page_private(page, 0);
		__free_pages(page, order);
		cond_resched();
	}
}

static int accelmem_block_cmp(void *priv, const struct list_head *a,
			      const struct list_head *b)
{
	return page_to_pfn(list_entry(a, struct page, lru)) >
	       page_to_pfn(list_entry(b, struct page, lru));
}

static unsigned int accelmem_count_chunks(struct accelmem_memory *memory)
{
	unsigned long next_pfn = 0;
	unsigned int count = 0;
	struct page *page;

	list_for_each_entry(page, &memory->blocks, lru) {
		count += page_to_pfn(page) != next_pfn;
		next_pfn = page_to_pfn(page) + accelmem_block_pages(page);
	}
	return count;
}

static void accelmem_fill_chunks(struct accelmem_memory *memory)
{
	struct accelmem_chunk *chunk = NULL;
	unsigned long next_pfn = 0;
	struct page *page;
	u64 offset = 0;
	u64 size;

	list_for_each_entry(page, &memory->blocks, lru) {
		if (page_to_pfn(page) != next_pfn) {
			chunk = chunk ? chunk + 1 : memory->chunks;
			chunk->vaddr = page_address(page);
			chunk->offset = offset;
			chunk->size = 0;
		}
		size = (u64)accelmem_block_pages(page) << PAGE_SHIFT;
		chunk->size += size;
		offset += size;
		next_pfn = page_to_pfn(page) + accelmem_block_pages(page);
	}
}

/* The allocator often hands out neighbours one after the other: in order of
 * address they join into chunks far longer than a block.
 */
static int accelmem_join_blocks(struct accelmem_memory *memory)
{
	list_sort(NULL, &memory->blocks, accelmem_block_cmp);

	memory->nr_chunks = accelmem_count_chunks(memory);
	memory->chunks = kvmalloc_array(memory->nr_chunks,
					sizeof(*memory->chunks),
					GFP_KERNEL_ACCOUNT);
	if (!memory->chunks)
		return -ENOMEM;

	accelmem_fill_chunks(memory);
	return 0;
}

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
	err = accelmem_alloc_blocks(memory);
	if (err)
		goto err_free_memory;
	err = accelmem_join_blocks(memory);
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
	accelmem_free_blocks(memory);
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
