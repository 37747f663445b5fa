// SPDX-License-Identifier: GPL-2.0
/* Tests of how skbs become unreadable and readable again, as frags move from
 * one to the other, and of which can become one.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/netdevice.h>
#include <net/gro.h>
#include <net/tcp.h>

#include "skb_test.h"

static void bit_is_set(struct kunit *test)
{
	struct sk_buff *skb = skb_test_paged(test, HEADLEN);

	KUNIT_EXPECT_TRUE(test, skb_frags_readable(skb));
	KUNIT_EXPECT_EQ(test, skb->len, skb_readable_len(skb));

	skb_test_add_niov(test, skb, 0);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(skb));
	KUNIT_EXPECT_EQ(test, (unsigned int)HEADLEN, skb_readable_len(skb));

	/* Another page doesn't make it readable. */
	skb_test_add_page(test, skb);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(skb));
	kfree_skb(skb);
}

static void bit_is_cloned(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	struct sk_buff *clone = skb_clone(skb, GFP_KERNEL);
	struct sk_buff *copy = pskb_copy(skb, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, clone);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(clone));
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(copy));
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 0));

	KUNIT_EXPECT_EQ(test, 0, pskb_expand_head(clone, 32, 32, GFP_KERNEL));
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(clone));
	KUNIT_EXPECT_EQ(test, 3, skb_test_refs(test, 0));
	KUNIT_EXPECT_EQ(test, 3, skb_test_refs(test, 1));

	kfree_skb(skb);
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 1));
	kfree_skb(clone);
	kfree_skb(copy);
}

static void bit_is_trimmed(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);

	KUNIT_EXPECT_EQ(test, 0, pskb_trim(skb, HEADLEN + FRAGLEN + 1));
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(skb));
	KUNIT_EXPECT_EQ(test, 1, skb_test_refs(test, 1));

	KUNIT_EXPECT_EQ(test, 0, pskb_trim(skb, HEADLEN + FRAGLEN));
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(skb));
	KUNIT_EXPECT_EQ(test, 0, skb_test_refs(test, 1));

	KUNIT_EXPECT_EQ(test, 0, pskb_trim(skb, HEADLEN));
	KUNIT_EXPECT_TRUE(test, skb_frags_readable(skb));
	KUNIT_EXPECT_EQ(test, 0, skb_test_refs(test, 0));

	/* Now that it can be read, it is. */
	KUNIT_EXPECT_EQ(test, 0, skb_linearize(skb));
	kfree_skb(skb);
}

static void bit_is_split(struct kunit *test)
{
	static const struct {
		int at;
		bool first_readable;
		int refs[2];
	} cases[] = {
		{ HEADLEN - 10,			true,	{ 1, 1 } },
		{ HEADLEN,			true,	{ 1, 1 } },
		{ HEADLEN + 1,			false,	{ 2, 1 } },
		{ HEADLEN + FRAGLEN,		false,	{ 1, 1 } },
		{ HEADLEN + FRAGLEN + 1,	false,	{ 1, 2 } },
	};
	struct sk_buff *skb, *second;
	int i, total;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		skb = skb_test_rx(test, HEADLEN, 0);
		second = skb_test_linear(test, HEADLEN);
		skb_trim(second, 0);
		total = skb->len;

		skb_split(skb, second, cases[i].at);
		KUNIT_EXPECT_EQ(test, (unsigned int)cases[i].at, skb->len);
		KUNIT_EXPECT_EQ(test, (unsigned int)(total - cases[i].at),
				second->len);
		KUNIT_EXPECT_EQ(test, cases[i].first_readable,
				skb_frags_readable(skb));
		KUNIT_EXPECT_FALSE(test, skb_frags_readable(second));
		KUNIT_EXPECT_EQ(test, cases[i].refs[0], skb_test_refs(test, 0));
		KUNIT_EXPECT_EQ(test, cases[i].refs[1], skb_test_refs(test, 1));
		kfree_skb(skb);
		kfree_skb(second);
	}
}

static void bit_is_extracted(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	struct sk_buff *part;

	part = pskb_extract(skb, HEADLEN + FRAGLEN, 10, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, part);
	KUNIT_EXPECT_EQ(test, 10U, part->len);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(part));
	KUNIT_EXPECT_EQ(test, 1, skb_test_refs(test, 0));
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 1));
	kfree_skb(part);

	part = pskb_extract(skb, 10, 20, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, part);
	KUNIT_EXPECT_EQ(test, 20U, part->len);
	KUNIT_EXPECT_EQ(test, 10, part->data[0]);
	KUNIT_EXPECT_TRUE(test, skb_frags_readable(part));
	kfree_skb(part);
	kfree_skb(skb);
}

static void bit_is_zerocopied(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	struct sk_buff *to;

	to = alloc_skb(HEADLEN, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, to);
	KUNIT_EXPECT_EQ(test, 0, skb_zerocopy(to, skb, skb->len, HEADLEN));
	KUNIT_EXPECT_EQ(test, skb->len, to->len);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(to));
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 1));
	kfree_skb(to);

	to = alloc_skb(HEADLEN, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, to);
	KUNIT_EXPECT_EQ(test, 0, skb_zerocopy(to, skb, skb_readable_len(skb),
					      HEADLEN));
	KUNIT_EXPECT_EQ(test, (unsigned int)HEADLEN, to->len);
	KUNIT_EXPECT_TRUE(test, skb_frags_readable(to));
	kfree_skb(to);
	kfree_skb(skb);
}

static void shift_same_only(struct kunit *test)
{
	struct sk_buff *page = skb_test_paged(test, HEADLEN);
	struct sk_buff *to = skb_test_linear(test, HEADLEN);
	struct sk_buff *from = skb_test_rx(test, 0, 1);

	skb_test_add_niov(test, to, 0);

	KUNIT_EXPECT_EQ(test, 0, skb_shift(page, from, FRAGLEN));
	KUNIT_EXPECT_EQ(test, FRAGLEN + 10,
			skb_shift(to, from, FRAGLEN + 10));
	KUNIT_EXPECT_EQ(test, 3, (int)skb_shinfo(to)->nr_frags);
	KUNIT_EXPECT_EQ(test, 1, (int)skb_shinfo(from)->nr_frags);
	KUNIT_EXPECT_EQ(test, 1, skb_test_refs(test, 1));
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 2));
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(to));
	KUNIT_EXPECT_TRUE(test, skb_frags_readable(page));
	kfree_skb(page);
	kfree_skb(to);
	kfree_skb(from);
}

static void shift_merges_same_niov(struct kunit *test)
{
	struct sk_buff *to = skb_test_linear(test, HEADLEN);
	struct sk_buff *from = skb_test_linear(test, 0);

	skb_test_add_niov(test, to, 0);
	skb_test_add_niov(test, from, 0);
	skb_frag_off_set(&skb_shinfo(from)->frags[0], FRAGLEN);
	skb_test_add_niov(test, from, 1);

	KUNIT_EXPECT_EQ(test, 2 * FRAGLEN, skb_shift(to, from, 2 * FRAGLEN));
	KUNIT_EXPECT_EQ(test, 2, (int)skb_shinfo(to)->nr_frags);
	KUNIT_EXPECT_EQ(test, 2U * FRAGLEN,
			skb_frag_size(&skb_shinfo(to)->frags[0]));
	KUNIT_EXPECT_EQ(test, 1, skb_test_refs(test, 0));
	kfree_skb(to);
	kfree_skb(from);
}

static void coalesce_same_only(struct kunit *test)
{
	struct sk_buff *page = skb_test_paged(test, HEADLEN);
	struct sk_buff *linear = skb_test_linear(test, HEADLEN + 4 * FRAGLEN);
	struct sk_buff *to = skb_test_linear(test, HEADLEN);
	struct sk_buff *from = skb_test_rx(test, 0, 1);
	struct sk_buff *split = skb_test_rx(test, 1, 1);
	struct sk_buff *clone;
	bool stolen;
	int delta;

	skb_test_add_niov(test, to, 0);
	skb_trim(linear, 1);

	KUNIT_EXPECT_FALSE(test, skb_try_coalesce(page, from, &stolen, &delta));
	KUNIT_EXPECT_FALSE(test, skb_try_coalesce(to, page, &stolen, &delta));
	KUNIT_EXPECT_FALSE(test, skb_try_coalesce(to, split, &stolen, &delta));
	/* There is room for a copy, but nothing to be copied. */
	KUNIT_EXPECT_FALSE(test, skb_try_coalesce(linear, from, &stolen,
						  &delta));

	/* From a clone: its niovs stay there too. */
	clone = skb_clone(from, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, clone);
	KUNIT_EXPECT_TRUE(test, skb_try_coalesce(to, from, &stolen, &delta));
	KUNIT_EXPECT_FALSE(test, stolen);
	KUNIT_EXPECT_EQ(test, HEADLEN + 3U * FRAGLEN, to->len);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(to));
	/* from and clone, split, to */
	KUNIT_EXPECT_EQ(test, 3, skb_test_refs(test, 1));

	kfree_skb(clone);
	kfree_skb(from);
	KUNIT_EXPECT_EQ(test, 2, skb_test_refs(test, 1));
	kfree_skb(split);
	kfree_skb(to);
	kfree_skb(linear);
	kfree_skb(page);
}

static void tcp_collapse_same_only(struct kunit *test)
{
	struct sk_buff *page = skb_test_paged(test, 0);
	struct sk_buff *niov = skb_test_rx(test, 0, 0);

	KUNIT_EXPECT_TRUE(test, tcp_skb_can_collapse(page, page));
	KUNIT_EXPECT_TRUE(test, tcp_skb_can_collapse(niov, niov));
	KUNIT_EXPECT_FALSE(test, tcp_skb_can_collapse(page, niov));
	KUNIT_EXPECT_FALSE(test, tcp_skb_can_collapse(niov, page));
	kfree_skb(page);
	kfree_skb(niov);
}

static void gro_same_only(struct kunit *test)
{
	struct net_device *dev = alloc_etherdev(0);
	struct sk_buff *p = skb_test_rx(test, HEADLEN, 0);
	struct sk_buff *page = skb_test_paged(test, HEADLEN);
	struct sk_buff *split = skb_test_rx(test, HEADLEN + 1, 2);
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 2);
	struct sk_buff *skbs[] = { p, page, split, skb };
	int i;

	KUNIT_ASSERT_NOT_NULL(test, dev);
	for (i = 0; i < ARRAY_SIZE(skbs); i++) {
		memset(skbs[i]->cb, 0, sizeof(skbs[i]->cb));
		skbs[i]->dev = dev;
		NAPI_GRO_CB(skbs[i])->data_offset = HEADLEN;
		NAPI_GRO_CB(skbs[i])->count = 1;
		NAPI_GRO_CB(skbs[i])->last = skbs[i];
	}

	KUNIT_EXPECT_LT(test, skb_gro_receive(p, page), 0);
	KUNIT_EXPECT_LT(test, skb_gro_receive(page, skb), 0);
	KUNIT_EXPECT_LT(test, skb_gro_receive_list(p, page), 0);
	KUNIT_EXPECT_LT(test, skb_gro_receive(p, split), 0);
	KUNIT_EXPECT_EQ(test, 0, skb_gro_receive(p, skb));
	KUNIT_EXPECT_EQ(test, 4, (int)skb_shinfo(p)->nr_frags);
	KUNIT_EXPECT_EQ(test, HEADLEN + 4U * FRAGLEN, p->len);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(p));

	/* A checksum that can't be computed is wrong. */
	KUNIT_EXPECT_TRUE(test, __skb_gro_checksum_complete(p));
	KUNIT_EXPECT_FALSE(test, NAPI_GRO_CB(p)->csum_valid);

	for (i = 0; i < ARRAY_SIZE(skbs); i++)
		kfree_skb(skbs[i]);
	free_netdev(dev);
}

static void segment(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	struct sk_buff *segs, *seg;
	unsigned int n = 0;

	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	skb_set_transport_header(skb, ETH_HLEN + sizeof(struct iphdr));
	skb->protocol = htons(ETH_P_IP);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb_shinfo(skb)->gso_size = 800;
	skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4;
	SKB_GSO_CB(skb)->mac_offset = skb_headroom(skb);
	skb_pull(skb, HEADLEN);

	segs = skb_segment(skb, NETIF_F_SG);
	KUNIT_EXPECT_EQ(test, -EFAULT, (int)PTR_ERR_OR_ZERO(segs));
	skb_pull(skb, HEADLEN);
	segs = skb_segment(skb, NETIF_F_HW_CSUM);
	KUNIT_EXPECT_EQ(test, -EFAULT, (int)PTR_ERR_OR_ZERO(segs));
	skb_pull(skb, HEADLEN);
	segs = skb_segment(skb, NETIF_F_SG | NETIF_F_HW_CSUM);
	KUNIT_ASSERT_FALSE(test, IS_ERR(segs));

	for (seg = segs; seg; seg = seg->next, n++) {
		KUNIT_EXPECT_FALSE(test, skb_frags_readable(seg));
		KUNIT_EXPECT_EQ(test, (unsigned int)HEADLEN, skb_headlen(seg));
		KUNIT_EXPECT_EQ(test, n < 2 ? 800U : 400U, seg->data_len);
	}
	KUNIT_EXPECT_EQ(test, 3U, n);
	/* The first one is cut in two, the second one in two. */
	KUNIT_EXPECT_EQ(test, 3, skb_test_refs(test, 0));
	KUNIT_EXPECT_EQ(test, 3, skb_test_refs(test, 1));
	kfree_skb_list(segs);
	kfree_skb(skb);
}

static struct kunit_case unreadable_test_cases[] = {
	KUNIT_CASE(bit_is_set),
	KUNIT_CASE(bit_is_cloned),
	KUNIT_CASE(bit_is_trimmed),
	KUNIT_CASE(bit_is_split),
	KUNIT_CASE(bit_is_extracted),
	KUNIT_CASE(bit_is_zerocopied),
	KUNIT_CASE(shift_same_only),
	KUNIT_CASE(shift_merges_same_niov),
	KUNIT_CASE(coalesce_same_only),
	KUNIT_CASE(tcp_collapse_same_only),
	KUNIT_CASE(gro_same_only),
	KUNIT_CASE(segment),
	{}
};

static struct kunit_suite unreadable_test_suite = {
	.name = "skb_unreadable",
	.init = skb_test_init,
	.exit = skb_test_exit,
	.test_cases = unreadable_test_cases,
};

kunit_test_suite(unreadable_test_suite);
