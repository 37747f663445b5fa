// SPDX-License-Identifier: GPL-2.0
/* Tests of functions that want the bytes of an skb that the CPU can't read. */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/netdevice.h>
#include <linux/uio.h>
#include <net/checksum.h>
#include <net/ip.h>

#include "skb_test.h"

static void copying_fails(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	u8 buf[HEADLEN + 10];
	int i;

	KUNIT_EXPECT_NULL(test, skb_copy(skb, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, skb_copy_expand(skb, 128, 128, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, -EFAULT, skb_copy_ubufs(skb, GFP_KERNEL));

	memset(buf, 0xff, sizeof(buf));
	KUNIT_EXPECT_EQ(test, 0, skb_copy_bits(skb, 0, buf, HEADLEN));
	for (i = 0; i < HEADLEN; i++)
		KUNIT_EXPECT_EQ(test, i, buf[i]);
	KUNIT_EXPECT_EQ(test, 0xff, buf[HEADLEN]);
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_copy_bits(skb, 0, buf, HEADLEN + 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, skb_copy_bits(skb, HEADLEN, buf, 1));
	KUNIT_EXPECT_EQ(test, 0, skb_copy_bits(skb, HEADLEN, buf, 0));

	KUNIT_EXPECT_PTR_EQ(test, (void *)skb->data + 1,
			    skb_header_pointer(skb, 1, 4, buf));
	KUNIT_EXPECT_NULL(test, skb_header_pointer(skb, HEADLEN - 2, 4, buf));

	KUNIT_EXPECT_EQ(test, 0, skb_store_bits(skb, 2, "\x2a", 1));
	KUNIT_EXPECT_EQ(test, 0x2a, skb->data[2]);
	KUNIT_EXPECT_EQ(test, -EFAULT, skb_store_bits(skb, HEADLEN, buf, 1));

	/* It still can be shown. */
	skb_dump(KERN_DEBUG, skb, true);
	kfree_skb(skb);
}

static void pulling_fails(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	unsigned int len = skb->len, truesize = skb->truesize;
	struct sk_buff *clone, *trailer;

	KUNIT_EXPECT_TRUE(test, pskb_may_pull(skb, HEADLEN));
	KUNIT_EXPECT_FALSE(test, pskb_may_pull(skb, HEADLEN + 1));
	KUNIT_EXPECT_NULL(test, __pskb_pull_tail(skb, 1));
	KUNIT_EXPECT_LT(test, skb_linearize(skb), 0);
	KUNIT_EXPECT_LT(test, skb_cow_data(skb, 0, &trailer), 0);
	skb_condense(skb);
	KUNIT_EXPECT_EQ(test, len, skb->len);
	KUNIT_EXPECT_EQ(test, truesize, skb->truesize);

	/* Headers can be rewritten, of a clone as well. */
	clone = skb_clone(skb, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, clone);
	KUNIT_EXPECT_EQ(test, 0, skb_ensure_writable(clone, HEADLEN));
	KUNIT_EXPECT_FALSE(test, skb_cloned(clone));
	KUNIT_EXPECT_LT(test, skb_ensure_writable(clone, HEADLEN + 1), 0);
	kfree_skb(clone);
	kfree_skb(skb);
}

/* A head that has not heard of what is in its frag_list */
static void pulling_from_list_fails(struct kunit *test)
{
	struct sk_buff *head = skb_test_linear(test, HEADLEN);
	struct sk_buff *list = skb_test_rx(test, 0, 0);
	struct sk_buff *trailer;

	skb_shinfo(head)->frag_list = list;
	head->len += list->len;
	head->data_len += list->len;
	head->truesize += list->truesize;

	KUNIT_EXPECT_FALSE(test, pskb_may_pull(head, HEADLEN + 1));
	KUNIT_EXPECT_LT(test, skb_linearize(head), 0);
	KUNIT_EXPECT_LT(test, skb_cow_data(head, 0, &trailer), 0);
	KUNIT_EXPECT_NULL(test, skb_copy(head, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, skb_copy_expand(head, 128, 128, GFP_KERNEL));
	kfree_skb(head);
}

static void mapping_fails(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	struct skb_seq_state st;
	struct scatterlist sg[8];
	const u8 *data;

	sg_init_table(sg, ARRAY_SIZE(sg));
	KUNIT_EXPECT_EQ(test, 1, skb_to_sgvec(skb, sg, 0, HEADLEN));
	sg_init_table(sg, ARRAY_SIZE(sg));
	KUNIT_EXPECT_EQ(test, -EFAULT, skb_to_sgvec(skb, sg, 0, skb->len));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_to_sgvec(skb, sg, HEADLEN, FRAGLEN));

	skb_prepare_seq_read(skb, 0, skb->len, &st);
	KUNIT_EXPECT_EQ(test, (unsigned int)HEADLEN,
			skb_seq_read(0, &data, &st));
	KUNIT_EXPECT_PTR_EQ(test, (const u8 *)skb->data, data);
	KUNIT_EXPECT_EQ(test, 0U, skb_seq_read(HEADLEN, &data, &st));

	/* There are no bytes for the pipe or the socket to be needed for. */
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_splice_bits(skb, NULL, HEADLEN, NULL, FRAGLEN, 0));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_send_sock_locked(NULL, skb, HEADLEN, FRAGLEN));
	kfree_skb(skb);
}

static void summing_fails(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	__wsum sum = csum_partial(skb->data, HEADLEN, 0);
	u8 buf[HEADLEN + 10];

	/* Up to what can't be read, it is right. */
	KUNIT_EXPECT_TRUE(test, csum_fold(sum) ==
				csum_fold(skb_checksum(skb, 0, HEADLEN, 0)));
	KUNIT_EXPECT_TRUE(test, csum_fold(sum) ==
				csum_fold(skb_checksum(skb, 0, skb->len, 0)));

	/* Beyond, it is wrong, even were what can be read enough. */
	skb->csum = csum_unfold(csum_fold(sum));
	KUNIT_EXPECT_FALSE(test, __skb_checksum_complete_head(skb, HEADLEN));
	KUNIT_EXPECT_TRUE(test, __skb_checksum_complete_head(skb, skb->len));
	KUNIT_EXPECT_TRUE(test, __skb_checksum_complete(skb));
	KUNIT_EXPECT_FALSE(test, skb->csum_valid);
	KUNIT_EXPECT_EQ(test, CHECKSUM_NONE, (int)skb->ip_summed);

	memset(buf, 0xff, sizeof(buf));
	skb_copy_and_csum_bits(skb, 0, buf, sizeof(buf));
	KUNIT_EXPECT_EQ(test, 1, buf[1]);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf + HEADLEN, 0, 10));

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + 34;
	skb->csum_offset = 16;
	KUNIT_EXPECT_EQ(test, -EFAULT, skb_checksum_help(skb));

	skb->ip_summed = CHECKSUM_COMPLETE;
	KUNIT_EXPECT_EQ(test, 0, pskb_trim_rcsum(skb, skb->len - 1));
	KUNIT_EXPECT_EQ(test, CHECKSUM_NONE, (int)skb->ip_summed);
	kfree_skb(skb);
}

static void receiving_fails(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, HEADLEN, 0);
	u8 buf[HEADLEN + 10];
	struct kvec vec = { .iov_base = buf, .iov_len = sizeof(buf) };
	struct iov_iter iter;

	memset(buf, 0xff, sizeof(buf));
	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, sizeof(buf));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_copy_datagram_iter(skb, 0, &iter, sizeof(buf)));
	KUNIT_EXPECT_EQ(test, sizeof(buf), iov_iter_count(&iter));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_copy_datagram_iter(skb, HEADLEN, &iter, 1));
	KUNIT_EXPECT_EQ(test, sizeof(buf), iov_iter_count(&iter));
	KUNIT_EXPECT_EQ(test, 0,
			skb_copy_datagram_iter(skb, 0, &iter, HEADLEN));
	KUNIT_EXPECT_EQ(test, (size_t)10, iov_iter_count(&iter));
	KUNIT_EXPECT_EQ(test, HEADLEN - 1, buf[HEADLEN - 1]);

	iov_iter_kvec(&iter, ITER_SOURCE, &vec, 1, sizeof(buf));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			skb_copy_datagram_from_iter(skb, HEADLEN, &iter, 1));
	kfree_skb(skb);
}

static const struct net_device_ops test_netdev_ops = {
};

static void sending_drops(struct kunit *test)
{
	struct net_device *dev = alloc_etherdev(0);
	struct rtnl_link_stats64 stats = {};
	struct sk_buff *skb;
	bool again = false;

	KUNIT_ASSERT_NOT_NULL(test, dev);
	dev->netdev_ops = &test_netdev_ops;
	skb = skb_test_rx(test, HEADLEN, 0);
	skb->dev = dev;
	KUNIT_EXPECT_NULL(test, validate_xmit_skb_list(skb, dev, &again));
	KUNIT_EXPECT_EQ(test, 0, skb_test_refs(test, 0));
	dev_get_stats(dev, &stats);
	KUNIT_EXPECT_EQ(test, 1ULL, stats.tx_dropped);
	free_netdev(dev);
}

static void fragmenting_fails(struct kunit *test)
{
	struct sk_buff *skb = skb_test_rx(test, sizeof(struct iphdr), 0);
	struct ip_frag_state state;

	skb_reset_network_header(skb);
	memset(ip_hdr(skb), 0, sizeof(struct iphdr));
	ip_hdr(skb)->ihl = 5;
	ip_frag_init(skb, sizeof(struct iphdr), LL_MAX_HEADER, 576, false,
		     &state);
	KUNIT_EXPECT_EQ(test, -EFAULT,
			(int)PTR_ERR_OR_ZERO(ip_frag_next(skb, &state)));
	kfree_skb(skb);
}

static struct kunit_case guards_test_cases[] = {
	KUNIT_CASE(copying_fails),
	KUNIT_CASE(pulling_fails),
	KUNIT_CASE(pulling_from_list_fails),
	KUNIT_CASE(mapping_fails),
	KUNIT_CASE(summing_fails),
	KUNIT_CASE(receiving_fails),
	KUNIT_CASE(sending_drops),
	KUNIT_CASE(fragmenting_fails),
	{}
};

static struct kunit_suite guards_test_suite = {
	.name = "skb_guards",
	.init = skb_test_init,
	.exit = skb_test_exit,
	.test_cases = guards_test_cases,
};

kunit_test_suite(guards_test_suite);
