// SPDX-License-Identifier: GPL-2.0
/* Host memory: pages set aside for one dmabuf, in chunks as long as possible */

#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/list_sort.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

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

static int accelmem_host_fill(struct accelmem_memory *memory)
{
	int err = accelmem_alloc_blocks(memory);

	return err ? err : accelmem_join_blocks(memory);
}

/* Would this device really reach the memory? Where the DMA layer puts bounce
 * buffers in between, bytes would go there and no further: nobody is going to
 * sync them.
 */
static bool accelmem_host_reaches(const struct accelmem_memory *memory,
				  struct device *dev)
{
	return dev->dma_mask && !dma_addressing_limited(dev) &&
	       !is_swiotlb_force_bounce(dev);
}

/* The CPU's caches aren't synced, because no program can look through them. */
static int accelmem_host_map(const struct accelmem_memory *memory,
			     struct device *dev, struct sg_table *sgt,
			     enum dma_data_direction direction)
{
	return dma_map_sgtable(dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
}

static void accelmem_host_unmap(struct device *dev, struct sg_table *sgt,
				enum dma_data_direction direction)
{
	dma_unmap_sgtable(dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
}

static const struct accelmem_backend accelmem_host_backend = {
	.fill		= accelmem_host_fill,
	.empty		= accelmem_free_blocks,
	.reaches	= accelmem_host_reaches,
	.map		= accelmem_host_map,
	.unmap		= accelmem_host_unmap,
};

static struct accelmem_device accelmem_host = {
	.backend	= &accelmem_host_backend,
	.misc.name	= "accelmem",
};

/* Half of the machine's memory leaves it room to work. */
int accelmem_host_init(void)
{
	accelmem_host.size = (u64)(totalram_pages() / 2) << PAGE_SHIFT;
	return accelmem_device_register(&accelmem_host);
}

void accelmem_host_exit(void)
{
	accelmem_device_unregister(&accelmem_host);
}
