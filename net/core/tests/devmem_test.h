/* SPDX-License-Identifier: GPL-2.0 */
/* What tests of bindings share: a dmabuf that has addresses but no memory, bound
 * to queues of a netdev that has page pools and nothing else.
 */
#ifndef _NET_CORE_TESTS_DEVMEM_TEST_H
#define _NET_CORE_TESTS_DEVMEM_TEST_H

#include <linux/netlink.h>

#include "../devmem.h"
#include "fake_netdev.h"

#define DEVMEM_TEST_TAKEN	200

struct fake_dmabuf_entry {
	dma_addr_t addr;
	u32 len;
};

/**
 * struct fake_dmabuf - what is known of a dmabuf's memory
 * @entries: what the mapping has, @num_entries of them
 * @repeat: how often it has them all
 * @attach_err: what attaching returns
 * @map_err: what mapping returns
 * @attached: how many are
 * @mapped: how many mappings there are
 * @released: nobody has the dmabuf any more
 */
struct fake_dmabuf {
	const struct fake_dmabuf_entry *entries;
	unsigned int num_entries;
	unsigned int repeat;
	int attach_err;
	int map_err;
	int attached;
	int mapped;
	bool released;
};

/**
 * struct devmem_test - what a test has: its priv
 * @dev: whose queues dmabufs are bound to
 * @buf: the dmabuf
 * @fd: its descriptor
 * @extack: what the last bind said
 * @taken: niovs that a pool has given out, @num_taken of them
 */
struct devmem_test {
	struct net_device *dev;
	struct fake_dmabuf buf;
	int fd;
	struct netlink_ext_ack extack;
	struct net_iov *taken[DEVMEM_TEST_TAKEN];
	int num_taken;
};

int devmem_test_init(struct kunit *test);
void devmem_test_exit(struct kunit *test);

/* Binds the dmabuf, with these entries, to no queue. */
struct net_devmem_dmabuf_binding *
devmem_test_bind(struct kunit *test, const struct fake_dmabuf_entry *entries,
		 unsigned int num_entries, u32 rx_page_size);
int devmem_test_bind_queue(struct kunit *test,
			   struct net_devmem_dmabuf_binding *binding, u32 idx);
void devmem_test_unbind(struct net_devmem_dmabuf_binding *binding);

/* Binds the dmabuf, and has queue 0 receive into it. */
struct net_devmem_dmabuf_binding *
devmem_test_bound(struct kunit *test, const struct fake_dmabuf_entry *entries,
		  unsigned int num_entries, u32 rx_page_size);

/* The pool of a queue that has been started. */
struct page_pool *devmem_test_pool(struct kunit *test, int idx);

/* A niov of the pool; NULL if there are none. */
struct net_iov *devmem_test_get(struct page_pool *pool);

/* Takes all that the pool of a queue can give. */
void devmem_test_take_all(struct kunit *test, int idx);

/* Gives all back; a stride of other than one makes it another order. It has no
 * factor in common with how many were taken.
 */
void devmem_test_give_all(struct kunit *test, int stride);

/* Expects that it is there. */
void devmem_test_place(struct kunit *test, const struct net_iov *niov, u32 id,
		       u64 offset, dma_addr_t addr);

/* Expects that the bind failed so, and left nothing behind. */
void devmem_test_refused(struct kunit *test,
			 const struct net_devmem_dmabuf_binding *binding,
			 int err, const char *msg);

#endif /* _NET_CORE_TESTS_DEVMEM_TEST_H */
