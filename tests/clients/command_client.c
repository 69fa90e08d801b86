/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests/clients/command runs, under uvfio or around it:
 *
 *	ended COMMAND...		runs it, and tells how it ended
 *	send SIGNAL COMMAND...		the same; sends the signal once it has written a line
 *	wait				writes a line, and waits for a signal
 *	catch				the same; ends with 40 and the signal
 *	faults N			lets the device write N times where nothing is mapped
 *	lock N				maps N pages for DMA, without CAP_IPC_LOCK; tells the error
 *	daemon FILE			leaves a process behind that uses the device, and then
 *writes FILE closed				ends with 0 if standard input and output are closed
 */
#include <linux/capability.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "conform/harness.h"

#define IOVA 0x100000
#define IOVA_WRONG 0x5000000
#define SIZE 256

static int ended(char **command, int signal_nr)
{
	int pipes[2], status;
	char byte;
	pid_t pid;

	OK(pipe2(pipes, O_CLOEXEC));
	pid = OK(fork());
	if (!pid) {
		/* A shell ignores it in what it runs in the background. */
		signal(SIGINT, SIG_DFL);
		if (signal_nr)
			OK(dup2(pipes[1], STDOUT_FILENO));
		execvp(command[0], command);
		_exit(99);
	}
	OK(close(pipes[1]));
	if (signal_nr) {
		CHECK_EQ(read(pipes[0], &byte, 1), 1);
		OK(kill(pid, signal_nr));
	}
	OK(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		printf("killed %d\n", WTERMSIG(status));
	else
		printf("exited %d\n", WEXITSTATUS(status));
	return 0;
}

static void catcher(int signal)
{
	_exit(40 + signal);
}

static void __attribute__((noreturn)) wait_for_signal(bool catch)
{
	if (catch) {
		signal(SIGTERM, catcher);
		signal(SIGINT, catcher);
		signal(SIGUSR1, catcher);
	}
	OK(write(STDOUT_FILENO, "\n", 1));
	for (;;)
		pause();
}

static volatile void *open_edu(struct vfio *v)
{
	vfio_open_device(v);
	vfio_set_command(v->device, PCI_COMMAND_MASTER, 0);
	return edu_map_bar(v->device);
}

static int faults(int nr)
{
	struct vfio v;
	volatile void *bar = open_edu(&v);

	OK(vfio_map(v.container, test_memory(PAGE), IOVA, PAGE));
	for (int i = 0; i < nr; i++)
		edu_dma(bar, IOVA_WRONG + i * PAGE, SIZE, EDU_DMA_TO_RAM);
	return 0;
}

static int lock(int pages)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct vfio v;

	vfio_open_iommu(&v);
	OK(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	OK(syscall(SYS_capset, &header, data));
	puts(vfio_map(v.container, test_memory(pages * PAGE), IOVA, pages * PAGE)
		     ? strerrorname_np(errno)
		     : "mapped");
	return 0;
}

static void dma_round_trip(volatile void *bar, u8 *memory)
{
	memset(memory, 0x5a, SIZE);
	edu_dma(bar, IOVA, SIZE, 0);
	memset(memory, 0, SIZE);
	edu_dma(bar, IOVA, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[SIZE - 1], 0x5a);
}

static int leave_daemon(const char *path)
{
	u8 *memory = test_memory(PAGE);
	pid_t program = getpid();
	volatile void *bar;
	struct vfio v;
	int fd;

	bar = open_edu(&v);
	if (OK(fork()))
		return 5;
	OK(setsid());
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	while (getppid() == program)
		usleep(1000);
	/* Long enough for a supervisor that would end too. */
	usleep(200000);
	dma_round_trip(bar, memory);
	OK(munmap((void *)bar, EDU_BAR_SIZE));
	OK(close(v.device));
	OK(close(v.group));
	OK(close(v.container));
	bar = open_edu(&v);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	dma_round_trip(bar, memory);
	fd = OK(open(path, O_WRONLY | O_CREAT, 0600));
	OK(write(fd, "done\n", 5));
	return 0;
}

static int closed(void)
{
	struct vfio v;

	if (fcntl(STDIN_FILENO, F_GETFD) != -1 || fcntl(STDOUT_FILENO, F_GETFD) != -1)
		return 1;
	/* The container and the group become standard input and output. */
	vfio_open_device(&v);
	return v.container != STDIN_FILENO ||
	       vfio_config_read(v.device, PCI_VENDOR_ID, 4) != 0x11e81234;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	test_iommu_type = VFIO_TYPE1v2_IOMMU;
	if (!strcmp(mode, "ended") && argc > 2)
		return ended(argv + 2, 0);
	if (!strcmp(mode, "send") && argc > 3)
		return ended(argv + 3, atoi(argv[2]));
	if (!strcmp(mode, "wait") || !strcmp(mode, "catch"))
		wait_for_signal(!strcmp(mode, "catch"));
	if (!strcmp(mode, "faults") && argc > 2)
		return faults(atoi(argv[2]));
	if (!strcmp(mode, "lock") && argc > 2)
		return lock(atoi(argv[2]));
	if (!strcmp(mode, "daemon") && argc > 2)
		return leave_daemon(argv[2]);
	if (!strcmp(mode, "closed"))
		return closed();
	fprintf(stderr, "unknown mode '%s'\n", mode);
	return 98;
}
