/* SPDX-License-Identifier: GPL-2.0 */
/* The NIC that joins the test's two namespaces: dmnic, or of another kind if the
 * environment has DEVMEM_NIC. What tests may ask of it is here.
 */
#ifndef SELFTEST_NIC_H
#define SELFTEST_NIC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What not every kind can do. */
enum nic_ability {
	NIC_QUEUES,	/* several queues, with a table and rules that choose one */
	NIC_VIRTUAL,	/* an end goes with the other, and all with a module of ours */
	NIC_JOINS,	/* it joins frames: rx-gro-hw */
	NIC_CUTS_V6,	/* it cuts segments of IPv6 */
	NIC_FAILS,	/* it fails when it is told to */
	NIC_REMAPS,	/* it fetches what an IOMMU, if there is one, makes one piece */
	NIC_ABILITIES
};

struct nic_kind {
	const char *name;
	const char *lacks[NIC_ABILITIES];	/* what it says of itself; NULL: it can */
	uint32_t queues;	/* to receive */
	uint32_t queue;		/* the one that tests bind if one is enough */
	bool resets;		/* for each change: its link is away for seconds */
	unsigned int accelmem;	/* whose memory: /dev/accelmem's, or of that number */
	/* What a queue counts, in ethtool's words: of frames all, those that were
	 * split, and how often it had no memory for one
	 */
	const char *frames, *split, *starved;
	const char *cut[5];	/* segments that were cut, in all its queues */
	void (*make)(int there, unsigned int mtu, unsigned int queues);
	void (*remove)(void);
};

const struct nic_kind *nic_kind(void);
/* Why there is none of that kind, or no memory for it; NULL if all is there. */
const char *nic_missing(void);
/* Skips the test where the NIC can't do that. */
void nic_need(enum nic_ability ability);

/* Makes it, new, when it is not there: dm0 in this namespace, dm0p in the other.
 * Both are down. A failure ends the test.
 */
void nic_make(int there, unsigned int mtu, unsigned int queues);
/* Takes both ends away, wherever they are. */
void nic_remove(void);

#ifdef __cplusplus
}
#endif

#endif /* SELFTEST_NIC_H */
