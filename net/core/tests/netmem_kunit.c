// SPDX-License-Identifier: GPL-2.0
/* Tests of references to pages and niovs, alone and in frags. */
#include <linux/mm.h>
#include <net/netmem.h>

#include "skb_test.h"

static void netmem_conversions(struct kunit *test)
{
	struct skb_test *t = test->priv;
	struct page *page = alloc_page(GFP_KERNEL);
	netmem_ref netmem;

	KUNIT_ASSERT_NOT_NULL(test, page);

	netmem = page_to_netmem(page);
	KUNIT_EXPECT_FALSE(test, netmem_is_net_iov(netmem));
	KUNIT_EXPECT_PTR_EQ(test, page, netmem_to_page(netmem));
	KUNIT_EXPECT_PTR_EQ(test, page_address(page), netmem_address(netmem));
	KUNIT_EXPECT_EQ(test, 1, netmem_ref_count(netmem));
	KUNIT_EXPECT_EQ(test, page_to_pfn(page), netmem_pfn_trace(netmem));

	netmem = net_iov_to_netmem(&t->niovs[2]);
	KUNIT_EXPECT_TRUE(test, netmem_is_net_iov(netmem));
	KUNIT_EXPECT_PTR_EQ(test, &t->niovs[2], netmem_to_net_iov(netmem));
	KUNIT_EXPECT_NULL(test, netmem_address(netmem));
	KUNIT_EXPECT_EQ(test, 1, netmem_ref_count(netmem));
	KUNIT_EXPECT_EQ(test, 0UL, netmem_pfn_trace(netmem));
	KUNIT_EXPECT_FALSE(test, netmem_is_pfmemalloc(netmem));
	KUNIT_EXPECT_TRUE(test, netmem_is_pref_nid(netmem, 12345));
	KUNIT_EXPECT_TRUE(test, netmem_compound_head(netmem) == netmem);
	KUNIT_EXPECT_PTR_EQ(test, &t->niovs[2].pp_ref_count,
			    netmem_get_pp_ref_count_ref(netmem));

	KUNIT_EXPECT_EQ(test, 2U, net_iov_idx(&t->niovs[2]));
	KUNIT_EXPECT_PTR_EQ(test, &t->area, net_iov_owner(&t->niovs[2]));
	KUNIT_EXPECT_TRUE(test, net_iov_dma_addr(&t->niovs[2]) ==
				(dma_addr_t)0x1002 << PAGE_SHIFT);
	__free_page(page);
}

static void frag_accessors(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	skb_frag_t *frag = &skb_shinfo(skb)->frags[0];

	KUNIT_EXPECT_TRUE(test, skb_frag_is_net_iov(frag));
	KUNIT_EXPECT_TRUE(test, skb_frag_netmem(frag) == skb_test_netmem(test, 0));
	KUNIT_EXPECT_EQ(test, 0U, net_iov_idx(skb_frag_net_iov(frag)));
	KUNIT_EXPECT_NULL(test, skb_frag_page(frag));
	KUNIT_EXPECT_NULL(test, skb_frag_address(frag));
	KUNIT_EXPECT_NULL(test, skb_frag_address_safe(frag));
	KUNIT_EXPECT_TRUE(test, skb_frag_dma_map(NULL, frag, 0, FRAGLEN,
						 DMA_TO_DEVICE) ==
				DMA_MAPPING_ERROR);

	KUNIT_EXPECT_EQ(test, 1, skb_test_refs(test, 0));
	skb_frag_ref(skb, 0);
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 0));
	skb_frag_unref(skb, 0);
	KUNIT_EXPECT_EQ(test, 1, skb_test_refs(test, 0));

	/* It is the same niov that can be continued, not any. */
	KUNIT_EXPECT_TRUE(test, skb_can_coalesce_netmem(skb, 1,
							skb_test_netmem(test, 0),
							FRAGLEN));
	KUNIT_EXPECT_FALSE(test, skb_can_coalesce_netmem(skb, 1,
							 skb_test_netmem(test, 1),
							 FRAGLEN));
	KUNIT_EXPECT_FALSE(test, skb_can_coalesce(skb, 1, NULL, FRAGLEN));
	kfree_skb(skb);
}

static struct kunit_case netmem_test_cases[] = {
	KUNIT_CASE(netmem_conversions),
	KUNIT_CASE(frag_accessors),
	{}
};

static struct kunit_suite netmem_test_suite = {
	.name = "netmem",
	.init = skb_test_init,
	.exit = skb_test_exit,
	.test_cases = netmem_test_cases,
};

kunit_test_suite(netmem_test_suite);
