// SPDX-License-Identifier: GPL-2.0
#include "dmnic.h"

enum dmnic_rss_type {
	DMNIC_RSS_TCP4,
	DMNIC_RSS_TCP6,
	DMNIC_RSS_UDP4,
	DMNIC_RSS_UDP6,
};

/* The 32 bits of the key that begin at bit @bit. */
static u32 dmnic_rss_window(const u8 *key, u32 bit)
{
	u64 bits = get_unaligned_be32(key + bit / 8);

	bits = bits << 8 | key[bit / 8 + 4];
	return bits >> (8 - bit % 8);
}

/* Toeplitz adds up (without carry) the key's window at each set bit of the
 * input. Doing it for all values of a nibble beforehand saves most of that.
 */
void dmnic_rss_set_key(struct dmnic_rss *rss, const u8 *key)
{
	u32 place, value, bit;

	memcpy(rss->key, key, DMNIC_RSS_KEY);
	memset(rss->partial, 0, sizeof(rss->partial));
	for (place = 0; place < DMNIC_RSS_NIBBLES; place++)
		for (value = 0; value < 16; value++)
			for (bit = 0; bit < 4; bit++)
				if (value & (8 >> bit))
					rss->partial[place][value] ^=
						dmnic_rss_window(key, 4 * place + bit);
}

static u32 dmnic_rss_feed(const struct dmnic_rss *rss, u32 *place,
			  const void *input, u32 len)
{
	const u8 *byte = input;
	u32 hash = 0;

	for (; len; len--, byte++) {
		hash ^= rss->partial[(*place)++][*byte >> 4];
		hash ^= rss->partial[(*place)++][*byte & 15];
	}
	return hash;
}

u32 dmnic_rss_hash(const struct dmnic_rss *rss, const struct dmnic_flow *flow,
		   bool *l4)
{
	u32 addr_len = flow->l3 == AF_INET ? 4 : 16;
	enum dmnic_rss_type type;
	u32 place = 0;
	u32 hash;

	*l4 = false;
	if (!flow->l3)
		return 0;
	hash = dmnic_rss_feed(rss, &place, flow->tuple.src, addr_len);
	hash ^= dmnic_rss_feed(rss, &place, flow->tuple.dst, addr_len);
	if (!flow->l4)
		return hash;

	if (flow->l4 == IPPROTO_TCP)
		type = addr_len == 4 ? DMNIC_RSS_TCP4 : DMNIC_RSS_TCP6;
	else
		type = addr_len == 4 ? DMNIC_RSS_UDP4 : DMNIC_RSS_UDP6;
	*l4 = rss->l4[type];
	if (*l4) {
		hash ^= dmnic_rss_feed(rss, &place, &flow->tuple.sport, 2);
		hash ^= dmnic_rss_feed(rss, &place, &flow->tuple.dport, 2);
	}
	return hash;
}

void dmnic_rss_spread(struct dmnic_rss *rss, u32 queues)
{
	u32 i;

	for (i = 0; i < DMNIC_RSS_INDIR; i++)
		rss->indir[i] = ethtool_rxfh_indir_default(i, queues);
}

struct dmnic_rss *dmnic_rss_dup(struct dmnic_port *port)
{
	return kmemdup(rtnl_dereference(port->rss), sizeof(struct dmnic_rss),
		       GFP_KERNEL);
}

void dmnic_rss_replace(struct dmnic_port *port, struct dmnic_rss *rss)
{
	struct dmnic_rss *old;

	old = rcu_replace_pointer(port->rss, rss, lockdep_rtnl_is_held());
	kfree_rcu(old, rcu);
}

static int dmnic_rss_type(u32 flow_type)
{
	switch (flow_type) {
	case TCP_V4_FLOW:
		return DMNIC_RSS_TCP4;
	case TCP_V6_FLOW:
		return DMNIC_RSS_TCP6;
	case UDP_V4_FLOW:
		return DMNIC_RSS_UDP4;
	case UDP_V6_FLOW:
		return DMNIC_RSS_UDP6;
	}
	return -EINVAL;
}

u64 dmnic_rss_get_fields(struct dmnic_port *port, u32 flow_type)
{
	int type = dmnic_rss_type(flow_type);
	u64 fields = RXH_IP_SRC | RXH_IP_DST;

	if (type >= 0 && rtnl_dereference(port->rss)->l4[type])
		fields |= RXH_L4_B_0_1 | RXH_L4_B_2_3;
	return fields;
}

int dmnic_rss_set_fields(struct dmnic_port *port, u32 flow_type, u64 fields)
{
	const u64 l3 = RXH_IP_SRC | RXH_IP_DST;
	const u64 l4 = l3 | RXH_L4_B_0_1 | RXH_L4_B_2_3;
	int type = dmnic_rss_type(flow_type);
	struct dmnic_rss *rss;

	if (type < 0 || (fields != l3 && fields != l4))
		return -EINVAL;
	rss = dmnic_rss_dup(port);
	if (!rss)
		return -ENOMEM;
	rss->l4[type] = fields == l4;
	dmnic_rss_replace(port, rss);
	return 0;
}

int dmnic_rss_init(struct dmnic_port *port)
{
	struct dmnic_rss *rss = kzalloc(sizeof(*rss), GFP_KERNEL);
	u8 key[DMNIC_RSS_KEY];

	if (!rss)
		return -ENOMEM;
	netdev_rss_key_fill(key, sizeof(key));
	dmnic_rss_set_key(rss, key);
	dmnic_rss_spread(rss, port->config.rx_queues);
	rss->l4[DMNIC_RSS_TCP4] = true;
	rss->l4[DMNIC_RSS_TCP6] = true;
	RCU_INIT_POINTER(port->rss, rss);
	return 0;
}

/* The port's last user is gone. */
void dmnic_rss_free(struct dmnic_port *port)
{
	kfree(rcu_dereference_protected(port->rss, true));
}
