// SPDX-License-Identifier: GPL-2.0
#include "dmnic.h"

static bool dmnic_rule_matches(const struct dmnic_rule *rule,
			       const struct dmnic_flow *flow)
{
	const u8 *value = (const u8 *)&rule->value;
	const u8 *mask = (const u8 *)&rule->mask;
	const u8 *tuple = (const u8 *)&flow->tuple;
	u32 i;

	if (rule->l3 != flow->l3 || rule->l4 != flow->l4)
		return false;
	for (i = 0; i < sizeof(flow->tuple); i++)
		if ((tuple[i] ^ value[i]) & mask[i])
			return false;
	return true;
}

const struct dmnic_rule *dmnic_rules_match(const struct dmnic_rules *rules,
					   const struct dmnic_flow *flow)
{
	u32 end = READ_ONCE(rules->end);
	const struct dmnic_rule *rule;
	u32 i;

	if (!flow->l4)
		return NULL;
	for (i = 0; i < end; i++) {
		rule = rcu_dereference(rules->slot[i]);
		if (rule && dmnic_rule_matches(rule, flow))
			return rule;
	}
	return NULL;
}

static void dmnic_tuple_from_v4(struct dmnic_tuple *tuple,
				const struct ethtool_tcpip4_spec *spec)
{
	tuple->src[0] = spec->ip4src;
	tuple->dst[0] = spec->ip4dst;
	tuple->sport = spec->psrc;
	tuple->dport = spec->pdst;
}

static void dmnic_tuple_from_v6(struct dmnic_tuple *tuple,
				const struct ethtool_tcpip6_spec *spec)
{
	memcpy(tuple->src, spec->ip6src, sizeof(tuple->src));
	memcpy(tuple->dst, spec->ip6dst, sizeof(tuple->dst));
	tuple->sport = spec->psrc;
	tuple->dport = spec->pdst;
}

/* Takes over what @rule->spec asks for, if the hardware can do it. */
static int dmnic_rule_parse(struct dmnic_rule *rule)
{
	const struct ethtool_rx_flow_spec *spec = &rule->spec;

	switch (spec->flow_type) {
	case TCP_V4_FLOW:
	case UDP_V4_FLOW:
		if (spec->m_u.tcp_ip4_spec.tos)
			return -EOPNOTSUPP;
		rule->l3 = AF_INET;
		dmnic_tuple_from_v4(&rule->value, &spec->h_u.tcp_ip4_spec);
		dmnic_tuple_from_v4(&rule->mask, &spec->m_u.tcp_ip4_spec);
		break;
	case TCP_V6_FLOW:
	case UDP_V6_FLOW:
		if (spec->m_u.tcp_ip6_spec.tclass)
			return -EOPNOTSUPP;
		rule->l3 = AF_INET6;
		dmnic_tuple_from_v6(&rule->value, &spec->h_u.tcp_ip6_spec);
		dmnic_tuple_from_v6(&rule->mask, &spec->m_u.tcp_ip6_spec);
		break;
	default:
		return -EOPNOTSUPP;
	}
	rule->l4 = spec->flow_type == TCP_V4_FLOW ||
		   spec->flow_type == TCP_V6_FLOW ? IPPROTO_TCP : IPPROTO_UDP;
	return 0;
}

static int dmnic_rule_queue(const struct dmnic_port *port, u64 cookie)
{
	if (cookie == RX_CLS_FLOW_DISC)
		return -1;
	if (cookie >= port->config.rx_queues)
		return -EINVAL;
	return cookie;
}

static int dmnic_rules_free_location(const struct dmnic_rules *rules)
{
	u32 i;

	for (i = 0; i < DMNIC_RULES; i++)
		if (!rcu_access_pointer(rules->slot[i]))
			return i;
	return -ENOSPC;
}

static void dmnic_rules_put(struct dmnic_rules *rules, u32 location,
			    struct dmnic_rule *rule)
{
	struct dmnic_rule *old;
	u32 end = DMNIC_RULES;

	old = rcu_replace_pointer(rules->slot[location], rule,
				  lockdep_rtnl_is_held());
	if (old)
		kfree_rcu(old, rcu);
	rules->count += !!rule - !!old;
	while (end && !rcu_access_pointer(rules->slot[end - 1]))
		end--;
	WRITE_ONCE(rules->end, end);
}

/* Writes the location chosen back to @spec. */
int dmnic_rule_add(struct dmnic_port *port, struct ethtool_rx_flow_spec *spec)
{
	int queue = dmnic_rule_queue(port, spec->ring_cookie);
	struct dmnic_rule *rule;
	int err;

	if (queue < -1)
		return queue;
	if (spec->location == RX_CLS_LOC_ANY) {
		err = dmnic_rules_free_location(&port->rules);
		if (err < 0)
			return err;
		spec->location = err;
	}
	if (spec->location >= DMNIC_RULES)
		return -EINVAL;

	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->spec = *spec;
	rule->queue = queue;
	err = dmnic_rule_parse(rule);
	if (err) {
		kfree(rule);
		return err;
	}
	dmnic_rules_put(&port->rules, spec->location, rule);
	return 0;
}

int dmnic_rule_del(struct dmnic_rules *rules, u32 location)
{
	if (location >= DMNIC_RULES)
		return -EINVAL;
	if (!rcu_access_pointer(rules->slot[location]))
		return -ENOENT;
	dmnic_rules_put(rules, location, NULL);
	return 0;
}

int dmnic_rule_get(const struct dmnic_rules *rules,
		   struct ethtool_rx_flow_spec *spec)
{
	const struct dmnic_rule *rule;

	if (spec->location >= DMNIC_RULES)
		return -EINVAL;
	rule = rtnl_dereference(rules->slot[spec->location]);
	if (!rule)
		return -ENOENT;
	*spec = rule->spec;
	return 0;
}

/* Returns how many there are. */
int dmnic_rules_list(const struct dmnic_rules *rules, u32 *locations, u32 room)
{
	u32 n = 0;
	u32 i;

	for (i = 0; i < rules->end; i++) {
		if (!rcu_access_pointer(rules->slot[i]))
			continue;
		if (n == room)
			return -EMSGSIZE;
		locations[n++] = i;
	}
	return n;
}

/* The highest queue that a rule sends to, -1 if none does. */
int dmnic_rules_last_queue(const struct dmnic_rules *rules)
{
	const struct dmnic_rule *rule;
	int last = -1;
	u32 i;

	for (i = 0; i < rules->end; i++) {
		rule = rtnl_dereference(rules->slot[i]);
		if (rule)
			last = max(last, rule->queue);
	}
	return last;
}

/* The port's last user is gone. */
void dmnic_rules_clear(struct dmnic_rules *rules)
{
	u32 i;

	for (i = 0; i < DMNIC_RULES; i++)
		kfree(rcu_dereference_protected(rules->slot[i], true));
}
