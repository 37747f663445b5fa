// SPDX-License-Identifier: GPL-2.0
/* Memory that no CPU can map, and whether it came back. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/accelmem.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "uapi.h"

static int device_open(void)
{
	unsigned int number = nic_kind()->accelmem;
	char path[32] = ACCELMEM_DEVICE;
	int fd;

	if (number)
		snprintf(path, sizeof(path), ACCELMEM_DEVICE "%u", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	KTAP_NEED(fd >= 0);
	return fd;
}

int memory_open(size_t bytes)
{
	struct accelmem_alloc alloc = { .size = bytes };
	int device = device_open();

	KTAP_NEED(!ioctl(device, ACCELMEM_IOC_ALLOC, &alloc));
	close(device);
	return alloc.fd;
}

void memory_read(int fd, uint64_t offset, void *to, size_t bytes)
{
	struct accelmem_copy copy = {
		.addr = (uintptr_t)to, .offset = offset, .len = bytes, .fd = fd,
	};
	int device = device_open();

	memset(to, 0, bytes);
	KTAP_CHECK(!ioctl(device, ACCELMEM_IOC_TO_HOST, &copy));
	close(device);
}

uint64_t memory_used(void)
{
	struct accelmem_info info;
	int device = device_open();

	KTAP_NEED(!ioctl(device, ACCELMEM_IOC_INFO, &info));
	close(device);
	return info.used;
}

/* A CPU frees the skbs that others are done with only when it runs the network
 * stack, and those hold memory: have each run it.
 */
static void wake_stacks(void)
{
	struct sockaddr_in discard = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cpu_set_t before, one;
	int cpu;

	sched_getaffinity(0, sizeof(before), &before);
	for (cpu = 0; cpu < get_nprocs(); cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		sendto(fd, "", 1, 0, (struct sockaddr *)&discard,
		       sizeof(discard));
	}
	sched_setaffinity(0, sizeof(before), &before);
	close(fd);
}

bool memory_back(uint64_t before)
{
	double end = now() + 120;

	while (memory_used() > before) {
		if (now() > end)
			return false;
		wake_stacks();
		usleep(2000);
	}
	return true;
}
