// SPDX-License-Identifier: GPL-2.0
/* TCP data split: headers go to host memory, payload to a page pool of its own,
 * which may have device memory.
 *
 * The 82574 splits all that it can parse, UDP and ICMP too, whose payload the
 * CPU must be able to read. But it has two receive rings, and RSS can be told
 * to know nothing but TCP. So all TCP goes to ring 1, which is here, and all
 * else (ARP, ICMP, UDP, IP fragments) to ring 0, which netdev.c goes on to look
 * after. Both use packet split descriptors, as there is one format for both.
 * To the network stack the two are one queue, served by one NAPI.
 *
 * Buffer 0 of a descriptor is large enough for any frame. What the hardware
 * did not split is there as a whole, so payload buffers never hold headers.
 */

#include <linux/pm_runtime.h>
#include <net/netdev_queues.h>
#include <net/page_pool/helpers.h>

#include "e1000.h"

/* In front of the frame, so that a buffer can become an skb's head. */
#define E1000_SPLIT_HEADROOM	(NET_SKB_PAD + NET_IP_ALIGN)

/* A frame this short is copied, and its buffer used again. */
#define E1000_SPLIT_COPY	256

/* Every entry of the redirection table says ring 1. */
#define E1000_SPLIT_RETA	0x80808080

/* Memory that the hardware may write to, or none: @netmem is 0. */
struct e1000_split_buffer {
	netmem_ref netmem;
	dma_addr_t dma;
};

/* The buffers of a descriptor. */
struct e1000_split_slot {
	struct e1000_split_buffer host;
	struct e1000_split_buffer payload[PS_PAGE_BUFFERS];
};

bool e1000e_split_possible(const struct e1000_adapter *adapter)
{
	return adapter->hw.mac.type == e1000_82574 && PAGE_SIZE <= 16384;
}

static int e1000e_split_pool(struct e1000_split *split, unsigned int order,
			     unsigned int flags,
			     struct e1000_split_memory *memory)
{
	struct page_pool_params params = {
		.flags = flags,
		.order = order,
		.pool_size = split->count,
		.nid = NUMA_NO_NODE,
		.dev = &split->adapter->pdev->dev,
		.dma_dir = DMA_FROM_DEVICE,
		.offset = memory->offset,
		.max_len = memory->size,
		.netdev = split->adapter->netdev,
		.queue_idx = 0,
	};
	struct page_pool *pool = page_pool_create(&params);

	if (IS_ERR(pool))
		return PTR_ERR(pool);
	memory->pool = pool;
	return 0;
}

/* What a pool maps stays mapped until the last skb has given it back, and that
 * may be after the driver has left the device. So the ring maps pages by itself,
 * while they are in it. Device memory is mapped by its binding, which goes
 * first; it wants the flags of a pool that maps all the same.
 */
static int e1000e_split_pools(struct e1000_split *split, unsigned int mtu)
{
	struct net_device *dev = split->adapter->netdev;
	unsigned int size, flags = PP_FLAG_ALLOW_UNREADABLE_NETMEM;
	int err;

	split->host.offset = E1000_SPLIT_HEADROOM;
	split->host.size = ALIGN(mtu + VLAN_ETH_HLEN + ETH_FCS_LEN,
				 1 << E1000_PSRCTL_BSIZE0_SHIFT);
	size = SKB_DATA_ALIGN(split->host.offset + split->host.size) +
	       SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	err = e1000e_split_pool(split, get_order(size), 0, &split->host);
	if (err)
		return err;

	split->payload.size = PAGE_SIZE;
	if (netif_rxq_has_unreadable_mp(dev, 0))
		flags |= PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV;
	return e1000e_split_pool(split, 0, flags, &split->payload);
}

/* Makes a ring of @count descriptors that takes frames of that MTU. Buffers come
 * when it is put to use.
 */
int e1000e_split_alloc(struct e1000_adapter *adapter, u16 count,
		       unsigned int mtu, struct e1000_split *split)
{
	int err;

	memset(split, 0, sizeof(*split));
	split->adapter = adapter;
	split->count = count;
	split->pages = DIV_ROUND_UP(mtu, PAGE_SIZE);

	split->desc = dma_alloc_coherent(&adapter->pdev->dev,
					 count * sizeof(*split->desc),
					 &split->dma, GFP_KERNEL);
	split->slots = kvcalloc(count, sizeof(*split->slots), GFP_KERNEL);
	err = split->desc && split->slots ? e1000e_split_pools(split, mtu) :
					    -ENOMEM;
	if (err)
		e1000e_split_free(split);
	return err;
}

/* Returns false if there was nothing to be had. */
static bool e1000e_split_take(struct e1000_split *split,
			      const struct e1000_split_memory *memory,
			      struct e1000_split_buffer *buffer)
{
	struct device *dev = &split->adapter->pdev->dev;
	netmem_ref netmem;

	if (buffer->netmem)
		return true;
	netmem = page_pool_dev_alloc_netmems(memory->pool);
	if (!netmem)
		return false;
	if (netmem_is_net_iov(netmem)) {
		buffer->dma = page_pool_get_dma_addr_netmem(netmem);
	} else {
		buffer->dma = dma_map_page(dev, netmem_to_page(netmem),
					   memory->offset, memory->size,
					   DMA_FROM_DEVICE);
		if (dma_mapping_error(dev, buffer->dma)) {
			page_pool_put_full_netmem(memory->pool, netmem, false);
			return false;
		}
	}
	buffer->netmem = netmem;
	return true;
}

/* Takes a buffer from the hardware, for what is in it to be read. */
static netmem_ref e1000e_split_unmap(struct e1000_split *split,
				     const struct e1000_split_memory *memory,
				     struct e1000_split_buffer *buffer)
{
	netmem_ref netmem = buffer->netmem;

	if (!netmem_is_net_iov(netmem))
		dma_unmap_page(&split->adapter->pdev->dev, buffer->dma,
			       memory->size, DMA_FROM_DEVICE);
	buffer->netmem = 0;
	return netmem;
}

static void e1000e_split_put(struct e1000_split *split,
			     const struct e1000_split_memory *memory,
			     struct e1000_split_buffer *buffer, bool in_napi)
{
	netmem_ref netmem;

	if (!buffer->netmem)
		return;
	netmem = e1000e_split_unmap(split, memory, buffer);
	page_pool_put_full_netmem(memory->pool, netmem, in_napi);
}

/* Where the ring is not full, a slot may wait long for its next turn, and
 * payload buffers in it may be all that there are.
 */
static void e1000e_split_unload(struct e1000_split *split,
				struct e1000_split_slot *slot, bool in_napi)
{
	u16 i;

	for (i = 0; i < split->pages; i++)
		e1000e_split_put(split, &split->payload, &slot->payload[i],
				 in_napi);
}

/* Takes all buffers back. The hardware has no use for them any more. */
static void e1000e_split_empty(struct e1000_split *split)
{
	struct e1000_split_slot *slot;
	u16 i;

	for (i = 0; split->slots && i < split->count; i++) {
		slot = &split->slots[i];
		e1000e_split_put(split, &split->host, &slot->host, false);
		e1000e_split_unload(split, slot, false);
	}
	if (split->desc)
		memset(split->desc, 0, split->count * sizeof(*split->desc));
	split->next_to_use = 0;
	split->next_to_clean = 0;
	split->discarding = false;
}

/* The pools live on until their last buffer has come back. */
void e1000e_split_free(struct e1000_split *split)
{
	e1000e_split_empty(split);
	if (split->payload.pool)
		page_pool_destroy(split->payload.pool);
	if (split->host.pool)
		page_pool_destroy(split->host.pool);
	kvfree(split->slots);
	if (split->desc)
		dma_free_coherent(&split->adapter->pdev->dev,
				  split->count * sizeof(*split->desc),
				  split->desc, split->dma);
	memset(split, 0, sizeof(*split));
}

/* Gives the adapter, which is down, another ring, or none. */
void e1000e_split_replace(struct e1000_adapter *adapter,
			  struct e1000_split *split)
{
	e1000e_split_free(&adapter->split);
	adapter->split = *split;
	memset(split, 0, sizeof(*split));
}

/* All TCP to ring 1, and nothing else. */
static void e1000e_split_steer(struct e1000_adapter *adapter)
{
	struct e1000_hw *hw = &adapter->hw;
	u32 key[10];
	int i;

	netdev_rss_key_fill(key, sizeof(key));
	for (i = 0; i < ARRAY_SIZE(key); i++)
		ew32(RSSRK(i), key[i]);
	for (i = 0; i < 32; i++)
		ew32(RETA(i), E1000_SPLIT_RETA);
	/* Without this the hardware does no RSS. */
	ew32(RXCSUM, er32(RXCSUM) | E1000_RXCSUM_PCSD);
	ew32(MRQC, E1000_MRQC_ENABLE_RSS_2Q | E1000_MRQC_RSS_FIELD_IPV4_TCP |
	     E1000_MRQC_RSS_FIELD_IPV6_TCP | E1000_MRQC_RSS_FIELD_IPV6_TCP_EX);
}

/* While receives are off. */
void e1000e_split_configure(struct e1000_adapter *adapter)
{
	struct e1000_split *split = &adapter->split;
	struct e1000_hw *hw = &adapter->hw;

	if (!split->desc)
		return;
	ew32(RDBAL(1), lower_32_bits(split->dma));
	ew32(RDBAH(1), upper_32_bits(split->dma));
	ew32(RDLEN(1), split->count * sizeof(*split->desc));
	ew32(RDH(1), 0);
	ew32(RDT(1), 0);
	e1000e_split_steer(adapter);
}

/* Whatever the descriptor had before, the hardware has written over it. */
static void e1000e_split_post(struct e1000_split *split, u16 i)
{
	const struct e1000_split_slot *slot = &split->slots[i];
	union e1000_rx_desc_packet_split *desc = &split->desc[i];
	u16 j;

	desc->read.buffer_addr[0] = cpu_to_le64(slot->host.dma);
	for (j = 0; j < split->pages; j++)
		desc->read.buffer_addr[j + 1] =
			cpu_to_le64(slot->payload[j].dma);
	for (; j < PS_PAGE_BUFFERS; j++)
		desc->read.buffer_addr[j + 1] = ~cpu_to_le64(0);
}

/* Returns false if a pool had nothing to give. */
static bool e1000e_split_fill_slot(struct e1000_split *split, u16 i)
{
	struct e1000_split_slot *slot = &split->slots[i];
	u16 j;

	if (!e1000e_split_take(split, &split->host, &slot->host))
		return false;
	for (j = 0; j < split->pages; j++)
		if (!e1000e_split_take(split, &split->payload,
				       &slot->payload[j]))
			return false;
	return true;
}

static u16 e1000e_split_posted(const struct e1000_split *split)
{
	return (split->next_to_use + split->count - split->next_to_clean) %
	       split->count;
}

/* Device memory comes back from programs, without a word to the driver. Where
 * so little is posted that no frame may come to have the ring filled, a timer
 * does it.
 */
static void e1000e_split_retry(struct e1000_adapter *adapter)
{
	struct e1000_split *split = &adapter->split;

	adapter->alloc_rx_buff_failed++;
	if (e1000e_split_posted(split) <= split->count / 8 &&
	    !test_bit(__E1000_DOWN, &adapter->state))
		mod_timer(&adapter->split_timer, jiffies + 1);
}

static void e1000e_split_timer(struct timer_list *timer)
{
	struct e1000_adapter *adapter = from_timer(adapter, timer, split_timer);

	if (!test_bit(__E1000_DOWN, &adapter->state))
		napi_schedule(&adapter->napi);
}

void e1000e_split_init(struct e1000_adapter *adapter)
{
	timer_setup(&adapter->split_timer, e1000e_split_timer, 0);
}

/* In NAPI context, or before NAPI has the ring. */
void e1000e_split_fill(struct e1000_adapter *adapter)
{
	struct e1000_split *split = &adapter->split;
	struct e1000_hw *hw = &adapter->hw;
	u16 i = split->next_to_use;
	bool full = true;
	u16 free;

	if (!split->desc)
		return;
	free = split->count - 1 - e1000e_split_posted(split);
	while (free-- && full) {
		full = e1000e_split_fill_slot(split, i);
		if (!full)
			break;
		e1000e_split_post(split, i);
		i = (i + 1) % split->count;
	}
	if (i != split->next_to_use) {
		split->next_to_use = i;
		/* The descriptors first, then word of them. The hardware counts
		 * in units of 16 bytes.
		 */
		wmb();
		ew32(RDT(1), i << 1);
	}
	if (!full)
		e1000e_split_retry(adapter);
}

/* The headers alone, or all of a short frame: the buffer stays where it is. */
static struct sk_buff *e1000e_split_copy(struct e1000_adapter *adapter,
					 const struct e1000_split_buffer *host,
					 u16 len)
{
	struct sk_buff *skb = napi_alloc_skb(&adapter->napi, len);
	struct device *dev = &adapter->pdev->dev;
	const void *frame;

	if (!skb)
		return NULL;
	frame = netmem_address(host->netmem) + adapter->split.host.offset;
	dma_sync_single_for_cpu(dev, host->dma, len, DMA_FROM_DEVICE);
	skb_put_data(skb, frame, len);
	dma_sync_single_for_device(dev, host->dma, len, DMA_FROM_DEVICE);
	return skb;
}

/* A frame that was not split: its buffer becomes the skb's head. */
static struct sk_buff *e1000e_split_whole(struct e1000_split *split,
					  struct e1000_split_buffer *host,
					  u16 len)
{
	netmem_ref netmem = e1000e_split_unmap(split, &split->host, host);
	struct page_pool *pool = split->host.pool;
	struct sk_buff *skb;

	skb = napi_build_skb(netmem_address(netmem),
			     PAGE_SIZE << pool->p.order);
	if (!skb) {
		page_pool_put_full_netmem(pool, netmem, true);
		return NULL;
	}
	skb_reserve(skb, split->host.offset);
	skb_put(skb, len);
	return skb;
}

static void e1000e_split_add_payload(struct e1000_split *split,
				     struct e1000_split_slot *slot,
				     const __le16 *length, struct sk_buff *skb)
{
	netmem_ref netmem;
	u16 j;

	for (j = 0; j < split->pages && length[j]; j++) {
		netmem = e1000e_split_unmap(split, &split->payload,
					    &slot->payload[j]);
		skb_add_rx_frag_netmem(skb, j, netmem, 0,
				       le16_to_cpu(length[j]), PAGE_SIZE);
	}
}

/* Is the frame complete, intact, and where it should be? */
static bool e1000e_split_good(struct e1000_adapter *adapter,
			      const union e1000_rx_desc_packet_split *desc,
			      u32 staterr)
{
	struct e1000_split *split = &adapter->split;
	bool discarding = split->discarding || !(staterr & E1000_RXD_STAT_EOP);

	split->discarding = !(staterr & E1000_RXD_STAT_EOP);
	if (discarding || (staterr & E1000_RXDEXT_ERR_FRAME_ERR_MASK))
		return false;
	if (desc->wb.middle.length0 &&
	    (!desc->wb.upper.length[0] ||
	     desc->wb.upper.header_status &
	     cpu_to_le16(E1000_RXDPS_HDRSTAT_HDRSP)))
		return true;
	/* Headers among the payload, or nowhere: that can't be, as buffer 0 has
	 * room for the frame. Nobody could tell what the bytes are.
	 */
	adapter->rx_split_misplaced++;
	return false;
}

static void e1000e_split_receive(struct e1000_adapter *adapter, u16 i,
				 u32 staterr)
{
	struct e1000_split *split = &adapter->split;
	const union e1000_rx_desc_packet_split *desc = &split->desc[i];
	struct e1000_split_slot *slot = &split->slots[i];
	u16 len = le16_to_cpu(desc->wb.middle.length0);
	struct sk_buff *skb;

	if (!e1000e_split_good(adapter, desc, staterr))
		return;
	if (desc->wb.upper.length[0] || len <= E1000_SPLIT_COPY)
		skb = e1000e_split_copy(adapter, &slot->host, len);
	else
		skb = e1000e_split_whole(split, &slot->host, len);
	if (!skb) {
		adapter->alloc_rx_buff_failed++;
		return;
	}
	if (desc->wb.upper.length[0])
		adapter->rx_hdr_split++;
	e1000e_split_add_payload(split, slot, desc->wb.upper.length, skb);
	skb_mark_for_recycle(skb);

	adapter->total_rx_bytes += skb->len;
	adapter->total_rx_packets++;
	e1000_rx_checksum(adapter, staterr, skb);
	if (adapter->netdev->features & NETIF_F_RXHASH)
		skb_set_hash(skb, le32_to_cpu(desc->wb.lower.hi_dword.rss),
			     PKT_HASH_TYPE_L4);
	e1000_receive_skb(adapter, adapter->netdev, skb, staterr,
			  desc->wb.middle.vlan);
}

/* Returns how many frames there were. */
int e1000e_split_poll(struct e1000_adapter *adapter, int budget)
{
	struct e1000_split *split = &adapter->split;
	union e1000_rx_desc_packet_split *desc;
	int work = 0;
	u32 staterr;

	/* Without a budget this is netpoll, maybe in hard interrupt context:
	 * pools can't be used there. And napi_synchronize() waits for a poll
	 * that has begun, but somebody who polls on his own may begin another
	 * one, while the ring is emptied or exchanged.
	 */
	if (!split->desc || budget <= 0 ||
	    test_bit(__E1000_DOWN, &adapter->state))
		return 0;
	while (work < budget) {
		desc = &split->desc[split->next_to_clean];
		staterr = le32_to_cpu(desc->wb.middle.status_error);
		if (!(staterr & E1000_RXD_STAT_DD))
			break;
		dma_rmb();	/* the rest of the descriptor after DD */
		e1000e_split_receive(adapter, split->next_to_clean, staterr);
		e1000e_split_unload(split, &split->slots[split->next_to_clean],
				    true);
		desc->wb.middle.status_error &= cpu_to_le32(~0xFF);
		split->next_to_clean = (split->next_to_clean + 1) %
				       split->count;
		work++;
	}
	e1000e_split_fill(adapter);
	return work;
}

/* Once __E1000_DOWN is set, and before the last poll is waited for: no timer
 * starts one after this. That poll may have set it again before it was down.
 */
void e1000e_split_quiesce(struct e1000_adapter *adapter)
{
	del_timer_sync(&adapter->split_timer);
}

/* After the last poll, when a reset or e1000_take_rx_ring() has ended all
 * receiving. TCP goes where all else goes, unless e1000e_split_configure()
 * comes.
 */
void e1000e_split_clean(struct e1000_adapter *adapter)
{
	struct e1000_hw *hw = &adapter->hw;

	del_timer_sync(&adapter->split_timer);
	if (!adapter->split.desc)
		return;
	if (!pci_channel_offline(adapter->pdev)) {
		ew32(MRQC, 0);
		ew32(RDLEN(1), 0);
		e1e_flush();
	}
	e1000e_split_empty(&adapter->split);
}

static int e1000e_queue_mem_alloc(struct net_device *dev, void *mem, int idx)
{
	struct e1000_adapter *adapter = netdev_priv(dev);

	if (!adapter->rx_split)
		return -EOPNOTSUPP;
	return e1000e_split_alloc(adapter, adapter->rx_ring_count, dev->mtu,
				  mem);
}

static void e1000e_queue_mem_free(struct net_device *dev, void *mem)
{
	e1000e_split_free(mem);
}

/* The 82574 must not have its receiver turned off without a reset
 * (FLAG2_NO_DISABLE_RX), so all of the interface stops, as for a change of
 * ring sizes. While it is suspended, or in error recovery, it is down already
 * and comes up with the ring that it then has.
 *
 * Between stop and start, under RTNL all the while, nobody else resets it.
 */
static int e1000e_queue_stop(struct net_device *dev, void *mem, int idx)
{
	struct e1000_adapter *adapter = netdev_priv(dev);

	pm_runtime_get_sync(dev->dev.parent);
	while (test_and_set_bit(__E1000_RESETTING, &adapter->state))
		usleep_range(1000, 1100);
	if (netif_device_present(dev))
		e1000e_down(adapter, true);
	memcpy(mem, &adapter->split, sizeof(adapter->split));
	memset(&adapter->split, 0, sizeof(adapter->split));
	return 0;
}

static int e1000e_queue_start(struct net_device *dev, void *mem, int idx)
{
	struct e1000_adapter *adapter = netdev_priv(dev);

	e1000e_split_replace(adapter, mem);
	if (netif_device_present(dev))
		e1000e_up(adapter);
	clear_bit(__E1000_RESETTING, &adapter->state);
	pm_runtime_put_sync(dev->dev.parent);
	return 0;
}

const struct netdev_queue_mgmt_ops e1000e_queue_mgmt_ops = {
	.ndo_queue_mem_size = sizeof(struct e1000_split),
	.ndo_queue_mem_alloc = e1000e_queue_mem_alloc,
	.ndo_queue_mem_free = e1000e_queue_mem_free,
	.ndo_queue_start = e1000e_queue_start,
	.ndo_queue_stop = e1000e_queue_stop,
};
