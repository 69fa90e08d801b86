/* SPDX-License-Identifier: BSD-3-Clause */
/* Units, domains, groups, DMA and faults (src/iommu). */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "iommu/dma.h"
#include "iommu/fault.h"
#include "iommu/vtd.h"
#include "mem.h"

#define RW (IOMMU_READ | IOMMU_WRITE)
#define PAGE PAGE_SIZE_4K

/* One device behind one unit, attached to a domain. */
struct fixture {
	struct iommu_fault_log *log;
	struct iommu_unit *unit;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct iommu_endpoint ep;
	struct mem *mem;
	bool mem_freed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->log = iommu_fault_log_new();
	f->unit = iommu_vtd_new(0, 39, f->log);
	f->domain = iommu_domain_new(f->unit);
	f->group = iommu_group_new(1);
	strcpy(f->ep.name, "0000:01:00.0");
	f->ep.unit = f->unit;
	iommu_group_add(f->group, &f->ep);
	assert_int_equal(iommu_group_attach(f->group, f->domain), 0);
	f->mem = mem_new(&f->mem_freed);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	iommu_group_attach(f->group, NULL);
	assert_int_equal(f->domain->attached, 0);
	iommu_domain_free(f->domain);
	assert_int_equal(f->unit->domains, 0);
	assert_false(f->mem_freed);
	iommu_mm_put(&f->mem->mm);
	assert_true(f->mem_freed);
	iommu_group_remove(&f->ep);
	iommu_group_free(f->group);
	iommu_unit_free(f->unit);
	iommu_fault_log_free(f->log);
	free(f);
	return 0;
}

static int map_pages(struct fixture *f, u64 iova, u64 pages, u32 prot, u64 page)
{
	return iommu_domain_map(f->domain, iova, iova + pages * PAGE - 1, prot, &f->mem->mm,
				MEM_VA + page * PAGE, NULL);
}

/* The fault recorded last. */
static struct iommu_fault last_fault(struct fixture *f)
{
	struct iommu_fault fault;
	u64 n = iommu_fault_count(f->log);

	assert_true(n > 0);
	assert_int_equal(n, f->ep.faults);
	assert_true(iommu_fault_get(f->log, (unsigned int)n - 1, &fault));
	return fault;
}

static void test_unit(void **state)
{
	struct iommu_unit *unit = iommu_vtd_new(3, 48, NULL);

	assert_string_equal(unit->name, "dmar3");
	assert_int_equal(unit->aperture_last, 0xffffffffffff);
	assert_int_equal(unit->pgsize_bitmap, 0x40201000);
	assert_int_equal(unit->nr_resv, 1);
	assert_int_equal(unit->resv[0].start, 0xfee00000);
	assert_int_equal(unit->resv[0].last, 0xfeefffff);
	assert_int_equal(unit->resv[0].type, IOMMU_RESV_MSI);
	iommu_unit_free(unit);
	assert_null(iommu_vtd_new(0, 40, NULL));
	assert_int_equal(errno, EINVAL);
}

static void test_map_errors(void **state)
{
	struct fixture *f = *state;
	u64 end = 1ULL << 39;

	assert_int_equal(map_pages(f, 0x1000, 2, RW, 0), 0);
	assert_int_equal(map_pages(f, 0x2000, 1, RW, 0), -EEXIST);
	assert_int_equal(map_pages(f, 0x0800, 1, RW, 0), -EINVAL);
	assert_int_equal(map_pages(f, end, 1, RW, 0), -ERANGE);
	assert_int_equal(map_pages(f, end - PAGE, 2, RW, 0), -ERANGE);
	assert_int_equal(map_pages(f, end - PAGE, 1, RW, 0), 0);
	assert_int_equal(f->mem->mm.refs, 3);
	iommu_domain_unmap(f->domain, 0, end - 1);
	/* The references last until the readers are gone. */
	assert_int_equal(f->mem->mm.refs, 3);
	iommu_domain_sync(f->domain);
	assert_int_equal(f->mem->mm.refs, 1);
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	char out[3 * PAGE], in[3 * PAGE];

	/* Neighbours in IOVA, scattered in memory. */
	assert_int_equal(map_pages(f, 0x10000, 1, RW, 7), 0);
	assert_int_equal(map_pages(f, 0x11000, 1, RW, 3), 0);
	assert_int_equal(map_pages(f, 0x12000, 1, RW, 5), 0);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 31 + i / 251);
	assert_int_equal(iommu_dma_write(&f->ep, 0x10123, out, 2 * PAGE), 0);
	assert_memory_equal(f->mem->bytes + 7 * PAGE + 0x123, out, PAGE - 0x123);
	assert_memory_equal(f->mem->bytes + 3 * PAGE, out + PAGE - 0x123, PAGE);
	assert_memory_equal(f->mem->bytes + 5 * PAGE, out + 2 * PAGE - 0x123, 0x123);
	assert_int_equal(f->mem->bytes[5 * PAGE + 0x123], 0);
	assert_int_equal(iommu_dma_read(&f->ep, 0x10123, in, 2 * PAGE), 0);
	assert_memory_equal(in, out, 2 * PAGE);
	assert_int_equal(iommu_dma_read(&f->ep, 0x5000, in, 0), 0);
	assert_int_equal(iommu_fault_count(f->log), 0);
}

static void test_remap(void **state)
{
	struct fixture *f = *state;
	char c;

	assert_int_equal(map_pages(f, 0x10000, 2, RW, 7), 0);
	f->mem->bytes[7 * PAGE] = 'a';
	f->mem->bytes[9 * PAGE] = 'b';
	assert_int_equal(iommu_domain_remap(f->domain, 0x10000, 0x10fff, RW, &f->mem->mm,
					    MEM_VA + 9 * PAGE, NULL),
			 -ENOENT);
	assert_int_equal(iommu_dma_read(&f->ep, 0x10000, &c, 1), 0);
	assert_int_equal(c, 'a');
	assert_int_equal(iommu_domain_remap(f->domain, 0x10000, 0x11fff, RW, &f->mem->mm,
					    MEM_VA + 9 * PAGE, NULL),
			 0);
	/* At once, although the old entry is still in an IOTLB. */
	assert_int_equal(iommu_dma_read(&f->ep, 0x10000, &c, 1), 0);
	assert_int_equal(c, 'b');
	iommu_domain_sync(f->domain);
	assert_int_equal(f->mem->mm.refs, 2);
	assert_int_equal(iommu_dma_read(&f->ep, 0x10000, &c, 1), 0);
	assert_int_equal(c, 'b');
}

static void expect_fault(struct fixture *f, u64 iova, u64 length, u32 prot,
			 enum iommu_fault_reason reason)
{
	struct iommu_fault fault = last_fault(f);

	assert_string_equal(fault.device, "0000:01:00.0");
	assert_int_equal(fault.iova, iova);
	assert_int_equal(fault.length, length);
	assert_int_equal(fault.prot, prot);
	assert_int_equal(fault.reason, reason);
	assert_int_not_equal(fault.time_ns, 0);
}

static void expect_near(struct fixture *f, u64 iova, u64 last, u32 prot)
{
	struct iommu_fault fault = last_fault(f);

	assert_true(fault.near);
	assert_int_equal(fault.near_iova, iova);
	assert_int_equal(fault.near_last, last);
	assert_int_equal(fault.near_prot, prot);
}

static void test_faults(void **state)
{
	struct fixture *f = *state;
	char buf[4 * PAGE] = { 1 };

	assert_int_equal(iommu_dma_read(&f->ep, 0x123, buf, 1), -EFAULT);
	expect_fault(f, 0x123, 1, IOMMU_READ, IOMMU_FAULT_UNMAPPED);
	assert_false(last_fault(f).near);

	assert_int_equal(map_pages(f, 0x10000, 1, RW, 0), 0);
	assert_int_equal(map_pages(f, 0x14000, 1, IOMMU_READ, 1), 0);
	/* What precedes the failing byte has been transferred. */
	assert_int_equal(iommu_dma_write(&f->ep, 0x10000, buf, 0x1234), -EFAULT);
	expect_fault(f, 0x11000, 0x234, IOMMU_WRITE, IOMMU_FAULT_UNMAPPED);
	assert_int_equal(f->mem->bytes[0], 1);
	expect_near(f, 0x10000, 0x10fff, RW);
	/* The nearer of two: before, behind, and the lower where both are as near. */
	assert_int_equal(iommu_dma_read(&f->ep, 0x127ff, buf, 1), -EFAULT);
	expect_near(f, 0x10000, 0x10fff, RW);
	assert_int_equal(iommu_dma_read(&f->ep, 0x12800, buf, 1), -EFAULT);
	expect_near(f, 0x14000, 0x14fff, IOMMU_READ);
	assert_int_equal(iommu_dma_read(&f->ep, 0, buf, 1), -EFAULT);
	expect_near(f, 0x10000, 0x10fff, RW);
	assert_int_equal(iommu_dma_read(&f->ep, UINT64_MAX, buf, 2), -EFAULT);
	expect_fault(f, UINT64_MAX, 2, IOMMU_READ, IOMMU_FAULT_UNMAPPED);
	expect_near(f, 0x14000, 0x14fff, IOMMU_READ);

	assert_int_equal(iommu_dma_write(&f->ep, 0x14010, buf, 8), -EFAULT);
	expect_fault(f, 0x14010, 8, IOMMU_WRITE, IOMMU_FAULT_PERMISSION);
	expect_near(f, 0x14000, 0x14fff, IOMMU_READ);
	assert_int_equal(f->mem->bytes[PAGE + 0x10], 0);

	iommu_group_attach(f->group, NULL);
	assert_int_equal(iommu_dma_read(&f->ep, 0x10000, buf, 1), -EFAULT);
	expect_fault(f, 0x10000, 1, IOMMU_READ, IOMMU_FAULT_BLOCKED);
	assert_false(last_fault(f).near);
}

/* Private memory that the program has unmapped: the first byte that is gone, to the page. */
static void test_gone_private(void **state)
{
	struct fixture *f = *state;
	char buf[8 * PAGE];

	assert_int_equal(map_pages(f, 0x10000, 8, RW, 8), 0);
	f->mem->gone[11] = true;
	memset(f->mem->bytes + 8 * PAGE, 'x', 8 * PAGE);
	assert_int_equal(iommu_dma_read(&f->ep, 0x10800, buf, 7 * PAGE), -EFAULT);
	expect_fault(f, 0x13000, 7 * PAGE - 0x2800, IOMMU_READ, IOMMU_FAULT_GONE);
	expect_near(f, 0x10000, 0x17fff, RW);
	assert_int_equal(buf[0x27ff], 'x');
}

static int map_shared(struct fixture *f, struct shared *shared, u64 iova, u64 pages, u64 offset)
{
	struct iommu_extent extent = {
		.va = MEM_VA, .len = pages * PAGE, .backing = &shared->backing, .offset = offset
	};

	return iommu_domain_map(f->domain, iova, iova + pages * PAGE - 1, RW, &f->mem->mm, MEM_VA,
				&extent);
}

static void test_shared(void **state)
{
	struct fixture *f = *state;
	bool freed;
	struct shared *shared = shared_new(16 * PAGE, &freed);
	char *host = shared->backing.host, buf[2 * PAGE];

	assert_int_equal(map_shared(f, shared, 0x10000, 8, 4 * PAGE), 0);
	iommu_backing_put(&shared->backing);
	memset(buf, 'y', sizeof(buf));
	assert_int_equal(iommu_dma_write(&f->ep, 0x11800, buf, sizeof(buf)), 0);
	assert_int_equal(host[5 * PAGE + 0x7ff], 0);
	assert_int_equal(host[5 * PAGE + 0x800], 'y');
	assert_int_equal(host[7 * PAGE + 0x7ff], 'y');
	assert_int_equal(host[7 * PAGE + 0x800], 0);
	iommu_domain_unmap(f->domain, 0, 0xfffff);
	assert_false(freed);
	iommu_domain_sync(f->domain);
	assert_true(freed);
}

/* A file that the program cuts short: a fault of the DMA, not of the process, at the exact byte. */
static void test_truncated(void **state)
{
	struct fixture *f = *state;
	struct shared *shared = shared_new(64 * PAGE, NULL);
	char *buf = malloc(64 * PAGE);

	/* cmocka has put a handler of its own around each test. */
	assert_int_equal(iommu_dma_init(), 0);
	assert_int_equal(map_shared(f, shared, 0x100000, 64, 0), 0);
	memset(buf, 'z', 64 * PAGE);
	for (u64 pages = 63; pages > 0; pages -= 9) {
		assert_int_equal(ftruncate(shared->fd, (off_t)(pages * PAGE)), 0);
		assert_int_equal(iommu_dma_write(&f->ep, 0x100010, buf, 64 * PAGE - 0x20), -EFAULT);
		expect_fault(f, 0x100000 + pages * PAGE, (64 - pages) * PAGE - 0x10, IOMMU_WRITE,
			     IOMMU_FAULT_GONE);
		assert_int_equal(((char *)shared->backing.host)[pages * PAGE - 1], 'z');
		assert_int_equal(iommu_dma_read(&f->ep, 0x100000, buf, 64 * PAGE), -EFAULT);
		expect_fault(f, 0x100000 + pages * PAGE, (64 - pages) * PAGE, IOMMU_READ,
			     IOMMU_FAULT_GONE);
	}
	/* It works again where the file does. */
	assert_int_equal(ftruncate(shared->fd, 64 * (off_t)PAGE), 0);
	assert_int_equal(iommu_dma_write(&f->ep, 0x100000, buf, 64 * PAGE), 0);
	iommu_backing_put(&shared->backing);
	free(buf);
}

/* A region of another device. */
struct peer {
	struct iommu_backing backing;
	char bytes[2 * PAGE];
	unsigned int accesses;
	int answer;
};

static int peer_read(struct iommu_backing *backing, u64 offset, void *buf, size_t len)
{
	struct peer *peer = container_of(backing, struct peer, backing);

	peer->accesses++;
	memcpy(buf, peer->bytes + offset, len);
	return peer->answer;
}

static int peer_write(struct iommu_backing *backing, u64 offset, const void *buf, size_t len)
{
	struct peer *peer = container_of(backing, struct peer, backing);

	peer->accesses++;
	memcpy(peer->bytes + offset, buf, len);
	return peer->answer;
}

static void peer_free(struct iommu_backing *backing)
{
}

static void test_peer(void **state)
{
	static const struct iommu_backing_ops ops = { peer_read, peer_write, peer_free };
	struct fixture *f = *state;
	struct peer peer = { .backing = { .ops = &ops, .refs = 1, .size = 2 * PAGE } };
	struct iommu_extent extent = { MEM_VA, PAGE, &peer.backing, PAGE };
	char buf[8] = "abcdefg", back[8];

	assert_int_equal(
		iommu_domain_map(f->domain, 0x10000, 0x10fff, RW, &f->mem->mm, MEM_VA, &extent), 0);
	assert_int_equal(iommu_dma_write(&f->ep, 0x10008, buf, 8), 0);
	assert_string_equal(peer.bytes + PAGE + 8, buf);
	assert_int_equal(iommu_dma_read(&f->ep, 0x10008, back, 8), 0);
	assert_string_equal(back, buf);
	assert_int_equal(peer.accesses, 2);
	/* A device that refuses is not asked twice. */
	peer.answer = -EIO;
	assert_int_equal(iommu_dma_write(&f->ep, 0x10008, buf, 8), -EFAULT);
	expect_fault(f, 0x10008, 8, IOMMU_WRITE, IOMMU_FAULT_GONE);
	assert_int_equal(peer.accesses, 3);
	iommu_domain_unmap(f->domain, 0x10000, 0x10fff);
	iommu_domain_sync(f->domain);
	assert_int_equal(peer.backing.refs, 1);
}

static void test_group(void **state)
{
	struct fixture *f = *state;
	struct iommu_unit *other = iommu_vtd_new(1, 48, NULL);
	struct iommu_domain *second = iommu_domain_new(f->unit);
	struct iommu_domain *foreign = iommu_domain_new(other);
	struct iommu_endpoint ep = { .unit = f->unit };
	char c;

	/* A newcomer joins what the group is attached to. */
	iommu_group_add(f->group, &ep);
	assert_ptr_equal(ep.domain, f->domain);
	assert_int_equal(f->domain->attached, 2);
	assert_int_equal(iommu_group_attach(f->group, foreign), -EINVAL);
	assert_ptr_equal(f->ep.domain, f->domain);
	assert_int_equal(foreign->attached, 0);
	assert_int_equal(iommu_group_attach(f->group, second), 0);
	assert_int_equal(f->domain->attached, 0);
	assert_int_equal(second->attached, 2);
	assert_int_equal(map_pages(f, 0x1000, 1, RW, 0), 0);
	assert_int_equal(iommu_dma_read(&ep, 0x1000, &c, 1), -EFAULT);
	iommu_group_remove(&ep);
	assert_null(ep.domain);
	assert_null(ep.group);
	assert_int_equal(second->attached, 1);
	iommu_group_remove(&ep);
	assert_int_equal(iommu_group_attach(f->group, f->domain), 0);
	assert_int_equal(iommu_dma_read(&f->ep, 0x1000, &c, 1), 0);
	iommu_domain_free(second);
	iommu_domain_free(foreign);
	iommu_unit_free(other);
}

static void count_sink(void *opaque, const struct iommu_fault *fault)
{
	++*(unsigned int *)opaque;
	assert_int_equal(fault->reason, IOMMU_FAULT_BUS_MASTER);
}

static void test_log_bound(void **state)
{
	struct fixture *f = *state;
	struct iommu_fault out;
	unsigned int sunk = 0;

	iommu_fault_log_set_sink(f->log, count_sink, &sunk);
	for (u64 i = 0; i < IOMMU_FAULT_KEEP + 10; i++) {
		struct iommu_fault fault = { .iova = i, .reason = IOMMU_FAULT_BUS_MASTER };

		iommu_fault_report(&f->ep, NULL, &fault);
	}
	iommu_fault_log_set_sink(f->log, NULL, NULL);
	assert_int_equal(sunk, IOMMU_FAULT_KEEP + 10);
	assert_int_equal(iommu_fault_count(f->log), IOMMU_FAULT_KEEP + 10);
	assert_true(iommu_fault_get(f->log, IOMMU_FAULT_KEEP - 1, &out));
	assert_int_equal(out.iova, IOMMU_FAULT_KEEP - 1);
	assert_false(iommu_fault_get(f->log, IOMMU_FAULT_KEEP, &out));
	assert_string_equal(iommu_fault_reason_name(IOMMU_FAULT_BUS_MASTER), "bus-master");
	assert_string_equal(iommu_fault_reason_name(IOMMU_FAULT_GONE), "gone");
}

static sigjmp_buf foreign_jump;

static void foreign_handler(int sig)
{
	siglongjmp(foreign_jump, 1);
}

/* A SIGBUS that no DMA caused goes to the handler that was there before. */
static void test_foreign_sigbus(void **state)
{
	struct shared *shared = shared_new(PAGE, NULL);
	volatile bool caught = false;

	signal(SIGBUS, foreign_handler);
	assert_int_equal(iommu_dma_init(), 0);
	assert_int_equal(iommu_dma_init(), 0);
	assert_int_equal(ftruncate(shared->fd, 0), 0);
	if (sigsetjmp(foreign_jump, 1))
		caught = true;
	else
		((volatile char *)shared->backing.host)[0] = 1;
	assert_true(caught);
	caught = false;
	if (sigsetjmp(foreign_jump, 1))
		caught = true;
	else
		raise(SIGBUS);
	assert_true(caught);
	iommu_backing_put(&shared->backing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit),
		cmocka_unit_test_setup_teardown(test_map_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_bound, setup, teardown),
		cmocka_unit_test(test_foreign_sigbus),
	};
	int ret;

	rcu_thread_start();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_thread_stop();
	return ret;
}
