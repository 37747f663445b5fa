// SPDX-License-Identifier: GPL-2.0
/* Tests of how bytes of a dmabuf are found and put into packets. The niovs here
 * have no memory behind them.
 */
#include <kunit/test.h>
#include <linux/dma-mapping.h>
#include <linux/netdevice.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/uio.h>

#include "../devmem.h"

#define ENTRIES		4

/* Where addresses have more than 32 bits, this takes them; elsewhere it is 0 */
#define FAR_AWAY	((dma_addr_t)1 << 16 << 16)

struct devmem_tx_test {
	struct net_devmem_tx_binding binding;
	struct net_devmem_tx_binding other;
	struct net_device dev;
	struct scatterlist sgl[ENTRIES];
	struct sg_table sgt;
};

struct entry {
	dma_addr_t addr;
	unsigned int len;
};

/* 3 pages in one piece though in two entries; 1 page; 2 pages: 3 niovs */
static const struct entry usual[] = {
	{ 0x10000, 2 * PAGE_SIZE },
	{ 0x10000 + 2 * PAGE_SIZE, PAGE_SIZE },
	{ 0x80000, PAGE_SIZE },
	{ 0x40000, 2 * PAGE_SIZE },
};

static void no_release(struct percpu_ref *ref)
{
}

static int devmem_tx_test_init(struct kunit *test)
{
	struct devmem_tx_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	test->priv = t;
	t->dev.netmem_tx = true;
	t->binding.map.dev = &t->dev;
	t->binding.map.sgt = &t->sgt;
	return percpu_ref_init(&t->binding.ref, no_release,
			       PERCPU_REF_INIT_ATOMIC, GFP_KERNEL);
}

static void devmem_tx_test_exit(struct kunit *test)
{
	struct devmem_tx_test *t = test->priv;

	percpu_ref_put(&t->binding.ref);
	KUNIT_EXPECT_TRUE(test, percpu_ref_is_zero(&t->binding.ref));
	percpu_ref_exit(&t->binding.ref);
	net_devmem_tx_free_area(&t->binding);
}

static int test_map(struct kunit *test, const struct entry *entries, int n)
{
	struct devmem_tx_test *t = test->priv;
	int i;

	sg_init_table(t->sgl, ENTRIES);
	for (i = 0; i < n; i++) {
		sg_dma_address(&t->sgl[i]) = entries[i].addr;
		sg_dma_len(&t->sgl[i]) = entries[i].len;
	}
	t->sgt.sgl = t->sgl;
	t->sgt.nents = n;
	return net_devmem_tx_init_area(&t->binding, NULL);
}

static struct net_devmem_tx_binding *test_usual(struct kunit *test)
{
	struct devmem_tx_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, 0, test_map(test, usual, ARRAY_SIZE(usual)));
	return &t->binding;
}

static void test_niov(struct kunit *test, u32 idx, dma_addr_t addr, u64 end)
{
	struct devmem_tx_test *t = test->priv;
	struct net_iov *niov = &t->binding.area.niovs[idx];

	KUNIT_EXPECT_EQ(test, addr, net_iov_dma_addr(niov));
	KUNIT_EXPECT_EQ(test, end, t->binding.ends[idx]);
	KUNIT_EXPECT_TRUE(test, net_iov_is_tx(niov));
}

/* Entries that adjoin are one niov. */
static void devmem_tx_joins(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);

	KUNIT_ASSERT_EQ(test, 3, binding->area.num_niovs);
	test_niov(test, 0, 0x10000, 3 * PAGE_SIZE);
	test_niov(test, 1, 0x80000, 4 * PAGE_SIZE);
	test_niov(test, 2, 0x40000, 6 * PAGE_SIZE);
}

/* What is too long for a frag's offset is several. */
static void devmem_tx_splits(struct kunit *test)
{
	static const struct entry entries[] = {
		{ FAR_AWAY, SZ_2G },
		{ FAR_AWAY + SZ_2G, SZ_1G + PAGE_SIZE },
	};
	struct devmem_tx_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, 0, test_map(test, entries, 2));
	KUNIT_ASSERT_EQ(test, 4, t->binding.area.num_niovs);
	test_niov(test, 0, FAR_AWAY, SZ_1G);
	test_niov(test, 1, FAR_AWAY + SZ_1G, SZ_2G);
	test_niov(test, 2, FAR_AWAY + SZ_2G, 3ULL * SZ_1G);
	test_niov(test, 3, FAR_AWAY + 3ULL * SZ_1G,
		  3ULL * SZ_1G + PAGE_SIZE);
}

static void devmem_tx_cut_pages(struct kunit *test)
{
	static const struct entry length[] = { { 0x10000, PAGE_SIZE + 512 } };
	static const struct entry address[] = { { 0x10200, PAGE_SIZE } };
	static const struct entry last[] = {
		{ 0x10000, PAGE_SIZE }, { 0x80000, 100 },
	};

	KUNIT_EXPECT_EQ(test, -EINVAL, test_map(test, length, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, test_map(test, address, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, test_map(test, last, 2));
	KUNIT_EXPECT_EQ(test, -EINVAL, test_map(test, last, 0));
}

static struct iovec piece(u64 offset, size_t len)
{
	return (struct iovec) {
		.iov_base = (void __user *)(unsigned long)offset,
		.iov_len = len,
	};
}

static struct iov_iter pieces(const struct iovec *iov, int n)
{
	struct iov_iter iter;
	size_t len = 0;
	int i;

	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	iov_iter_init(&iter, WRITE, iov, n, len);
	return iter;
}

static int test_check(struct kunit *test, u64 offset, size_t len)
{
	struct devmem_tx_test *t = test->priv;
	const struct iovec iov = piece(offset, len);
	struct iov_iter vec = pieces(&iov, 1);
	struct iov_iter ubuf;
	int err;

	iov_iter_ubuf(&ubuf, WRITE, iov.iov_base, len);
	err = net_devmem_tx_check(&t->binding, &vec);
	KUNIT_EXPECT_EQ(test, err, net_devmem_tx_check(&t->binding, &ubuf));
	return err;
}

static void devmem_tx_bounds(struct kunit *test)
{
	const size_t size = 6 * PAGE_SIZE;

	test_usual(test);
	KUNIT_EXPECT_EQ(test, 0, test_check(test, 0, size));
	KUNIT_EXPECT_EQ(test, 0, test_check(test, size - 1, 1));
	KUNIT_EXPECT_EQ(test, 0, test_check(test, 5 * PAGE_SIZE, 0));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, 0, size + 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, 1, size));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, size, 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, size - 1, 2));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, ~0UL, 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, ~0UL, 2));
	KUNIT_EXPECT_EQ(test, -EFAULT, test_check(test, 1, MAX_RW_COUNT));
}

static void devmem_tx_bounds_of_all(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);
	struct iovec iov[] = {
		piece(0, 10), piece(-1, 0), piece(PAGE_SIZE, 10),
		piece(6 * PAGE_SIZE - 10, 10),
	};
	struct iov_iter iter = pieces(iov, ARRAY_SIZE(iov));

	KUNIT_EXPECT_EQ(test, 0, net_devmem_tx_check(binding, &iter));
	KUNIT_EXPECT_EQ(test, 30, iov_iter_count(&iter));
	iov[3].iov_base++;
	KUNIT_EXPECT_EQ(test, -EFAULT, net_devmem_tx_check(binding, &iter));
}

static struct sk_buff *test_skb(struct kunit *test)
{
	struct sk_buff *skb = alloc_skb(64, GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, skb);
	return skb;
}

static void test_frag(struct kunit *test, const struct sk_buff *skb, int i,
		      u32 niov, u32 off, u32 size)
{
	const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

	KUNIT_EXPECT_EQ(test, niov, net_iov_idx(skb_frag_net_iov(frag)));
	KUNIT_EXPECT_EQ(test, off, skb_frag_off(frag));
	KUNIT_EXPECT_EQ(test, size, skb_frag_size(frag));
}

/* What crosses a niov's end goes on in the next. */
static void devmem_tx_crosses(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);
	const struct iovec iov = piece(100, 5 * PAGE_SIZE);
	struct iov_iter iter = pieces(&iov, 1);
	struct sk_buff *skb = test_skb(test);
	const skb_frag_t *frag;

	KUNIT_EXPECT_EQ(test, 5 * PAGE_SIZE,
			net_devmem_tx_append(binding, skb, &iter, SZ_64K));
	KUNIT_EXPECT_EQ(test, 5 * PAGE_SIZE, skb->len);
	KUNIT_EXPECT_FALSE(test, skb_frags_readable(skb));
	KUNIT_ASSERT_EQ(test, 3, skb_shinfo(skb)->nr_frags);
	test_frag(test, skb, 0, 0, 100, 3 * PAGE_SIZE - 100);
	test_frag(test, skb, 1, 1, 0, PAGE_SIZE);
	test_frag(test, skb, 2, 2, 0, PAGE_SIZE + 100);

	frag = &skb_shinfo(skb)->frags[0];
	KUNIT_EXPECT_EQ(test, 0x10000 + 107,
			skb_frag_dma_map(NULL, frag, 7, 1, DMA_TO_DEVICE));
	kfree_skb(skb);
}

/* A first and a last byte are in the niov that they are in. */
static void devmem_tx_edges(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);
	const struct iovec iov[] = {
		piece(3 * PAGE_SIZE - 1, 1), piece(4 * PAGE_SIZE - 1, 1),
		piece(4 * PAGE_SIZE, 1), piece(6 * PAGE_SIZE - 1, 1),
		piece(3 * PAGE_SIZE, 1), piece(0, 1),
	};
	struct iov_iter iter = pieces(iov, ARRAY_SIZE(iov));
	struct sk_buff *skb = test_skb(test);

	KUNIT_EXPECT_EQ(test, 6,
			net_devmem_tx_append(binding, skb, &iter, SZ_64K));
	KUNIT_ASSERT_EQ(test, 6, skb_shinfo(skb)->nr_frags);
	test_frag(test, skb, 0, 0, 3 * PAGE_SIZE - 1, 1);
	test_frag(test, skb, 1, 1, PAGE_SIZE - 1, 1);
	test_frag(test, skb, 2, 2, 0, 1);
	test_frag(test, skb, 3, 2, 2 * PAGE_SIZE - 1, 1);
	test_frag(test, skb, 4, 1, 0, 1);
	test_frag(test, skb, 5, 0, 0, 1);
	kfree_skb(skb);
}

/* Pieces that adjoin are one frag, whatever calls they came by. */
static void devmem_tx_coalesces(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);
	const struct iovec iov[] = {
		piece(0, 100), piece(77, 0), piece(100, 100), piece(100, 100),
	};
	struct iov_iter iter = pieces(iov, ARRAY_SIZE(iov));
	struct sk_buff *skb = test_skb(test);

	KUNIT_EXPECT_EQ(test, 50,
			net_devmem_tx_append(binding, skb, &iter, 50));
	KUNIT_EXPECT_EQ(test, 250, iov_iter_count(&iter));
	KUNIT_EXPECT_EQ(test, 250,
			net_devmem_tx_append(binding, skb, &iter, 1000));
	KUNIT_ASSERT_EQ(test, 2, skb_shinfo(skb)->nr_frags);
	test_frag(test, skb, 0, 0, 0, 200);
	test_frag(test, skb, 1, 0, 100, 100);
	kfree_skb(skb);
}

/* A full skb takes what it can; the iterator stands behind that. */
static void devmem_tx_full(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);
	struct iovec iov[MAX_SKB_FRAGS + 2];
	struct sk_buff *skb = test_skb(test);
	struct iov_iter iter;
	int i;

	for (i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = piece(i * 100, 10);
	iter = pieces(iov, ARRAY_SIZE(iov));
	KUNIT_EXPECT_EQ(test, MAX_SKB_FRAGS * 10,
			net_devmem_tx_append(binding, skb, &iter, SZ_64K));
	KUNIT_EXPECT_EQ(test, 0,
			net_devmem_tx_append(binding, skb, &iter, SZ_64K));
	KUNIT_EXPECT_EQ(test, 20, iov_iter_count(&iter));
	KUNIT_EXPECT_EQ(test, MAX_SKB_FRAGS * 10, skb->len);
	kfree_skb(skb);

	skb = test_skb(test);
	KUNIT_EXPECT_EQ(test, 20,
			net_devmem_tx_append(binding, skb, &iter, SZ_64K));
	test_frag(test, skb, 0, 0, MAX_SKB_FRAGS * 100, 10);
	kfree_skb(skb);
}

static struct sk_buff *test_sent(struct kunit *test)
{
	struct net_devmem_tx_binding *binding = test_usual(test);
	const struct iovec iov = piece(0, 100);
	struct iov_iter iter = pieces(&iov, 1);
	struct sk_buff *skb = test_skb(test);

	KUNIT_EXPECT_EQ(test, 100,
			net_devmem_tx_append(binding, skb, &iter, 100));
	return skb;
}

/* Pages and niovs of another binding go into another skb. */
static void devmem_tx_does_not_mix(struct kunit *test)
{
	struct devmem_tx_test *t = test->priv;
	struct sk_buff *skb = test_skb(test);

	KUNIT_EXPECT_TRUE(test, net_devmem_tx_fits(skb, NULL));
	KUNIT_EXPECT_TRUE(test, net_devmem_tx_fits(skb, &t->binding));
	skb_put(skb, 1);
	KUNIT_EXPECT_TRUE(test, net_devmem_tx_fits(skb, NULL));
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_fits(skb, &t->binding));
	kfree_skb(skb);

	skb = test_sent(test);
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_fits(skb, NULL));
	KUNIT_EXPECT_TRUE(test, net_devmem_tx_fits(skb, &t->binding));
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_fits(skb, &t->other));
	kfree_skb(skb);
}

/* Each frag holds the binding, of clones too; test_exit() sees to the rest. */
static void devmem_tx_holds(struct kunit *test)
{
	struct devmem_tx_test *t = test->priv;
	struct sk_buff *skb = test_sent(test);
	struct sk_buff *clone = skb_clone(skb, GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, clone);
	KUNIT_EXPECT_EQ(test, 0, pskb_expand_head(clone, 0, 16, GFP_KERNEL));
	percpu_ref_put(&t->binding.ref);
	kfree_skb(skb);
	KUNIT_EXPECT_FALSE(test, percpu_ref_is_zero(&t->binding.ref));
	percpu_ref_get(&t->binding.ref);
	kfree_skb(clone);
}

static void devmem_tx_leaves_by_its_device(struct kunit *test)
{
	struct devmem_tx_test *t = test->priv;
	struct sk_buff *skb = test_sent(test);
	struct net_device *other;

	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	other->netmem_tx = true;
	KUNIT_EXPECT_TRUE(test, net_devmem_tx_may_leave(skb, &t->dev));
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_may_leave(skb, other));
	t->dev.netmem_tx = false;
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_may_leave(skb, &t->dev));
	t->dev.netmem_tx = true;
	t->binding.map.dev = NULL;
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_may_leave(skb, &t->dev));
	kfree_skb(skb);
}

/* What was received does not go out, nor what is a mix, however it was made. */
static void devmem_tx_stays(struct kunit *test)
{
	struct devmem_tx_test *t = test->priv;
	struct net_iov_area received = { .shift = PAGE_SHIFT };
	struct net_iov niov = { .owner = &received };
	struct sk_buff *skb = test_sent(test);
	struct page *page = alloc_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, page);
	skb_fill_page_desc(skb, 1, page, 0, 1);
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_may_leave(skb, &t->dev));
	kfree_skb(skb);

	skb = test_skb(test);
	skb_fill_netmem_desc(skb, 0, net_iov_to_netmem(&niov), 0, 1);
	KUNIT_EXPECT_FALSE(test, net_devmem_tx_may_leave(skb, &t->dev));
	KUNIT_EXPECT_EQ(test, DMA_MAPPING_ERROR,
			skb_frag_dma_map(NULL, &skb_shinfo(skb)->frags[0], 0, 1,
					 DMA_TO_DEVICE));
	skb_shinfo(skb)->nr_frags = 0;
	kfree_skb(skb);
}

static struct kunit_case devmem_tx_cases[] = {
	KUNIT_CASE(devmem_tx_joins),
	KUNIT_CASE(devmem_tx_splits),
	KUNIT_CASE(devmem_tx_cut_pages),
	KUNIT_CASE(devmem_tx_bounds),
	KUNIT_CASE(devmem_tx_bounds_of_all),
	KUNIT_CASE(devmem_tx_crosses),
	KUNIT_CASE(devmem_tx_edges),
	KUNIT_CASE(devmem_tx_coalesces),
	KUNIT_CASE(devmem_tx_full),
	KUNIT_CASE(devmem_tx_does_not_mix),
	KUNIT_CASE(devmem_tx_holds),
	KUNIT_CASE(devmem_tx_leaves_by_its_device),
	KUNIT_CASE(devmem_tx_stays),
	{}
};

static struct kunit_suite devmem_tx_suite = {
	.name = "devmem_tx",
	.init = devmem_tx_test_init,
	.exit = devmem_tx_test_exit,
	.test_cases = devmem_tx_cases,
};

kunit_test_suite(devmem_tx_suite);
