/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/* accelmem: memory that behaves like an accelerator's.
 *
 * The CPU can neither map nor touch it. A program allocates a piece as a
 * dma-buf, lets a device (a NIC with a devmem binding, say) move bytes in and
 * out, and moves bytes itself by asking the copy engine, as it would with a
 * GPU's memcpy calls.
 *
 * /dev/accelmem is memory of the host. /dev/accelmem1 and on are the BARs of PCI
 * devices, each a device of its own, with the same requests; the copy engine
 * moves bytes between all of them.
 *
 * Every structure has a fixed size and the same layout for 32 and 64 bit
 * programs. @flags and @reserved fields are room to grow: they must be 0, and
 * the call fails with EINVAL if they are not. Any call fails with EFAULT when
 * its structure can't be read or written, and with EINTR when the program is
 * killed meanwhile. An unknown request fails with ENOTTY.
 */
#ifndef _UAPI_LINUX_ACCELMEM_H
#define _UAPI_LINUX_ACCELMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ACCELMEM_DEVICE		"/dev/accelmem"

/* Most ranges that one ACCELMEM_IOC_GATHER takes. */
#define ACCELMEM_MAX_RANGES	4096

/**
 * struct accelmem_info - how much memory there is
 * @size: bytes of the whole device
 * @used: bytes in dma-bufs that are alive, whoever allocated them
 * @limit: most bytes that one open file may hold
 * @used_here: bytes in live dma-bufs allocated through this open file
 * @reserved: zero
 */
struct accelmem_info {
	__u64 size;
	__u64 used;
	__u64 limit;
	__u64 used_here;
	__u64 reserved[4];
};

/**
 * struct accelmem_alloc - make a dma-buf
 * @size: bytes wanted, at least 1; rounded up to whole pages and written back
 * @flags: zero
 * @fd: out: the dma-buf, open for reading and writing, close-on-exec
 * @reserved: zero
 *
 * The memory is zeroed. It is freed when the last reference to the dma-buf
 * goes, which may be long after the fd and /dev/accelmem are closed.
 *
 * Errors: EINVAL (size 0 or absurd, non-zero flags), EDQUOT (over this open
 * file's limit), ENOSPC (the device is full), ENOMEM, EMFILE, ENFILE.
 */
struct accelmem_alloc {
	__u64 size;
	__u32 flags;
	__s32 fd;
	__u64 reserved[2];
};

/**
 * struct accelmem_copy - move bytes between host memory and a dma-buf
 * @addr: host address, any alignment
 * @offset: where in the dma-buf, any alignment
 * @len: bytes; 0 copies nothing, but is checked like the rest
 * @fd: a dma-buf of this device
 * @flags: zero
 *
 * Errors: EBADF, EINVAL (not a dma-buf of accelmem, non-zero flags), ERANGE
 * (not inside the dma-buf; nothing was copied), EFAULT (bad host address;
 * bytes before it may have been copied, none from there on).
 */
struct accelmem_copy {
	__u64 addr;
	__u64 offset;
	__u64 len;
	__s32 fd;
	__u32 flags;
};

/**
 * struct accelmem_range - one piece of a gather
 * @src: offset in the source dma-buf
 * @len: bytes; 0 copies nothing, but is checked like the rest
 * @dst: offset in the destination dma-buf
 */
struct accelmem_range {
	__u64 src;
	__u64 len;
	__u64 dst;
};

/**
 * struct accelmem_gather - copy ranges from one dma-buf to another
 * @ranges: address of @count struct accelmem_range
 * @count: at most ACCELMEM_MAX_RANGES
 * @src_fd: a dma-buf of this device
 * @dst_fd: a dma-buf of this device, may be the same
 * @flags: zero
 *
 * All ranges are checked before the first byte moves. They are copied in
 * order; within one dma-buf a range that overlaps itself behaves as memmove().
 *
 * Errors: EBADF, EINVAL, E2BIG (too many ranges), ERANGE (a range is outside
 * either dma-buf; nothing was copied), EFAULT (@ranges), ENOMEM.
 */
struct accelmem_gather {
	__u64 ranges;
	__u32 count;
	__s32 src_fd;
	__s32 dst_fd;
	__u32 flags;
};

#define ACCELMEM_IOC_INFO	_IOR(0xAC, 0x00, struct accelmem_info)
#define ACCELMEM_IOC_ALLOC	_IOWR(0xAC, 0x01, struct accelmem_alloc)
#define ACCELMEM_IOC_TO_DEVICE	_IOW(0xAC, 0x02, struct accelmem_copy)
#define ACCELMEM_IOC_TO_HOST	_IOW(0xAC, 0x03, struct accelmem_copy)
#define ACCELMEM_IOC_GATHER	_IOW(0xAC, 0x04, struct accelmem_gather)

#endif /* _UAPI_LINUX_ACCELMEM_H */
