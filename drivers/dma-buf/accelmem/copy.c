// SPDX-License-Identifier: GPL-2.0
/* The copy engine: bytes in, out and within
 *
 * A copy holds a reference to its dmabufs and no lock, so it disturbs nobody
 * and the memory can't go away under it. What two copies make of the same
 * bytes at the same time is their callers' business, as with any memory.
 */

#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "accelmem.h"

/* Most bytes between two looks at whether to give way, or give up. */
#define ACCELMEM_STEP	((u64)SZ_1M)

static int accelmem_pause(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

static bool accelmem_inside(const struct accelmem_memory *memory, u64 offset,
			    u64 len)
{
	return offset <= memory->size && len <= memory->size - offset;
}

/* The byte at @offset. */
static void *accelmem_at(const struct accelmem_memory *memory, u64 offset)
{
	const struct accelmem_chunk *chunk;

	chunk = accelmem_memory_chunk(memory, offset);
	return chunk->vaddr + (offset - chunk->offset);
}

/* How many of the bytes from @offset on lie together. */
static u64 accelmem_run_after(const struct accelmem_memory *memory, u64 offset)
{
	const struct accelmem_chunk *chunk;

	chunk = accelmem_memory_chunk(memory, offset);
	return chunk->offset + chunk->size - offset;
}

/* How many of the bytes just before @end lie together. */
static u64 accelmem_run_before(const struct accelmem_memory *memory, u64 end)
{
	return end - accelmem_memory_chunk(memory, end - 1)->offset;
}

/* __copy_from_user() and not copy_from_user(), which zeroes what it can't
 * fill: a bad address must leave the rest of the memory as it was.
 */
static int accelmem_copy_step(void *mem, void __user *host, size_t len,
			      bool to_device)
{
	size_t left;

	if (to_device)
		left = __copy_from_user(mem, host, len);
	else
		left = __copy_to_user(host, mem, len);
	return left ? -EFAULT : accelmem_pause();
}

static int accelmem_copy_range(const struct accelmem_memory *memory,
			       const struct accelmem_copy *copy, bool to_device)
{
	void __user *host = u64_to_user_ptr(copy->addr);
	u64 offset = copy->offset;
	u64 left = copy->len;
	int err = 0;
	u64 len;

	if (!accelmem_inside(memory, offset, left))
		return -ERANGE;
	if (!access_ok(host, left))
		return -EFAULT;

	while (left && !err) {
		len = min3(left, accelmem_run_after(memory, offset),
			   ACCELMEM_STEP);
		err = accelmem_copy_step(accelmem_at(memory, offset), host, len,
					 to_device);
		offset += len;
		host += len;
		left -= len;
	}
	return err;
}

long accelmem_copy_host(void __user *arg, bool to_device)
{
	struct accelmem_copy copy;
	struct dma_buf *dmabuf;
	int err;

	if (copy_from_user(&copy, arg, sizeof(copy)))
		return -EFAULT;
	if (copy.flags)
		return -EINVAL;

	dmabuf = accelmem_dmabuf_get(copy.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	err = accelmem_copy_range(dmabuf->priv, &copy, to_device);
	dma_buf_put(dmabuf);
	return err;
}

static int accelmem_move_up(const struct accelmem_memory *dst,
			    const struct accelmem_memory *src,
			    struct accelmem_range range)
{
	int err = 0;
	u64 len;

	while (range.len && !err) {
		len = min3(accelmem_run_after(dst, range.dst),
			   accelmem_run_after(src, range.src), ACCELMEM_STEP);
		len = min(len, range.len);
		memmove(accelmem_at(dst, range.dst),
			accelmem_at(src, range.src), len);
		range.dst += len;
		range.src += len;
		range.len -= len;
		err = accelmem_pause();
	}
	return err;
}

/* From the last byte to the first. */
static int accelmem_move_down(const struct accelmem_memory *dst,
			      const struct accelmem_memory *src,
			      struct accelmem_range range)
{
	int err = 0;
	u64 len;

	while (range.len && !err) {
		len = min3(accelmem_run_before(dst, range.dst + range.len),
			   accelmem_run_before(src, range.src + range.len),
			   ACCELMEM_STEP);
		len = min(len, range.len);
		range.len -= len;
		memmove(accelmem_at(dst, range.dst + range.len),
			accelmem_at(src, range.src + range.len), len);
		err = accelmem_pause();
	}
	return err;
}

static int accelmem_move(const struct accelmem_memory *dst,
			 const struct accelmem_memory *src,
			 const struct accelmem_range *ranges, u32 count)
{
	int err = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		if (!accelmem_inside(src, ranges[i].src, ranges[i].len) ||
		    !accelmem_inside(dst, ranges[i].dst, ranges[i].len))
			return -ERANGE;
	}

	/* A range that overlaps itself must not overwrite what it has yet to
	 * read.
	 */
	for (i = 0; i < count && !err; i++) {
		if (src == dst && ranges[i].src < ranges[i].dst)
			err = accelmem_move_down(dst, src, ranges[i]);
		else
			err = accelmem_move_up(dst, src, ranges[i]);
	}
	return err;
}

static int accelmem_gather_ranges(struct dma_buf *dst, struct dma_buf *src,
				  const struct accelmem_gather *gather)
{
	struct accelmem_range *ranges;
	int err;

	ranges = vmemdup_user(u64_to_user_ptr(gather->ranges),
			      gather->count * sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	err = accelmem_move(dst->priv, src->priv, ranges, gather->count);
	kvfree(ranges);
	return err;
}

long accelmem_copy_gather(void __user *arg)
{
	struct accelmem_gather gather;
	struct dma_buf *src, *dst;
	int err;

	if (copy_from_user(&gather, arg, sizeof(gather)))
		return -EFAULT;
	if (gather.flags)
		return -EINVAL;
	if (gather.count > ACCELMEM_MAX_RANGES)
		return -E2BIG;

	src = accelmem_dmabuf_get(gather.src_fd);
	if (IS_ERR(src))
		return PTR_ERR(src);
	dst = accelmem_dmabuf_get(gather.dst_fd);
	if (IS_ERR(dst)) {
		err = PTR_ERR(dst);
		goto err_put_src;
	}
	err = accelmem_gather_ranges(dst, src, &gather);
	dma_buf_put(dst);
err_put_src:
	dma_buf_put(src);
	return err;
}
