// SPDX-License-Identifier: GPL-2.0
/* The copy engine: bytes in, out and within
 *
 * A copy holds a reference to its dmabufs and no lock, so it disturbs nobody
 * and the memory can't go away under it. What two copies make of the same
 * bytes at the same time is their callers' business, as with any memory.
 */

#include <linux/dma-buf.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "accelmem.h"

/* Most bytes between two looks at whether to give way, or give up. */
#define ACCELMEM_STEP	((u64)SZ_1M)

/* The same where bytes are __iomem: they take the way over the stack. */
#define ACCELMEM_IO_STEP	((u64)256)

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

static bool accelmem_is_io(const struct accelmem_memory *memory)
{
	return memory->context->device->io;
}

static u64 accelmem_step(const struct accelmem_memory *dst,
			 const struct accelmem_memory *src)
{
	return accelmem_is_io(dst) || accelmem_is_io(src) ? ACCELMEM_IO_STEP :
							    ACCELMEM_STEP;
}

static void accelmem_read(const struct accelmem_memory *memory, void *to,
			  const void *from, size_t len)
{
	if (accelmem_is_io(memory))
		memcpy_fromio(to, (const void __iomem __force *)from, len);
	else
		memcpy(to, from, len);
}

static void accelmem_write(const struct accelmem_memory *memory, void *to,
			   const void *from, size_t len)
{
	if (accelmem_is_io(memory))
		memcpy_toio((void __iomem __force *)to, from, len);
	else
		memcpy(to, from, len);
}

/* At most accelmem_step() bytes, which may overlap. */
static void accelmem_move_step(const struct accelmem_memory *dst, void *to,
			       const struct accelmem_memory *src,
			       const void *from, size_t len)
{
	u8 bytes[ACCELMEM_IO_STEP];

	if (accelmem_step(dst, src) == ACCELMEM_STEP) {
		memmove(to, from, len);
		return;
	}
	accelmem_read(src, bytes, from, len);
	accelmem_write(dst, to, bytes, len);
}

/* Returns how many bytes of @host can't be reached. */
static size_t accelmem_copy_io(void *mem, void __user *host, size_t len,
			       bool to_device)
{
	u8 bytes[ACCELMEM_IO_STEP];
	size_t left;

	if (!to_device) {
		memcpy_fromio(bytes, (const void __iomem __force *)mem, len);
		return __copy_to_user(host, bytes, len);
	}
	left = __copy_from_user(bytes, host, len);
	memcpy_toio((void __iomem __force *)mem, bytes, len - left);
	return left;
}

/* __copy_from_user() and not copy_from_user(), which zeroes what it can't
 * fill: a bad address must leave the rest of the memory as it was.
 */
static int accelmem_copy_step(const struct accelmem_memory *memory, void *mem,
			      void __user *host, size_t len, bool to_device)
{
	size_t left;

	if (accelmem_is_io(memory))
		left = accelmem_copy_io(mem, host, len, to_device);
	else if (to_device)
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
			   accelmem_step(memory, memory));
		err = accelmem_copy_step(memory, accelmem_at(memory, offset),
					 host, len, to_device);
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
			   accelmem_run_after(src, range.src),
			   accelmem_step(dst, src));
		len = min(len, range.len);
		accelmem_move_step(dst, accelmem_at(dst, range.dst),
				   src, accelmem_at(src, range.src), len);
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
			   accelmem_step(dst, src));
		len = min(len, range.len);
		range.len -= len;
		accelmem_move_step(dst, accelmem_at(dst, range.dst + range.len),
				   src, accelmem_at(src, range.src + range.len),
				   len);
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
