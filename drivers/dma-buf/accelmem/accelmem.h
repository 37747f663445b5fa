/* SPDX-License-Identifier: GPL-2.0 */
/* Inside accelmem: who owns what.
 *
 *   file --> context <-- memory --> chunks
 *                          ^
 *                        dmabuf
 *
 * A dmabuf owns its memory, and the last reference to the dmabuf frees it.
 * The memory stays charged to the context of the file that asked for it, so
 * it holds a reference to that context, which may outlive the file.
 */
#ifndef ACCELMEM_H
#define ACCELMEM_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/types.h>

#include <linux/accelmem.h>

struct dma_buf;

/* One for each open file. */
struct accelmem_context {
	struct kref ref;	/* the file's, and one for each memory */
	u64 used;		/* bytes; guarded by the lock in context.c */
};

/* Bytes that lie together in the machine, as many as there are: the chunk
 * after this one starts elsewhere. Whole pages.
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
	struct list_head blocks;	/* the pages, as they were allocated */
};

/* context.c */
void accelmem_context_init(void);
struct accelmem_context *accelmem_context_create(void);
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
