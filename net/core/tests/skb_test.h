/* SPDX-License-Identifier: GPL-2.0 */
/* What tests of skbs that the CPU can't read share: niovs that have no memory
 * behind them, so that to touch it is to crash.
 */
#ifndef _NET_CORE_TESTS_SKB_TEST_H
#define _NET_CORE_TESTS_SKB_TEST_H

#include <kunit/test.h>
#include <linux/skbuff.h>
#include <net/netmem.h>

#define SKB_TEST_NIOVS	4
#define HEADLEN		54
#define FRAGLEN		1000

/**
 * struct skb_test - what a test has: its priv
 * @area: the niovs
 * @niovs: the same; the test itself holds references on each
 */
struct skb_test {
	struct net_iov_area area;
	struct net_iov niovs[SKB_TEST_NIOVS];
};

int skb_test_init(struct kunit *test);

/* Whatever a test has done to skbs, once they are freed each reference must
 * have been dropped, and none twice.
 */
void skb_test_exit(struct kunit *test);

netmem_ref skb_test_netmem(struct kunit *test, int i);

/* References on a niov that are not the test's own. */
long skb_test_refs(struct kunit *test, int i);

/* No frags. The linear part counts from 0 up. */
struct sk_buff *skb_test_linear(struct kunit *test, int headlen);
void skb_test_add_niov(struct kunit *test, struct sk_buff *skb, int i);
void skb_test_add_page(struct kunit *test, struct sk_buff *skb);

/* A received packet whose header was split off: niovs first and first + 1. */
struct sk_buff *skb_test_rx(struct kunit *test, int headlen, int first);

/* One page. */
struct sk_buff *skb_test_paged(struct kunit *test, int headlen);

#endif /* _NET_CORE_TESTS_SKB_TEST_H */
