/* SPDX-License-Identifier: GPL-2.0 */
/* Inside accelmem: who owns what.
 *
 *   file --> context <-- memory --> chunks
 *               |          ^
 *            device      dmabuf
 *
 * A dmabuf owns its memory, and the last reference to the dmabuf frees it.
 * The memory stays charged to the context of the file that asked for it, so
 * it holds a reference to that context, which may outlive the file. A context
 * holds a reference to its device, which may outlive the hardware.
 */
#ifndef ACCELMEM_H
#define ACCELMEM_H

#include <linux/dma-direction.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <linux/accelmem.h>

struct accelmem_device;
struct accelmem_memory;
struct dma_buf;
struct device;
struct sg_table;

/**
 * struct accelmem_backend - where a device's memory comes from
 * @fill: finds room for &accelmem_memory.size bytes, zeroed, and sets its
 *	  chunks; there is as much left. May leave what @empty can deal with.
 * @empty: takes it back
 * @reaches: can this device do DMA there, with no copy in between?
 * @map: gives the entries of @sgt, which are all of the memory in its order,
 *	 their DMA addresses. With &accelmem_device.io they have no pages.
 * @unmap: undoes it
 * @release: the last reference to the device is gone; NULL if it never is
 */
struct accelmem_backend {
	int (*fill)(struct accelmem_memory *memory);
	void (*empty)(struct accelmem_memory *memory);
	bool (*reaches)(const struct accelmem_memory *memory,
			struct device *dev);
	int (*map)(const struct accelmem_memory *memory, struct device *dev,
		   struct sg_table *sgt, enum dma_data_direction direction);
	void (*unmap)(struct device *dev, struct sg_table *sgt,
		      enum dma_data_direction direction);
	void (*release)(struct accelmem_device *device);
};

/* A character device, and the memory that it hands out. One file may take
 * everything: who may open files at all is the device node's mode, and a limit
 * that another open() lifts would protect nobody.
 */
struct accelmem_device {
	struct kref ref;	/* whoever registered it, and each context */
	const struct accelmem_backend *backend;
	struct miscdevice misc;
	bool io;		/* chunks are __iomem */
	u64 size;
	spinlock_t lock;	/* guards @used, and that of the contexts */
	u64 used;		/* bytes */
};

/* One for each open file. */
struct accelmem_context {
	struct kref ref;	/* the file's, and one for each memory */
	struct accelmem_device *device;
	u64 used;		/* bytes; guarded by the device's lock */
};

/* Bytes that lie together in the machine, as many as there are: the chunk
 * after this one starts elsewhere. Whole pages. @vaddr is __iomem if the device
 * says so: then only copy.c uses it, by what <linux/io.h> has for that.
 */
struct accelmem_chunk {
	void *vaddr;
	u64 offset;		/* in the dmabuf */
	u64 size;
};

/* What lies behind a dmabuf; its chunks never change. */
struct accelmem_memory {
	struct accelmem_context *context;
	struct accelmem_chunk *chunks;
	unsigned int nr_chunks;
	u64 size;
	struct list_head blocks;	/* host.c: the pages, as allocated */
};

/* device.c */
int accelmem_device_register(struct accelmem_device *device);
void accelmem_device_unregister(struct accelmem_device *device);
void accelmem_device_put(struct accelmem_device *device);

/* host.c */
int accelmem_host_init(void);
void accelmem_host_exit(void);

/* bar.c */
int accelmem_bar_init(void);
void accelmem_bar_exit(void);

/* context.c */
struct accelmem_context *
accelmem_context_create(struct accelmem_device *device);
void accelmem_context_put(struct accelmem_context *context);
int accelmem_context_charge(struct accelmem_context *context, u64 size);
void accelmem_context_uncharge(struct accelmem_context *context, u64 size);
long accelmem_context_info(struct accelmem_context *context, void __user *arg);

/* memory.c */
struct accelmem_memory *accelmem_memory_create(struct accelmem_context *context,
					       u64 size);
void accelmem_memory_free(struct accelmem_memory *memory);
const struct accelmem_chunk *
accelmem_memory_chunk(const struct accelmem_memory *memory, u64 offset);

/* dmabuf.c */
long accelmem_dmabuf_alloc(struct accelmem_context *context, void __user *arg);
struct dma_buf *accelmem_dmabuf_get(int fd);

/* copy.c */
long accelmem_copy_host(void __user *arg, bool to_device);
long accelmem_copy_gather(void __user *arg);

#endif /* ACCELMEM_H */
