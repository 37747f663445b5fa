// SPDX-License-Identifier: GPL-2.0
/* The dma-buf: how devices reach the memory, and nobody else */

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "accelmem.h"

static const struct accelmem_backend *
accelmem_backend(const struct accelmem_memory *memory)
{
	return memory->context->device->backend;
}

/* An importer may unmap and detach after its device has been unregistered: a
 * devmem binding lives until the last socket gave back its last frag. The
 * unmap needs the device.
 */
static int accelmem_attach(struct dma_buf *dmabuf,
			   struct dma_buf_attachment *attachment)
{
	const struct accelmem_memory *memory = dmabuf->priv;

	if (!accelmem_backend(memory)->reaches(memory, attachment->dev))
		return -EOPNOTSUPP;
	get_device(attachment->dev);
	return 0;
}

static void accelmem_detach(struct dma_buf *dmabuf,
			    struct dma_buf_attachment *attachment)
{
	put_device(attachment->dev);
}

/* The longest entry that @dev takes, in whole pages. */
static unsigned int accelmem_entry_size(struct device *dev)
{
	unsigned int size = dma_get_max_seg_size(dev) & PAGE_MASK;

	return max_t(unsigned int, size, PAGE_SIZE);
}

/* One entry a chunk, or several where @entry_size is less than that. */
static int accelmem_fill_sgt(struct sg_table *sgt,
			     const struct accelmem_memory *memory,
			     unsigned int entry_size)
{
	const struct accelmem_chunk *end = memory->chunks + memory->nr_chunks;
	const struct accelmem_chunk *chunk;
	struct scatterlist *sg;
	unsigned int count = 0;
	u64 done, len;
	int err;

	for (chunk = memory->chunks; chunk < end; chunk++)
		count += DIV_ROUND_UP_ULL(chunk->size, entry_size);

	err = sg_alloc_table(sgt, count, GFP_KERNEL);
	if (err)
		return err;

	sg = sgt->sgl;
	for (chunk = memory->chunks; chunk < end; chunk++) {
		for (done = 0; done < chunk->size; done += len) {
			len = min_t(u64, chunk->size - done, entry_size);
			if (memory->context->device->io)
				sg_set_page(sg, NULL, len, 0);
			else
				sg_set_buf(sg, chunk->vaddr + done, len);
			sg = sg_next(sg);
		}
	}
	return 0;
}

/* Chunks start at a page and are whole pages long, so the DMA entries are too. */
static struct sg_table *accelmem_map(struct dma_buf_attachment *attachment,
				     enum dma_data_direction direction)
{
	struct accelmem_memory *memory = attachment->dmabuf->priv;
	struct device *dev = attachment->dev;
	struct sg_table *sgt;
	int err;

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	err = accelmem_fill_sgt(sgt, memory, accelmem_entry_size(dev));
	if (err)
		goto err_free;

	err = accelmem_backend(memory)->map(memory, dev, sgt, direction);
	if (err)
		goto err_free_table;
	return sgt;

err_free_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(err);
}

static void accelmem_unmap(struct dma_buf_attachment *attachment,
			   struct sg_table *sgt,
			   enum dma_data_direction direction)
{
	const struct accelmem_memory *memory = attachment->dmabuf->priv;

	accelmem_backend(memory)->unmap(attachment->dev, sgt, direction);
	sg_free_table(sgt);
	kfree(sgt);
}

static int accelmem_begin_cpu_access(struct dma_buf *dmabuf,
				     enum dma_data_direction direction)
{
	return -EOPNOTSUPP;
}

static void accelmem_dmabuf_release(struct dma_buf *dmabuf)
{
	accelmem_memory_free(dmabuf->priv);
}

/* No mmap and no vmap: that is the point of it. */
static const struct dma_buf_ops accelmem_dmabuf_ops = {
	.attach			= accelmem_attach,
	.detach			= accelmem_detach,
	.map_dma_buf		= accelmem_map,
	.unmap_dma_buf		= accelmem_unmap,
	.begin_cpu_access	= accelmem_begin_cpu_access,
	.release		= accelmem_dmabuf_release,
};

/* The dma-buf behind @fd, if it is one of ours; dma_buf_put() it. */
struct dma_buf *accelmem_dmabuf_get(int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);

	if (IS_ERR(dmabuf) || dmabuf->ops == &accelmem_dmabuf_ops)
		return dmabuf;
	dma_buf_put(dmabuf);
	return ERR_PTR(-EINVAL);
}

static struct dma_buf *accelmem_export(struct accelmem_context *context,
				       u64 size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct accelmem_memory *memory;
	struct dma_buf *dmabuf;

	memory = accelmem_memory_create(context, size);
	if (IS_ERR(memory))
		return ERR_CAST(memory);

	info.ops = &accelmem_dmabuf_ops;
	info.size = size;
	info.flags = O_RDWR;
	info.priv = memory;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf))
		accelmem_memory_free(memory);
	return dmabuf;
}

/* A file descriptor can't be taken back once it is installed, so that comes
 * last, when nothing can fail any more.
 */
static int accelmem_publish(struct dma_buf *dmabuf,
			    struct accelmem_alloc *alloc, void __user *arg)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;

	alloc->fd = fd;
	if (copy_to_user(arg, alloc, sizeof(*alloc))) {
		put_unused_fd(fd);
		return -EFAULT;
	}
	fd_install(fd, dmabuf->file);
	return 0;
}

long accelmem_dmabuf_alloc(struct accelmem_context *context, void __user *arg)
{
	struct accelmem_alloc alloc;
	struct dma_buf *dmabuf;
	int err;

	if (copy_from_user(&alloc, arg, sizeof(alloc)))
		return -EFAULT;
	if (alloc.flags || alloc.reserved[0] || alloc.reserved[1])
		return -EINVAL;
	if (!alloc.size || alloc.size > LONG_MAX - PAGE_SIZE)
		return -EINVAL;
	alloc.size = PAGE_ALIGN(alloc.size);

	dmabuf = accelmem_export(context, alloc.size);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	err = accelmem_publish(dmabuf, &alloc, arg);
	if (err)
		dma_buf_put(dmabuf);
	return err;
}
