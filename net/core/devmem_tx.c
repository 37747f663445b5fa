// SPDX-License-Identifier: GPL-2.0
/* Bindings to send from: dmabufs that a device reads TCP payload from.
 *
 * Who holds whom: an skb frag holds the binding; so does a call that sends, and
 * who bound it, until he unbinds. The binding holds the dmabuf and the device
 * that it is mapped for. What is unbound can't be sent from any more, but what
 * has been sent stays until it is acknowledged or the connection ends.
 *
 * All niovs of an skb are of one binding, and there are no pages beside them:
 * see net_devmem_tx_fits().
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/dma-buf.h>
#include <linux/if_vlan.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/xarray.h>
#include <net/netlink.h>

#include "devmem.h"

/* All that somebody has bound, by id. Changed under RTNL, read under RCU. */
static DEFINE_XARRAY(net_devmem_tx_bindings);

/* The niovs */

/* How many niovs it takes for @len bytes in one piece. */
static u64 net_devmem_tx_niovs(u64 len)
{
	return DIV_ROUND_UP_ULL(len, NET_DEVMEM_TX_NIOV_MAX);
}

/* Joins with @sg the entries that go on where it ends, for the device. Returns
 * the last of them; *@len is of all.
 */
static struct scatterlist *net_devmem_tx_run(struct scatterlist *sg, int *left,
					     u64 *len)
{
	dma_addr_t end = sg_dma_address(sg) + sg_dma_len(sg);
	struct scatterlist *next;

	*len = sg_dma_len(sg);
	while (--*left) {
		next = sg_next(sg);
		if (sg_dma_address(next) != end)
			break;
		sg = next;
		end += sg_dma_len(sg);
		*len += sg_dma_len(sg);
	}
	return sg;
}

/* How many niovs the mapping has; an error if pages are cut in it. */
static int net_devmem_tx_count(struct net_devmem_tx_binding *binding,
			       struct netlink_ext_ack *extack)
{
	struct sg_table *sgt = binding->map.sgt;
	struct scatterlist *sg;
	int left = sgt->nents;
	u64 niovs = 0, len;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!PAGE_ALIGNED(sg_dma_address(sg)) ||
		    !PAGE_ALIGNED(sg_dma_len(sg))) {
			NL_SET_ERR_MSG(extack, "dma-buf SG length must be PAGE_SIZE aligned");
			return -EINVAL;
		}
	}
	for (sg = sgt->sgl; left; sg = sg_next(sg)) {
		sg = net_devmem_tx_run(sg, &left, &len);
		niovs += net_devmem_tx_niovs(len);
	}
	return net_devmem_set_niovs(&binding->area, niovs, extack);
}

/* Gives niovs to @len bytes at @addr. Returns the index of the next one. */
static u32 net_devmem_tx_add(struct net_devmem_tx_binding *binding, u32 idx,
			     dma_addr_t addr, u64 len)
{
	u64 end = idx ? binding->ends[idx - 1] : 0;
	struct net_iov *niov;
	u64 size;

	for (; len; len -= size, addr += size, idx++) {
		size = min_t(u64, len, NET_DEVMEM_TX_NIOV_MAX);
		niov = &binding->area.niovs[idx];
		niov->owner = &binding->area;
		niov->dma = addr >> PAGE_SHIFT;
		end += size;
		binding->ends[idx] = end;
	}
	return idx;
}

int net_devmem_tx_init_area(struct net_devmem_tx_binding *binding,
			    struct netlink_ext_ack *extack)
{
	struct net_iov_area *area = &binding->area;
	struct sg_table *sgt = binding->map.sgt;
	struct scatterlist *sg;
	int left = sgt->nents;
	dma_addr_t addr;
	u32 idx = 0;
	u64 len;
	int err;

	err = net_devmem_tx_count(binding, extack);
	if (err)
		return err;
	area->users = &binding->ref;
	area->niovs = kvcalloc(area->num_niovs, sizeof(*area->niovs),
			       GFP_KERNEL_ACCOUNT);
	binding->ends = kvmalloc_array(area->num_niovs, sizeof(*binding->ends),
				       GFP_KERNEL_ACCOUNT);
	if (!area->niovs || !binding->ends) {
		net_devmem_tx_free_area(binding);
		return -ENOMEM;
	}
	for (sg = sgt->sgl; left; sg = sg_next(sg)) {
		addr = sg_dma_address(sg);
		sg = net_devmem_tx_run(sg, &left, &len);
		idx = net_devmem_tx_add(binding, idx, addr, len);
	}
	return 0;
}

void net_devmem_tx_free_area(struct net_devmem_tx_binding *binding)
{
	kvfree(binding->area.niovs);
	kvfree(binding->ends);
}

static u64 net_devmem_tx_size(const struct net_devmem_tx_binding *binding)
{
	return binding->ends[binding->area.num_niovs - 1];
}

/* The niov with the byte at @offset, which is in the dmabuf; *@start is the
 * offset of the niov's first byte.
 */
static struct net_iov *
net_devmem_tx_find(const struct net_devmem_tx_binding *binding, u64 offset,
		   u64 *start)
{
	u32 low = 0, high = binding->area.num_niovs - 1;
	u32 middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (binding->ends[middle] > offset)
			high = middle;
		else
			low = middle + 1;
	}
	*start = low ? binding->ends[low - 1] : 0;
	return &binding->area.niovs[low];
}

/* Binding */

static void net_devmem_tx_free(struct work_struct *work)
{
	struct net_devmem_tx_binding *binding =
		container_of(work, struct net_devmem_tx_binding, free_work);

	net_devmem_tx_free_area(binding);
	net_devmem_unmap(&binding->map);
	percpu_ref_exit(&binding->ref);
	kfree(binding);
}

/* The last skb may die anywhere, but only a process can unmap a dmabuf. Those
 * who found the binding by its id under RCU are done: percpu_ref_kill() comes
 * after the id went, and a grace period after that.
 */
static void net_devmem_tx_release(struct percpu_ref *ref)
{
	struct net_devmem_tx_binding *binding =
		container_of(ref, struct net_devmem_tx_binding, ref);

	queue_work(system_unbound_wq, &binding->free_work);
}

static int net_devmem_tx_check_dmabuf(const struct dma_buf *dmabuf,
				      struct netlink_ext_ack *extack)
{
	if (PAGE_ALIGNED(dmabuf->size))
		return 0;
	NL_SET_ERR_MSG(extack, "TX dma-buf size must be a multiple of PAGE_SIZE");
	return -EINVAL;
}

static int net_devmem_tx_publish(struct net_devmem_tx_binding *binding)
{
	int err;

	err = net_devmem_id_alloc(&binding->id);
	if (err)
		return err;
	err = xa_err(xa_store(&net_devmem_tx_bindings, binding->id, binding,
			      GFP_KERNEL));
	if (err)
		net_devmem_id_free(binding->id);
	return err;
}

static int net_devmem_tx_init(struct net_devmem_tx_binding *binding,
			      struct net_device *dev, u32 dmabuf_fd,
			      struct netlink_ext_ack *extack)
{
	int err;

	err = net_devmem_map(&binding->map, dev, dmabuf_fd, DMA_TO_DEVICE,
			     extack);
	if (err)
		return err;
	err = net_devmem_tx_check_dmabuf(binding->map.dmabuf, extack);
	if (err)
		goto err_unmap;
	err = net_devmem_tx_init_area(binding, extack);
	if (err)
		goto err_unmap;
	err = net_devmem_tx_publish(binding);
	if (err)
		goto err_free_area;
	return 0;

err_free_area:
	net_devmem_tx_free_area(binding);
err_unmap:
	net_devmem_unmap(&binding->map);
	return err;
}

/**
 * net_devmem_tx_bind - bind a dmabuf to a device, to send from
 * @dev: the device
 * @dmabuf_fd: the caller's descriptor of the dmabuf
 * @extack: why it can't be
 *
 * Return: the binding, to be given to net_devmem_tx_unbind(), or an error.
 */
struct net_devmem_tx_binding *
net_devmem_tx_bind(struct net_device *dev, u32 dmabuf_fd,
		   struct netlink_ext_ack *extack)
{
	struct net_devmem_tx_binding *binding;
	int err;

	ASSERT_RTNL();
	if (!dev->netmem_tx) {
		NL_SET_ERR_MSG(extack, "Driver does not support netmem TX");
		return ERR_PTR(-EOPNOTSUPP);
	}
	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return ERR_PTR(-ENOMEM);
	INIT_WORK(&binding->free_work, net_devmem_tx_free);
	binding->owner = current_euid();
	err = percpu_ref_init(&binding->ref, net_devmem_tx_release, 0,
			      GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_free_binding;
	err = net_devmem_tx_init(binding, dev, dmabuf_fd, extack);
	if (err)
		goto err_exit_ref;
	return binding;

err_exit_ref:
	percpu_ref_exit(&binding->ref);
err_free_binding:
	kfree(binding);
	return ERR_PTR(err);
}

void net_devmem_tx_unbind(struct net_devmem_tx_binding *binding)
{
	ASSERT_RTNL();
	xa_erase(&net_devmem_tx_bindings, binding->id);
	net_devmem_id_free(binding->id);
	percpu_ref_kill(&binding->ref);
}

/* Sending */

/* An id is easy to guess, and who has it can have the memory sent to himself:
 * so bindings of other users don't exist.
 */
static bool net_devmem_tx_allowed(const struct net_devmem_tx_binding *binding)
{
	return uid_eq(binding->owner, current_euid()) ||
	       capable(CAP_NET_ADMIN);
}

/**
 * net_devmem_tx_get - find a binding to send from
 * @id: what a program takes for its id
 *
 * Return: the binding, to be given to net_devmem_tx_put(); NULL if there is none
 * for the current process.
 */
struct net_devmem_tx_binding *net_devmem_tx_get(u32 id)
{
	struct net_devmem_tx_binding *binding;

	rcu_read_lock();
	binding = xa_load(&net_devmem_tx_bindings, id);
	if (binding && !percpu_ref_tryget_live(&binding->ref))
		binding = NULL;
	rcu_read_unlock();
	if (binding && !net_devmem_tx_allowed(binding)) {
		net_devmem_tx_put(binding);
		return NULL;
	}
	return binding;
}

/* The piece that comes next: what would be its address is its offset in the
 * dmabuf. Returns its length, 0 if the iterator stands at an empty one.
 */
static size_t net_devmem_tx_piece(const struct iov_iter *from, u64 *offset)
{
	if (iter_is_ubuf(from)) {
		*offset = (unsigned long)from->ubuf + from->iov_offset;
		return iov_iter_count(from);
	}
	*offset = (unsigned long)from->iov->iov_base + from->iov_offset;
	return min(iov_iter_count(from),
		   from->iov->iov_len - from->iov_offset);
}

/* Are all pieces in the dmabuf? 0 or -EFAULT. */
int net_devmem_tx_check(const struct net_devmem_tx_binding *binding,
			const struct iov_iter *from)
{
	u64 size = net_devmem_tx_size(binding);
	struct iov_iter pieces = *from;
	size_t len;
	u64 offset;

	if (!iter_is_iovec(from) && !iter_is_ubuf(from))
		return -EFAULT;
	for (; iov_iter_count(&pieces); iov_iter_advance(&pieces, len)) {
		len = net_devmem_tx_piece(&pieces, &offset);
		if (len && (offset >= size || len > size - offset))
			return -EFAULT;
	}
	return 0;
}

static struct net_devmem_tx_binding *
net_devmem_tx_frag_binding(const skb_frag_t *frag)
{
	const struct net_iov *niov;

	if (!skb_frag_is_net_iov(frag))
		return NULL;
	niov = skb_frag_net_iov(frag);
	if (!net_iov_is_tx(niov))
		return NULL;
	return container_of(net_iov_owner(niov), struct net_devmem_tx_binding,
			    area);
}

/* May more of @binding's memory be added to @skb, which is on its way out? If
 * @binding is NULL: may pages?
 */
bool net_devmem_tx_fits(const struct sk_buff *skb,
			const struct net_devmem_tx_binding *binding)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);

	if (!binding)
		return skb_frags_readable(skb);
	if (!shinfo->nr_frags)
		return !skb_headlen(skb);
	return net_devmem_tx_frag_binding(&shinfo->frags[0]) == binding;
}

/* Adds the @size bytes at @off of @niov to the last frag, if they go on where it
 * ends, or as a new one.
 */
static bool net_devmem_tx_add_frag(struct sk_buff *skb, struct net_iov *niov,
				   u32 off, u32 size)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	netmem_ref netmem = net_iov_to_netmem(niov);
	int i = shinfo->nr_frags;
	skb_frag_t *last;

	if (i) {
		last = &shinfo->frags[i - 1];
		if (skb_frag_netmem(last) == netmem &&
		    skb_frag_off(last) + skb_frag_size(last) == off) {
			skb_frag_size_add(last, size);
			return true;
		}
	}
	if (i == MAX_SKB_FRAGS)
		return false;
	net_iov_get(niov);
	skb_fill_netmem_desc(skb, i, netmem, off, size);
	return true;
}

/**
 * net_devmem_tx_append - add device memory to an skb
 * @binding: whose; see net_devmem_tx_fits()
 * @skb: to be sent; none else has it
 * @from: what net_devmem_tx_check() was content with; is advanced
 * @len: how many bytes at most
 *
 * Return: how many bytes there was room for. The caller accounts for them: they
 * are in the skb's length but not in its truesize.
 */
u32 net_devmem_tx_append(struct net_devmem_tx_binding *binding,
			 struct sk_buff *skb, struct iov_iter *from, u32 len)
{
	u64 offset, start, end;
	struct net_iov *niov;
	u32 done = 0;
	size_t size;

	for (; done < len && iov_iter_count(from);
	     iov_iter_advance(from, size), done += size) {
		size = net_devmem_tx_piece(from, &offset);
		if (!size)
			continue;
		niov = net_devmem_tx_find(binding, offset, &start);
		end = binding->ends[niov - binding->area.niovs];
		size = min3(size, (size_t)(len - done), (size_t)(end - offset));
		if (!net_devmem_tx_add_frag(skb, niov, offset - start, size))
			break;
	}
	skb->len += done;
	skb->data_len += done;
	return done;
}

/* VLANs pass frames on untouched; all other devices on devices may send them
 * by another one, or read them.
 */
bool net_devmem_tx_may_leave(const struct sk_buff *skb,
			     const struct net_device *dev)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);
	const struct net_devmem_tx_binding *binding;
	int i;

	if (is_vlan_dev(dev))
		dev = vlan_dev_real_dev(dev);
	if (!dev->netmem_tx || skb_has_frag_list(skb))
		return false;
	for (i = 0; i < shinfo->nr_frags; i++) {
		binding = net_devmem_tx_frag_binding(&shinfo->frags[i]);
		if (!binding || READ_ONCE(binding->map.dev) != dev)
			return false;
	}
	return true;
}
