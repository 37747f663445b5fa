// SPDX-License-Identifier: GPL-2.0
/* The kinds of NIC. To make one of PCI is to have its driver probe it, and to
 * remove it is to unbind that: so each test begins with a NIC as it is after
 * boot, whatever the one before did to it, and wherever it left it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>

#include "ktap.h"
#include "nic.h"

__attribute__((format(printf, 1, 2)))
static void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	errno = 0;
	if (system(command))
		ktap_stop(__FILE__, __LINE__, strdup(command));
}

/* --- dmnic ----------------------------------------------------------------- */

static void dmnic_make(int there, unsigned int mtu, unsigned int queues)
{
	shell("ip -batch - <<-END\n"
	      "link add name dm0 mtu %u numrxqueues %u numtxqueues %u type dmnic\n"
	      "link set dm0p netns /proc/%d/fd/%d\n"
	      "END", mtu, queues, queues, getpid(), there);
}

static void dmnic_remove(void)
{
	shell("ip link del dm0");
}

static const struct nic_kind dmnic = {
	.name		= "dmnic",
	.queues		= 4,
	.queue		= 1,
	.frames		= "rx%u_packets",
	.split		= "rx%u_split_packets",
	.starved	= "rx%u_ring_empty",
	.cut		= { "tx0_tso_packets", "tx1_tso_packets",
			    "tx2_tso_packets", "tx3_tso_packets" },
	.make		= dmnic_make,
	.remove		= dmnic_remove,
};

/* --- e1000e ---------------------------------------------------------------- */

#define DRIVER	"/sys/bus/pci/drivers/e1000e/"

/* Two of Intel's 82574L, in the order of their slots: dm0 and dm0p. Returns how
 * many there are.
 */
static int e1000e_slots(char slots[2][16])
{
	char ids[32];
	glob_t found;
	int count = 0;
	size_t i;

	glob("/sys/bus/pci/devices/*", 0, NULL, &found);
	for (i = 0; i < found.gl_pathc && count < 2; i++) {
		char path[300];
		FILE *file;

		snprintf(path, sizeof(path), "%s/modalias", found.gl_pathv[i]);
		file = fopen(path, "r");
		if (file && fgets(ids, sizeof(ids), file) &&
		    !strncmp(ids, "pci:v00008086d000010D3", 22))
			snprintf(slots[count++], sizeof(*slots), "%s",
				 strrchr(found.gl_pathv[i], '/') + 1);
		if (file)
			fclose(file);
	}
	globfree(&found);
	return count;
}

/* Tells the driver; it may be so already. */
static void e1000e_tell(const char *what, const char *slot)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), DRIVER "%s", what);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	KTAP_NEED(fd >= 0);
	KTAP_CHECK(write(fd, slot, strlen(slot)) > 0 || errno == ENODEV);
	close(fd);
}

static void e1000e_remove(void)
{
	char slots[2][16];
	int i;

	KTAP_NEED(e1000e_slots(slots) == 2);
	for (i = 0; i < 2; i++)
		e1000e_tell("unbind", slots[i]);
}

/* A NIC is born into the first namespace. QEMU cuts a segment into fragments of
 * IP, which no NIC does: so the stack is to do it. And as each reset takes the
 * link away for seconds, nobody is to think so soon that nobody is there.
 */
static void e1000e_move(const char *slot, const char *name, unsigned int mtu,
			int netns)
{
	shell("cd /sys/bus/pci/devices/%s/net && set -- * && exec nsenter --net=/proc/1/ns/net sh -c '"
	      "ethtool -K $1 tso off >/dev/null && ip link set $1 mtu %u netns /proc/%d/fd/%d name %s' sh $1",
	      slot, mtu, getpid(), netns, name);
	shell("nsenter --net=/proc/%d/fd/%d sh -c 'for i in 4 6; do echo 60 >/proc/sys/net/ipv$i/neigh/%s/mcast_solicit; done'",
	      getpid(), netns, name);
}

static void e1000e_make(int there, unsigned int mtu, unsigned int queues)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char slots[2][16];
	int i;

	(void)queues;
	e1000e_remove();
	e1000e_slots(slots);
	for (i = 0; i < 2; i++)
		e1000e_tell("bind", slots[i]);
	e1000e_move(slots[0], "dm0", mtu, here);
	e1000e_move(slots[1], "dm0p", mtu, there);
	close(here);
}

static const struct nic_kind e1000e = {
	.name		= "e1000e",
	.lacks		= {
		[NIC_QUEUES]	= "has one queue",
		[NIC_VIRTUAL]	= "is hardware",
		[NIC_JOINS]	= "does not join frames",
		[NIC_CUTS_V6]	= "is QEMU's, which can't cut IPv6",
		[NIC_FAILS]	= "does not fail on demand",
		[NIC_REMAPS]	= "is QEMU's, which drops a frame with a buffer that only the IOMMU makes one piece",
	},
	.queues		= 1,
	.queue		= 0,
	.resets		= true,
	.accelmem	= 1,
	.frames		= "rx_packets",
	.split		= "rx_header_split",
	.starved	= "alloc_rx_buff_failed",
	.cut		= { "tx_tcp_seg_good" },
	.make		= e1000e_make,
	.remove		= e1000e_remove,
};

/* --- the one that tests are about ------------------------------------------ */

const struct nic_kind *nic_kind(void)
{
	const char *name = getenv("DEVMEM_NIC");

	return name && !strcmp(name, e1000e.name) ? &e1000e : &dmnic;
}

const char *nic_missing(void)
{
	char slots[2][16];

	if (access("/sys/module/accelmem", F_OK))
		return "no accelmem module";
	if (nic_kind() == &dmnic)
		return access("/sys/module/dmnic", F_OK) ? "no dmnic module" : NULL;
	if (access("/dev/accelmem1", F_OK))
		return "no PCI device with memory";
	if (e1000e_slots(slots) < 2 || access(DRIVER "bind", F_OK))
		return "no two e1000e";
	return NULL;
}

void nic_need(enum nic_ability ability)
{
	if (ability == NIC_REMAPS && access("/sys/class/iommu/dmar0", F_OK))
		return;
	if (nic_kind()->lacks[ability])
		ktap_skip("%s %s", nic_kind()->name, nic_kind()->lacks[ability]);
}

void nic_make(int there, unsigned int mtu, unsigned int queues)
{
	nic_kind()->make(there, mtu, queues);
}

void nic_remove(void)
{
	nic_kind()->remove();
}
