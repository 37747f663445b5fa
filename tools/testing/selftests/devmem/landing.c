// SPDX-License-Identifier: GPL-2.0
/* The counts are the device's own, as ethtool -S has them: rxN_packets of each
 * queue, and rx_rule_drops.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "landing.h"

static int sock;
static struct ifreq request;
static struct ethtool_gstrings *names;
static struct ethtool_stats *before, *after;

static bool ask(void *command)
{
	request.ifr_data = command;
	return !ioctl(sock, SIOCETHTOOL, &request);
}

/* A socket stays in the namespace that it was made in. */
static int socket_in(const char *netns)
{
	int here = open("/proc/self/ns/net", O_RDONLY), there, fd;
	char path[256];

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	there = open(path, O_RDONLY);
	if (there < 0 || setns(there, CLONE_NEWNET))
		err(2, "%s", path);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || setns(here, CLONE_NEWNET))
		err(2, "socket in %s", netns);
	close(here);
	close(there);
	return fd;
}

static uint32_t count_of_counts(void)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} ask_for = {
		.info.cmd = ETHTOOL_GSSET_INFO,
		.info.sset_mask = 1ULL << ETH_SS_STATS,
	};

	if (!ask(&ask_for) || !ask_for.info.sset_mask)
		errx(2, "%s has no statistics", request.ifr_name);
	return ask_for.count;
}

static void read_counts(struct ethtool_stats *counts)
{
	counts->cmd = ETHTOOL_GSTATS;
	counts->n_stats = names->len;
	if (!ask(counts))
		err(2, "statistics of %s", request.ifr_name);
}

void landing_open(const char *where)
{
	char *netns = strdup(where), *dev = netns ? strchr(netns, ':') : NULL;
	uint32_t n;

	if (!dev || strlen(dev + 1) >= IFNAMSIZ)
		errx(2, "at=NETNS:DEV, not %s", where);
	*dev++ = 0;
	sock = socket_in(netns);
	strcpy(request.ifr_name, dev);
	free(netns);

	n = count_of_counts();
	names = calloc(1, sizeof(*names) + n * ETH_GSTRING_LEN);
	before = calloc(1, sizeof(*before) + n * sizeof(uint64_t));
	after = calloc(1, sizeof(*after) + n * sizeof(uint64_t));
	if (!names || !before || !after)
		err(2, "calloc");
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_STATS;
	names->len = n;
	if (!ask(names))
		err(2, "names of statistics");
	read_counts(before);
}

/* How far a count moved, and the place that it counts for. */
static uint64_t moved(uint32_t i, char *place)
{
	const char *name = (const char *)names->data + i * ETH_GSTRING_LEN;
	int queue, end = 0;

	if (sscanf(name, "rx%d_packets%n", &queue, &end) == 1 && end &&
	    !name[end])
		sprintf(place, "%d", queue);
	else if (!strcmp(name, "rx_rule_drops"))
		strcpy(place, "drop");
	else
		return 0;
	return after->data[i] - before->data[i];
}

void landing_report(int frames)
{
	const char *space = "";
	uint64_t all = 0;
	char place[16];
	int tries;
	uint32_t i;

	for (tries = 0; tries < 6000 && all < (uint64_t)frames; tries++) {
		if (tries)
			usleep(5000);
		read_counts(after);
		for (i = 0, all = 0; i < names->len; i++)
			all += moved(i, place);
	}
	for (i = 0; i < names->len; i++) {
		uint64_t count = moved(i, place);

		if (count) {
			printf("%s%s:%llu", space, place,
			       (unsigned long long)count);
			space = " ";
		}
	}
	putchar('\n');
}
