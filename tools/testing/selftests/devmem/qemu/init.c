// SPDX-License-Identifier: GPL-2.0
/* The virtual machine's init: from an empty initramfs to the lab's job.
 *
 * The root is the host's own, read-only through virtiofs, under a tmpfs: all of
 * it can be written, and nothing is kept. The initramfs brings /boot, modules
 * that the kernel needs to get that far, and /lab, which becomes /run/lab:
 *
 *	job		a bash script, what this machine is for
 *	modules		paths of the modules under test, one a line
 *	libmodules	path of the folder to have at /lib/modules
 *	share		present if there is a virtiofs to have at /share
 *	tty		present if the job has a terminal, and it is hvc0
 *
 * The job's standard streams are virtio ports of their own, and so is "status",
 * where "exit N" or "error TEXT" is written last: what the kernel prints on the
 * console can't be mistaken for either.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT "/root"
#define LAB "/run/lab/"
#define PORTS_DEVICE "/sys/bus/virtio/drivers/virtio_console/virtio*"

static int status_port = -1;

/* A restart is what every kernel can do, and -no-reboot makes it the end. */
static void __attribute__((noreturn)) halt(void)
{
	sync();
	reboot(RB_AUTOBOOT);
	abort();
}

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	int saved = errno;
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(status_port, "error %s: %s\n", text, strerror(saved));
	halt();
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		fail("mkdir %s", path);
}

static void attach(const char *source, const char *target, const char *type,
		   unsigned long flags, const char *options)
{
	make_dir(target);
	if (mount(source, target, type, flags, options))
		fail("mount %s on %s", source, target);
}

/* For file systems that a kernel may have been built without. */
static void attach_if_known(const char *source, const char *target, const char *type)
{
	if (mount(source, target, type, 0, NULL) && errno != ENODEV && errno != ENOENT)
		fail("mount %s on %s", source, target);
}

static int find_port(const char *name, int flags)
{
	char path[300], found[64];
	glob_t ports;
	int fd = -1;

	glob("/sys/class/virtio-ports/*/name", 0, NULL, &ports);
	for (size_t i = 0; fd < 0 && i < ports.gl_pathc; i++) {
		FILE *file = fopen(ports.gl_pathv[i], "r");

		if (file && fscanf(file, "%63s", found) == 1 && !strcmp(found, name)) {
			char *device = strstr(ports.gl_pathv[i], "vport");

			*strchr(device, '/') = '\0';
			snprintf(path, sizeof(path), "/dev/%s", device);
			fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
		}
		if (file)
			fclose(file);
	}
	globfree(&ports);
	return fd;
}

static bool any(const char *pattern)
{
	glob_t found;
	int error = glob(pattern, 0, NULL, &found);

	globfree(&found);
	return !error;
}

/* The machine tells of its ports one by one, after their driver has it: they
 * come when they come. A machine without any never will.
 */
static int open_port(const char *name, int flags)
{
	int fd = find_port(name, flags);

	for (int tries = 0; fd < 0 && tries < 6000 && any(PORTS_DEVICE); tries++) {
		usleep(10000);
		fd = find_port(name, flags);
	}
	return fd;
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("open %s", path);
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		fail("load %s", path);
	close(fd);
}

static void load_boot_modules(void)
{
	glob_t modules;

	glob("/boot/*.ko", 0, NULL, &modules);
	for (size_t i = 0; i < modules.gl_pathc; i++)
		load_module(modules.gl_pathv[i]);
	globfree(&modules);
}

static void load_tested_modules(void)
{
	FILE *list = fopen(LAB "modules", "re");
	char *line = NULL;
	size_t size = 0;

	if (!list)
		fail("open " LAB "modules");
	while (getline(&line, &size, list) > 0) {
		line[strcspn(line, "\n")] = '\0';
		load_module(line);
	}
	free(line);
	fclose(list);
}

static void mount_kernel_files(void)
{
	attach("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	attach("proc", "/proc", "proc", 0, NULL);
	attach("sysfs", "/sys", "sysfs", 0, NULL);
}

static void enter_root(void)
{
	attach("host", "/host", "virtiofs", MS_RDONLY, NULL);
	attach("tmpfs", "/above", "tmpfs", 0, NULL);
	make_dir("/above/upper");
	make_dir("/above/work");
	attach("overlay", ROOT, "overlay", 0,
	       "lowerdir=/host,upperdir=/above/upper,workdir=/above/work");

	attach("tmpfs", ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
	attach("/lab", ROOT LAB, NULL, MS_BIND, NULL);
	attach("/dev", ROOT "/dev", NULL, MS_MOVE, NULL);
	attach("/proc", ROOT "/proc", NULL, MS_MOVE, NULL);
	attach("/sys", ROOT "/sys", NULL, MS_MOVE, NULL);

	if (chdir(ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		fail("enter the root");
}

static void mount_the_rest(void)
{
	attach("devpts", "/dev/pts", "devpts", 0, "mode=0620,ptmxmode=0666");
	attach("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL);
	attach_if_known("cgroup2", "/sys/fs/cgroup", "cgroup2");
	attach_if_known("bpf", "/sys/fs/bpf", "bpf");
	attach_if_known("debugfs", "/sys/kernel/debug", "debugfs");
	attach_if_known("tracefs", "/sys/kernel/tracing", "tracefs");
	symlink("/proc/self/fd", "/dev/fd");
	symlink("fd/0", "/dev/stdin");
	symlink("fd/1", "/dev/stdout");
	symlink("fd/2", "/dev/stderr");

	if (exists(LAB "share")) {
		attach("share", "/share", "virtiofs", 0, NULL);
		attach("/share/out", "/out", NULL, MS_BIND, NULL);
	}
}

/* modprobe is to find the modules of this kernel, not of the host's. */
static void mount_kernel_modules(void)
{
	FILE *file = fopen(LAB "libmodules", "re");
	char path[4096] = "";

	if (!file || !fgets(path, sizeof(path), file))
		fail("read " LAB "libmodules");
	fclose(file);
	path[strcspn(path, "\n")] = '\0';
	attach(path, "/lib/modules", NULL, MS_BIND, NULL);
}

static void configure(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		fail("bring lo up");
	close(fd);
	if (sethostname("lab", 3))
		fail("set the host name");
}

static void __attribute__((noreturn)) run_job(void)
{
	bool tty = exists(LAB "tty");
	int in, out, err;

	in = tty ? open("/dev/hvc0", O_RDWR | O_NOCTTY) : open_port("stdin", O_RDONLY);
	out = tty ? in : open_port("stdout", O_WRONLY);
	err = tty ? in : open_port("stderr", O_WRONLY);
	if (in < 0 || out < 0 || err < 0)
		fail("open the job's streams");
	setsid();
	if (tty && ioctl(in, TIOCSCTTY, 0))
		fail("take the terminal");
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		fail("set the job's streams");
	execl("/bin/bash", "bash", LAB "job", NULL);
	fail("run /bin/bash");
}

/* Init is the parent of all orphans too. */
static int wait_for(pid_t job)
{
	int status;
	pid_t pid;

	do {
		pid = wait(&status);
	} while (pid != job);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(void)
{
	pid_t job;
	int status;

	mount_kernel_files();
	load_boot_modules();
	status_port = open_port("status", O_WRONLY);
	if (status_port < 0)
		halt();
	enter_root();
	mount_the_rest();
	mount_kernel_modules();
	configure();
	load_tested_modules();

	job = fork();
	if (job < 0)
		fail("fork");
	if (job == 0)
		run_job();
	status = wait_for(job);
	dprintf(status_port, "exit %d\n", status);
	halt();
}
