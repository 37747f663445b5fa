// SPDX-License-Identifier: GPL-2.0
/* Bindings: dmabufs that RX queues receive into. Those to send from are in
 * devmem_tx.c; what both have in common is here.
 *
 * Who holds whom: an skb frag or a token holds its niov; a niov in use holds
 * its page pool; the pool holds the binding; the binding holds the dmabuf and
 * the device that it is mapped for. Besides, the one who bound holds the
 * binding until he unbinds. So unbinding waits for nobody, and memory that is
 * still in use goes away with its last user, who may be a process that keeps
 * tokens long after socket, queue and NIC are gone.
 */
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>
#include <net/netdev_rx_queue.h>
#include <net/netlink.h>
#include <net/page_pool/memory_provider.h>
#include <uapi/linux/netdev.h>

#include "devmem.h"

/**
 * struct net_devmem_dmabuf_binding - a dmabuf bound to queues of a device
 * @area: its niovs, in the order of the dmabuf's bytes
 * @lock: guards @free and @num_free; BH safe
 * @free: indices of niovs that no pool has, a stack
 * @num_free: how many
 * @ref: one of who bound, one of each page pool
 * @id: the binding's number for userspace, from 1; it is given to another
 *	binding only when all others were
 * @map: the dmabuf, and the device whose queues these are
 */
struct net_devmem_dmabuf_binding {
	struct net_iov_area area;
	spinlock_t lock; /* see above */
	u32 *free;
	u32 num_free;
	refcount_t ref;
	u32 id;
	struct net_devmem_mapping map;
};

/* All that somebody has bound, by id. Under RTNL. An id that is taken otherwise
 * has no binding here.
 */
static DEFINE_XARRAY_FLAGS(net_devmem_bindings, XA_FLAGS_ALLOC1);
static u32 net_devmem_next_id;

/* All mappings that a device has, also those of bindings that are unbound and
 * still in use: who unregisters the device has to end them. RTNL would not do
 * as the lock, as the last user of a binding may have it, or not.
 */
static LIST_HEAD(net_devmem_attached);
static DEFINE_MUTEX(net_devmem_attached_lock);

static int net_devmem_add(u32 *id, struct net_devmem_dmabuf_binding *binding)
{
	int err;

	ASSERT_RTNL();
	err = xa_alloc_cyclic(&net_devmem_bindings, id, binding, xa_limit_32b,
			      &net_devmem_next_id, GFP_KERNEL);
	return min(err, 0);
}

/* A number that no binding has. */
int net_devmem_id_alloc(u32 *id)
{
	return net_devmem_add(id, NULL);
}

void net_devmem_id_free(u32 id)
{
	ASSERT_RTNL();
	xa_erase(&net_devmem_bindings, id);
}

/* The last reference went: no niov is in use, no queue knows the binding, and
 * it has no id. In process context, as page pools go in that.
 */
static void net_devmem_binding_free(struct net_devmem_dmabuf_binding *binding)
{
	WARN_ON(binding->num_free != binding->area.num_niovs);
	kvfree(binding->free);
	kvfree(binding->area.niovs);
	net_devmem_unmap(&binding->map);
	kfree(binding);
}

static void net_devmem_binding_put(struct net_devmem_dmabuf_binding *binding)
{
	if (refcount_dec_and_test(&binding->ref))
		net_devmem_binding_free(binding);
}

/* The memory provider */

static int mp_dmabuf_devmem_init(struct page_pool *pool)
{
	struct net_devmem_dmabuf_binding *binding = pool->mp_priv;

	if (PAGE_SHIFT + pool->p.order != binding->area.shift)
		return -E2BIG;
	refcount_inc(&binding->ref);
	return 0;
}

static void mp_dmabuf_devmem_destroy(struct page_pool *pool)
{
	net_devmem_binding_put(pool->mp_priv);
}

/* The pool takes from the end of @netmems first: what is written there is to
 * be used in the order of the memory, so that frags adjoin.
 */
static unsigned int mp_dmabuf_devmem_alloc(struct page_pool *pool,
					   netmem_ref *netmems, unsigned int n)
{
	struct net_devmem_dmabuf_binding *binding = pool->mp_priv;
	struct net_iov *niovs = binding->area.niovs;
	unsigned int i;

	spin_lock_bh(&binding->lock);
	n = min(n, binding->num_free);
	binding->num_free -= n;
	for (i = 0; i < n; i++)
		netmems[i] = net_iov_to_netmem(&niovs[binding->free[binding->num_free + i]]);
	spin_unlock_bh(&binding->lock);
	return n;
}

static void mp_dmabuf_devmem_release(struct page_pool *pool, netmem_ref netmem)
{
	struct net_devmem_dmabuf_binding *binding = pool->mp_priv;
	u32 idx = net_iov_idx(netmem_to_net_iov(netmem));

	spin_lock_bh(&binding->lock);
	binding->free[binding->num_free++] = idx;
	spin_unlock_bh(&binding->lock);
}

static int mp_dmabuf_devmem_nl_fill(void *mp_priv, struct sk_buff *rsp,
				    struct netdev_rx_queue *rxq)
{
	const struct net_devmem_dmabuf_binding *binding = mp_priv;

	return nla_put_u32(rsp, rxq ? NETDEV_A_QUEUE_DMABUF :
				      NETDEV_A_PAGE_POOL_DMABUF, binding->id);
}

static const struct memory_provider_ops dmabuf_devmem_ops = {
	.init		= mp_dmabuf_devmem_init,
	.destroy	= mp_dmabuf_devmem_destroy,
	.alloc		= mp_dmabuf_devmem_alloc,
	.release	= mp_dmabuf_devmem_release,
	.nl_fill	= mp_dmabuf_devmem_nl_fill,
};

int net_devmem_locate(const struct net_iov *niov, u32 *dmabuf_id)
{
	const struct net_devmem_dmabuf_binding *binding;
	const struct page_pool *pool = niov->pp;

	if (net_iov_is_tx(niov) || pool->mp_ops != &dmabuf_devmem_ops)
		return -ENODEV;
	binding = pool->mp_priv;
	*dmabuf_id = binding->id;
	return 0;
}

bool net_devmem_scarce(const struct net_iov *niov)
{
	const struct net_devmem_dmabuf_binding *binding;
	struct page_pool *pool = niov->pp;

	if (net_iov_is_tx(niov) || pool->mp_ops != &dmabuf_devmem_ops)
		return false;
	binding = pool->mp_priv;
	return !READ_ONCE(pool->alloc.count) &&
	       __ptr_ring_empty(&pool->ring) &&
	       !READ_ONCE(binding->num_free);
}

/* Binding */

/* Gives niovs to the memory from @sg on. */
static void net_devmem_add_niovs(struct net_devmem_dmabuf_binding *binding,
				 struct scatterlist *sg, u32 *idx)
{
	struct net_iov_area *area = &binding->area;
	dma_addr_t addr = sg_dma_address(sg);
	u32 n = sg_dma_len(sg) >> area->shift;

	for (; n--; addr += 1UL << area->shift, (*idx)++) {
		area->niovs[*idx].owner = area;
		area->niovs[*idx].dma = addr >> PAGE_SHIFT;
		binding->free[area->num_niovs - 1 - *idx] = *idx;
	}
}

static int net_devmem_misaligned(size_t niov_size,
				 struct netlink_ext_ack *extack)
{
	if (niov_size == PAGE_SIZE)
		NL_SET_ERR_MSG(extack,
			       "dma-buf SG length must be PAGE_SIZE aligned");
	else
		NL_SET_ERR_MSG(extack,
			       "dma-buf SG entries must be aligned to rx-page-size");
	return -EINVAL;
}

/* @area is to have @niovs of them, if these are not too few or too many. */
int net_devmem_set_niovs(struct net_iov_area *area, u64 niovs,
			 struct netlink_ext_ack *extack)
{
	if (!niovs) {
		NL_SET_ERR_MSG(extack, "dmabuf is empty");
		return -EINVAL;
	}
	if (niovs > NET_DEVMEM_NIOVS_MAX) {
		NL_SET_ERR_MSG(extack, "dmabuf contains too many net_iovs");
		return -E2BIG;
	}
	area->num_niovs = niovs;
	return 0;
}

/* How many niovs the mapping has; an error if some would be cut. */
static int net_devmem_count_niovs(struct net_devmem_dmabuf_binding *binding,
				  struct netlink_ext_ack *extack)
{
	size_t niov_size = 1UL << binding->area.shift;
	struct scatterlist *sg;
	u64 niovs = 0;
	int i;

	for_each_sgtable_dma_sg(binding->map.sgt, sg, i) {
		if (!IS_ALIGNED(sg_dma_address(sg), niov_size) ||
		    !IS_ALIGNED(sg_dma_len(sg), niov_size))
			return net_devmem_misaligned(niov_size, extack);
		niovs += sg_dma_len(sg) >> binding->area.shift;
	}
	return net_devmem_set_niovs(&binding->area, niovs, extack);
}

static int net_devmem_init_area(struct net_devmem_dmabuf_binding *binding,
				struct netlink_ext_ack *extack)
{
	struct net_iov_area *area = &binding->area;
	struct scatterlist *sg;
	u32 idx = 0;
	int err, i;

	err = net_devmem_count_niovs(binding, extack);
	if (err)
		return err;
	area->niovs = kvcalloc(area->num_niovs, sizeof(*area->niovs),
			       GFP_KERNEL_ACCOUNT);
	binding->free = kvmalloc_array(area->num_niovs, sizeof(*binding->free),
				       GFP_KERNEL_ACCOUNT);
	if (!area->niovs || !binding->free) {
		kvfree(area->niovs);
		kvfree(binding->free);
		return -ENOMEM;
	}
	for_each_sgtable_dma_sg(binding->map.sgt, sg, i)
		net_devmem_add_niovs(binding, sg, &idx);
	binding->num_free = area->num_niovs;
	return 0;
}

static int net_devmem_attach(struct net_devmem_mapping *map,
			     struct netlink_ext_ack *extack)
{
	map->attachment = dma_buf_attach(map->dmabuf, map->dma_dev);
	if (IS_ERR(map->attachment)) {
		NL_SET_ERR_MSG(extack, "Failed to bind dmabuf to device");
		return PTR_ERR(map->attachment);
	}
	map->sgt = dma_buf_map_attachment_unlocked(map->attachment, map->dir);
	if (IS_ERR(map->sgt)) {
		NL_SET_ERR_MSG(extack, "Failed to map dmabuf attachment");
		dma_buf_detach(map->dmabuf, map->attachment);
		return PTR_ERR(map->sgt);
	}
	return 0;
}

int net_devmem_map(struct net_devmem_mapping *map, struct net_device *dev,
		   u32 dmabuf_fd, enum dma_data_direction dir,
		   struct netlink_ext_ack *extack)
{
	int err;

	if (!dev->dev.parent || !dev->dev.parent->dma_mask) {
		NL_SET_ERR_MSG(extack, "Device doesn't support DMA");
		return -EOPNOTSUPP;
	}
	map->dmabuf = dma_buf_get(dmabuf_fd);
	if (IS_ERR(map->dmabuf))
		return PTR_ERR(map->dmabuf);
	map->dma_dev = get_device(dev->dev.parent);
	map->dir = dir;
	err = net_devmem_attach(map, extack);
	if (err) {
		put_device(map->dma_dev);
		dma_buf_put(map->dmabuf);
		return err;
	}
	map->dev = dev;
	mutex_lock(&net_devmem_attached_lock);
	list_add(&map->attached, &net_devmem_attached);
	mutex_unlock(&net_devmem_attached_lock);
	return 0;
}

static void __net_devmem_detach(struct net_devmem_mapping *map)
{
	lockdep_assert_held(&net_devmem_attached_lock);
	if (!map->attachment)
		return;
	WRITE_ONCE(map->dev, NULL);
	list_del(&map->attached);
	dma_buf_unmap_attachment_unlocked(map->attachment, map->sgt, map->dir);
	dma_buf_detach(map->dmabuf, map->attachment);
	put_device(map->dma_dev);
	map->attachment = NULL;
}

/* The device must be done with the memory, and its driver may go after this. The
 * memory stays.
 */
void net_devmem_detach(struct net_devmem_mapping *map)
{
	mutex_lock(&net_devmem_attached_lock);
	__net_devmem_detach(map);
	mutex_unlock(&net_devmem_attached_lock);
}

void net_devmem_unmap(struct net_devmem_mapping *map)
{
	net_devmem_detach(map);
	dma_buf_put(map->dmabuf);
}

/**
 * net_devmem_bind_dmabuf - make a binding that no queue uses yet
 * @dev: the device whose queues will
 * @dmabuf_fd: the caller's descriptor of the dmabuf
 * @rx_page_size: bytes of a niov, a power of two from PAGE_SIZE on; 0: PAGE_SIZE
 * @extack: why it can't be
 *
 * Return: the binding, to be given to net_devmem_unbind_dmabuf(), or an error.
 */
struct net_devmem_dmabuf_binding *
net_devmem_bind_dmabuf(struct net_device *dev, u32 dmabuf_fd, u32 rx_page_size,
		       struct netlink_ext_ack *extack)
{
	struct net_devmem_dmabuf_binding *binding;
	int err;

	ASSERT_RTNL();
	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&binding->lock);
	refcount_set(&binding->ref, 1);
	binding->area.shift = ilog2(rx_page_size ?: PAGE_SIZE);
	err = net_devmem_map(&binding->map, dev, dmabuf_fd, DMA_FROM_DEVICE,
			     extack);
	if (err)
		goto err_free_binding;
	err = net_devmem_init_area(binding, extack);
	if (err)
		goto err_unmap;
	err = net_devmem_add(&binding->id, binding);
	if (err)
		goto err_free_area;
	return binding;

err_free_area:
	kvfree(binding->free);
	kvfree(binding->area.niovs);
err_unmap:
	net_devmem_unmap(&binding->map);
err_free_binding:
	kfree(binding);
	return ERR_PTR(err);
}

static void net_devmem_set_provider(struct netdev_rx_queue *rxq,
				    struct net_devmem_dmabuf_binding *binding)
{
	rxq->mp_params.mp_priv = binding;
	rxq->mp_params.mp_ops = binding ? &dmabuf_devmem_ops : NULL;
	rxq->mp_params.rx_page_size = binding ? 1U << binding->area.shift : 0;
}

/* Puts the queue to work on the binding's memory, or leaves it as it was. */
int net_devmem_bind_queue(struct net_devmem_dmabuf_binding *binding,
			  u32 rxq_idx, struct netlink_ext_ack *extack)
{
	struct net_device *dev = binding->map.dev;
	struct netdev_rx_queue *rxq;
	int err;

	ASSERT_RTNL();
	rxq = __netif_get_rx_queue(dev, rxq_idx);
	net_devmem_set_provider(rxq, binding);
	err = netdev_rx_queue_restart(dev, rxq_idx);
	if (err) {
		net_devmem_set_provider(rxq, NULL);
		NL_SET_ERR_MSG(extack, "the queue does not start with the dmabuf's memory");
	}
	return err;
}

/* Takes the binding from its queues and gives up the binder's reference. A
 * queue that can't be restarted goes on with the memory it has, which its pool
 * keeps, until it is restarted for another reason. Otherwise the device is done
 * with the memory, whatever tokens there are.
 */
void net_devmem_unbind_dmabuf(struct net_devmem_dmabuf_binding *binding)
{
	struct net_device *dev = binding->map.dev;
	struct netdev_rx_queue *rxq;
	bool used = false;
	unsigned int i;
	int err;

	ASSERT_RTNL();
	for (i = 0; dev && i < dev->num_rx_queues; i++) {
		rxq = __netif_get_rx_queue(dev, i);
		if (rxq->mp_params.mp_priv != binding)
			continue;
		net_devmem_set_provider(rxq, NULL);
		err = netdev_rx_queue_restart(dev, i);
		if (!err)
			continue;
		used = true;
		netdev_warn(dev, "RX queue %u keeps its dmabuf until it restarts (error %d)\n",
			    i, err);
	}
	if (!used)
		net_devmem_detach(&binding->map);
	xa_erase(&net_devmem_bindings, binding->id);
	net_devmem_binding_put(binding);
}

/* The device is being unregistered: its queues are stopped for good, and nobody
 * will look it up once that is done.
 */
void net_devmem_dev_gone(struct net_device *dev)
{
	struct net_devmem_mapping *map, *next;
	unsigned int i;

	ASSERT_RTNL();
	mutex_lock(&net_devmem_attached_lock);
	list_for_each_entry_safe(map, next, &net_devmem_attached, attached)
		if (map->dev == dev)
			__net_devmem_detach(map);
	mutex_unlock(&net_devmem_attached_lock);
	for (i = 0; i < dev->num_rx_queues; i++)
		net_devmem_set_provider(__netif_get_rx_queue(dev, i), NULL);
}

u32 net_devmem_binding_id(const struct net_devmem_dmabuf_binding *binding)
{
	return binding->id;
}
