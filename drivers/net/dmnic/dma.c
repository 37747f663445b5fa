// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-direct.h>
#include <linux/highmem.h>

#include "dmnic.h"

/* Steps over descriptors that are used up. NULL: nothing is posted here. */
static const struct dmnic_desc *dmnic_dma_desc(struct dmnic_cursor *at)
{
	const struct dmnic_desc *desc;

	for (; at->idx != at->end; at->idx++, at->off = 0) {
		desc = &at->desc[at->idx & at->mask];
		if (at->off < desc->len)
			return desc;
	}
	return NULL;
}

/* Opens a window on the memory at @at, of @len bytes or as many as are in one
 * page. The bus is the identity mapping that platform devices have: what the
 * DMA API calls direct. To be closed by kunmap_local().
 */
static u8 *dmnic_dma_open(struct dmnic_cursor *at, u32 *len)
{
	const struct dmnic_desc *desc = dmnic_dma_desc(at);
	phys_addr_t phys;

	if (!desc)
		return NULL;
	phys = dma_to_phys(dmnic_parent(), desc->addr + at->off);
	if (!pfn_valid(PHYS_PFN(phys)))
		return NULL;
	*len = min3(*len, desc->len - at->off,
		    (u32)(PAGE_SIZE - offset_in_page(phys)));
	return kmap_local_page(pfn_to_page(PHYS_PFN(phys))) +
	       offset_in_page(phys);
}

int dmnic_dma_read(void *to, struct dmnic_cursor *from, u32 len)
{
	u8 *window;
	u32 n;

	for (; len; len -= n, to += n, from->off += n) {
		n = len;
		window = dmnic_dma_open(from, &n);
		if (!window)
			return -EFAULT;
		memcpy(to, window, n);
		kunmap_local(window);
	}
	return 0;
}

int dmnic_dma_write(struct dmnic_cursor *to, const void *from, u32 len)
{
	u8 *window;
	u32 n;

	for (; len; len -= n, from += n, to->off += n) {
		n = len;
		window = dmnic_dma_open(to, &n);
		if (!window)
			return -EFAULT;
		memcpy(window, from, n);
		kunmap_local(window);
	}
	return 0;
}

int dmnic_dma_copy(struct dmnic_cursor *to, struct dmnic_cursor *from, u32 len)
{
	u8 *source;
	int err;
	u32 n;

	for (; len; len -= n, from->off += n) {
		n = len;
		source = dmnic_dma_open(from, &n);
		if (!source)
			return -EFAULT;
		err = dmnic_dma_write(to, source, n);
		kunmap_local(source);
		if (err)
			return err;
	}
	return 0;
}

int dmnic_dma_skip(struct dmnic_cursor *from, u32 len)
{
	const struct dmnic_desc *desc;
	u32 n;

	for (; len; len -= n, from->off += n) {
		desc = dmnic_dma_desc(from);
		if (!desc)
			return -EFAULT;
		n = min(len, desc->len - from->off);
	}
	return 0;
}

/* Adds the bytes to @sum as if they began at an even offset. */
int dmnic_dma_csum(struct dmnic_cursor *from, u32 len, __wsum *sum)
{
	u32 done = 0;
	u8 *window;
	u32 n;

	for (; done < len; done += n, from->off += n) {
		n = len - done;
		window = dmnic_dma_open(from, &n);
		if (!window)
			return -EFAULT;
		*sum = csum_block_add(*sum, csum_partial(window, n, 0), done);
		kunmap_local(window);
	}
	return 0;
}
