// SPDX-License-Identifier: GPL-2.0
/* The BAR of a PCI device: memory that is not the host's
 *
 * Other devices reach it peer to peer. QEMU's ivshmem-plain is such a device:
 * its BAR 2 is memory and nothing else.
 */

#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci-p2pdma.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "accelmem.h"

#define ACCELMEM_BAR		2

/* The numbers behind /dev/accelmem. */
static DEFINE_IDA(accelmem_bar_ids);

struct accelmem_bar {
	struct accelmem_device device;
	struct pci_dev *pdev;	/* a reference */
	phys_addr_t start;
	void __iomem *vaddr;
	unsigned long pages;
	unsigned long *taken;	/* a bit for each page; guarded by @lock */
	struct mutex lock;	/* finding room in @taken */
	int id;
	char name[24];
};

static struct accelmem_bar *
accelmem_bar_of(const struct accelmem_memory *memory)
{
	return container_of(memory->context->device, struct accelmem_bar,
			    device);
}

/* Finds the next free pages at or after *@start, at most @wanted, together. */
static unsigned long accelmem_bar_run(const struct accelmem_bar *bar,
				      unsigned long *start,
				      unsigned long wanted)
{
	unsigned long end;

	*start = find_next_zero_bit(bar->taken, bar->pages, *start);
	end = find_next_bit(bar->taken, bar->pages, *start);
	return min(end - *start, wanted);
}

static unsigned int accelmem_bar_count(const struct accelmem_bar *bar,
				       unsigned long wanted)
{
	unsigned long start = 0, run;
	unsigned int count = 0;

	for (; wanted; wanted -= run, start += run, count++) {
		run = accelmem_bar_run(bar, &start, wanted);
		if (!run)
			return 0;
	}
	return count;
}

static void accelmem_bar_take(struct accelmem_bar *bar,
			      struct accelmem_memory *memory)
{
	struct accelmem_chunk *chunk = memory->chunks;
	unsigned long start = 0, run;
	u64 offset = 0;

	for (; offset < memory->size; chunk++, start += run) {
		run = accelmem_bar_run(bar, &start,
				       (memory->size - offset) >> PAGE_SHIFT);
		bitmap_set(bar->taken, start, run);
		chunk->vaddr = (__force void *)bar->vaddr +
			       ((u64)start << PAGE_SHIFT);
		chunk->offset = offset;
		chunk->size = (u64)run << PAGE_SHIFT;
		offset += chunk->size;
	}
}

/* A BAR may have many GiB. */
static void accelmem_bar_clear(const struct accelmem_chunk *chunk)
{
	void __iomem *at = (void __iomem __force *)chunk->vaddr;
	u64 left, size;

	for (left = chunk->size; left; left -= size, at += size) {
		size = min_t(u64, left, SZ_2M);
		memset_io(at, 0, size);
		cond_resched();
	}
}

static int accelmem_bar_fill(struct accelmem_memory *memory)
{
	struct accelmem_bar *bar = accelmem_bar_of(memory);
	struct accelmem_chunk *chunk;
	unsigned int count;

	mutex_lock(&bar->lock);
	count = accelmem_bar_count(bar, memory->size >> PAGE_SHIFT);
	if (count)
		memory->chunks = kvmalloc_array(count, sizeof(*chunk),
						GFP_KERNEL_ACCOUNT);
	if (memory->chunks) {
		accelmem_bar_take(bar, memory);
		memory->nr_chunks = count;
	}
	mutex_unlock(&bar->lock);
	if (!memory->chunks)
		return count ? -ENOMEM : -ENOSPC;

	for (chunk = memory->chunks; chunk < memory->chunks + count; chunk++)
		accelmem_bar_clear(chunk);
	return 0;
}

static u64 accelmem_bar_offset(const struct accelmem_bar *bar,
			       const struct accelmem_chunk *chunk)
{
	return chunk->vaddr - (__force void *)bar->vaddr;
}

static void accelmem_bar_empty(struct accelmem_memory *memory)
{
	struct accelmem_bar *bar = accelmem_bar_of(memory);
	const struct accelmem_chunk *chunk = memory->chunks;
	const struct accelmem_chunk *end = chunk + memory->nr_chunks;

	mutex_lock(&bar->lock);
	for (; chunk < end; chunk++)
		bitmap_clear(bar->taken,
			     accelmem_bar_offset(bar, chunk) >> PAGE_SHIFT,
			     chunk->size >> PAGE_SHIFT);
	mutex_unlock(&bar->lock);
}

/* PCI devices only, and where the kernel knows about peers, only those that
 * it says are some. Once our own has gone, its addresses may be another's.
 */
static bool accelmem_bar_reaches(const struct accelmem_memory *memory,
				 struct device *dev)
{
	struct accelmem_bar *bar = accelmem_bar_of(memory);

	if (!dev_is_pci(dev) || !dev->dma_mask || !pci_is_enabled(bar->pdev))
		return false;
	return !IS_ENABLED(CONFIG_PCI_P2PDMA) ||
	       pci_p2pdma_distance(bar->pdev, dev, true) >= 0;
}

static void accelmem_bar_unmap_first(struct device *dev, struct sg_table *sgt,
				     unsigned int count,
				     enum dma_data_direction direction)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgt->sgl, sg, count, i)
		dma_unmap_resource(dev, sg_dma_address(sg), sg_dma_len(sg),
				   direction, DMA_ATTR_SKIP_CPU_SYNC);
}

static void accelmem_bar_unmap(struct device *dev, struct sg_table *sgt,
			       enum dma_data_direction direction)
{
	accelmem_bar_unmap_first(dev, sgt, sgt->nents, direction);
}

/* There are no pages, so entry by entry, and an IOMMU gets to see it. */
static int accelmem_bar_map(const struct accelmem_memory *memory,
			    struct device *dev, struct sg_table *sgt,
			    enum dma_data_direction direction)
{
	struct accelmem_bar *bar = accelmem_bar_of(memory);
	const struct accelmem_chunk *chunk;
	struct scatterlist *sg;
	dma_addr_t addr;
	u64 offset = 0;
	u64 at;
	int i;

	for_each_sgtable_sg(sgt, sg, i) {
		chunk = accelmem_memory_chunk(memory, offset);
		at = accelmem_bar_offset(bar, chunk) + offset - chunk->offset;
		addr = dma_map_resource(dev, bar->start + at, sg->length,
					direction, DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, addr)) {
			accelmem_bar_unmap_first(dev, sgt, i, direction);
			return -EIO;
		}
		sg_dma_address(sg) = addr;
		sg_dma_len(sg) = sg->length;
		offset += sg->length;
	}
	return 0;
}

/* Of a device that has gone before, reads give ones and writes nothing. */
static void accelmem_bar_release(struct accelmem_device *device)
{
	struct accelmem_bar *bar = container_of(device, struct accelmem_bar,
						device);

	iounmap(bar->vaddr);
	pci_dev_put(bar->pdev);
	bitmap_free(bar->taken);
	kfree(bar);
}

static const struct accelmem_backend accelmem_bar_backend = {
	.fill		= accelmem_bar_fill,
	.empty		= accelmem_bar_empty,
	.reaches	= accelmem_bar_reaches,
	.map		= accelmem_bar_map,
	.unmap		= accelmem_bar_unmap,
	.release	= accelmem_bar_release,
};

/* What @pdev has, without anybody knowing yet. */
static struct accelmem_bar *accelmem_bar_create(struct pci_dev *pdev)
{
	struct accelmem_bar *bar = kzalloc(sizeof(*bar), GFP_KERNEL);

	if (!bar)
		return NULL;
	mutex_init(&bar->lock);
	bar->start = pci_resource_start(pdev, ACCELMEM_BAR);
	bar->pages = pci_resource_len(pdev, ACCELMEM_BAR) >> PAGE_SHIFT;
	bar->device.size = (u64)bar->pages << PAGE_SHIFT;
	bar->device.backend = &accelmem_bar_backend;
	bar->device.io = true;
	bar->device.misc.name = bar->name;
	bar->device.misc.parent = &pdev->dev;
	bar->taken = bitmap_zalloc(bar->pages, GFP_KERNEL);
	bar->vaddr = ioremap_wc(bar->start, bar->device.size);
	if (!bar->taken || !bar->vaddr) {
		if (bar->vaddr)
			iounmap(bar->vaddr);
		bitmap_free(bar->taken);
		kfree(bar);
		return NULL;
	}
	bar->pdev = pci_dev_get(pdev);
	return bar;
}

static int accelmem_bar_register(struct accelmem_bar *bar)
{
	int err;

	bar->id = ida_alloc_min(&accelmem_bar_ids, 1, GFP_KERNEL);
	if (bar->id < 0)
		return bar->id;
	snprintf(bar->name, sizeof(bar->name), "accelmem%d", bar->id);
	err = accelmem_device_register(&bar->device);
	if (err)
		ida_free(&accelmem_bar_ids, bar->id);
	return err;
}

static int accelmem_bar_probe(struct pci_dev *pdev,
			      const struct pci_device_id *id)
{
	struct accelmem_bar *bar;
	int err;

	if (!(pci_resource_flags(pdev, ACCELMEM_BAR) & IORESOURCE_MEM))
		return -ENODEV;
	err = pci_enable_device_mem(pdev);
	if (err)
		return err;
	err = pci_request_region(pdev, ACCELMEM_BAR, "accelmem");
	if (err)
		goto err_disable;
	bar = accelmem_bar_create(pdev);
	err = bar ? accelmem_bar_register(bar) : -ENOMEM;
	if (err)
		goto err_release;
	pci_set_drvdata(pdev, bar);
	return 0;

err_release:
	if (bar)
		accelmem_bar_release(&bar->device);
	pci_release_region(pdev, ACCELMEM_BAR);
err_disable:
	pci_disable_device(pdev);
	return err;
}

static void accelmem_bar_remove(struct pci_dev *pdev)
{
	struct accelmem_bar *bar = pci_get_drvdata(pdev);
	int id = bar->id;

	/* This may be the last of it; the name is free for another after it. */
	accelmem_device_unregister(&bar->device);
	ida_free(&accelmem_bar_ids, id);
	pci_release_region(pdev, ACCELMEM_BAR);
	pci_disable_device(pdev);
}

static const struct pci_device_id accelmem_bar_devices[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },	/* ivshmem */
	{}
};
MODULE_DEVICE_TABLE(pci, accelmem_bar_devices);

/* Nobody can say "unbind" while dmabufs are in use; files and dmabufs keep the
 * module.
 */
static struct pci_driver accelmem_bar_driver = {
	.name		= "accelmem",
	.id_table	= accelmem_bar_devices,
	.probe		= accelmem_bar_probe,
	.remove		= accelmem_bar_remove,
	.driver.suppress_bind_attrs = true,
};

int accelmem_bar_init(void)
{
	return pci_register_driver(&accelmem_bar_driver);
}

void accelmem_bar_exit(void)
{
	pci_unregister_driver(&accelmem_bar_driver);
}
