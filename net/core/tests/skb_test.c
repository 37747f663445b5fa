// SPDX-License-Identifier: GPL-2.0
#include "skb_test.h"

#define HELD		100	/* references that the test itself holds */
#define HEADROOM	64

int skb_test_init(struct kunit *test)
{
	struct skb_test *t;
	int i;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;

	t->area.niovs = t->niovs;
	t->area.num_niovs = SKB_TEST_NIOVS;
	t->area.shift = PAGE_SHIFT;
	for (i = 0; i < SKB_TEST_NIOVS; i++) {
		t->niovs[i].owner = &t->area;
		t->niovs[i].dma = 0x1000 + i;
		atomic_long_set(&t->niovs[i].pp_ref_count, HELD);
	}
	test->priv = t;
	return 0;
}

void skb_test_exit(struct kunit *test)
{
	struct skb_test *t = test->priv;
	int i;

	for (i = 0; i < SKB_TEST_NIOVS; i++)
		KUNIT_EXPECT_EQ(test, HELD,
				atomic_long_read(&t->niovs[i].pp_ref_count));
}

netmem_ref skb_test_netmem(struct kunit *test, int i)
{
	struct skb_test *t = test->priv;

	return net_iov_to_netmem(&t->niovs[i]);
}

long skb_test_refs(struct kunit *test, int i)
{
	struct skb_test *t = test->priv;

	return atomic_long_read(&t->niovs[i].pp_ref_count) - HELD;
}

struct sk_buff *skb_test_linear(struct kunit *test, int headlen)
{
	struct sk_buff *skb;
	int i;

	skb = alloc_skb(HEADROOM + headlen, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_reserve(skb, HEADROOM);
	for (i = 0; i < headlen; i++)
		skb_put_u8(skb, i);
	return skb;
}

void skb_test_add_niov(struct kunit *test, struct sk_buff *skb, int i)
{
	struct skb_test *t = test->priv;

	atomic_long_inc(&t->niovs[i].pp_ref_count);
	skb_add_rx_frag_netmem(skb, skb_shinfo(skb)->nr_frags,
			       skb_test_netmem(test, i), 0, FRAGLEN, PAGE_SIZE);
}

void skb_test_add_page(struct kunit *test, struct sk_buff *skb)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, page);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, 0, FRAGLEN,
			PAGE_SIZE);
}

struct sk_buff *skb_test_rx(struct kunit *test, int headlen, int first)
{
	struct sk_buff *skb = skb_test_linear(test, headlen);

	skb_test_add_niov(test, skb, first);
	skb_test_add_niov(test, skb, first + 1);
	return skb;
}

struct sk_buff *skb_test_paged(struct kunit *test, int headlen)
{
	struct sk_buff *skb = skb_test_linear(test, headlen);

	skb_test_add_page(test, skb);
	return skb;
}
