/* SPDX-License-Identifier: GPL-2.0 */
/* TCP data split: see split.c */
#ifndef _E1000E_SPLIT_H_
#define _E1000E_SPLIT_H_

#include <linux/types.h>

struct e1000_adapter;
struct e1000_split_slot;
struct netdev_queue_mgmt_ops;
struct page_pool;

/**
 * struct e1000_split_memory - where buffers of one kind come from
 * @pool: the page pool
 * @offset: where in a buffer the hardware's part of it begins
 * @size: how many bytes that has
 */
struct e1000_split_memory {
	struct page_pool *pool;
	u16 offset;
	u16 size;
};

/**
 * struct e1000_split - the receive ring for TCP, and its memory
 * @adapter: whose it is
 * @desc: descriptors, of the packet split kind
 * @dma: where the hardware finds them
 * @slots: for each descriptor, the buffers that it has
 * @host: of buffer 0: headers, and frames that were not split; any frame fits
 * @payload: of the other buffers, possibly in device memory
 * @count: how many descriptors
 * @pages: how many payload buffers a descriptor has
 * @next_to_use: the first descriptor that has not been posted
 * @next_to_clean: the oldest that has been
 * @discarding: in a frame that did not fit a descriptor
 *
 * Allocated while the old one still runs, and changed only while the receiver
 * is off. NAPI alone uses it in between. Zeroed means none.
 */
struct e1000_split {
	struct e1000_adapter *adapter;
	union e1000_rx_desc_packet_split *desc;
	dma_addr_t dma;
	struct e1000_split_slot *slots;
	struct e1000_split_memory host;
	struct e1000_split_memory payload;
	u16 count;
	u16 pages;
	u16 next_to_use;
	u16 next_to_clean;
	bool discarding;
};

extern const struct netdev_queue_mgmt_ops e1000e_queue_mgmt_ops;

bool e1000e_split_possible(const struct e1000_adapter *adapter);
int e1000e_split_alloc(struct e1000_adapter *adapter, u16 count,
		       unsigned int mtu, struct e1000_split *split);
void e1000e_split_free(struct e1000_split *split);
void e1000e_split_replace(struct e1000_adapter *adapter,
			  struct e1000_split *split);

/* What the adapter does with the ring that it has, if it has one. */
void e1000e_split_init(struct e1000_adapter *adapter);
void e1000e_split_configure(struct e1000_adapter *adapter);
void e1000e_split_fill(struct e1000_adapter *adapter);
int e1000e_split_poll(struct e1000_adapter *adapter, int budget);
void e1000e_split_quiesce(struct e1000_adapter *adapter);
void e1000e_split_clean(struct e1000_adapter *adapter);

#endif /* _E1000E_SPLIT_H_ */
