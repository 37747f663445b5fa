// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-buf.h>
#include <linux/fdtable.h>
#include <linux/rtnetlink.h>
#include <net/page_pool/helpers.h>

#include "devmem_test.h"

static int fake_attach(struct dma_buf *dmabuf,
		       struct dma_buf_attachment *attachment)
{
	struct fake_dmabuf *buf = dmabuf->priv;

	if (!buf->attach_err)
		buf->attached++;
	return buf->attach_err;
}

static void fake_detach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attachment)
{
	struct fake_dmabuf *buf = dmabuf->priv;

	buf->attached--;
}

static struct sg_table *fake_map(struct dma_buf_attachment *attachment,
				 enum dma_data_direction dir)
{
	struct fake_dmabuf *buf = attachment->dmabuf->priv;
	const struct fake_dmabuf_entry *entry;
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i;

	if (buf->map_err)
		return ERR_PTR(buf->map_err);
	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	if (sg_alloc_table(sgt, buf->num_entries * buf->repeat, GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}
	for_each_sgtable_dma_sg(sgt, sg, i) {
		entry = &buf->entries[i % buf->num_entries];
		sg_dma_address(sg) = entry->addr;
		sg_dma_len(sg) = entry->len;
	}
	buf->mapped++;
	return sgt;
}

static void fake_unmap(struct dma_buf_attachment *attachment,
		       struct sg_table *sgt, enum dma_data_direction dir)
{
	struct fake_dmabuf *buf = attachment->dmabuf->priv;

	buf->mapped--;
	sg_free_table(sgt);
	kfree(sgt);
}

static void fake_release(struct dma_buf *dmabuf)
{
	struct fake_dmabuf *buf = dmabuf->priv;

	/* Pairs with fake_netdev_wait(). */
	smp_store_release(&buf->released, true);
}

static const struct dma_buf_ops fake_dmabuf_ops = {
	.attach = fake_attach,
	.detach = fake_detach,
	.map_dma_buf = fake_map,
	.unmap_dma_buf = fake_unmap,
	.release = fake_release,
};

static int fake_dmabuf_fd(struct fake_dmabuf *buf)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	int fd;

	info.ops = &fake_dmabuf_ops;
	info.size = PAGE_SIZE;
	info.priv = buf;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

int devmem_test_init(struct kunit *test)
{
	struct devmem_test *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->dev = fake_netdev_create();
	if (!t->dev)
		return -ENODEV;
	t->fd = fake_dmabuf_fd(&t->buf);
	if (t->fd < 0) {
		fake_netdev_destroy(t->dev);
		return t->fd;
	}
	test->priv = t;
	return 0;
}

/* Whatever a test has done, once all is unbound the dmabuf goes. */
void devmem_test_exit(struct kunit *test)
{
	struct devmem_test *t = test->priv;

	if (!t)
		return;
	if (t->dev)
		fake_netdev_destroy(t->dev);
	if (t->fd < 0)
		return;
	close_fd(t->fd);
	KUNIT_EXPECT_TRUE(test, fake_netdev_wait(&t->buf.released));
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
	KUNIT_EXPECT_EQ(test, 0, t->buf.attached);
}

struct net_devmem_dmabuf_binding *
devmem_test_bind(struct kunit *test, const struct fake_dmabuf_entry *entries,
		 unsigned int num_entries, u32 rx_page_size)
{
	struct net_devmem_dmabuf_binding *binding;
	struct devmem_test *t = test->priv;

	t->buf.entries = entries;
	t->buf.num_entries = num_entries;
	t->buf.repeat = max(t->buf.repeat, 1U);
	memset(&t->extack, 0, sizeof(t->extack));
	rtnl_lock();
	binding = net_devmem_bind_dmabuf(t->dev, t->fd, rx_page_size,
					 &t->extack);
	rtnl_unlock();
	return binding;
}

int devmem_test_bind_queue(struct kunit *test,
			   struct net_devmem_dmabuf_binding *binding, u32 idx)
{
	struct devmem_test *t = test->priv;
	int err;

	rtnl_lock();
	err = net_devmem_bind_queue(binding, idx, &t->extack);
	rtnl_unlock();
	return err;
}

void devmem_test_unbind(struct net_devmem_dmabuf_binding *binding)
{
	rtnl_lock();
	net_devmem_unbind_dmabuf(binding);
	rtnl_unlock();
}

struct net_devmem_dmabuf_binding *
devmem_test_bound(struct kunit *test, const struct fake_dmabuf_entry *entries,
		  unsigned int num_entries, u32 rx_page_size)
{
	struct net_devmem_dmabuf_binding *binding;

	binding = devmem_test_bind(test, entries, num_entries, rx_page_size);
	KUNIT_ASSERT_FALSE(test, IS_ERR(binding));
	KUNIT_EXPECT_EQ(test, 0, devmem_test_bind_queue(test, binding, 0));
	return binding;
}

struct page_pool *devmem_test_pool(struct kunit *test, int idx)
{
	struct devmem_test *t = test->priv;
	struct fake_netdev *driver = netdev_priv(t->dev);

	KUNIT_ASSERT_NOT_NULL(test, driver->pool[idx]);
	return driver->pool[idx];
}

struct net_iov *devmem_test_get(struct page_pool *pool)
{
	netmem_ref netmem;

	local_bh_disable();
	netmem = page_pool_alloc_netmems(pool, GFP_ATOMIC);
	local_bh_enable();
	return (__force unsigned long)netmem ? netmem_to_net_iov(netmem) : NULL;
}

void devmem_test_take_all(struct kunit *test, int idx)
{
	struct page_pool *pool = devmem_test_pool(test, idx);
	struct devmem_test *t = test->priv;
	struct net_iov *niov;

	for (niov = devmem_test_get(pool); niov; niov = devmem_test_get(pool)) {
		KUNIT_ASSERT_LT(test, t->num_taken, DEVMEM_TEST_TAKEN);
		t->taken[t->num_taken++] = niov;
	}
}

void devmem_test_give_all(struct kunit *test, int stride)
{
	struct devmem_test *t = test->priv;
	int i;

	for (i = 0; i < t->num_taken; i++)
		page_pool_return_skb_niov(t->taken[i * stride % t->num_taken]);
	t->num_taken = 0;
}

void devmem_test_place(struct kunit *test, const struct net_iov *niov, u32 id,
		       u64 offset, dma_addr_t addr)
{
	u32 niov_id = 0;

	KUNIT_EXPECT_EQ(test, 0, net_devmem_locate(niov, &niov_id));
	KUNIT_EXPECT_EQ(test, id, niov_id);
	KUNIT_EXPECT_EQ(test, offset, net_devmem_offset(niov));
	KUNIT_EXPECT_EQ(test, (u64)addr, (u64)net_iov_dma_addr(niov));
}

void devmem_test_refused(struct kunit *test,
			 const struct net_devmem_dmabuf_binding *binding,
			 int err, const char *msg)
{
	struct devmem_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, err, (int)PTR_ERR_OR_ZERO(binding));
	KUNIT_EXPECT_STREQ(test, msg, t->extack._msg ?: "");
	KUNIT_EXPECT_EQ(test, 0, t->buf.mapped);
	KUNIT_EXPECT_EQ(test, 0, t->buf.attached);
}
