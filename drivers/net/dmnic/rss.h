/* SPDX-License-Identifier: GPL-2.0 */
/* Receive side scaling: which queue a flow goes to when no rule says so. */
#ifndef _DMNIC_RSS_H
#define _DMNIC_RSS_H

#include <linux/ethtool.h>
#include <linux/types.h>

#include "frame.h"

#define DMNIC_RSS_KEY		40
#define DMNIC_RSS_INDIR		128
/* Four bits at a time through addresses and ports of IPv6. */
#define DMNIC_RSS_NIBBLES	(2 * sizeof(struct dmnic_tuple))

struct dmnic_port;

/**
 * struct dmnic_rss - hash function and indirection table
 * @rcu: for freeing; readers are frames on their way. First, as kfree_rcu()
 *	 wants it near the start of a large struct
 * @key: the Toeplitz key
 * @indir: queue for each value of the hash's low bits
 * @l4: which of tcp4, tcp6, udp4, udp6 (in this order) hash their ports too
 * @partial: what a nibble of the input at a place adds to the hash; made from
 *	     @key
 */
struct dmnic_rss {
	struct rcu_head rcu;
	u8 key[DMNIC_RSS_KEY];
	u32 indir[DMNIC_RSS_INDIR];
	bool l4[4];
	u32 partial[DMNIC_RSS_NIBBLES][16];
};

int dmnic_rss_init(struct dmnic_port *port);
void dmnic_rss_free(struct dmnic_port *port);
void dmnic_rss_spread(struct dmnic_rss *rss, u32 queues);
u32 dmnic_rss_hash(const struct dmnic_rss *rss, const struct dmnic_flow *flow,
		   bool *l4);

/* Under RTNL: a copy to change, and to put in place of the old one. */
struct dmnic_rss *dmnic_rss_dup(struct dmnic_port *port);
void dmnic_rss_set_key(struct dmnic_rss *rss, const u8 *key);
void dmnic_rss_replace(struct dmnic_port *port, struct dmnic_rss *rss);

/* Under RTNL: which fields of a flow type are hashed. */
u64 dmnic_rss_get_fields(struct dmnic_port *port, u32 flow_type);
int dmnic_rss_set_fields(struct dmnic_port *port, u32 flow_type, u64 fields);

#endif /* _DMNIC_RSS_H */
