/* SPDX-License-Identifier: GPL-2.0 */
/* n-tuple rules: which queue a flow goes to when somebody said so. */
#ifndef _DMNIC_RULE_H
#define _DMNIC_RULE_H

#include <linux/ethtool.h>
#include <linux/types.h>

#include "frame.h"

#define DMNIC_RULES	256

struct dmnic_port;

/**
 * struct dmnic_rule - one n-tuple rule
 * @value, @mask: matches a flow whose tuple is @value where @mask has ones
 * @l3, @l4: as in &struct dmnic_flow
 * @queue: where matching frames go; -1 drops them
 * @spec: the rule as userspace gave it, to give back
 * @rcu: for freeing; readers are frames on their way
 */
struct dmnic_rule {
	struct dmnic_tuple value;
	struct dmnic_tuple mask;
	u8 l3;
	u8 l4;
	int queue;
	struct ethtool_rx_flow_spec spec;
	struct rcu_head rcu;
};

/**
 * struct dmnic_rules - all of a port's, by location; the lowest match wins
 * @slot: written under RTNL
 * @end: one past the highest location in use
 * @count: how many are in use
 */
struct dmnic_rules {
	struct dmnic_rule __rcu *slot[DMNIC_RULES];
	u32 end;
	u32 count;
};

/* In an RCU section. */
const struct dmnic_rule *dmnic_rules_match(const struct dmnic_rules *rules,
					   const struct dmnic_flow *flow);

/* Under RTNL. */
int dmnic_rule_add(struct dmnic_port *port, struct ethtool_rx_flow_spec *spec);
int dmnic_rule_del(struct dmnic_rules *rules, u32 location);
int dmnic_rule_get(const struct dmnic_rules *rules,
		   struct ethtool_rx_flow_spec *spec);
int dmnic_rules_list(const struct dmnic_rules *rules, u32 *locations,
		     u32 room);
int dmnic_rules_last_queue(const struct dmnic_rules *rules);
void dmnic_rules_clear(struct dmnic_rules *rules);

#endif /* _DMNIC_RULE_H */
