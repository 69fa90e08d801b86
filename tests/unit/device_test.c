/* SPDX-License-Identifier: BSD-3-Clause */
/* device/device.h with a model that records what reaches it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/device.h"
#include "iommu/fault.h"

#define MIB (1ULL << 20)
#define TIB (1ULL << 40)
#define NR_TIMERS 3

struct toy_props {
	bool shared;
	bool fail;
	u64 bad_bar; /* a size, or 0 */
};

struct access {
	unsigned int bar, width;
	u64 offset, value;
	bool write;
};

struct toy {
	struct access log[16];
	unsigned int accesses;
	unsigned int commands, msis, powers, flrs, resets;
	enum device_reset reset_kind;
	struct device_timer timers[NR_TIMERS];
	char fired[64]; /* the numbers of the timers, in order */
	unsigned int nr_fired;
	unsigned int rearm; /* times that timer 0 still arms itself */
	bool slow_fini;	    /* a timer falls due in fini */
};

static unsigned int finis;

static void pause_ms(unsigned int ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000L };

	nanosleep(&ts, NULL);
}

static const struct prop toy_props[] = {
	{ "shared", PROP_BOOL, offsetof(struct toy_props, shared), "off", 0, 0, NULL, "" },
	{ "fail", PROP_BOOL, offsetof(struct toy_props, fail), "off", 0, 0, NULL, "" },
	{ "bad-bar", PROP_SIZE, offsetof(struct toy_props, bad_bar), "0", 0, 0, NULL, "" },
	{ .name = NULL },
};

static struct toy *toy_of(struct pci_function *fn)
{
	return device_state(container_of(fn, struct device, pci));
}

static void toy_command(struct pci_function *fn, u16 old, u16 now)
{
	toy_of(fn)->commands++;
}

static void toy_power(struct pci_function *fn, unsigned int old, unsigned int now)
{
	toy_of(fn)->powers++;
}

static void toy_flr(struct pci_function *fn)
{
	toy_of(fn)->flrs++;
}

static void toy_msi(struct pci_function *fn)
{
	toy_of(fn)->msis++;
}

static const struct pci_function_ops toy_pci_ops = {
	.command = toy_command,
	.power = toy_power,
	.flr = toy_flr,
	.msi = toy_msi,
};

static void toy_record(struct device *dev, struct access access)
{
	struct toy *toy = device_state(dev);

	if (toy->accesses < ARRAY_SIZE(toy->log))
		toy->log[toy->accesses] = access;
	toy->accesses++;
}

/* Each byte reads as the low byte of its offset. */
static u64 toy_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	u64 value = 0;

	for (unsigned int i = 0; i < width; i++)
		value |= ((offset + i) & 0xff) << 8 * i;
	toy_record(dev, (struct access){ bar, width, offset, value, false });
	return value;
}

static void toy_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		      u64 value)
{
	toy_record(dev, (struct access){ bar, width, offset, value, true });
}

static void toy_expired(struct device_timer *timer)
{
	struct toy *toy = device_state(timer->dev);
	unsigned int nr = (unsigned int)(timer - toy->timers);

	if (toy->nr_fired < sizeof(toy->fired) - 1)
		toy->fired[toy->nr_fired] = (char)('0' + nr);
	toy->nr_fired++;
	if (!nr && toy->rearm) {
		toy->rearm--;
		device_timer_arm(timer->dev, timer, device_now_ns());
	}
}

static void toy_reset(struct device *dev, enum device_reset kind)
{
	struct toy *toy = device_state(dev);

	toy->resets++;
	toy->reset_kind = kind;
}

static int toy_add_bars(struct device *dev, const struct toy_props *props)
{
	static const struct pci_bar small = { .type = PCI_BAR_MEM32, .size = 4096 };
	static const struct pci_bar io = { .type = PCI_BAR_IO, .size = 32 };
	static const struct pci_bar big = { .type = PCI_BAR_MEM64, .prefetch = true, .size = MIB };
	static const struct pci_bar rom = { .type = PCI_BAR_MEM32, .size = 2048 };
	enum device_bar_kind kind = props->shared ? DEVICE_BAR_SHARED : DEVICE_BAR_TRAPPED;
	struct pci_bar bad = { .type = PCI_BAR_MEM64, .size = props->bad_bar };
	int rc = device_add_bar(dev, 0, &small, kind);

	if (!rc)
		rc = device_add_bar(dev, 1, &io, DEVICE_BAR_PORT);
	if (!rc)
		rc = device_add_bar(dev, 2, &big, kind);
	if (!rc)
		rc = device_add_bar(dev, PCI_ROM_BAR, &rom, DEVICE_BAR_PORT);
	if (!rc && props->bad_bar)
		rc = device_add_bar(dev, 4, &bad, DEVICE_BAR_SHARED);
	return rc;
}

static int toy_init(struct device *dev, const void *opaque, char **error)
{
	static const struct pci_ident ident = { .vendor = 0x1af4, .interrupt_pin = 1 };
	const struct toy_props *props = opaque;
	struct toy *toy = device_state(dev);
	int rc;

	if (props->fail) {
		*error = strdup("a reason");
		return -ENODEV;
	}
	dev->ident = ident;
	pci_function_init(&dev->pci, &ident, true, &toy_pci_ops);
	rc = toy_add_bars(dev, props);
	if (!rc)
		rc = pci_add_pm(&dev->pci, 0x40);
	if (!rc)
		rc = pci_add_express(&dev->pci, 0x60, PCI_EXP_TYPE_ENDPOINT, true);
	if (!rc)
		rc = pci_add_msi(&dev->pci, 0xa0, 4, true, false);
	for (unsigned int i = 0; i < NR_TIMERS; i++)
		toy->timers[i].expired = toy_expired;
	return rc;
}

static void toy_fini(struct device *d)
{
	struct toy *t = device_state(d);

	finis++;
	if (!t->slow_fini)
		return;
	device_timer_arm(d, &t->timers[0], 0);
	pause_ms(5);
}

static const struct device_model toy_model = {
	.name = "toy",
	.props = toy_props,
	.props_size = sizeof(struct toy_props),
	.state_size = sizeof(struct toy),
	.init = toy_init,
	.fini = toy_fini,
	.reset = toy_reset,
	.bar_read = toy_read,
	.bar_write = toy_write,
};

struct seen {
	bool level;
	unsigned int changes, messages, vector;
};

static void on_intx(void *opaque, bool level)
{
	struct seen *seen = opaque;

	seen->level = level;
	seen->changes++;
}

static void on_msi(void *opaque, unsigned int vector)
{
	struct seen *seen = opaque;

	seen->messages++;
	seen->vector = vector;
}

static const struct device_irq_sink sink = { on_intx, on_msi };

static struct device_thread *thread;
static struct device *dev;
static struct toy *toy;

static int try_device(const char *property, const char *value, const char *name, char **error)
{
	void *props = calloc(1, toy_model.props_size);
	char *unused = NULL;

	assert_non_null(props);
	prop_defaults(toy_props, props);
	if (property)
		assert_int_equal(prop_set(toy_props, props, "toy", property, value, &unused), 0);
	return device_new(&toy_model, name, props, thread, &dev, error);
}

static int set_up_with(const char *property, const char *value)
{
	char *error = NULL;

	thread = device_thread_new();
	assert_non_null(thread);
	assert_int_equal(try_device(property, value, "0000:02:03.4", &error), 0);
	assert_null(error);
	toy = device_state(dev);
	finis = 0;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(NULL, NULL);
}

static int set_up_shared(void **state)
{
	return set_up_with("shared", "on");
}

static int tear_down(void **state)
{
	device_free(dev);
	assert_int_equal(finis, 1);
	device_thread_free(thread);
	return 0;
}

static void set_command(u16 command)
{
	device_config_write(dev, PCI_COMMAND, 2, command);
}

static void test_new(void **state)
{
	assert_string_equal(dev->ep.name, "0000:02:03.4");
	assert_int_equal(dev->ep.rid, 0x021c);
	assert_ptr_equal(dev->thread, thread);
	assert_false(dev->decoding);
}

static void test_new_fails(void **state)
{
	static const struct {
		const char *property, *value, *name;
		int error;
		const char *text;
	} cases[] = {
		{ "fail", "on", "0000:01:00.0", -ENODEV, "a reason" },
		{ NULL, NULL, "01:00.0", -EINVAL, "device toy at 01:00.0: Invalid argument" },
		{ NULL, NULL, "0000:01:00.0:and:more", -EINVAL, NULL },
		{ NULL, NULL, "0000:01:20.0", -EINVAL, NULL },
		{ "bad-bar", "2T", "0000:01:00.0", -EINVAL, NULL },
		{ "bad-bar", "2K", "0000:01:00.0", -EINVAL, NULL },
		{ "bad-bar", "3M", "0000:01:00.0", -EINVAL, NULL },
	};

	thread = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *error = NULL;

		assert_int_equal(try_device(cases[i].property, cases[i].value, cases[i].name,
					    &error),
				 cases[i].error);
		assert_non_null(error);
		if (cases[i].text)
			assert_string_equal(error, cases[i].text);
	}
}

static void check_place(u64 offset, unsigned int bar, u64 bar_offset)
{
	unsigned int b = 99;
	u64 o = ~0ULL;

	assert_int_equal(device_file_offset(dev, offset, &b, &o), 0);
	assert_int_equal(b, bar);
	assert_int_equal(o, bar_offset);
}

static void check_no_place(u64 offset)
{
	unsigned int b;
	u64 o;

	assert_int_equal(device_file_offset(dev, offset, &b, &o), -EINVAL);
}

static void test_layout(void **state)
{
	assert_int_equal(dev->bars[0].offset, 0x20 * TIB);
	assert_int_equal(dev->bars[1].offset, TIB);
	assert_int_equal(dev->bars[2].offset, 0x22 * TIB);
	assert_int_equal(dev->bars[3].offset, 3 * TIB);
	check_place(0x20 * TIB, 0, 0);
	check_place(0x20 * TIB + 4095, 0, 4095);
	check_place(TIB + 31, 1, 31);
	check_place(0x22 * TIB + MIB - 1, 2, MIB - 1);
	check_place(6 * TIB + 4, PCI_ROM_BAR, 4);
	check_no_place(0);
	check_no_place(0x20 * TIB - 1);
	check_no_place(0x20 * TIB + 4096);
	check_no_place(TIB + 32);
	check_no_place(3 * TIB);
	check_no_place(7 * TIB);
	check_no_place(~0ULL);
}

static void test_layout_shared(void **state)
{
	assert_int_equal(dev->bars[0].offset, 0x10 * TIB);
	assert_int_equal(dev->bars[2].offset, 2 * TIB);
	check_place(0x10 * TIB + 4095, 0, 4095);
	check_place(2 * TIB, 2, 0);
	check_no_place(0x20 * TIB);
}

/* What a program has: an open file description of its own. */
static int open_file(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dev->memfd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static sigjmp_buf bus_error;

static void on_sigbus(int sig)
{
	siglongjmp(bus_error, 1);
}

/* Whether reading @at raises SIGBUS. */
static bool is_absent(const void *at)
{
	struct sigaction action = { .sa_handler = on_sigbus }, old;
	volatile bool absent = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus_error, 1)) {
		(void)*(const volatile u8 *)at;
		absent = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return absent;
}

static void test_file_sealed(void **state)
{
	cleanup_fd int fd = open_file();
	struct stat st;
	void *p;

	device_set_decoding(dev, true);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(pwrite(fd, "x", 1, 0x20LL << 40), -1);
	assert_int_equal(fallocate(fd, 0, 0, 4096), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_blocks, 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)dev->bars[0].offset);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_true(is_absent(p));
	munmap(p, 4096);
}

static void test_decoding(void **state)
{
	cleanup_fd int fd = open_file();
	u8 *host = dev->bars[2].host, *p;
	u64 value;

	p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)dev->bars[2].offset);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_true(is_absent(p));
	/* The device has its memory all the same. */
	host[5] = 55;
	host[MIB - 1] = 66;
	((u8 *)dev->bars[0].host)[7] = 77;
	set_command(PCI_COMMAND_MEMORY);
	device_set_decoding(dev, true);
	assert_false(is_absent(p));
	assert_int_equal(p[5], 55);
	assert_int_equal(p[MIB - 1], 66);
	assert_int_equal(p[4096], 0);
	p[5] = 56;
	p[8192] = 88;
	assert_int_equal(host[5], 56);
	assert_int_equal(device_bar_read(dev, 2, 8192, 2, &value), 0);
	assert_int_equal(value, 88);
	assert_int_equal(device_bar_read(dev, 0, 7, 1, &value), 0);
	assert_int_equal(value, 77);
	device_set_decoding(dev, false);
	assert_true(is_absent(p));
	assert_int_equal(host[8192], 88);
	host[8192] = 89;
	device_set_decoding(dev, true);
	device_set_decoding(dev, true);
	assert_int_equal(p[8192], 89);
	assert_int_equal(p[5], 56);
	munmap(p, MIB);
}

static void test_decoding_is_sparse(void **state)
{
	cleanup_fd int fd = open_file();
	u8 *host = dev->bars[2].host;
	struct stat st;

	host[100] = 1;
	device_set_decoding(dev, true);
	/* A program fills a hole below the BARs. */
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(fstat(dev->memfd, &st), 0);
	assert_true(st.st_blocks <= 4 * 8);
	device_set_decoding(dev, false);
	assert_int_equal(fstat(dev->memfd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_size, 0);
	device_set_decoding(dev, true);
	assert_int_equal(fstat(dev->memfd, &st), 0);
	assert_true(st.st_blocks <= 2 * 8);
	assert_int_equal(host[100], 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), -1);
}

/* The process's handler for the views of shared BARs; cmocka puts its own in place of it. */
static struct sigaction guard;

static void take_guard(void)
{
	set_up_with("shared", "on");
	sigaction(SIGBUS, NULL, &guard);
	tear_down(NULL);
}

static void test_file_cut_short(void **state)
{
	struct sigaction old;
	cleanup_fd int fd = open_file();
	u8 *host = dev->bars[2].host, *p;

	p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)dev->bars[2].offset);
	assert_ptr_not_equal(p, MAP_FAILED);
	sigaction(SIGBUS, &guard, &old);
	device_set_decoding(dev, true);
	host[9] = 9;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(host[9], 0);
	host[9] = 10;
	assert_int_equal(host[9], 10);
	assert_true(is_absent(p));
	device_set_decoding(dev, false);
	device_set_decoding(dev, true);
	host[9] = 11;
	assert_int_equal(p[9], 11);
	munmap(p, MIB);
	sigaction(SIGBUS, &old, NULL);
}

static void check_access(unsigned int i, bool write, u64 offset, unsigned int width, u64 value)
{
	struct access *a = &toy->log[i];

	assert_true(i < toy->accesses);
	assert_int_equal(a->write, write);
	assert_int_equal(a->offset, offset);
	assert_int_equal(a->width, width);
	assert_int_equal(a->value, value);
}

static void test_access(void **state)
{
	u64 value = 1;

	set_command(PCI_COMMAND_MEMORY);
	assert_int_equal(device_bar_read(dev, 0, 0x11, 4, &value), 0);
	assert_int_equal(value, 0x14131211);
	check_access(0, false, 0x11, 4, 0x14131211);
	assert_int_equal(toy->accesses, 1);
	assert_int_equal(device_bar_read(dev, 0, 0x21, 7, &value), 0);
	assert_int_equal(value, 0x27262524232221);
	check_access(1, false, 0x21, 1, 0x21);
	check_access(2, false, 0x22, 2, 0x2322);
	check_access(3, false, 0x24, 4, 0x27262524);
	assert_int_equal(toy->accesses, 4);
	assert_int_equal(device_bar_write(dev, 2, 8, 8, 0x1122334455667788), 0);
	check_access(4, true, 8, 8, 0x1122334455667788);
	assert_int_equal(device_bar_write(dev, 2, 4, 3, 0xff223344), 0);
	check_access(5, true, 4, 2, 0x3344);
	check_access(6, true, 6, 1, 0x22);
	assert_int_equal(device_bar_write(dev, 2, 4, 1, 0x1234), 0);
	check_access(7, true, 4, 1, 0x34);
	assert_int_equal(toy->accesses, 8);
}

static void test_access_refused(void **state)
{
	static const struct {
		unsigned int bar, width;
		u64 offset;
	} bad[] = {
		{ 0, 0, 0 },	 { 0, 9, 0 },	  { 0, 1, 4096 }, { 0, 8, 4089 },
		{ 0, 1, ~0ULL }, { 0, 8, ~0ULL }, { 3, 4, 0 },	  { 5, 4, 0 },
		{ 7, 4, 0 },	 { ~0U, 4, 0 },	  { 1, 4, 32 },
	};
	u64 value = 0;

	set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(device_bar_read(dev, bad[i].bar, bad[i].offset, bad[i].width,
						 &value),
				 -EINVAL);
		assert_int_equal(device_bar_write(dev, bad[i].bar, bad[i].offset, bad[i].width, 0),
				 -EINVAL);
	}
	assert_int_equal(device_bar_read(dev, 0, 4088, 8, &value), 0);
	assert_int_equal(device_bar_read(dev, 1, 31, 1, &value), 0);
	assert_int_equal(toy->accesses, 2);
	set_command(0);
	assert_int_equal(device_bar_read(dev, 0, 0, 4, &value), -EIO);
	assert_int_equal(device_bar_write(dev, 0, 0, 4, 0), -EIO);
	assert_int_equal(device_bar_read(dev, 1, 0, 2, &value), 0);
	assert_int_equal(value, 0xffff);
	assert_int_equal(device_bar_write(dev, 1, 0, 2, 0), 0);
	set_command(PCI_COMMAND_MEMORY);
	device_config_write(dev, 0x44, 2, 3);
	assert_int_equal(toy->powers, 1);
	assert_int_equal(device_bar_read(dev, 0, 0, 4, &value), -EIO);
	assert_int_equal(toy->accesses, 2);
}

static void test_access_shared(void **state)
{
	u8 *host = dev->bars[0].host;
	u64 value;

	set_command(PCI_COMMAND_MEMORY);
	for (unsigned int i = 0; i < 64; i++)
		host[i] = (u8)i;
	for (unsigned int width = 1; width <= 8; width++) {
		for (unsigned int at = 0; at < 16; at++) {
			u64 want = 0;

			memcpy(&want, host + at, width);
			assert_int_equal(device_bar_read(dev, 0, at, width, &value), 0);
			assert_int_equal(value, want);
			assert_int_equal(device_bar_write(dev, 0, at, width, ~want), 0);
			value = 0;
			memcpy(&value, host + at, width);
			assert_int_equal(value ^ want, ~0ULL >> (64 - 8 * width));
			assert_int_equal(device_bar_write(dev, 0, at, width, want), 0);
			assert_int_equal(host[at + width], at + width);
		}
	}
	assert_int_equal(toy->accesses, 0);
}

static void set_intx(bool level)
{
	pthread_mutex_lock(&dev->lock);
	device_set_intx(dev, level);
	pthread_mutex_unlock(&dev->lock);
}

static void send_msi(unsigned int vector)
{
	pthread_mutex_lock(&dev->lock);
	device_send_msi(dev, vector);
	pthread_mutex_unlock(&dev->lock);
}

static u32 status(void)
{
	return device_config_read(dev, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

static void test_intx(void **state)
{
	struct seen one = { 0 }, two = { 0 };

	device_set_irq_sink(dev, &sink, &one);
	assert_int_equal(one.changes, 0);
	set_intx(true);
	set_intx(true);
	assert_true(one.level);
	assert_int_equal(one.changes, 1);
	assert_true(status());
	assert_true(device_intx_pending(dev));
	set_command(PCI_COMMAND_INTX_DISABLE);
	assert_false(one.level);
	assert_true(status());
	assert_false(device_intx_pending(dev));
	assert_int_equal(toy->commands, 1);
	set_command(0);
	assert_true(one.level);
	assert_int_equal(one.changes, 3);
	device_set_irq_sink(dev, &sink, &two);
	assert_true(two.level);
	set_intx(false);
	assert_false(two.level);
	assert_false(status());
	assert_int_equal(one.changes, 3);
	device_set_irq_sink(dev, NULL, NULL);
	set_intx(true);
	assert_int_equal(two.changes, 2);
	device_set_irq_sink(dev, &sink, &two);
	assert_true(two.level);
	device_config_write(dev, 0xa2, 2, PCI_MSI_FLAGS_ENABLE);
	assert_false(two.level);
	assert_false(status());
	set_intx(true);
	assert_false(two.level);
	assert_int_equal(toy->msis, 1);
}

static void test_msi(void **state)
{
	struct seen seen = { 0 };

	device_set_irq_sink(dev, &sink, &seen);
	set_command(PCI_COMMAND_MASTER);
	send_msi(0);
	assert_int_equal(seen.messages, 0);
	device_config_write(dev, 0xa2, 2, PCI_MSI_FLAGS_ENABLE);
	send_msi(3);
	assert_int_equal(seen.messages, 1);
	assert_int_equal(seen.vector, 3);
	send_msi(4);
	set_command(0);
	send_msi(3);
	set_command(PCI_COMMAND_MASTER);
	device_config_write(dev, 0x44, 2, 3);
	send_msi(3);
	assert_int_equal(seen.messages, 1);
	device_config_write(dev, 0x44, 2, 0);
	send_msi(1);
	assert_int_equal(seen.messages, 2);
	assert_int_equal(seen.changes, 0);
}

static void test_dma_refused(void **state)
{
	u8 buf[4] = { 0 };

	pthread_mutex_lock(&dev->lock);
	assert_int_equal(device_dma_read(dev, 0x1000, buf, 4), -EFAULT);
	assert_int_equal(device_dma_write(dev, 0x1000, buf, 4), -EFAULT);
	pthread_mutex_unlock(&dev->lock);
	assert_int_equal(atomic_load(&dev->ep.faults), 2);
}

static void test_reset(void **state)
{
	struct seen seen = { 0 };

	device_set_irq_sink(dev, &sink, &seen);
	set_command(PCI_COMMAND_MEMORY);
	device_config_write(dev, PCI_BASE_ADDRESS_0, 4, 0xfe000000);
	set_intx(true);
	device_reset(dev, DEVICE_RESET_BUS);
	assert_false(seen.level);
	assert_int_equal(seen.changes, 2);
	assert_int_equal(device_config_read(dev, PCI_COMMAND, 4) & 0xffff, 0);
	assert_int_equal(device_config_read(dev, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(toy->resets, 1);
	assert_int_equal(toy->reset_kind, DEVICE_RESET_BUS);
	assert_int_equal(toy->flrs, 0);
	/* The same by the function's own means. */
	set_command(PCI_COMMAND_MEMORY);
	set_intx(true);
	device_config_write(dev, 0x60 + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(toy->resets, 2);
	assert_int_equal(toy->reset_kind, DEVICE_RESET_FUNCTION);
	assert_int_equal(toy->flrs, 1);
	assert_int_equal(device_config_read(dev, PCI_COMMAND, 2), 0);
	assert_false(seen.level);
}

static void arm(unsigned int timer, u64 deadline_ns)
{
	pthread_mutex_lock(&dev->lock);
	device_timer_arm(dev, &toy->timers[timer], deadline_ns);
	pthread_mutex_unlock(&dev->lock);
}

static unsigned int fired(void)
{
	unsigned int n;

	pthread_mutex_lock(&dev->lock);
	n = toy->nr_fired;
	pthread_mutex_unlock(&dev->lock);
	return n;
}

static void wait_fired(unsigned int n)
{
	for (unsigned int i = 0; i < 5000 && fired() < n; i++)
		pause_ms(1);
	assert_int_equal(fired(), n);
}

static void test_timers(void **state)
{
	u64 now = device_now_ns();

	arm(0, now + 40000000);
	arm(1, now + 20000000);
	arm(2, now + 60000000);
	wait_fired(3);
	assert_true(device_now_ns() >= now + 60000000);
	assert_string_equal(toy->fired, "102");
	arm(2, 0);
	wait_fired(4);
	toy->rearm = 10;
	arm(0, device_now_ns());
	wait_fired(15);
	assert_string_equal(toy->fired, "102200000000000");
}

static void test_timer_cancel(void **state)
{
	arm(0, device_now_ns() + 20000000);
	arm(1, device_now_ns() + 3600000000000);
	arm(2, device_now_ns() + 20000000);
	pthread_mutex_lock(&dev->lock);
	device_timer_cancel(&toy->timers[0]);
	device_timer_cancel(&toy->timers[0]);
	pthread_mutex_unlock(&dev->lock);
	arm(1, device_now_ns() + 1000000);
	wait_fired(2);
	pause_ms(30);
	assert_int_equal(fired(), 2);
	assert_string_equal(toy->fired, "12");
	/* Due, but the lock is held: cancelled is cancelled. */
	pthread_mutex_lock(&dev->lock);
	device_timer_arm(dev, &toy->timers[0], 0);
	pause_ms(10);
	device_timer_cancel(&toy->timers[0]);
	pthread_mutex_unlock(&dev->lock);
	pause_ms(10);
	assert_int_equal(fired(), 2);
	/* The device goes with one armed. */
	arm(0, device_now_ns() + 1000000);
}

/* Devices come and go while their timers fire. */
static void test_timer_race(void **state)
{
	char *error = NULL;

	for (unsigned int i = 0; i < 200; i++) {
		arm(0, 0);
		arm(1, device_now_ns() + 50000);
		toy->slow_fini = i % 8 == 0;
		if (i % 3)
			sched_yield();
		device_free(dev);
		assert_int_equal(try_device(NULL, NULL, "0000:02:03.4", &error), 0);
		toy = device_state(dev);
	}
	finis = 0;
}

static u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static void test_thread_idle(void **state)
{
	u64 start = cpu_ns();

	pause_ms(100);
	assert_true(cpu_ns() - start < 10000000);
	arm(1, device_now_ns() + 3600000000000);
	pause_ms(50);
	assert_true(cpu_ns() - start < 20000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SHARED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_shared, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new),
		cmocka_unit_test(test_new_fails),
		TEST(test_layout),
		SHARED_TEST(test_layout_shared),
		TEST(test_file_sealed),
		SHARED_TEST(test_decoding),
		SHARED_TEST(test_decoding_is_sparse),
		SHARED_TEST(test_file_cut_short),
		TEST(test_access),
		TEST(test_access_refused),
		SHARED_TEST(test_access_shared),
		TEST(test_intx),
		TEST(test_msi),
		TEST(test_dma_refused),
		TEST(test_reset),
		TEST(test_timers),
		TEST(test_timer_cancel),
		TEST(test_timer_race),
		TEST(test_thread_idle),
	};

	take_guard();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
