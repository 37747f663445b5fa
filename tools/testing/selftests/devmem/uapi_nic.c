// SPDX-License-Identifier: GPL-2.0
/* Two namespaces and the NIC that joins them. Both end with the test. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "uapi.h"

static int here = -1, there = -1;

static int new_namespace(void)
{
	int fd;

	KTAP_NEED(!unshare(CLONE_NEWNET));
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	KTAP_NEED(fd >= 0);
	return fd;
}

__attribute__((format(printf, 1, 0)))
static void run(const char *format, va_list args)
{
	char command[1024];

	vsnprintf(command, sizeof(command), format, args);
	errno = 0;
	if (system(command))
		ktap_stop(__FILE__, __LINE__, command);
}

void shell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	run(format, args);
	va_end(args);
}

void shell_there(const char *format, ...)
{
	va_list args;

	KTAP_NEED(!setns(there, CLONE_NEWNET));
	va_start(args, format);
	run(format, args);
	va_end(args);
	KTAP_NEED(!setns(here, CLONE_NEWNET));
}

int socket_there(int family, int type)
{
	int fd;

	KTAP_NEED(!setns(there, CLONE_NEWNET));
	fd = socket(family, type | SOCK_CLOEXEC, 0);
	KTAP_NEED(!setns(here, CLONE_NEWNET));
	KTAP_NEED(fd >= 0);
	return fd;
}

void nic_open(unsigned int mtu)
{
	there = new_namespace();
	here = new_namespace();
	nic_make(there, mtu, 4);
	shell("ip -batch - <<-END\n"
	      "link set lo up\n"
	      "addr add 10.9.0.1/24 dev dm0\n"
	      "link set dm0 up\n"
	      "END");
	shell_there("ip -batch - <<-END\n"
		    "addr add 10.9.0.2/24 dev dm0p\n"
		    "link set dm0p up\n"
		    "END");
}

void nic_ask_split(uint8_t value, struct reply *reply)
{
	struct request r;
	int fd = netlink_open();
	size_t nest;

	request_begin(&r, netlink_family(fd, "ethtool"), ETHTOOL_MSG_RINGS_SET);
	nest = request_nest(&r, ETHTOOL_A_RINGS_HEADER);
	request_attr(&r, ETHTOOL_A_HEADER_DEV_NAME, "dm0", 4);
	request_end(&r, nest);
	request_attr(&r, ETHTOOL_A_RINGS_TCP_DATA_SPLIT, &value, 1);
	request_ask(fd, &r, reply);
	close(fd);
}

void nic_split(uint8_t value)
{
	struct reply reply;

	nic_ask_split(value, &reply);
	KTAP_NEED(!reply.error);
}

static int ethtool_try(void *data)
{
	struct ifreq ifr = { .ifr_name = "dm0", .ifr_data = data };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = ioctl(fd, SIOCETHTOOL, &ifr) ? errno : 0;

	close(fd);
	return err;
}

static void ethtool(void *data)
{
	KTAP_NEED(!ethtool_try(data));
}

static void get_channels(struct ethtool_channels *channels)
{
	channels->cmd = ETHTOOL_GCHANNELS;
	ethtool(channels);
}

uint32_t nic_channels(void)
{
	struct ethtool_channels channels;

	get_channels(&channels);
	return channels.rx_count;
}

int nic_set_channels(uint32_t rx)
{
	struct ethtool_channels channels;

	get_channels(&channels);
	channels.cmd = ETHTOOL_SCHANNELS;
	channels.rx_count = rx;
	return ethtool_try(&channels);
}

void nic_steer(uint32_t queue)
{
	struct {
		struct ethtool_rxfh_indir head;
		uint32_t ring[1024];
	} table = { .head.cmd = ETHTOOL_GRXFHINDIR };
	uint32_t i;

	if (nic_kind()->queues == 1)
		return;
	ethtool(&table);
	KTAP_NEED(table.head.size <= 1024);
	table.head.cmd = ETHTOOL_SRXFHINDIR;
	for (i = 0; i < table.head.size; i++)
		table.ring[i] = queue;
	ethtool(&table);
}
