/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MMIO engine on real processes: a mapping past the end of a memfd, and behind it a device
 * that is plain memory shared with the test. Each body of a program runs in a child of its own and
 * exits 0, or with the number of the line that is wrong (modulo 250).
 *
 * Arguments: "no-query" takes PROCMAP_QUERY away first; "speed" prints the time of a trap.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "device/device.h"
#include "insn_forms.h"
#include "supervisor/mmio.h"

#define BAR_SIZE FORM_DEV_SIZE
#define BAR_OFFSET (7ULL << 40)

/* Shared with the children. */
struct shared {
	u8 ram[BAR_SIZE];
	bool off; /* memory decoding */
	int go;	  /* of the test's own synchronization */
	u64 value;
};

static struct shared *shared;
static struct device device;
static struct mmio *mmio;
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_report[512]; /* report_lock */
static unsigned int reports;  /* report_lock */

int device_file_offset(const struct device *dev, u64 offset, unsigned int *bar, u64 *bar_offset)
{
	if (dev != &device || offset < BAR_OFFSET || offset >= BAR_OFFSET + BAR_SIZE)
		return -EINVAL;
	*bar = 0;
	*bar_offset = offset - BAR_OFFSET;
	return 0;
}

int device_bar_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		    u64 *value)
{
	if (__atomic_load_n(&shared->off, __ATOMIC_ACQUIRE))
		return -EIO;
	*value = 0;
	memcpy(value, shared->ram + offset, width);
	return 0;
}

int device_bar_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		     u64 value)
{
	if (__atomic_load_n(&shared->off, __ATOMIC_ACQUIRE))
		return -EIO;
	memcpy(shared->ram + offset, &value, width);
	return 0;
}

static void report(void *opaque, const char *line)
{
	pthread_mutex_lock(&report_lock);
	snprintf(last_report, sizeof(last_report), "%s", line);
	reports++;
	pthread_mutex_unlock(&report_lock);
}

/* The number of reports, and a copy of the last. */
static unsigned int reported(char *line)
{
	unsigned int n;

	pthread_mutex_lock(&report_lock);
	memcpy(line, last_report, sizeof(last_report));
	n = reports;
	pthread_mutex_unlock(&report_lock);
	return n;
}

/* ---- in the child ---- */

#define CHECK(x) \
	do { \
		if (!(x)) \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

static volatile u32 *map_bar(void)
{
	void *p = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, device.memfd,
		       (off_t)BAR_OFFSET);

	CHECK(p != MAP_FAILED);
	return p;
}

static void wait_go(int value)
{
	while (__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE) != value)
		usleep(1000);
}

static pid_t tracer_of(pid_t tid)
{
	char path[64], line[128];
	int tracer = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "TracerPid:\t%d", &tracer);
	if (f)
		fclose(f);
	return tracer;
}

/* gcc and clang tell in different ways. */
#if defined(__SANITIZE_THREAD__)
#define TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN
#endif
#endif

/* ---- in the test ---- */

/* Runs @body in a child, which waits until it is attached. */
static pid_t start(void (*body)(void))
{
	static const int caught[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGSYS }; /* by cmocka */
	pid_t pid;

	__atomic_store_n(&shared->go, 0, __ATOMIC_RELEASE);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
			signal(caught[i], SIG_DFL);
		wait_go(1);
		body();
		_exit(0);
	}
	return pid;
}

static void wait_ended(pid_t pid)
{
	struct pollfd pfd = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	assert_true(pfd.fd >= 0);
	assert_int_equal(poll(&pfd, 1, 30000), 1);
	close(pfd.fd);
}

static void expect_exit(pid_t pid, int code, int status)
{
	char line[sizeof(last_report)];
	siginfo_t info = { 0 };

	wait_ended(pid);
	assert_int_equal(mmio_wait_child(pid, &info), 1);
	assert_int_equal(info.si_pid, pid);
	if (info.si_code != code || info.si_status != status) {
		reported(line);
		fail_msg("child: code %d status %d (last report: %s)", info.si_code, info.si_status,
			 line);
	}
}

static void go(int value)
{
	__atomic_store_n(&shared->go, value, __ATOMIC_RELEASE);
}

static void run(void (*body)(void))
{
	pid_t pid = start(body);

	assert_int_equal(mmio_attach(mmio, pid), 0);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	expect_exit(pid, CLD_EXITED, 0);
}

static int setup(void **state)
{
	static const struct mmio_ops ops = { .report = report };
	struct stat st;

	memset(shared, 0, sizeof(*shared));
	last_report[0] = '\0';
	reports = 0;
	mmio = mmio_new(&ops, NULL);
	assert_non_null(mmio);
	assert_int_equal(fstat(device.memfd, &st), 0);
	assert_int_equal(mmio_add_file(mmio, st.st_dev, st.st_ino, &device), 0);
	assert_int_equal(mmio_add_file(mmio, st.st_dev, st.st_ino, &device), -EEXIST);
	return 0;
}

static int teardown(void **state)
{
	mmio_free(mmio);
	return 0;
}

/* ---- every form ---- */

static void print_form(const struct form *form, unsigned int seed, const char *what)
{
	fprintf(stderr, "%s, seed %u: %s\n", form->text, seed, what);
	_exit(1);
}

static void one_form(const struct form *form, unsigned int seed)
{
	static struct form_regs native, trapped;
	static u8 dev[BAR_SIZE], plain[FORM_PLAIN_SIZE];
	u8 *dev_va = (u8 *)(uintptr_t)FORM_DEV, *plain_va = (u8 *)(uintptr_t)FORM_PLAIN;

	form_place(form);
	CHECK(mmap(dev_va, BAR_SIZE, PROT_READ | PROT_WRITE,
		   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == dev_va);
	form_setup(form, seed, &native, dev_va, plain_va);
	form_run(&native);
	memcpy(dev, dev_va, sizeof(dev));
	memcpy(plain, plain_va, sizeof(plain));
	CHECK(mmap(dev_va, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, device.memfd,
		   (off_t)BAR_OFFSET) == dev_va);
	form_setup(form, seed, &trapped, shared->ram, plain_va);
	form_run(&trapped);
	for (unsigned int i = 0; i < 16; i++) {
		if (native.gpr[i] != trapped.gpr[i])
			print_form(form, seed, "a register differs");
	}
	if ((native.flags ^ trapped.flags) & ~(u64)form->ignore)
		print_form(form, seed, "flags differ");
	/* Registers of MMX and SSE; then all above, where the layout is the same for both. */
	if (memcmp(native.xsave + 160, trapped.xsave + 160, 256))
		print_form(form, seed, "an SSE register differs");
	for (unsigned int i = 576; i < sizeof(native.xsave); i++) {
		if (native.xsave[i] != trapped.xsave[i])
			print_form(form, seed, "a wide register differs");
	}
	for (unsigned int i = 32; i < 160; i += 16) {
		if (memcmp(native.xsave + i, trapped.xsave + i, 10))
			print_form(form, seed, "an MMX register differs");
	}
	if (memcmp(dev, shared->ram, sizeof(dev)))
		print_form(form, seed, "the device's memory differs");
	if (memcmp(plain, plain_va, sizeof(plain)))
		print_form(form, seed, "plain memory differs");
}

static void body_forms(void)
{
	form_map();
	for (size_t i = 0; i < form_count; i++) {
		struct form form = form_at(i);

		for (unsigned int seed = 0; seed < 3 && form_supported(&form); seed++)
			one_form(&form, seed);
	}
}

static void test_forms(void **state)
{
	char line[sizeof(last_report)];

	run(body_forms);
	assert_true(mmio_traps(mmio) > 500);
	assert_int_equal(reported(line), 0);
}

/* ---- signals ---- */

static sigjmp_buf jump;
static siginfo_t seen;
static volatile sig_atomic_t seen_count;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	seen = *info;
	seen_count++;
	siglongjmp(jump, 1);
}

static void catch_faults(int sig)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(sig, &action, NULL));
}

static void body_own_sigbus(void)
{
	volatile u32 *bar = map_bar();
	int fd = memfd_create("own", 0);
	volatile u8 *own;

	CHECK(!ftruncate(fd, 4096));
	own = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	catch_faults(SIGBUS);
	bar[1] = 5;
	CHECK(bar[1] == 5 && !seen_count);
	if (!sigsetjmp(jump, 1)) {
		own[4096 + 12] = 1;
		CHECK(0);
	}
	CHECK(seen_count == 1 && seen.si_code == BUS_ADRERR);
	CHECK(seen.si_addr == (void *)(own + 4096 + 12));
	/* The device does not answer: the program's own affair too. */
	__atomic_store_n(&shared->off, true, __ATOMIC_RELEASE);
	if (!sigsetjmp(jump, 1)) {
		(void)bar[3];
		CHECK(0);
	}
	CHECK(seen_count == 2 && seen.si_code == BUS_ADRERR && seen.si_addr == (void *)(bar + 3));
	__atomic_store_n(&shared->off, false, __ATOMIC_RELEASE);
	CHECK(bar[1] == 5);
	/* A signal that only says it was a fault. */
	if (!sigsetjmp(jump, 1)) {
		siginfo_t fake = { .si_signo = SIGBUS, .si_code = BUS_ADRERR };

		fake.si_addr = (void *)bar;
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &fake);
		CHECK(0);
	}
	CHECK(seen_count == 3);
	if (!sigsetjmp(jump, 1)) {
		raise(SIGBUS);
		CHECK(0);
	}
	CHECK(seen_count == 4 && seen.si_code == SI_TKILL && seen.si_pid == getpid());
}

static void test_own_sigbus(void **state)
{
	char line[sizeof(last_report)];

	run(body_own_sigbus);
	assert_int_equal(reported(line), 0);
}

static void body_no_such_insn(void)
{
	volatile u32 *bar = map_bar();

	catch_faults(SIGBUS);
	if (!sigsetjmp(jump, 1)) {
		__asm__ volatile("fldl (%0); fstp %%st(0)" : : "r"(bar) : "memory");
		CHECK(0);
	}
	CHECK(seen_count == 1 && seen.si_code == BUS_ADRERR && seen.si_addr == (void *)bar);
}

static void test_no_such_insn(void **state)
{
	char line[sizeof(last_report)];

	run(body_no_such_insn);
	assert_int_equal(reported(line), 1);
	assert_non_null(strstr(line, "fld"));
	assert_null(strchr(line, '\n'));
}

/* The other side of the access is no memory, or may not be written; a division by a register. */
static void body_other_faults(void)
{
	volatile u32 *bar = map_bar();
	u8 *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile u32 *bar_ro =
		mmap(NULL, BAR_SIZE, PROT_READ, MAP_SHARED, device.memfd, (off_t)BAR_OFFSET);
	const volatile void *from = bar;
	void *to = ro + 8;

	catch_faults(SIGSEGV);
	catch_faults(SIGFPE);
	if (!sigsetjmp(jump, 1)) {
		__asm__ volatile("movsb" : "+S"(from), "+D"(to) : : "memory");
		CHECK(0);
	}
	CHECK(seen_count == 1 && seen.si_signo == SIGSEGV && seen.si_addr == ro + 8);
	munmap(ro, 4096);
	if (!sigsetjmp(jump, 1)) {
		__asm__ volatile("movsb" : "+S"(from), "+D"(to) : : "memory");
		CHECK(0);
	}
	CHECK(seen_count == 2 && seen.si_code == SEGV_MAPERR && seen.si_addr == ro + 8);
	if (!sigsetjmp(jump, 1)) { /* traps on the read; may not write */
		from = bar;
		to = (void *)bar_ro;
		__asm__ volatile("movsb" : "+S"(from), "+D"(to) : : "memory");
		CHECK(0);
	}
	CHECK(seen_count == 3 && seen.si_signo == SIGSEGV && seen.si_addr == (void *)bar_ro);
	if (!sigsetjmp(jump, 1)) {
		__asm__ volatile("xor %%edx, %%edx; divl (%0)" : : "r"(bar) : "eax", "edx");
		CHECK(0);
	}
	CHECK(seen_count == 4 && seen.si_signo == SIGFPE && seen.si_code == FPE_INTDIV);
}

static void test_other_faults(void **state)
{
	run(body_other_faults);
}

static volatile u32 *timer_bar;
static volatile sig_atomic_t ticks;

static void on_timer(int sig)
{
	timer_bar[2] = timer_bar[2] + 1;
	ticks++;
}

/* A handler that uses the device interrupts a loop that uses it, and a system call that restarts.
 */
static void body_timers(void)
{
	struct itimerval every = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	int fds[2];
	char c;

	timer_bar = map_bar();
	CHECK(!pipe(fds) && !sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &every, NULL));
	for (u32 i = 0; i < 3000; i++) {
		timer_bar[0] = i;
		CHECK(timer_bar[0] == i);
	}
	while (!ticks)
		usleep(1000);
	if (!fork()) {
		setitimer(ITIMER_REAL, &never, NULL);
		usleep(30000);
		_exit(write(fds[1], "x", 1) != 1);
	}
	CHECK(read(fds[0], &c, 1) == 1 && c == 'x');
	CHECK(!setitimer(ITIMER_REAL, &never, NULL));
	CHECK(timer_bar[2] == (u32)ticks);
}

static void test_timers(void **state)
{
	run(body_timers);
}

/* ---- threads ---- */

#define THREADS 6
#define ROUNDS 1500

static void *adder(void *arg)
{
	volatile u32 *bar = arg;
	sigset_t all;

	sigfillset(&all); /* as drivers' threads do; SIGBUS too */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (int i = 0; i < ROUNDS; i++)
		__atomic_fetch_add(&bar[0], 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void body_threads(void)
{
	volatile u32 *bar = map_bar();
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, adder, (void *)bar));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(bar[0] == THREADS * ROUNDS);
}

static void test_threads(void **state)
{
	run(body_threads);
}

static void body_attach_late(void)
{
	pthread_t threads[THREADS];
	volatile u32 *bar = map_bar();

	/* These are there before the attach; the test attaches between 1 and 3. */
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, (void *(*)(void *))(void *)wait_go,
				      (void *)(uintptr_t)3));
	go(2);
	wait_go(3);
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	bar[0] = 1;
}

/* ---- process trees ---- */

static int wait_exit(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void body_fork(void)
{
	volatile u32 *bar = map_bar();
	siginfo_t info;
	pid_t pid = fork();

	if (!pid) {
		bar[1] = 77;
		_exit(bar[1] == 77 ? 7 : 1);
	}
	CHECK(wait_exit(pid) == 7 << 8);
	pid = fork();
	if (!pid) { /* an orphan's child goes on */
		pid = fork();
		if (!pid) {
			bar[2] = 1;
			_exit(0);
		}
		_exit(0);
	}
	CHECK(wait_exit(pid) == 0);
	while (bar[2] != 1)
		usleep(100);
	pid = vfork();
	if (!pid) {
		bar[3] = 4;
		_exit(9);
	}
	CHECK(wait_exit(pid) == 9 << 8 && bar[3] == 4);
	pid = fork();
	if (!pid) {
		for (;;)
			bar[4] = bar[4] + 1;
	}
	while (!bar[4])
		usleep(100);
	CHECK(!kill(pid, SIGKILL));
	CHECK(!waitid(P_PID, (id_t)pid, &info, WEXITED));
	CHECK(info.si_code == CLD_KILLED && info.si_status == SIGKILL);
}

static void test_fork(void **state)
{
	run(body_fork);
}

static void *exec_thread(void *arg)
{
	execl("/bin/sh", "sh", "-c",
	      "read x < /dev/null; while read k v; do [ $k = TracerPid: ] && exit $((v != 0)); "
	      "done "
	      "< /proc/self/status; exit 9",
	      NULL);
	_exit(8);
}

static void body_exec(void)
{
	exec_thread(NULL);
}

/* From a thread that is not the first, while others use the device. */
static void body_exec_thread(void)
{
	volatile u32 *bar = map_bar();
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, adder, (void *)(bar + i));
		pthread_detach(thread);
	}
	pthread_create(&thread, NULL, exec_thread, NULL);
	for (;;)
		bar[8] = 1;
}

static void test_exec(void **state)
{
	run(body_exec);
	for (int i = 0; i < 20; i++)
		run(body_exec_thread);
}

/* What a shell sees of its job. */
static void body_job_control(void)
{
	volatile u32 *bar = map_bar();
	pid_t pid = fork();
	siginfo_t info;
	u32 count;

	if (!pid) {
		setpgid(0, 0); /* SIGTSTP does not stop an orphaned group */
		for (;;)
			bar[0] = bar[0] + 1;
	}
	while (!bar[0])
		usleep(100);
	for (int i = 0; i < 20; i++) {
		CHECK(!kill(pid, i % 2 ? SIGSTOP : SIGTSTP));
		CHECK(!waitid(P_PID, (id_t)pid, &info, WSTOPPED));
		CHECK(info.si_code == CLD_STOPPED && info.si_status == (i % 2 ? SIGSTOP : SIGTSTP));
		count = bar[0];
		usleep(2000);
		CHECK(count == bar[0]);
		CHECK(!kill(pid, SIGCONT));
		CHECK(!waitid(P_PID, (id_t)pid, &info, WCONTINUED));
		CHECK(info.si_code == CLD_CONTINUED);
		while (count == bar[0])
			usleep(100);
	}
	kill(pid, SIGSTOP);
	CHECK(!waitid(P_PID, (id_t)pid, &info, WSTOPPED));
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);
	CHECK(!waitid(P_PID, (id_t)pid, &info, WEXITED));
	CHECK(info.si_code == CLD_KILLED && info.si_status == SIGTERM);
}

static void test_job_control(void **state)
{
	run(body_job_control);
}

/* ---- the exit of our own child, whichever thread forked it ---- */

static void body_exit_42(void)
{
	volatile u32 *bar = map_bar();

	bar[0] = 1;
	_exit(42);
}

static void body_spin(void)
{
	volatile u32 *bar = map_bar();

	for (;;)
		bar[0] = 1;
}

static void *forker(void *arg)
{
	pid_t *pid = arg;

	*pid = start(body_exit_42);
	return NULL;
}

static void test_child_exit(void **state)
{
	pthread_t thread;
	siginfo_t info;
	pid_t pid, second;
	int ended = 0;

	for (int i = 0; i < 30; i++) {
		if (i % 2) {
			pthread_create(&thread, NULL, forker, &pid);
			pthread_join(thread, NULL);
		} else {
			pid = start(body_exit_42);
		}
		assert_int_equal(mmio_attach(mmio, pid), 0);
		go(1);
		if (i % 3 == 0) { /* late */
			wait_ended(pid);
			usleep(3000);
		}
		while (i % 3 == 1 && !(ended = mmio_wait_child(pid, &info)))
			usleep(100);
		if (i % 3 == 1)
			assert_true(ended == 1 && info.si_status == 42);
		else
			expect_exit(pid, CLD_EXITED, 42);
		assert_int_equal(mmio_wait_child(pid, &info), -ECHILD);
	}
	/* One that nobody has reaped yet keeps no other from being served. */
	pid = start(body_exit_42);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	usleep(20000);
	second = start(body_fork);
	assert_int_equal(mmio_attach(mmio, second), 0);
	go(1);
	usleep(20000);
	expect_exit(pid, CLD_EXITED, 42);
	expect_exit(second, CLD_EXITED, 0);
	pid = start(body_spin);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	usleep(5000);
	kill(pid, SIGKILL);
	expect_exit(pid, CLD_KILLED, SIGKILL);
}

/* ---- attach and detach ---- */

static void test_attach_late(void **state)
{
	pid_t pid = start(body_attach_late);

	go(1);
	wait_go(2);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(3);
	expect_exit(pid, CLD_EXITED, 0);
	assert_int_equal(mmio_attach(mmio, pid), -ESRCH);
}

/* A debugger of the test's own: a second process that traces the program. */
static void test_debugger(void **state)
{
	char line[sizeof(last_report)];
	pid_t pid = start(body_exit_42), debugger = fork();

	if (!debugger) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		CHECK(!ptrace(PTRACE_SEIZE, pid, NULL, NULL));
		go(2);
		wait_go(3);
		_exit(0);
	}
	wait_go(2);
	assert_int_equal(mmio_attach(mmio, pid), -EBUSY);
	assert_int_equal(reported(line), 1);
	assert_non_null(strstr(line, "debugger"));
	go(3);
	expect_exit(debugger, CLD_EXITED, 0);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	expect_exit(pid, CLD_EXITED, 42);
}

static void *sit_in_epoll(void *arg)
{
	struct epoll_event event;
	int ep = epoll_create1(0);

	shared->value = (u64)gettid();
	CHECK(epoll_wait(ep, &event, 1, 600) == 0); /* not EINTR */
	return NULL;
}

static void *sit_in_read(void *arg)
{
	char c;

	CHECK(read(*(int *)arg, &c, 1) == 1);
	return NULL;
}

static void body_detach(void)
{
	volatile u32 *bar = map_bar();
	pthread_t threads[2];
	int fds[2];

	CHECK(!pipe(fds));
	CHECK(!pthread_create(&threads[0], NULL, sit_in_epoll, NULL));
	CHECK(!pthread_create(&threads[1], NULL, sit_in_read, &fds[0]));
	bar[0] = 1;
	munmap((void *)bar, BAR_SIZE);
	usleep(50000);
	CHECK(tracer_of(getpid()) != 0);
	go(2);
	wait_go(3);
	for (int i = 0; i < 400 && tracer_of(getpid()); i++)
		usleep(1000);
	CHECK(!tracer_of(getpid()));
	CHECK(tracer_of((pid_t)shared->value) != 0); /* in epoll_wait: not yet */
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK(!pthread_join(threads[0], NULL) && !pthread_join(threads[1], NULL));
	/* And again. */
	go(4);
	wait_go(5);
	bar = map_bar();
	bar[0] = 2;
	CHECK(bar[0] == 2);
}

static void test_detach(void **state)
{
	pid_t pid = start(body_detach);

	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	wait_go(2);
	mmio_detach_all(mmio);
	go(3);
	wait_go(4);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(5);
	expect_exit(pid, CLD_EXITED, 0);
}

static char state_of(pid_t pid)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return *(strrchr(text, ')') + 2);
}

/* Waits for a state of two spellings; what it is in the end. */
static char wait_for_state(pid_t pid, char a, char b)
{
	for (int i = 0; i < 2000 && state_of(pid) != a && state_of(pid) != b; i++)
		usleep(1000);
	return state_of(pid);
}

/* A stopped program is let go and stays stopped. */
static void test_detach_stopped(void **state)
{
	pid_t pid = start(body_spin);

	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	usleep(5000);
	kill(pid, SIGSTOP);
	wait_for_state(pid, 't', 'T');
	mmio_detach_all(mmio);
	for (int i = 0; i < 1000 && tracer_of(pid); i++)
		usleep(1000);
	assert_int_equal(tracer_of(pid), 0);
	assert_int_equal(wait_for_state(pid, 'T', 'T'), 'T');
	assert_int_equal(mmio_attach(mmio, pid), 0);
	kill(pid, SIGCONT);
	usleep(10000);
	kill(pid, SIGKILL);
	expect_exit(pid, CLD_KILLED, SIGKILL);
}

/* The device goes: the program gets its SIGBUS, and the engine touches it no more. */
static void test_remove_file(void **state)
{
	pid_t pid = start(body_spin);
	siginfo_t info;
	struct stat st;

	assert_int_equal(fstat(device.memfd, &st), 0);
	assert_int_equal(mmio_attach(mmio, pid), 0);
	go(1);
	usleep(5000);
	mmio_remove_file(mmio, st.st_dev, st.st_ino);
	wait_ended(pid);
	assert_int_equal(mmio_wait_child(pid, &info), 1);
	assert_true(info.si_code != CLD_EXITED && info.si_status == SIGBUS);
}

/* ---- speed ---- */

#define SPEED_ROUNDS 50000

static void body_speed(void)
{
	volatile u32 *bar = map_bar();
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (u32 i = 0; i < SPEED_ROUNDS; i++)
		(void)bar[0];
	clock_gettime(CLOCK_MONOTONIC, &b);
	shared->value = (u64)((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
}

static void test_speed(void **state)
{
	run(body_speed);
	print_message("%.2f us a trap\n", (double)shared->value / SPEED_ROUNDS / 1000);
}

/* ---- */

static void take_query_away(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)PROCMAP_QUERY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		abort();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest speed[] = { TEST(test_speed) };
	const struct CMUnitTest tests[] = {
		TEST(test_forms),	 TEST(test_own_sigbus), TEST(test_no_such_insn),
		TEST(test_other_faults), TEST(test_fork),	TEST(test_job_control),
		TEST(test_child_exit),	 TEST(test_debugger),	TEST(test_detach_stopped),
		TEST(test_remove_file),
#ifndef TSAN /* which supports neither threads in a forked child nor its handlers */
		TEST(test_timers),	 TEST(test_threads),	TEST(test_exec),
		TEST(test_attach_late),	 TEST(test_detach),
#endif
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	device.memfd = memfd_create("device", MFD_CLOEXEC);
	if (shared == MAP_FAILED || device.memfd < 0)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "speed"))
		return cmocka_run_group_tests(speed, NULL, NULL);
	if (argc > 1 && !strcmp(argv[1], "no-query"))
		take_query_away();
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
