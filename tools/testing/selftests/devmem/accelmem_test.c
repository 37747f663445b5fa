// SPDX-License-Identifier: GPL-2.0
/* accelmem's contract, line by line, see include/uapi/linux/accelmem.h
 *
 * Takes it that nobody else allocates from /dev/accelmem meanwhile.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/accelmem.h>

#include "ktap.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define PAGE		4096UL
#define MIB		(1UL << 20)
/* Ten blocks at least, of every order, so several chunks most likely. */
#define RAGGED		(1023 * PAGE)

_Static_assert(sizeof(struct accelmem_info) == 64, "info: ABI");
_Static_assert(sizeof(struct accelmem_alloc) == 32, "alloc: ABI");
_Static_assert(sizeof(struct accelmem_copy) == 32, "copy: ABI");
_Static_assert(sizeof(struct accelmem_range) == 24, "range: ABI");
_Static_assert(sizeof(struct accelmem_gather) == 24, "gather: ABI");

/* ------------------------------------------------------------ the calls */

static int open_device(void)
{
	int device = open(ACCELMEM_DEVICE, O_RDWR | O_CLOEXEC);

	KTAP_NEED(device >= 0);
	return device;
}

static struct accelmem_info get_info(int device)
{
	struct accelmem_info info;

	memset(&info, 0xff, sizeof(info));
	KTAP_NEED(ioctl(device, ACCELMEM_IOC_INFO, &info) == 0);
	return info;
}

static uint64_t used(int device)
{
	return get_info(device).used;
}

static uint64_t used_here(int device)
{
	return get_info(device).used_here;
}

static int try_alloc(int device, uint64_t size)
{
	struct accelmem_alloc alloc = { .size = size, .fd = -1 };

	return ioctl(device, ACCELMEM_IOC_ALLOC, &alloc) ? -1 : alloc.fd;
}

static int alloc_dmabuf(int device, uint64_t size)
{
	int fd = try_alloc(device, size);

	KTAP_NEED(fd >= 0);
	return fd;
}

static int copy(int device, unsigned long request, int fd, uint64_t offset,
		const void *host, uint64_t len)
{
	struct accelmem_copy copy = {
		.addr = (uintptr_t)host,
		.offset = offset,
		.len = len,
		.fd = fd,
	};

	return ioctl(device, request, &copy);
}

static int to_device(int device, int fd, uint64_t offset, const void *host,
		     uint64_t len)
{
	return copy(device, ACCELMEM_IOC_TO_DEVICE, fd, offset, host, len);
}

static int to_host(int device, int fd, uint64_t offset, void *host,
		   uint64_t len)
{
	return copy(device, ACCELMEM_IOC_TO_HOST, fd, offset, host, len);
}

static int gather(int device, int dst, int src,
		  const struct accelmem_range *ranges, uint32_t count)
{
	struct accelmem_gather gather = {
		.ranges = (uintptr_t)ranges,
		.count = count,
		.src_fd = src,
		.dst_fd = dst,
	};

	return ioctl(device, ACCELMEM_IOC_GATHER, &gather);
}

/* ---------------------------------------------------------- the helpers */

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % bound;
}

static void *host_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	KTAP_NEED(memory != MAP_FAILED);
	return memory;
}

/* Bytes that tell where they came from: no two places nearby look alike. */
static unsigned char *host_pattern(size_t size)
{
	unsigned char *memory = host_memory(size);
	size_t i;

	for (i = 0; i < size; i++)
		memory[i] = random_below(255) + 1;
	return memory;
}

/* holds() with room for @len bytes at hand. */
static bool holds_in(void *found, int device, int fd, uint64_t offset,
		     const void *wanted, size_t len)
{
	KTAP_NEED(to_host(device, fd, offset, found, len) == 0);
	return !memcmp(found, wanted, len);
}

static bool holds(int device, int fd, uint64_t offset, const void *wanted,
		  size_t len)
{
	void *found = host_memory(len);
	bool same = holds_in(found, device, fd, offset, wanted, len);

	munmap(found, len);
	return same;
}

static bool holds_zeroes(int device, int fd, size_t len)
{
	void *zeroes = host_memory(len);
	bool same = holds(device, fd, 0, zeroes, len);

	munmap(zeroes, len);
	return same;
}

/* The number that the next fd gets: it shows whether one was left open. */
static int next_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	KTAP_NEED(fd >= 0);
	close(fd);
	return fd;
}

/* What a killed process held goes soon after, not necessarily before wait. */
static bool comes_to(uint64_t (*count)(int device), int device, uint64_t wanted)
{
	int tries;

	for (tries = 0; tries < 6000; tries++) {
		if (count(device) == wanted)
			return true;
		usleep(10000);
	}
	return false;
}

static bool comes_back_to(int device, uint64_t wanted)
{
	return comes_to(used, device, wanted);
}

static pid_t fork_child(void (*run)(int device), int device)
{
	pid_t pid = fork();

	KTAP_NEED(pid >= 0);
	if (!pid) {
		run(device);
		_exit(0);
	}
	return pid;
}

static void kill_child(pid_t pid)
{
	int status;

	KTAP_CHECK(kill(pid, SIGKILL) == 0);
	KTAP_CHECK(waitpid(pid, &status, 0) == pid);
	KTAP_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ------------------------------------------------- info, alloc, the edges */

static void info_tells_sizes(void)
{
	int device = open_device();
	struct accelmem_info info = get_info(device);
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE;
	size_t i;

	KTAP_CHECK(info.size >= ram / 4 && info.size <= ram);
	KTAP_CHECK(info.size % PAGE == 0);
	KTAP_CHECK(info.limit > 0 && info.limit <= info.size);
	KTAP_CHECK(info.used <= info.size);
	KTAP_CHECK(info.used_here == 0);
	for (i = 0; i < COUNT(info.reserved); i++)
		KTAP_CHECK(info.reserved[i] == 0);
	KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_INFO, NULL), EFAULT);
}

static void alloc_rounds_up(void)
{
	static const uint64_t sizes[][2] = {
		{ 1, PAGE }, { PAGE - 1, PAGE }, { PAGE, PAGE },
		{ PAGE + 1, 2 * PAGE }, { 3 * PAGE, 3 * PAGE },
		{ 5 * MIB + 777, 5 * MIB + PAGE }, { RAGGED, RAGGED },
	};
	int device = open_device();
	size_t i;

	for (i = 0; i < COUNT(sizes); i++) {
		struct accelmem_alloc alloc = { .size = sizes[i][0], .fd = -1 };

		KTAP_NEED(!ioctl(device, ACCELMEM_IOC_ALLOC, &alloc));
		KTAP_CHECK(alloc.size == sizes[i][1]);
		KTAP_CHECK(lseek(alloc.fd, 0, SEEK_END) == (off_t)alloc.size);
		KTAP_CHECK(used_here(device) == alloc.size);
		KTAP_CHECK(fcntl(alloc.fd, F_GETFD) == FD_CLOEXEC);
		KTAP_CHECK((fcntl(alloc.fd, F_GETFL) & O_ACCMODE) == O_RDWR);
		close(alloc.fd);
	}
}

static void alloc_refuses(void)
{
	int device = open_device();
	uint64_t limit = get_info(device).limit;
	const struct {
		struct accelmem_alloc alloc;
		int wanted;
	} cases[] = {
		{ { .size = 0 }, EINVAL },
		{ { .size = UINT64_MAX }, EINVAL },
		{ { .size = UINT64_MAX - PAGE + 1 }, EINVAL },
		{ { .size = 1ULL << 63 }, EINVAL },
		{ { .size = INT64_MAX }, EINVAL },
		{ { .size = 1ULL << 62 }, EDQUOT },
		{ { .size = limit + 1 }, EDQUOT },
		{ { .size = PAGE, .flags = 1 }, EINVAL },
		{ { .size = PAGE, .flags = 1U << 31 }, EINVAL },
		{ { .size = PAGE, .reserved = { 1, 0 } }, EINVAL },
		{ { .size = PAGE, .reserved = { 0, 1ULL << 63 } }, EINVAL },
	};
	int fd = next_fd();
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		struct accelmem_alloc alloc = cases[i].alloc;

		KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_ALLOC, &alloc),
			   cases[i].wanted);
		KTAP_CHECK(!memcmp(&alloc, &cases[i].alloc, sizeof(alloc)));
	}
	KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_ALLOC, NULL), EFAULT);
	KTAP_CHECK(used_here(device) == 0);
	KTAP_CHECK(next_fd() == fd);
}

static void alloc_counts_what_is_held(void)
{
	int device = open_device(), other = open_device();
	struct accelmem_info info = get_info(device);
	uint64_t before = info.used;
	int fd = alloc_dmabuf(device, PAGE);

	KTAP_ERRNO(try_alloc(device, info.limit), EDQUOT);
	KTAP_ERRNO(try_alloc(other, info.size - before), ENOSPC);
	KTAP_CHECK(used(device) == before + PAGE);
	KTAP_CHECK(used_here(device) == PAGE && used_here(other) == 0);
	close(fd);
	KTAP_CHECK(used(device) == before && used_here(device) == 0);
}

/* No room for the fd, then no way to tell its number: nothing may remain. */
static void alloc_undoes_itself(void)
{
	int device = open_device();
	uint64_t before = used(device);
	struct accelmem_alloc *alloc = host_memory(PAGE);
	struct rlimit limit, few = { 0 };
	int fd = next_fd();

	KTAP_NEED(!getrlimit(RLIMIT_NOFILE, &limit));
	few.rlim_max = limit.rlim_max;
	few.rlim_cur = fd;
	KTAP_NEED(!setrlimit(RLIMIT_NOFILE, &few));
	KTAP_ERRNO(try_alloc(device, MIB), EMFILE);
	KTAP_NEED(!setrlimit(RLIMIT_NOFILE, &limit));
	KTAP_CHECK(used(device) == before && used_here(device) == 0);

	alloc->size = MIB;
	KTAP_NEED(!mprotect(alloc, PAGE, PROT_READ));
	KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_ALLOC, alloc), EFAULT);
	KTAP_CHECK(used(device) == before && used_here(device) == 0);
	KTAP_CHECK(next_fd() == fd);
}

static void memory_starts_zeroed(void)
{
	unsigned char *pattern = host_pattern(RAGGED);
	int device = open_device();
	int round;

	for (round = 0; round < 4; round++) {
		int fd = alloc_dmabuf(device, RAGGED);

		KTAP_CHECK(holds_zeroes(device, fd, RAGGED));
		KTAP_CHECK(!to_device(device, fd, 0, pattern, RAGGED));
		KTAP_CHECK(holds(device, fd, 0, pattern, RAGGED));
		close(fd);
	}
}

static void unknown_requests_are_refused(void)
{
	static const unsigned long requests[] = {
		_IO(0xAC, 0x00),
		_IOR(0xAC, 0x00, struct accelmem_alloc),
		_IOW(0xAC, 0x01, struct accelmem_alloc),
		_IOW(0xAC, 0x05, struct accelmem_gather),
		_IOWR(0xAC, 0xff, struct accelmem_alloc),
		_IOR(0xAD, 0x00, struct accelmem_info),
		0, UINT32_MAX,
	};
	struct accelmem_info room;
	int device = open_device();
	size_t i;

	for (i = 0; i < COUNT(requests); i++)
		KTAP_ERRNO(ioctl(device, requests[i], &room), ENOTTY);
}

static void map_refused(int fd, int wanted)
{
	static const int protections[] = {
		PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE,
	};
	size_t i;

	for (i = 0; i < COUNT(protections); i++) {
		KTAP_ERRNO((long)mmap(NULL, PAGE, protections[i], MAP_SHARED,
				      fd, 0), wanted);
		KTAP_ERRNO((long)mmap(NULL, PAGE, protections[i], MAP_PRIVATE,
				      fd, 0), wanted);
	}
}

static void cpu_is_kept_out(void)
{
	int device = open_device();
	int fds[] = { device, alloc_dmabuf(device, MIB) };
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW,
	};
	char bytes[16] = "text";
	size_t i;

	map_refused(device, ENODEV);
	map_refused(fds[1], EINVAL);
	KTAP_ERRNO(ioctl(fds[1], DMA_BUF_IOCTL_SYNC, &sync), EOPNOTSUPP);
	for (i = 0; i < COUNT(fds); i++) {
		KTAP_ERRNO(read(fds[i], bytes, sizeof(bytes)), EINVAL);
		KTAP_ERRNO(write(fds[i], bytes, sizeof(bytes)), EINVAL);
	}
	KTAP_CHECK(pread(fds[1], bytes, sizeof(bytes), 0) == -1);
	KTAP_CHECK(pwrite(fds[1], bytes, sizeof(bytes), 0) == -1);
	KTAP_CHECK(holds_zeroes(device, fds[1], MIB));
}

/* ----------------------------------------------- what is not a dma-buf */

static void fd_refused(int device, int good, int bad, int wanted)
{
	struct accelmem_range range = { .len = 8 };
	char bytes[8] = "untouch";

	KTAP_ERRNO(to_device(device, bad, 0, bytes, sizeof(bytes)), wanted);
	KTAP_ERRNO(to_host(device, bad, 0, bytes, sizeof(bytes)), wanted);
	KTAP_ERRNO(to_host(device, bad, 0, bytes, 0), wanted);
	KTAP_ERRNO(gather(device, good, bad, &range, 1), wanted);
	KTAP_ERRNO(gather(device, bad, good, &range, 1), wanted);
	KTAP_ERRNO(gather(device, bad, bad, &range, 1), wanted);
	KTAP_CHECK(!strcmp(bytes, "untouch"));
}

static void other_fds_are_refused(void)
{
	int device = open_device();
	int good = alloc_dmabuf(device, PAGE);
	int file = memfd_create("file", MFD_CLOEXEC);
	int closed = alloc_dmabuf(device, PAGE);
	int path = open(ACCELMEM_DEVICE, O_PATH);

	KTAP_NEED(file >= 0 && path >= 0 && !ftruncate(file, PAGE));
	close(closed);
	fd_refused(device, good, -1, EBADF);
	fd_refused(device, good, INT32_MAX, EBADF);
	fd_refused(device, good, closed, EBADF);
	fd_refused(device, good, path, EBADF);
	fd_refused(device, good, file, EINVAL);
	fd_refused(device, good, device, EINVAL);
	KTAP_CHECK(holds_zeroes(device, good, PAGE));
}

static void other_dmabufs_are_refused(void)
{
	int device = open_device();
	int good = alloc_dmabuf(device, PAGE);
	int file = memfd_create("pages", MFD_ALLOW_SEALING);
	int maker = open("/dev/udmabuf", O_RDWR);
	struct udmabuf_create create = { .memfd = file, .size = PAGE };
	int foreign;

	if (maker < 0)
		ktap_skip("no /dev/udmabuf");
	KTAP_NEED(!ftruncate(file, PAGE));
	KTAP_NEED(!fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK));
	foreign = ioctl(maker, UDMABUF_CREATE, &create);
	KTAP_NEED(foreign >= 0);
	fd_refused(device, good, foreign, EINVAL);
}

/* ------------------------------------------------------ copies by the host */

static void copy_refuses_flags(void)
{
	static const unsigned long requests[] = {
		ACCELMEM_IOC_TO_DEVICE, ACCELMEM_IOC_TO_HOST,
	};
	char bytes[8] = "untouch";
	int device = open_device();
	int fd = alloc_dmabuf(device, PAGE);
	size_t i;

	for (i = 0; i < 2 * 32; i++) {
		struct accelmem_copy copy = {
			.addr = (uintptr_t)bytes,
			.len = sizeof(bytes),
			.fd = fd,
			.flags = 1U << i / 2,
		};

		KTAP_ERRNO(ioctl(device, requests[i % 2], &copy), EINVAL);
	}
	KTAP_CHECK(!strcmp(bytes, "untouch"));
	KTAP_CHECK(holds_zeroes(device, fd, PAGE));
	KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_TO_DEVICE, NULL), EFAULT);
	KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_TO_HOST, NULL), EFAULT);
}

/* Every alignment on both sides, with guard bytes round what may change. */
static void copy_any_alignment(void)
{
	enum { FIELD = 64 };
	unsigned char *pattern = host_pattern(FIELD);
	unsigned char device_is[FIELD], host_is[FIELD], found[FIELD];
	int device = open_device();
	int fd = alloc_dmabuf(device, PAGE);
	unsigned int at, from, len;

	memset(device_is, 0, FIELD);
	for (at = 0; at < 16; at++) {
		for (from = 0; from < 16; from++) {
			len = (at * 16 + from) % 33;
			KTAP_CHECK(!to_device(device, fd, at, pattern + from,
					      len));
			memcpy(device_is + at, pattern + from, len);

			memset(host_is, 0xee, FIELD);
			memset(found, 0xee, FIELD);
			memcpy(host_is + from, device_is + at, len);
			KTAP_CHECK(!to_host(device, fd, at, found + from, len));
			KTAP_CHECK(!memcmp(found, host_is, FIELD));
			KTAP_CHECK(holds(device, fd, 0, device_is, FIELD));
		}
	}
}

/* Wherever the chunks meet, it is between two pages. */
static void copy_across_borders(void)
{
	unsigned char *pattern = host_pattern(RAGGED);
	unsigned char window[64];
	int device = open_device();
	int fd = alloc_dmabuf(device, RAGGED);
	uint64_t border, offset;

	KTAP_CHECK(!to_device(device, fd, 0, pattern, RAGGED));
	for (border = PAGE; border < RAGGED; border += PAGE) {
		offset = border - 1 - random_below(sizeof(window) - 1);
		KTAP_CHECK(!to_host(device, fd, offset, window,
				    sizeof(window)));
		KTAP_CHECK(!memcmp(window, pattern + offset, sizeof(window)));

		memset(window, border / PAGE, sizeof(window));
		memcpy(pattern + offset, window, sizeof(window));
		KTAP_CHECK(!to_device(device, fd, offset, window,
				      sizeof(window)));
	}
	KTAP_CHECK(holds(device, fd, 0, pattern, RAGGED));
	KTAP_CHECK(holds(device, fd, 1, pattern + 1, RAGGED - 2));
}

static void copy_stays_inside(void)
{
	enum { SIZE = 2 * PAGE };
	static const uint64_t outside[][2] = {
		{ SIZE, 1 }, { SIZE + 1, 0 }, { 0, SIZE + 1 }, { SIZE - 1, 2 },
		{ UINT64_MAX, 0 }, { UINT64_MAX, 1 }, { 1, UINT64_MAX },
		{ UINT64_MAX, UINT64_MAX }, { SIZE, UINT64_MAX - SIZE + 1 },
		{ PAGE, UINT64_MAX - PAGE + 1 }, { 1ULL << 63, 1ULL << 63 },
		{ 1ULL << 32, 1 }, { 0, 1ULL << 32 },
	};
	unsigned char *pattern = host_pattern(SIZE + 1);
	unsigned char *host = host_memory(SIZE + 1);
	unsigned char *before = host_memory(SIZE + 1);
	int device = open_device();
	int fd = alloc_dmabuf(device, SIZE);
	size_t i;

	KTAP_CHECK(!to_device(device, fd, 0, pattern, SIZE));
	for (i = 0; i < COUNT(outside); i++) {
		KTAP_ERRNO(to_device(device, fd, outside[i][0], host,
				     outside[i][1]), ERANGE);
		KTAP_ERRNO(to_host(device, fd, outside[i][0], host,
				   outside[i][1]), ERANGE);
	}
	KTAP_CHECK(!memcmp(host, before, SIZE + 1));
	KTAP_CHECK(holds(device, fd, 0, pattern, SIZE));

	KTAP_CHECK(!to_device(device, fd, SIZE, host, 0));
	KTAP_CHECK(!to_host(device, fd, SIZE, NULL, 0));
	KTAP_CHECK(!to_device(device, fd, SIZE - 1, host, 1));
	KTAP_CHECK(holds(device, fd, SIZE - 1, host, 1));
}

/* The host address goes bad half way through. Its good half may have been
 * copied, byte by byte; the rest must be what it was.
 */
static void copy_in_stops_at_bad_address(void)
{
	unsigned char *old = host_pattern(4 * PAGE);
	unsigned char *new = host_pattern(4 * PAGE);
	unsigned char *found = host_memory(4 * PAGE);
	int device = open_device();
	int fd = alloc_dmabuf(device, 4 * PAGE);
	size_t i;

	KTAP_CHECK(!to_device(device, fd, 0, old, 4 * PAGE));
	KTAP_NEED(!mprotect(new + 2 * PAGE, 2 * PAGE, PROT_NONE));
	KTAP_ERRNO(to_device(device, fd, 100, new + 100, 4 * PAGE - 200),
		   EFAULT);

	KTAP_CHECK(!to_host(device, fd, 0, found, 4 * PAGE));
	for (i = 100; i < 2 * PAGE; i++) {
		if (found[i] != old[i] && found[i] != new[i])
			break;
	}
	KTAP_CHECK(i == 2 * PAGE);
	KTAP_CHECK(!memcmp(found, old, 100));
	KTAP_CHECK(!memcmp(found + 2 * PAGE, old + 2 * PAGE, 2 * PAGE));
}

static void copy_out_stops_at_bad_address(void)
{
	unsigned char *pattern = host_pattern(4 * PAGE);
	unsigned char *host = host_memory(4 * PAGE);
	unsigned char *zeroes = host_memory(2 * PAGE);
	int device = open_device();
	int fd = alloc_dmabuf(device, 4 * PAGE);

	KTAP_CHECK(!to_device(device, fd, 0, pattern, 4 * PAGE));
	KTAP_NEED(!mprotect(host + 2 * PAGE, 2 * PAGE, PROT_READ));
	KTAP_ERRNO(to_host(device, fd, 0, host, 4 * PAGE), EFAULT);
	KTAP_CHECK(!memcmp(host + 2 * PAGE, zeroes, 2 * PAGE));
	KTAP_CHECK(holds(device, fd, 0, pattern, 4 * PAGE));
}

/* Where the kernel can surely read; 0 if it won't say. */
static uint64_t kernel_text(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[256], *end = NULL;
	uint64_t address = 0;

	while (symbols && fgets(line, sizeof(line), symbols)) {
		address = strtoull(line, &end, 16);
		if (strstr(end, " linux_banner\n"))
			break;
		address = 0;
	}
	if (symbols)
		fclose(symbols);
	return address;
}

static void copy_refuses_kernel_addresses(void)
{
	const uint64_t addresses[] = {
		kernel_text(), 1ULL << 63, UINT64_MAX - 7,
		0x00007ffffffff000ULL, 0,
	};
	int device = open_device();
	int fd = alloc_dmabuf(device, PAGE);
	size_t i;

	for (i = 0; i < COUNT(addresses); i++) {
		void *host = (void *)(uintptr_t)addresses[i];

		KTAP_ERRNO(to_device(device, fd, 0, host, 16), EFAULT);
		KTAP_ERRNO(to_host(device, fd, 0, host, 16), EFAULT);
	}
	KTAP_CHECK(holds_zeroes(device, fd, PAGE));
}

/* --------------------------------------------------------------- gather */

static void gather_keeps_order(void)
{
	static const struct accelmem_range ranges[] = {
		{ .src = 0, .len = 5, .dst = 100 },
		{ .src = 100, .len = 5, .dst = PAGE - 2 },
		{ .src = PAGE - 2, .len = 0, .dst = 0 },
		{ .src = PAGE - 2, .len = 3, .dst = 2 },
		{ .src = 0, .len = 5, .dst = 200 },
	};
	int device = open_device();
	int fd = alloc_dmabuf(device, 2 * PAGE);

	KTAP_CHECK(!to_device(device, fd, 0, "hello", 5));
	KTAP_CHECK(!gather(device, fd, fd, ranges, COUNT(ranges)));
	KTAP_CHECK(holds(device, fd, 100, "hello", 6));
	KTAP_CHECK(holds(device, fd, PAGE - 2, "hello", 6));
	KTAP_CHECK(holds(device, fd, 0, "hehel", 6));
	KTAP_CHECK(holds(device, fd, 200, "hehel", 6));
}

/* The same ranges on plain memory. Short ones mostly, some as long as fits. */
static void random_ranges(struct accelmem_range *ranges, size_t count,
			  unsigned char *dst, unsigned char *src)
{
	size_t i;

	for (i = 0; i < count; i++) {
		uint32_t most = i % 8 ? 3 * PAGE : RAGGED / 2;

		ranges[i].len = random_below(most);
		ranges[i].src = random_below(RAGGED - ranges[i].len + 1);
		ranges[i].dst = random_below(RAGGED - ranges[i].len + 1);
		if (i % 4 == 1)		/* near enough to overlap */
			ranges[i].dst = ranges[i].src / 2;
		memmove(dst + ranges[i].dst, src + ranges[i].src,
			ranges[i].len);
	}
}

static void gather_is_memmove(void)
{
	struct accelmem_range ranges[64];
	unsigned char *a = host_pattern(RAGGED), *b = host_pattern(RAGGED);
	int device = open_device(), other = open_device();
	int fd_a = alloc_dmabuf(device, RAGGED);
	int fd_b = alloc_dmabuf(other, RAGGED);
	int round;

	KTAP_CHECK(!to_device(device, fd_a, 0, a, RAGGED));
	KTAP_CHECK(!to_device(device, fd_b, 0, b, RAGGED));
	for (round = 0; round < 4; round++) {
		random_ranges(ranges, COUNT(ranges), a, a);
		KTAP_CHECK(!gather(device, fd_a, fd_a, ranges, COUNT(ranges)));
		random_ranges(ranges, COUNT(ranges), b, a);
		KTAP_CHECK(!gather(device, fd_b, fd_a, ranges, COUNT(ranges)));
		random_ranges(ranges, COUNT(ranges), a, b);
		KTAP_CHECK(!gather(other, fd_a, fd_b, ranges, COUNT(ranges)));
		KTAP_CHECK(holds(device, fd_a, 0, a, RAGGED));
		KTAP_CHECK(holds(device, fd_b, 0, b, RAGGED));
	}
}

/* One range that overlaps itself by nearly everything, both ways. A dup()ed
 * fd is the same dma-buf still.
 */
static void gather_shifts(void)
{
	static const uint64_t shifts[] = {
		1, 63, PAGE - 1, PAGE, PAGE + 1, MIB, MIB + 1, RAGGED / 2,
	};
	unsigned char *model = host_pattern(RAGGED);
	int device = open_device();
	int fd = alloc_dmabuf(device, RAGGED), alias = dup(fd);
	size_t i;

	KTAP_NEED(alias >= 0 && !to_device(device, fd, 0, model, RAGGED));
	for (i = 0; i < 2 * COUNT(shifts); i++) {
		uint64_t shift = shifts[i / 2];
		struct accelmem_range range = {
			.src = i % 2 ? shift : 0,
			.dst = i % 2 ? 0 : shift,
			.len = RAGGED - shift,
		};

		memmove(model + range.dst, model + range.src, range.len);
		KTAP_CHECK(!gather(device, fd, alias, &range, 1));
		KTAP_CHECK(holds(device, fd, 0, model, RAGGED));
	}
}

static void gather_checks_all_first(void)
{
	enum { SIZE = 2 * PAGE };
	static const struct accelmem_range outside[] = {
		{ .src = SIZE, .len = 1 },
		{ .dst = SIZE, .len = 1 },
		{ .src = SIZE + 1 },
		{ .dst = SIZE + 1 },
		{ .len = SIZE + 1 },
		{ .src = UINT64_MAX, .len = 1 },
		{ .dst = UINT64_MAX, .len = 1 },
		{ .src = 1, .len = UINT64_MAX },
		{ .dst = 1, .len = UINT64_MAX },
		{ .src = PAGE, .len = UINT64_MAX - PAGE + 1 },
		{ .dst = PAGE, .len = UINT64_MAX - PAGE + 1 },
	};
	struct accelmem_range ranges[3] = { { .len = 64, .dst = 128 } };
	unsigned char *pattern = host_pattern(SIZE);
	int device = open_device();
	int fd = alloc_dmabuf(device, SIZE), dst = alloc_dmabuf(device, SIZE);
	size_t i;

	KTAP_CHECK(!to_device(device, fd, 0, pattern, SIZE));
	for (i = 0; i < 2 * COUNT(outside); i++) {
		ranges[1 + i % 2] = outside[i / 2];
		KTAP_ERRNO(gather(device, fd, fd, ranges, 3), ERANGE);
		KTAP_ERRNO(gather(device, dst, fd, ranges, 3), ERANGE);
		memset(&ranges[1], 0, 2 * sizeof(ranges[1]));
	}
	KTAP_CHECK(holds(device, fd, 0, pattern, SIZE));
	KTAP_CHECK(holds_zeroes(device, dst, SIZE));
}

/* Each dma-buf bounds its own side, not the larger one both. */
static void gather_minds_both_sizes(void)
{
	struct accelmem_range ranges[] = {
		{ .src = 3 * PAGE, .len = PAGE, .dst = 0 },
		{ .src = 4 * PAGE, .len = 0, .dst = PAGE },
	};
	int device = open_device();
	int large = alloc_dmabuf(device, 4 * PAGE);
	int small = alloc_dmabuf(device, PAGE);

	KTAP_CHECK(!gather(device, small, large, ranges, 2));
	KTAP_ERRNO(gather(device, large, small, ranges, 1), ERANGE);
	ranges[0].dst = 1;
	KTAP_ERRNO(gather(device, small, large, ranges, 1), ERANGE);
}

static void gather_refuses(void)
{
	size_t room = (ACCELMEM_MAX_RANGES + 1) * sizeof(struct accelmem_range);
	struct accelmem_range *ranges = host_memory(room);
	int device = open_device();
	int fd = alloc_dmabuf(device, PAGE);
	struct accelmem_gather flagged = {
		.ranges = (uintptr_t)ranges,
		.count = 1,
		.src_fd = fd,
		.dst_fd = fd,
	};
	size_t i;

	KTAP_CHECK(!to_device(device, fd, 0, "ab", 2));
	for (i = 0; i <= ACCELMEM_MAX_RANGES; i++)
		ranges[i] = (struct accelmem_range){ 0, 1, 1 };

	KTAP_ERRNO(gather(device, fd, fd, ranges, ACCELMEM_MAX_RANGES + 1),
		   E2BIG);
	KTAP_ERRNO(gather(device, fd, fd, ranges, UINT32_MAX), E2BIG);
	KTAP_ERRNO(gather(device, fd, fd, NULL, 1), EFAULT);
	KTAP_ERRNO(gather(device, fd, fd, (void *)(1ULL << 63), 1), EFAULT);
	KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_GATHER, NULL), EFAULT);
	for (i = 0; i < 32; i++) {
		flagged.flags = 1U << i;
		KTAP_ERRNO(ioctl(device, ACCELMEM_IOC_GATHER, &flagged),
			   EINVAL);
	}
	KTAP_CHECK(!gather(device, fd, fd, NULL, 0));
	KTAP_CHECK(holds(device, fd, 0, "ab", 2));
	KTAP_CHECK(!gather(device, fd, fd, ranges, ACCELMEM_MAX_RANGES));
	KTAP_CHECK(holds(device, fd, 0, "aa", 2));
}

/* ------------------------------------------------------------ accounting */

static void charge_ends_with_dmabuf(void)
{
	int watch = open_device(), device = open_device();
	uint64_t before = used(watch);
	int fd = alloc_dmabuf(device, MIB), twin = dup(fd);
	int small = alloc_dmabuf(device, 1);

	KTAP_CHECK(used(watch) == before + MIB + PAGE);
	KTAP_CHECK(used_here(device) == MIB + PAGE && used_here(watch) == 0);
	close(fd);
	KTAP_CHECK(used_here(device) == MIB + PAGE);
	close(twin);
	KTAP_CHECK(used_here(device) == PAGE);
	close(small);
	KTAP_CHECK(used(watch) == before && used_here(device) == 0);
}

/* A dma-buf outlives the file that made it, and works on through another. */
static void charge_outlives_device_file(void)
{
	int watch = open_device(), device = open_device();
	uint64_t before = used(watch);
	int fd = alloc_dmabuf(device, MIB), second = alloc_dmabuf(device, PAGE);

	KTAP_CHECK(!to_device(device, fd, 7, "still", 5));
	close(device);
	KTAP_CHECK(used(watch) == before + MIB + PAGE);
	KTAP_CHECK(used_here(watch) == 0);
	KTAP_CHECK(holds(watch, fd, 7, "still", 5));
	close(fd);
	KTAP_CHECK(used(watch) == before + PAGE);
	close(second);
	KTAP_CHECK(used(watch) == before);
}

/* Nothing but a message that nobody received refers to the dma-buf. */
static void charge_ends_with_message(void)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec byte = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int device = open_device(), pair[2];
	uint64_t before = used(device);
	int fd = alloc_dmabuf(device, MIB);

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	KTAP_NEED(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	KTAP_NEED(sendmsg(pair[0], &message, 0) == 1);
	close(fd);
	KTAP_CHECK(used(device) == before + MIB);
	close(pair[0]);
	close(pair[1]);
	KTAP_CHECK(comes_back_to(device, before));
}

static void exec_and_wait(int device)
{
	(void)device;
	execl("/proc/self/exe", "accelmem_test", "wait", NULL);
	_exit(1);
}

static void wait_until_gone(const char *path, pid_t pid)
{
	char link[64], target[256];
	int tries;

	snprintf(link, sizeof(link), "/proc/%d/fd/%s", pid, path);
	for (tries = 0; tries < 6000; tries++) {
		if (readlink(link, target, sizeof(target)) < 0)
			break;
		usleep(10000);
	}
}

static void charge_follows_exec(void)
{
	int device = open_device();
	uint64_t before = used(device);
	int fd = alloc_dmabuf(device, MIB), kept = alloc_dmabuf(device, PAGE);
	char number[16];
	pid_t child;

	if (access("/proc/self/exe", X_OK))
		ktap_skip("no /proc");
	KTAP_NEED(!fcntl(kept, F_SETFD, 0));
	child = fork_child(exec_and_wait, device);
	snprintf(number, sizeof(number), "%d", fd);
	wait_until_gone(number, child);
	KTAP_CHECK(used_here(device) == MIB + PAGE);

	/* The fd is gone a little before what it referred to. */
	close(fd);
	KTAP_CHECK(comes_to(used_here, device, PAGE));
	close(kept);
	KTAP_CHECK(used_here(device) == PAGE);
	kill_child(child);
	KTAP_CHECK(comes_back_to(device, before));
}

static void hold_memory(int device)
{
	alloc_dmabuf(open_device(), 8 * MIB);
	alloc_dmabuf(device, RAGGED);
	pause();
}

static void copy_for_ever(int device)
{
	unsigned char *host = host_memory(8 * MIB);
	int fd = alloc_dmabuf(device, 8 * MIB);

	while (!to_device(device, fd, 0, host, 8 * MIB))
		;
}

static const struct accelmem_range *long_ranges(uint32_t count)
{
	struct accelmem_range *ranges = host_memory(count * sizeof(*ranges));
	uint32_t i;

	for (i = 0; i < count; i++)
		ranges[i].len = 32 * MIB;
	return ranges;
}

static void shift_for_ever(int device)
{
	const struct accelmem_range *ranges = long_ranges(ACCELMEM_MAX_RANGES);
	int fd = alloc_dmabuf(device, 32 * MIB);

	while (!gather(device, fd, fd, ranges, ACCELMEM_MAX_RANGES))
		;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* How long shift_for_ever() is in one call here, from a small part of it. */
static double seconds_of_a_shift(int device)
{
	enum { PART = 16 };
	const struct accelmem_range *ranges = long_ranges(PART);
	int fd = alloc_dmabuf(device, 32 * MIB), round;
	double least = 1e9;

	for (round = 0; round < 3; round++) {
		double start = seconds(), took;

		KTAP_CHECK(!gather(device, fd, fd, ranges, PART));
		took = seconds() - start;
		if (took < least)
			least = took;
	}
	close(fd);
	return least * (ACCELMEM_MAX_RANGES / PART);
}

/* The last of them moves 128 GiB in one call, which must not be waited for. */
static void charge_ends_with_kill(void)
{
	static void (*const lives[])(int device) = {
		hold_memory, copy_for_ever, shift_for_ever,
	};
	int device = open_device();
	double start, most = seconds_of_a_shift(device) / 2;
	uint64_t before = used(device);
	pid_t child;
	size_t i;

	for (i = 0; i < COUNT(lives); i++) {
		child = fork_child(lives[i], device);
		while (used(device) < before + 8 * MIB)
			usleep(1000);
		usleep(50000);
		start = seconds();
		kill_child(child);
		KTAP_CHECK(comes_back_to(device, before));
		KTAP_CHECK(seconds() - start < most);
		KTAP_CHECK(used_here(device) == 0);
	}
}

/* ------------------------------------------------------------- all at once */

#define THREADS		8
#define SHARE		(RAGGED / THREADS)

struct worker {
	pthread_t thread;
	int device;
	int fd;
	int number;
};

/* Keeps its own share of one dma-buf right, while it makes and frees others. It
 * unmaps nothing meanwhile: that has to wait for all CPUs each time, which an
 * emulated machine on a busy host may not have for long.
 */
static void *work_on_share(void *arg)
{
	struct worker *worker = arg;
	unsigned char *host = host_memory(SHARE), *found = host_memory(SHARE);
	uint64_t start = worker->number * SHARE;
	struct accelmem_range range = { .src = start, .len = SHARE };
	int round, fd;

	for (round = 0; round < 20; round++) {
		memset(host, worker->number * 20 + round, SHARE);
		KTAP_CHECK(!to_device(worker->device, worker->fd, start, host,
				      SHARE));
		fd = alloc_dmabuf(worker->device, SHARE);
		KTAP_CHECK(!gather(worker->device, fd, worker->fd, &range, 1));
		KTAP_CHECK(holds_in(found, worker->device, worker->fd, start,
				    host, SHARE));
		KTAP_CHECK(holds_in(found, worker->device, fd, 0, host, SHARE));
		close(fd);
	}
	return NULL;
}

static void run_workers(struct worker *workers, void *(*work)(void *))
{
	int i;

	for (i = 0; i < THREADS; i++)
		KTAP_NEED(!pthread_create(&workers[i].thread, NULL, work,
					  &workers[i]));
	for (i = 0; i < THREADS; i++)
		KTAP_NEED(!pthread_join(workers[i].thread, NULL));
}

static void threads_copy_at_once(void)
{
	struct worker workers[THREADS];
	int device = open_device();
	uint64_t before = used(device);
	int fd = alloc_dmabuf(device, RAGGED), i;

	for (i = 0; i < THREADS; i++)
		workers[i] = (struct worker){
			.device = device, .fd = fd, .number = i,
		};
	run_workers(workers, work_on_share);
	close(fd);
	KTAP_CHECK(used(device) == before);
}

/* Half of them close and remake what the other half copies to. A copy may find
 * the fd gone, or someone's else, but what it found stays while it needs it.
 */
static void *work_on_shifting_ground(void *arg)
{
	struct worker *worker = arg;
	unsigned char *host = host_memory(MIB);
	int round, fd;

	for (round = 0; round < 100; round++) {
		if (worker->number % 2) {
			fd = alloc_dmabuf(worker->device, MIB);
			KTAP_CHECK(dup2(fd, worker->fd) == worker->fd);
			close(fd);
		} else if (to_device(worker->device, worker->fd, 0, host,
				     MIB)) {
			KTAP_CHECK(errno == EBADF || errno == EINVAL);
		}
	}
	return NULL;
}

static void threads_close_while_copying(void)
{
	struct worker workers[THREADS];
	int device = open_device();
	uint64_t before = used(device);
	int fd = alloc_dmabuf(device, MIB), i;

	for (i = 0; i < THREADS; i++)
		workers[i] = (struct worker){
			.device = device, .fd = fd, .number = i,
		};
	run_workers(workers, work_on_shifting_ground);
	KTAP_CHECK(used(device) == before + MIB);
	close(fd);
	KTAP_CHECK(used(device) == before);
}

/* The last test: should it fail, the module is gone. */
static void module_stays_while_used(void)
{
	int device = open_device();
	int fd = alloc_dmabuf(device, PAGE);
	long ret;

	close(device);
	ret = syscall(SYS_delete_module, "accelmem", O_NONBLOCK);
	if (ret && errno == ENOENT)
		ktap_skip("accelmem is not a module");
	if (ret && (errno == EPERM || errno == ENOSYS))
		ktap_skip("not allowed to unload modules");
	KTAP_CHECK(ret == -1 && (errno == EWOULDBLOCK || errno == EBUSY));

	device = open_device();
	KTAP_CHECK(holds_zeroes(device, fd, PAGE));
	KTAP_CHECK(used(device) >= PAGE);
}

#define TEST(name)	{ #name, name }

static const struct ktap_test tests[] = {
	TEST(info_tells_sizes),
	TEST(alloc_rounds_up),
	TEST(alloc_refuses),
	TEST(alloc_counts_what_is_held),
	TEST(alloc_undoes_itself),
	TEST(memory_starts_zeroed),
	TEST(unknown_requests_are_refused),
	TEST(cpu_is_kept_out),
	TEST(other_fds_are_refused),
	TEST(other_dmabufs_are_refused),
	TEST(copy_refuses_flags),
	TEST(copy_any_alignment),
	TEST(copy_across_borders),
	TEST(copy_stays_inside),
	TEST(copy_in_stops_at_bad_address),
	TEST(copy_out_stops_at_bad_address),
	TEST(copy_refuses_kernel_addresses),
	TEST(gather_keeps_order),
	TEST(gather_is_memmove),
	TEST(gather_shifts),
	TEST(gather_checks_all_first),
	TEST(gather_minds_both_sizes),
	TEST(gather_refuses),
	TEST(charge_ends_with_dmabuf),
	TEST(charge_outlives_device_file),
	TEST(charge_ends_with_message),
	TEST(charge_follows_exec),
	TEST(charge_ends_with_kill),
	TEST(threads_copy_at_once),
	TEST(threads_close_while_copying),
	TEST(module_stays_while_used),
};

/* What was bound to a NIC may come home a while after the program that did it. */
static void wait_for_others(void)
{
	int device = open(ACCELMEM_DEVICE, O_RDWR | O_CLOEXEC), tries;
	struct accelmem_info info;

	for (tries = 0; tries < 6000; tries++) {
		if (ioctl(device, ACCELMEM_IOC_INFO, &info) || !info.used)
			break;
		usleep(10000);
	}
	close(device);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "wait"))
		return pause();
	if (access(ACCELMEM_DEVICE, F_OK))
		return ktap_skip_all("no " ACCELMEM_DEVICE);
	wait_for_others();
	return ktap_main(tests, COUNT(tests));
}
