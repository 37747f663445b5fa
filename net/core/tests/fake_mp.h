/* SPDX-License-Identifier: GPL-2.0 */
/* A memory provider for tests of page pools: it has niovs without memory, and
 * keeps count of what is asked of it.
 */
#ifndef _NET_CORE_TESTS_FAKE_MP_H
#define _NET_CORE_TESTS_FAKE_MP_H

#include <net/netmem.h>
#include <net/page_pool/memory_provider.h>

#define FAKE_MP_NIOVS	200

/**
 * struct fake_mp - a provider
 * @area: its niovs
 * @niovs: the same
 * @free: those that no pool has, a stack
 * @num_free: how many
 * @init_err: what init is to return
 * @inits: how often it succeeded
 * @allocs: how often a pool wanted niovs
 * @most: how many a pool wanted at one go
 * @destroyed: the last pool went
 * @free_then: how many niovs were free when it did
 */
struct fake_mp {
	struct net_iov_area area;
	struct net_iov niovs[FAKE_MP_NIOVS];
	struct net_iov *free[FAKE_MP_NIOVS];
	unsigned int num_free;
	int init_err;
	int inits;
	int allocs;
	unsigned int most;
	bool destroyed;
	unsigned int free_then;
};

void fake_mp_init(struct fake_mp *mp);

extern const struct memory_provider_ops fake_mp_ops;

#endif /* _NET_CORE_TESTS_FAKE_MP_H */
