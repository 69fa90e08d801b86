/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies to and from mapped files that may be cut short at any time. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "base/util.h"
#include "iommu/guard.h"

/*
 * The jump is on the path of every DMA, so that it saves no signal mask (SA_NODEFER leaves it as it
 * is) and, where the compiler can, no more registers than needed. Sanitizers know only the
 * library's jumps, and ThreadSanitizer blocks signals while a handler runs, whatever the flags.
 */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define GUARD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define GUARD_SANITIZER 1
#endif
#endif

#if defined(GUARD_SANITIZER)
typedef sigjmp_buf guard_jmp_buf;
#define guard_setjmp(buf) sigsetjmp(buf, 1)
#define guard_longjmp(buf) siglongjmp(buf, 1)
#elif defined(__x86_64__)
typedef void *guard_jmp_buf[5];
#define guard_setjmp(buf) __builtin_setjmp(buf)
#define guard_longjmp(buf) __builtin_longjmp(buf, 1)
#else
typedef jmp_buf guard_jmp_buf;
#define guard_setjmp(buf) _setjmp(buf)
#define guard_longjmp(buf) longjmp(buf, 1)
#endif

/* Keeps the compiler from moving the copy out of what guards it. */
#define compiler_barrier() __asm__ volatile("" ::: "memory")

/* Of the copy that this thread is in the middle of. */
static __thread struct {
	uintptr_t start; /* page aligned */
	size_t len;	 /* 0: none */
	guard_jmp_buf jump;
} guard;

static struct sigaction previous;

/* What the process does with a SIGBUS that is not ours. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction fallback = { .sa_handler = SIG_DFL };
	bool sent = info->si_code <= 0;

	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(sig, info, context);
	} else if (previous.sa_handler == SIG_IGN && sent) {
		return;
	} else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
		/* A fault happens again on return, and then ends the process; a signal must be
		 * repeated. */
		sigaction(sig, &fallback, NULL);
		if (sent)
			raise(sig);
	} else {
		previous.sa_handler(sig);
	}
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (info->si_code > 0 && (uintptr_t)info->si_addr - guard.start < guard.len) {
		guard.len = 0;
		guard_longjmp(guard.jump);
	}
	pass_on(sig, info, context);
}

int guard_init(void)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};
	struct sigaction current;

	if (sigaction(SIGBUS, NULL, &current))
		return -errno;
	if (current.sa_flags & SA_SIGINFO && current.sa_sigaction == on_sigbus)
		return 0;
	previous = current;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

/* Not inline: the jump must not land in a function that may have been rearranged around it. */
__attribute__((noinline)) bool guard_copy(void *dst, const void *src, size_t len,
					  const void *guarded)
{
	uintptr_t start = ALIGN_DOWN((uintptr_t)guarded, PAGE_SIZE_4K);

	if (guard_setjmp(guard.jump))
		return false;
	guard.start = start;
	guard.len = (uintptr_t)guarded - start + len;
	compiler_barrier();
	memcpy(dst, src, len);
	compiler_barrier();
	guard.len = 0;
	return true;
}
