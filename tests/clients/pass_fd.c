/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One process opens the device and sends the files to another over a socket, then exits; the other
 * works with them: config space, registers, DMA to memory that the first one mapped, and to its
 * own.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "conform/harness.h"

#define SIZE 256
#define IOVA_FIRST 0x10000
#define IOVA_OWN 0x20000

enum { FILE_DEVICE, FILE_CONTAINER, FILE_MEMORY, NR_FILES };

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(NR_FILES * sizeof(int))];
};

static void send_files(int socket, const int *fds)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union control control = {};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(NR_FILES * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, NR_FILES * sizeof(int));
	OK(sendmsg(socket, &message, 0));
}

static void receive_files(int socket, int *fds)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union control control = {};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;

	CHECK_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
	cmsg = CMSG_FIRSTHDR(&message);
	CHECK(cmsg && cmsg->cmsg_type == SCM_RIGHTS);
	CHECK_EQ(cmsg->cmsg_len, CMSG_LEN(NR_FILES * sizeof(int)));
	memcpy(fds, CMSG_DATA(cmsg), NR_FILES * sizeof(int));
}

static void sender(int socket)
{
	int fds[NR_FILES];
	struct vfio v;
	char *memory;

	vfio_open_device(&v);
	vfio_set_command(v.device, PCI_COMMAND_MASTER, 0);
	fds[FILE_DEVICE] = v.device;
	fds[FILE_CONTAINER] = v.container;
	fds[FILE_MEMORY] = OK(memfd_create("dma", MFD_CLOEXEC));
	OK(ftruncate(fds[FILE_MEMORY], PAGE));
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FILE_MEMORY], 0);
	CHECK(memory != MAP_FAILED);
	memset(memory, 0x5a, SIZE);
	OK(vfio_map(v.container, memory, IOVA_FIRST, PAGE));
	send_files(socket, fds);
	_exit(0);
}

static void receiver(int socket, int sender_ended)
{
	char *memory, *own, byte;
	volatile void *bar;
	int fds[NR_FILES];

	receive_files(socket, fds);
	/* End of file: the other process is gone. */
	CHECK_EQ(read(sender_ended, &byte, 1), 0);
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FILE_MEMORY], 0);
	CHECK(memory != MAP_FAILED);

	CHECK_EQ(vfio_config_read(fds[FILE_DEVICE], PCI_VENDOR_ID, 4), 0x11e81234);
	bar = edu_map_bar(fds[FILE_DEVICE]);
	CHECK_EQ(edu_read(bar, EDU_ID), 0x010000ed);

	edu_dma(bar, IOVA_FIRST, SIZE, 0);
	memset(memory, 0, SIZE);
	edu_dma(bar, IOVA_FIRST, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[0], 0x5a);
	CHECK_EQ(memory[SIZE - 1], 0x5a);
	CHECK_EQ(memory[SIZE], 0);

	own = test_memory(PAGE);
	OK(vfio_map(fds[FILE_CONTAINER], own, IOVA_OWN, PAGE));
	edu_dma(bar, IOVA_OWN, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(own[0], 0x5a);
	CHECK_EQ(own[SIZE - 1], 0x5a);
	_exit(0);
}

int main(int argc, char **argv)
{
	int socket[2], ended[2], status, failed = 0;

	test_iommu_type = VFIO_TYPE1v2_IOMMU;
	if (argc > 1)
		test_bdf = argv[1];
	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socket));
	OK(pipe2(ended, O_CLOEXEC));
	if (!OK(fork()))
		sender(socket[0]);
	OK(close(ended[1]));
	if (!OK(fork()))
		receiver(socket[1], ended[0]);
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		return 1;
	printf("the second process used the device of the first\n");
	return 0;
}
