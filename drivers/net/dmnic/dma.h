/* SPDX-License-Identifier: GPL-2.0 */
/* The DMA engine: the only code that moves payload bytes.
 *
 * It is given descriptors and nothing else, as hardware is. It finds memory by
 * DMA address, so device memory and host memory are the same to it, and it
 * refuses whatever no posted descriptor covers.
 */
#ifndef _DMNIC_DMA_H
#define _DMNIC_DMA_H

#include <linux/types.h>
#include <net/checksum.h>

/* A piece of memory that the driver has posted. */
struct dmnic_desc {
	dma_addr_t addr;
	u32 len;
};

/**
 * struct dmnic_cursor - a place in a run of posted descriptors
 * @desc: the ring
 * @mask: the ring's size - 1
 * @idx: the descriptor it stands in; runs freely
 * @end: one past the last that may be touched
 * @off: bytes into @desc[@idx & @mask]
 *
 * The calls below move it on by what they have done. They return 0, or
 * -EFAULT if the descriptors end too soon or an address is nobody's memory.
 */
struct dmnic_cursor {
	const struct dmnic_desc *desc;
	u32 mask;
	u32 idx;
	u32 end;
	u32 off;
};

int dmnic_dma_read(void *to, struct dmnic_cursor *from, u32 len);
int dmnic_dma_write(struct dmnic_cursor *to, const void *from, u32 len);
int dmnic_dma_copy(struct dmnic_cursor *to, struct dmnic_cursor *from, u32 len);
int dmnic_dma_skip(struct dmnic_cursor *from, u32 len);
int dmnic_dma_csum(struct dmnic_cursor *from, u32 len, __wsum *sum);

#endif /* _DMNIC_DMA_H */
