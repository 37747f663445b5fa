/* SPDX-License-Identifier: GPL-2.0 */
/* Device memory TCP, as the network core and TCP see it. */
#ifndef _NET_CORE_DEVMEM_H
#define _NET_CORE_DEVMEM_H

#include <linux/dma-direction.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/percpu-refcount.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <net/netmem.h>

struct device;
struct dma_buf;
struct dma_buf_attachment;
struct iov_iter;
struct net_device;
struct net_devmem_dmabuf_binding;
struct netlink_ext_ack;
struct sg_table;
struct sk_buff;

/**
 * struct net_devmem_mapping - a dmabuf as a device sees it
 * @attached: one of all that have an @attachment, bound or not any more
 * @dev: the network device. Only for comparing, and for its queues as long as
 *	 it is bound; NULL once it is unregistered, or the mapping void. Cleared
 *	 with the lock of all that are attached, read without
 * @dma_dev: the device that does DMA for it; a reference
 * @dmabuf: a reference
 * @attachment: of @dma_dev to @dmabuf; NULL once the device is done with it,
 *		and then @dma_dev and @sgt are void
 * @sgt: where the memory is
 * @dir: what the device does with it
 */
struct net_devmem_mapping {
	struct list_head attached;
	struct net_device *dev;
	struct device *dma_dev;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	struct sg_table *sgt;
	enum dma_data_direction dir;
};

/* kvmalloc() WARNs of arrays that are larger. */
#define NET_DEVMEM_NIOVS_MAX	(INT_MAX / sizeof(struct net_iov))

#ifdef CONFIG_NET_DEVMEM
/* In process context. */
int net_devmem_map(struct net_devmem_mapping *map, struct net_device *dev,
		   u32 dmabuf_fd, enum dma_data_direction dir,
		   struct netlink_ext_ack *extack);
void net_devmem_detach(struct net_devmem_mapping *map);
void net_devmem_unmap(struct net_devmem_mapping *map);
int net_devmem_set_niovs(struct net_iov_area *area, u64 niovs,
			 struct netlink_ext_ack *extack);

/* All under RTNL. */
int net_devmem_id_alloc(u32 *id);
void net_devmem_id_free(u32 id);

struct net_devmem_dmabuf_binding *
net_devmem_bind_dmabuf(struct net_device *dev, u32 dmabuf_fd, u32 rx_page_size,
		       struct netlink_ext_ack *extack);
int net_devmem_bind_queue(struct net_devmem_dmabuf_binding *binding,
			  u32 rxq_idx, struct netlink_ext_ack *extack);
void net_devmem_unbind_dmabuf(struct net_devmem_dmabuf_binding *binding);
/* To send from, too. */
void net_devmem_dev_gone(struct net_device *dev);
u32 net_devmem_binding_id(const struct net_devmem_dmabuf_binding *binding);

/* Whose a niov of a pool is, for userspace; all of its area are. The caller holds
 * a reference on it. -ENODEV: it is no dmabuf's.
 */
int net_devmem_locate(const struct net_iov *niov, u32 *dmabuf_id);

/* And where in that it begins. */
static inline u64 net_devmem_offset(const struct net_iov *niov)
{
	return (u64)net_iov_idx(niov) << net_iov_owner(niov)->shift;
}

/* Has the pool that this niov is of nothing left? A hint: others allocate and
 * free meanwhile. The caller holds a reference on the niov.
 */
bool net_devmem_scarce(const struct net_iov *niov);
#else
static inline struct net_devmem_dmabuf_binding *
net_devmem_bind_dmabuf(struct net_device *dev, u32 dmabuf_fd, u32 rx_page_size,
		       struct netlink_ext_ack *extack)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline int
net_devmem_bind_queue(struct net_devmem_dmabuf_binding *binding, u32 rxq_idx,
		      struct netlink_ext_ack *extack)
{
	return -EOPNOTSUPP;
}

static inline void
net_devmem_unbind_dmabuf(struct net_devmem_dmabuf_binding *binding)
{
}

static inline void net_devmem_dev_gone(struct net_device *dev)
{
}

static inline u32
net_devmem_binding_id(const struct net_devmem_dmabuf_binding *binding)
{
	return 0;
}
#endif /* CONFIG_NET_DEVMEM */

/* Sending */

/**
 * struct net_devmem_tx_binding - a dmabuf bound to a device, to send from
 * @area: its niovs, in the order of the dmabuf's bytes. Each covers what lies in
 *	  one piece for the device, up to NET_DEVMEM_TX_NIOV_MAX.
 * @ends: for each niov, how many bytes of the dmabuf are in it and before it
 * @ref: of who bound, until he unbinds; of each call that sends; of each skb
 *	 frag (@area.users). It may die in any context.
 * @free_work: gives the memory back after @ref
 * @map: the dmabuf, and the device
 * @owner: the user who bound it, who alone may send from it
 * @id: for userspace
 */
struct net_devmem_tx_binding {
	struct net_iov_area area;
	u64 *ends;
	struct percpu_ref ref;
	struct work_struct free_work;
	struct net_devmem_mapping map;
	kuid_t owner;
	u32 id;
};

/* A frag's offset must have room in an int. */
#define NET_DEVMEM_TX_NIOV_MAX	SZ_1G

#ifdef CONFIG_NET_DEVMEM_TX
/* Under RTNL. */
struct net_devmem_tx_binding *
net_devmem_tx_bind(struct net_device *dev, u32 dmabuf_fd,
		   struct netlink_ext_ack *extack);
void net_devmem_tx_unbind(struct net_devmem_tx_binding *binding);

/* May @skb, which the CPU can't read, be given to @dev? Under RCU. */
bool net_devmem_tx_may_leave(const struct sk_buff *skb,
			     const struct net_device *dev);

/* For those who send, in process context. */
struct net_devmem_tx_binding *net_devmem_tx_get(u32 id);
int net_devmem_tx_check(const struct net_devmem_tx_binding *binding,
			const struct iov_iter *from);
bool net_devmem_tx_fits(const struct sk_buff *skb,
			const struct net_devmem_tx_binding *binding);
u32 net_devmem_tx_append(struct net_devmem_tx_binding *binding,
			 struct sk_buff *skb, struct iov_iter *from, u32 len);

static inline void net_devmem_tx_put(struct net_devmem_tx_binding *binding)
{
	if (binding)
		percpu_ref_put(&binding->ref);
}

/* For the unit tests. */
int net_devmem_tx_init_area(struct net_devmem_tx_binding *binding,
			    struct netlink_ext_ack *extack);
void net_devmem_tx_free_area(struct net_devmem_tx_binding *binding);
#else
static inline struct net_devmem_tx_binding *
net_devmem_tx_bind(struct net_device *dev, u32 dmabuf_fd,
		   struct netlink_ext_ack *extack)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void net_devmem_tx_unbind(struct net_devmem_tx_binding *binding)
{
}

static inline bool net_devmem_tx_may_leave(const struct sk_buff *skb,
					   const struct net_device *dev)
{
	return false;
}
#endif /* CONFIG_NET_DEVMEM_TX */

#endif /* _NET_CORE_DEVMEM_H */
