// SPDX-License-Identifier: GPL-2.0
/* Tests of how a dmabuf is cut into niovs, and how these come and go. */
#include <linux/rtnetlink.h>
#include <linux/sizes.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>

#include "devmem_test.h"

static const struct fake_dmabuf_entry scattered[] = {
	{ 0x70000000, 3 * PAGE_SIZE },
	{ 0x00010000, PAGE_SIZE },
	{ 0xffffe000, 2 * PAGE_SIZE },
	{ 0x70003000, PAGE_SIZE },
};

static const struct fake_dmabuf_entry long_one[] = {
	{ 0x40000000, 2 * PP_ALLOC_CACHE_REFILL * PAGE_SIZE + 7 * PAGE_SIZE },
};

/* All that was taken is all of the dmabuf, in the order of its bytes, each niov
 * with the address that its entry gives it.
 */
static void expect_all(struct kunit *test, u32 id, u32 niov_size)
{
	struct devmem_test *t = test->priv;
	const struct fake_dmabuf_entry *entry = t->buf.entries;
	u32 pos = 0;
	int i;

	for (i = 0; i < t->num_taken; i++) {
		KUNIT_ASSERT_TRUE(test,
				  entry < t->buf.entries + t->buf.num_entries);
		devmem_test_place(test, t->taken[i], id, (u64)i * niov_size,
				  entry->addr + pos);
		pos += niov_size;
		if (pos == entry->len) {
			entry++;
			pos = 0;
		}
	}
	KUNIT_EXPECT_PTR_EQ(test, t->buf.entries + t->buf.num_entries, entry);
}

static void entries_need_not_adjoin(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;

	binding = devmem_test_bound(test, scattered, ARRAY_SIZE(scattered), 0);
	devmem_test_take_all(test, 0);
	KUNIT_EXPECT_EQ(test, 7, t->num_taken);
	expect_all(test, net_devmem_binding_id(binding), PAGE_SIZE);
	devmem_test_give_all(test, 3);
	devmem_test_unbind(binding);
}

/* More than pools take at one go. */
static void batches_are_in_order(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;

	binding = devmem_test_bound(test, long_one, 1, 0);
	devmem_test_take_all(test, 0);
	KUNIT_EXPECT_EQ(test, 2 * PP_ALLOC_CACHE_REFILL + 7, t->num_taken);
	expect_all(test, net_devmem_binding_id(binding), PAGE_SIZE);
	devmem_test_give_all(test, 1);
	devmem_test_unbind(binding);
}

/* Given back in another order, all can be had again, each once. */
static void all_come_back(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	static const int strides[] = { 7, 11, 13, 17, 134 };
	DECLARE_BITMAP(seen, DEVMEM_TEST_TAKEN);
	int round, i, n;

	binding = devmem_test_bound(test, long_one, 1, 0);
	devmem_test_take_all(test, 0);
	n = t->num_taken;
	for (round = 0; round < ARRAY_SIZE(strides); round++) {
		devmem_test_give_all(test, strides[round]);
		devmem_test_take_all(test, 0);
		KUNIT_ASSERT_EQ(test, n, t->num_taken);
		bitmap_zero(seen, DEVMEM_TEST_TAKEN);
		for (i = 0; i < n; i++)
			__set_bit(net_iov_idx(t->taken[i]), seen);
		KUNIT_EXPECT_EQ(test, n, bitmap_weight(seen, DEVMEM_TEST_TAKEN));
	}
	devmem_test_give_all(test, 1);
	devmem_test_unbind(binding);
}

/* What a pool has, others lack until it goes. */
static void queues_share(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;

	binding = devmem_test_bound(test, scattered, ARRAY_SIZE(scattered), 0);
	KUNIT_EXPECT_EQ(test, 0, devmem_test_bind_queue(test, binding, 1));
	devmem_test_take_all(test, 1);
	KUNIT_EXPECT_EQ(test, 7, t->num_taken);
	KUNIT_EXPECT_NULL(test, devmem_test_get(devmem_test_pool(test, 0)));

	devmem_test_give_all(test, 1);
	KUNIT_EXPECT_NULL(test, devmem_test_get(devmem_test_pool(test, 0)));
	rtnl_lock();
	KUNIT_EXPECT_EQ(test, 0, netdev_rx_queue_restart(t->dev, 1));
	rtnl_unlock();
	devmem_test_take_all(test, 0);
	KUNIT_EXPECT_EQ(test, 7, t->num_taken);
	devmem_test_give_all(test, 1);
	devmem_test_unbind(binding);
}

static void entries_must_be_aligned(struct kunit *test)
{
	static const struct fake_dmabuf_entry address[] = {
		{ 0x10000000, 2 * PAGE_SIZE },
		{ 0x20000200, PAGE_SIZE },
	};
	static const struct fake_dmabuf_entry length[] = {
		{ 0x10000000, 2 * PAGE_SIZE },
		{ 0x20000000, PAGE_SIZE + 512 },
		{ 0x30000000, PAGE_SIZE - 512 },
	};
	static const struct fake_dmabuf_entry tiny[] = { { 0x10000000, 1 } };
	const char *msg = "dma-buf SG length must be PAGE_SIZE aligned";

	devmem_test_refused(test, devmem_test_bind(test, address, 2, 0),
			    -EINVAL, msg);
	devmem_test_refused(test, devmem_test_bind(test, length, 3, 0), -EINVAL,
			    msg);
	devmem_test_refused(test, devmem_test_bind(test, tiny, 1, 0), -EINVAL,
			    msg);
	devmem_test_refused(test, devmem_test_bind(test, length, 2, PAGE_SIZE),
			    -EINVAL, msg);
}

static void empty_is_refused(struct kunit *test)
{
	static const struct fake_dmabuf_entry empty[] = { { 0x10000000, 0 } };

	devmem_test_refused(test, devmem_test_bind(test, empty, 1, 0), -EINVAL,
			    "dmabuf is empty");
}

/* More than there can be an array of, and more than 32 bits count. */
static void too_many_niovs(struct kunit *test)
{
	static const struct fake_dmabuf_entry large[] = { { 0, SZ_1G } };
	static const struct fake_dmabuf_entry huge[] = {
		{ 0, U32_MAX & PAGE_MASK },
	};
	const char *msg = "dmabuf contains too many net_iovs";
	struct devmem_test *t = test->priv;

	t->buf.repeat = INT_MAX / sizeof(struct net_iov) /
			(SZ_1G / PAGE_SIZE) + 1;
	devmem_test_refused(test, devmem_test_bind(test, large, 1, 0), -E2BIG,
			    msg);
	t->buf.repeat = PAGE_SIZE + 2;
	devmem_test_refused(test, devmem_test_bind(test, huge, 1, 0), -E2BIG,
			    msg);
}

/* Pools learn of the size from their queues, and forget it with the binding. */
static void larger_niovs(struct kunit *test)
{
	static const struct fake_dmabuf_entry entries[] = {
		{ 0x80000000, SZ_1G },
		{ 0x00200000, SZ_2M },
		{ 0, SZ_2M },
	};
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	static const u32 sizes[] = { SZ_2M, SZ_1M, SZ_512K };
	const char *msg = "dma-buf SG entries must be aligned to rx-page-size";
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		binding = devmem_test_bound(test, entries + 1, 2, sizes[i]);
		KUNIT_EXPECT_EQ(test, (unsigned int)get_order(sizes[i]),
				devmem_test_pool(test, 0)->p.order);
		devmem_test_take_all(test, 0);
		KUNIT_EXPECT_EQ(test, (int)(2 * SZ_2M / sizes[i]),
				t->num_taken);
		expect_all(test, net_devmem_binding_id(binding), sizes[i]);
		devmem_test_give_all(test, 1);
		devmem_test_unbind(binding);
		KUNIT_EXPECT_EQ(test, 0U, devmem_test_pool(test, 0)->p.order);
	}
	devmem_test_refused(test, devmem_test_bind(test, entries, 2, SZ_4M),
			    -EINVAL, msg);
	devmem_test_refused(test, devmem_test_bind(test, scattered, 1, SZ_128K),
			    -EINVAL, msg);
}

/* No number on the way from niov to offset has 32 bits only. */
static void beyond_4g(struct kunit *test)
{
	static const struct fake_dmabuf_entry entries[] = {
		{ 0x40000000, SZ_2G },
		{ 0x80000000, SZ_2G },
		{ 0, SZ_1G },
		{ (dma_addr_t)0x1c0000000ULL, SZ_1G },
	};
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;

	binding = devmem_test_bound(test, entries, ARRAY_SIZE(entries), SZ_1G);
	devmem_test_take_all(test, 0);
	KUNIT_EXPECT_EQ(test, 6, t->num_taken);
	expect_all(test, net_devmem_binding_id(binding), SZ_1G);
	devmem_test_place(test, t->taken[5], net_devmem_binding_id(binding),
			  5ULL << 30, entries[3].addr);
	devmem_test_give_all(test, 1);
	devmem_test_unbind(binding);
}

/* A driver that makes pools of another order is found out. */
static void order_must_match(struct kunit *test)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;
	struct fake_netdev *driver = netdev_priv(t->dev);

	binding = devmem_test_bind(test, scattered, 1, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(binding));
	driver->order = 1;
	KUNIT_EXPECT_EQ(test, -E2BIG, devmem_test_bind_queue(test, binding, 0));
	KUNIT_EXPECT_STREQ(test,
			   "the queue does not start with the dmabuf's memory",
			   t->extack._msg);
	KUNIT_EXPECT_NULL(test,
			  __netif_get_rx_queue(t->dev, 0)->mp_params.mp_ops);
	devmem_test_unbind(binding);
}

static struct kunit_case area_test_cases[] = {
	KUNIT_CASE(entries_need_not_adjoin),
	KUNIT_CASE(batches_are_in_order),
	KUNIT_CASE(all_come_back),
	KUNIT_CASE(queues_share),
	KUNIT_CASE(entries_must_be_aligned),
	KUNIT_CASE(empty_is_refused),
	KUNIT_CASE(too_many_niovs),
	KUNIT_CASE(larger_niovs),
	KUNIT_CASE(beyond_4g),
	KUNIT_CASE(order_must_match),
	{}
};

static struct kunit_suite area_test_suite = {
	.name = "devmem_area",
	.init = devmem_test_init,
	.exit = devmem_test_exit,
	.test_cases = area_test_cases,
};

kunit_test_suite(area_test_suite);
