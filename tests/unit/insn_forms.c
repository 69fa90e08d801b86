/* SPDX-License-Identifier: BSD-3-Clause */
#include "insn_forms.h"

/*
 * X(text, setup, ignored flags, feature). Where the assembler's name of a form is not enough
 * (moffs, RIP-relative), bytes.
 */
#define FORMS(X) \
	X("movb %al, (%rbx)", 0, 0, F_BASE) \
	X("movb %ah, 3(%rbx)", 0, 0, F_BASE) \
	X("movw %ax, 1(%rbx)", 0, 0, F_BASE) \
	X("movl %eax, 4(%rbx,%r9,4)", 0, 0, F_BASE) \
	X("movq %r10, -8(%rbx,%r9,8)", 0, 0, F_BASE) \
	X("movb $0x5a, (%rbx)", 0, 0, F_BASE) \
	X("movw $0x5aa5, (%rbx)", 0, 0, F_BASE) \
	X("movl $0x5aa51234, (%rbx)", 0, 0, F_BASE) \
	X("movq $-2, (%rbx)", 0, 0, F_BASE) \
	X("movb (%rbx), %al", 0, 0, F_BASE) \
	X("movb (%rbx), %dh", 0, 0, F_BASE) \
	X("movb (%rbx), %sil", 0, 0, F_BASE) \
	X("movb (%rbx), %r14b", 0, 0, F_BASE) \
	X("movw (%rbx), %ax", 0, 0, F_BASE) \
	X("movl (%rbx), %eax", 0, 0, F_BASE) \
	X("movl (%rbx), %ebx", 0, 0, F_BASE) \
	X("movq (%rbx,%r10), %r15", 0, 0, F_BASE) \
	X("movl (%r8,%r10,8), %r12d", 0, 0, F_BASE) \
	X("movl (%ebx), %eax", 0, 0, F_BASE) \
	X("movl %eax, 0x20(%ebx,%ecx,4)", 0, 0, F_BASE) \
	X("movl 0x20000404, %eax", 0, 0, F_BASE) \
	X("movl %eax, 0x20000404", 0, 0, F_BASE) \
	X("movabs 0x20000407, %rax", 0, 0, F_BASE) \
	X("movabs %eax, 0x20000407", 0, 0, F_BASE) \
	X("movabs %al, 0x20000407", 0, 0, F_BASE) \
	X("movl %gs:0x404, %eax", 0, 0, F_BASE) \
	X("movl %eax, %gs:0x10(,%r9,4)", 0, 0, F_BASE) \
	X(".byte 0x8b, 0x05; .long 0x20000404 - 0x20020006", 0, 0, F_BASE) \
	X(".byte 0xc7, 0x05; .long 0x20000404 - 0x2002000a, 0x12345678", 0, 0, F_BASE) \
	X("movnti %eax, (%rbx)", 0, 0, F_BASE) \
	X("movnti %rax, (%rbx)", 0, 0, F_BASE) \
	X("movbe %ax, (%rbx)", 0, 0, F_BASE) \
	X("movbe %eax, (%rbx)", 0, 0, F_BASE) \
	X("movbe %rax, (%rbx)", 0, 0, F_BASE) \
	X("movbe (%rbx), %ax", 0, 0, F_BASE) \
	X("movbe (%rbx), %eax", 0, 0, F_BASE) \
	X("movbe (%rbx), %rax", 0, 0, F_BASE) \
	X("movzbw (%rbx), %ax", 0, 0, F_BASE) \
	X("movzbl (%rbx), %eax", 0, 0, F_BASE) \
	X("movzwl (%rbx), %eax", 0, 0, F_BASE) \
	X("movzwq (%rbx), %rax", 0, 0, F_BASE) \
	X("movsbw (%rbx), %ax", 0, 0, F_BASE) \
	X("movsbl (%rbx), %eax", 0, 0, F_BASE) \
	X("movswq (%rbx), %rax", 0, 0, F_BASE) \
	X("movslq (%rbx), %rax", 0, 0, F_BASE) \
	X("xchgb %al, (%rbx)", 0, 0, F_BASE) \
	X("xchgw %ax, (%rbx)", 0, 0, F_BASE) \
	X("xchgl %eax, (%rbx)", 0, 0, F_BASE) \
	X("xchgq %rax, (%rbx)", 0, 0, F_BASE) \
	X("lock cmpxchgb %dl, (%rbx)", 0, 0, F_BASE) \
	X("lock cmpxchgl %edx, (%rbx)", 0, 0, F_BASE) \
	X("lock cmpxchgl %edx, (%rbx)", FORM_MATCH, 0, F_BASE) \
	X("cmpxchgq %rdx, (%rbx)", 0, 0, F_BASE) \
	X("lock cmpxchgq %rdx, (%rbx)", FORM_MATCH, 0, F_BASE) \
	X("lock cmpxchg8b (%rbx)", 0, 0, F_BASE) \
	X("lock cmpxchg16b (%rbx)", 0, 0, F_BASE) \
	X("lock cmpxchg16b (%rbx)", FORM_MATCH, 0, F_BASE) \
	X("lock xaddb %al, (%rbx)", 0, 0, F_BASE) \
	X("lock xaddl %eax, (%rbx)", 0, 0, F_BASE) \
	X("xaddq %rax, (%rbx)", 0, 0, F_BASE) \
	X("lock addb $-1, (%rbx)", 0, 0, F_BASE) \
	X("lock addw $-300, (%rbx)", 0, 0, F_BASE) \
	X("lock addl $-1, (%rbx)", 0, 0, F_BASE) \
	X("addq $0x12345678, (%rbx)", 0, 0, F_BASE) \
	X("addq %rax, (%rbx)", 0, 0, F_BASE) \
	X("addl (%rbx), %eax", 0, 0, F_BASE) \
	X("adcl %eax, (%rbx)", 0, 0, F_BASE) \
	X("adcb %al, (%rbx)", 0, 0, F_BASE) \
	X("adcq (%rbx), %rax", 0, 0, F_BASE) \
	X("sbbl %eax, (%rbx)", 0, 0, F_BASE) \
	X("sbbq (%rbx), %rdx", 0, 0, F_BASE) \
	X("subw %ax, (%rbx)", 0, 0, F_BASE) \
	X("subl (%rbx), %eax", 0, 0, F_BASE) \
	X("lock orl $0x80, (%rbx)", 0, 0x10, F_BASE) \
	X("orb (%rbx), %al", 0, 0x10, F_BASE) \
	X("lock andq $-16, (%rbx)", 0, 0x10, F_BASE) \
	X("andw (%rbx), %ax", 0, 0x10, F_BASE) \
	X("xorl %eax, (%rbx)", 0, 0x10, F_BASE) \
	X("xorq (%rbx), %rax", 0, 0x10, F_BASE) \
	X("cmpb $0x40, (%rbx)", 0, 0, F_BASE) \
	X("cmpl %eax, (%rbx)", 0, 0, F_BASE) \
	X("cmpq (%rbx), %rax", 0, 0, F_BASE) \
	X("cmpq $-5, (%rbx)", 0, 0, F_BASE) \
	X("testb $0x81, (%rbx)", 0, 0x10, F_BASE) \
	X("testl %eax, (%rbx)", 0, 0x10, F_BASE) \
	X("testq $-1, (%rbx)", 0, 0x10, F_BASE) \
	X("lock incb (%rbx)", 0, 0, F_BASE) \
	X("incl (%rbx)", 0, 0, F_BASE) \
	X("lock decq (%rbx)", 0, 0, F_BASE) \
	X("decw (%rbx)", 0, 0, F_BASE) \
	X("negl (%rbx)", 0, 0, F_BASE) \
	X("lock negb (%rbx)", 0, 0, F_BASE) \
	X("notq (%rbx)", 0, 0, F_BASE) \
	X("shll $3, (%rbx)", 0, IGN_SHIFT, F_BASE) \
	X("shlb $1, (%rbx)", 0, 0x10, F_BASE) \
	X("shrq %cl, (%rbx)", 0, IGN_SHIFT, F_BASE) \
	X("shrw $1, (%rbx)", 0, 0x10, F_BASE) \
	X("sarl %cl, (%rbx)", 0, IGN_SHIFT, F_BASE) \
	X("sarb $7, (%rbx)", 0, IGN_SHIFT, F_BASE) \
	X("btl $7, (%rbx)", 0, 0, F_BASE) \
	X("lock btsl $31, (%rbx)", 0, 0, F_BASE) \
	X("btrq $63, (%rbx)", 0, 0, F_BASE) \
	X("btcw $5, (%rbx)", 0, 0, F_BASE) \
	X("btl %r10d, (%rbx)", 0, 0, F_BASE) \
	X("lock btsq %r10, (%rbx)", 0, 0, F_BASE) \
	X("btrl %ecx, (%rbx)", 0, 0, F_BASE) \
	X("btcw %r10w, (%rbx)", 0, 0, F_BASE) \
	X("pushq (%rbx)", 0, 0, F_BASE) \
	X("pushw (%rbx)", 0, 0, F_BASE) \
	X("popq (%rbx)", 0, 0, F_BASE) \
	X("popw (%rbx)", 0, 0, F_BASE) \
	X("jmp *0xf0(%rbx)", 0, 0, F_BASE) \
	X("call *0xf0(%rbx)", 0, 0, F_BASE) \
	X("cmovzl (%rbx), %eax", 0, 0, F_BASE) \
	X("cmovnzl (%rbx), %eax", 0, 0, F_BASE) \
	X("cmovlq (%rbx), %rax", 0, 0, F_BASE) \
	X("cmovbew (%rbx), %ax", 0, 0, F_BASE) \
	X("seto (%rbx)", 0, 0, F_BASE) \
	X("setc (%rbx)", 0, 0, F_BASE) \
	X("setnz (%rbx)", 0, 0, F_BASE) \
	X("seta (%rbx)", 0, 0, F_BASE) \
	X("sets (%rbx)", 0, 0, F_BASE) \
	X("setp (%rbx)", 0, 0, F_BASE) \
	X("setge (%rbx)", 0, 0, F_BASE) \
	X("setg (%rbx)", 0, 0, F_BASE) \
	X("imull (%rbx), %eax", 0, IGN_MUL, F_BASE) \
	X("imulw $300, (%rbx), %ax", 0, IGN_MUL, F_BASE) \
	X("imulq $-3, (%rbx), %rax", 0, IGN_MUL, F_BASE) \
	X("imulb (%rbx)", 0, IGN_MUL, F_BASE) \
	X("imulq (%rbx)", 0, IGN_MUL, F_BASE) \
	X("mulb (%rbx)", 0, IGN_MUL, F_BASE) \
	X("mulw (%rbx)", 0, IGN_MUL, F_BASE) \
	X("mull (%rbx)", 0, IGN_MUL, F_BASE) \
	X("mulq (%rbx)", 0, IGN_MUL, F_BASE) \
	X("divb 0xe0(%rbx)", FORM_DIV, IGN_DIV, F_BASE) \
	X("divl 0xe0(%rbx)", FORM_DIV, IGN_DIV, F_BASE) \
	X("divq 0xe0(%rbx)", FORM_DIV, IGN_DIV, F_BASE) \
	X("idivw 0xe0(%rbx)", FORM_DIV, IGN_DIV, F_BASE) \
	X("idivq 0xe0(%rbx)", FORM_DIV, IGN_DIV, F_BASE) \
	X("movsb", 0, 0, F_BASE) \
	X("movsw", FORM_SWAP, 0, F_BASE) \
	X("movsl", FORM_BOTH, 0, F_BASE) \
	X("movsq", FORM_DOWN, 0, F_BASE) \
	X("rep movsb", 0, 0, F_BASE) \
	X("rep movsl", FORM_SWAP, 0, F_BASE) \
	X("rep movsq", FORM_BOTH | FORM_DOWN, 0, F_BASE) \
	X("rep movsw", FORM_SWAP | FORM_DOWN, 0, F_BASE) \
	X("stosb", FORM_SWAP, 0, F_BASE) \
	X("rep stosw", FORM_SWAP, 0, F_BASE) \
	X("rep stosl", FORM_SWAP, 0, F_BASE) \
	X("rep stosq", FORM_BOTH | FORM_DOWN, 0, F_BASE) \
	X("lodsb", 0, 0, F_BASE) \
	X("lodsw", 0, 0, F_BASE) \
	X("lodsl", FORM_DOWN, 0, F_BASE) \
	X("rep lodsq", 0, 0, F_BASE) \
	X("cmpsb", 0, 0, F_BASE) \
	X("repe cmpsb", FORM_SAME, 0, F_BASE) \
	X("repe cmpsl", FORM_SAME | FORM_SWAP, 0, F_BASE) \
	X("repne cmpsw", 0, 0, F_BASE) \
	X("scasb", FORM_SWAP, 0, F_BASE) \
	X("repne scasl", FORM_SWAP, 0, F_BASE) \
	X("repe scasq", FORM_BOTH, 0, F_BASE) \
	X("clflush (%rbx)", 0, 0, F_BASE) \
	X("prefetcht0 (%rbx)", 0, 0, F_BASE) \
	X("prefetchw (%rbx)", 0, 0, F_BASE) \
	X("movd (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movd %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movq (%rbx), %xmm13", 0, 0, F_BASE) \
	X("movq %xmm13, (%rbx)", 0, 0, F_BASE) \
	X("movss (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movss %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movsd (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movsd %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movups 1(%rbx), %xmm3", 0, 0, F_BASE) \
	X("movups %xmm3, 1(%rbx)", 0, 0, F_BASE) \
	X("movupd (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movaps (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movaps %xmm15, (%rbx)", 0, 0, F_BASE) \
	X("movapd %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movdqu (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movdqu %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movdqa (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movdqa %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("lddqu (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movntdq %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movntps %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movntdqa (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movlps (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movlpd %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("movhps (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movhpd %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("pextrb $5, %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("pextrw $5, %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("pextrd $2, %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("pextrq $1, %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("extractps $3, %xmm3, (%rbx)", 0, 0, F_BASE) \
	X("pinsrb $9, (%rbx), %xmm3", 0, 0, F_BASE) \
	X("pinsrw $6, (%rbx), %xmm3", 0, 0, F_BASE) \
	X("pinsrd $1, (%rbx), %xmm3", 0, 0, F_BASE) \
	X("pinsrq $1, (%rbx), %xmm3", 0, 0, F_BASE) \
	X("movd (%rbx), %mm3", 0, 0, F_BASE) \
	X("movq (%rbx), %mm3", 0, 0, F_BASE) \
	X("movq %mm3, (%rbx)", 0, 0, F_BASE) \
	X("movntq %mm3, (%rbx)", 0, 0, F_BASE) \
	X("vmovd (%rbx), %xmm3", 0, 0, F_AVX) \
	X("vmovq (%rbx), %xmm3", 0, 0, F_AVX) \
	X("vmovq %xmm3, (%rbx)", 0, 0, F_AVX) \
	X("vmovss (%rbx), %xmm3", 0, 0, F_AVX) \
	X("vmovsd %xmm3, (%rbx)", 0, 0, F_AVX) \
	X("vmovups (%rbx), %xmm3", 0, 0, F_AVX) \
	X("vmovups %xmm3, (%rbx)", 0, 0, F_AVX) \
	X("vmovups (%rbx), %ymm3", 0, 0, F_AVX) \
	X("vmovaps %ymm11, (%rbx)", 0, 0, F_AVX) \
	X("vmovdqu (%rbx), %ymm3", 0, 0, F_AVX) \
	X("vmovdqu %ymm3, 5(%rbx)", 0, 0, F_AVX) \
	X("vmovdqa (%rbx), %xmm3", 0, 0, F_AVX) \
	X("vlddqu (%rbx), %ymm3", 0, 0, F_AVX) \
	X("vmovntdq %ymm3, (%rbx)", 0, 0, F_AVX) \
	X("vmovntdqa (%rbx), %ymm3", 0, 0, F_AVX2) \
	X("vmovlps (%rbx), %xmm2, %xmm3", 0, 0, F_AVX) \
	X("vmovhpd (%rbx), %xmm2, %xmm3", 0, 0, F_AVX) \
	X("vmovhps %xmm3, (%rbx)", 0, 0, F_AVX) \
	X("vbroadcastss (%rbx), %ymm3", 0, 0, F_AVX) \
	X("vbroadcastf128 (%rbx), %ymm3", 0, 0, F_AVX) \
	X("vpbroadcastb (%rbx), %xmm3", 0, 0, F_AVX2) \
	X("vpbroadcastq (%rbx), %ymm3", 0, 0, F_AVX2) \
	X("vpextrd $2, %xmm3, (%rbx)", 0, 0, F_AVX) \
	X("vpinsrd $1, (%rbx), %xmm2, %xmm3", 0, 0, F_AVX) \
	X("vextracti128 $1, %ymm3, (%rbx)", 0, 0, F_AVX2) \
	X("vinserti128 $1, (%rbx), %ymm2, %ymm3", 0, 0, F_AVX2) \
	X("vmaskmovps (%rbx), %ymm2, %ymm3", 0, 0, F_AVX) \
	X("vmaskmovpd %ymm3, %ymm2, (%rbx)", 0, 0, F_AVX) \
	X("vpmaskmovd %xmm3, %xmm2, (%rbx)", 0, 0, F_AVX2) \
	X("vpmaskmovq (%rbx), %xmm2, %xmm3", 0, 0, F_AVX2) \
	X("vmovups (%rbx), %zmm3", 0, 0, F_AVX512) \
	X("vmovups %zmm3, (%rbx)", 0, 0, F_AVX512) \
	X("vmovdqu64 0x40(%rbx), %zmm29", 0, 0, F_AVX512) \
	X("vmovdqa32 %zmm29, 0x80(%rbx)", 0, 0, F_AVX512) \
	X("vmovdqu8 (%rbx), %ymm17", 0, 0, F_AVX512) \
	X("vmovdqu16 %xmm17, (%rbx)", 0, 0, F_AVX512) \
	X("vmovntdq %zmm3, (%rbx)", 0, 0, F_AVX512) \
	X("vmovntdqa (%rbx), %zmm3", 0, 0, F_AVX512) \
	X("vmovd %xmm17, (%rbx)", 0, 0, F_AVX512) \
	X("vmovups (%rbx), %zmm3{%k2}", 0, 0, F_AVX512) \
	X("vmovups (%rbx), %zmm3{%k2}{z}", 0, 0, F_AVX512) \
	X("vmovups %zmm3, (%rbx){%k2}", 0, 0, F_AVX512) \
	X("vmovdqu8 (%rbx), %zmm3{%k2}", 0, 0, F_AVX512) \
	X("vmovdqu8 %zmm3, (%rbx){%k3}", 0, 0, F_AVX512) \
	X("vmovdqu16 (%rbx), %ymm3{%k2}{z}", 0, 0, F_AVX512) \
	X("vmovapd %xmm3, (%rbx){%k2}", 0, 0, F_AVX512) \
	X("vmovss (%rbx), %xmm3{%k2}", 0, 0, F_AVX512) \
	X("vmovss (%rbx), %xmm3{%k3}", 0, 0, F_AVX512) \
	X("vmovsd %xmm3, (%rbx){%k2}", 0, 0, F_AVX512) \
	X("vpbroadcastd (%rbx), %zmm19", 0, 0, F_AVX512) \
	X("vextracti64x4 $1, %zmm3, (%rbx)", 0, 0, F_AVX512) \
	X("vinserti32x4 $2, (%rbx), %zmm2, %zmm3", 0, 0, F_AVX512) \
	X(".byte 0x0f, 0x38, 0xf9, 0x03", 0, 0, F_MOVDIR) \
	X(".byte 0x66, 0x41, 0x0f, 0x38, 0xf8, 0x1c, 0x24", 0, 0, F_MOVDIR)

#define CODE(text, setup, ignore, feature) \
	"1: " text "\n2: .pushsection .data.rel.ro.form_table, \"aw\"\n" \
	".quad 1b, 2b\n.popsection\n"

__asm__(".section .data.rel.ro.form_table, \"aw\"\n.balign 8\nform_code_table:\n.text\n" FORMS(
	CODE));

extern const u8 *const form_code_table[][2] __attribute__((visibility("hidden")));

#define ENTRY(text, setup, ignore, feature) { NULL, NULL, text, setup, ignore, feature },

static const struct form descriptions[] = { FORMS(ENTRY) };

const size_t form_count = ARRAY_SIZE(descriptions);

struct form form_at(size_t i)
{
	struct form form = descriptions[i];

	form.start = form_code_table[i][0];
	form.end = form_code_table[i][1];
	return form;
}

/*
 * form_run: the registers from the frame, a jump to the code, which jumps back to form_back, and
 * the registers to the frame again. One at a time: the frame's address is kept in form_frame.
 */
__asm__(".data\n.balign 8\n"
	"form_frame: .quad 0\nform_host_sp: .quad 0\nform_rdi: .quad 0\nform_target: .quad "
	"0x20020000\n"
	".text\n.globl form_run\n.type form_run, @function\nform_run:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rdi, form_frame(%rip)\nmov %rsp, form_host_sp(%rip)\n"
	"mov form_xsave_mask(%rip), %eax\nxor %edx, %edx\nxrstor64 192(%rdi)\n"
	"pushq 128(%rdi)\npopfq\n"
	"mov 0(%rdi), %rax\nmov 8(%rdi), %rcx\nmov 16(%rdi), %rdx\nmov 24(%rdi), %rbx\n"
	"mov 32(%rdi), %rsp\nmov 40(%rdi), %rbp\nmov 48(%rdi), %rsi\n"
	"mov 64(%rdi), %r8\nmov 72(%rdi), %r9\nmov 80(%rdi), %r10\nmov 88(%rdi), %r11\n"
	"mov 96(%rdi), %r12\nmov 104(%rdi), %r13\nmov 112(%rdi), %r14\nmov 120(%rdi), %r15\n"
	"mov 56(%rdi), %rdi\njmp *form_target(%rip)\n"
	".globl form_back\nform_back:\n"
	"mov %rdi, form_rdi(%rip)\nmov form_frame(%rip), %rdi\n"
	"mov %rax, 0(%rdi)\nmov %rcx, 8(%rdi)\nmov %rdx, 16(%rdi)\nmov %rbx, 24(%rdi)\n"
	"mov %rsp, 32(%rdi)\nmov %rbp, 40(%rdi)\nmov %rsi, 48(%rdi)\n"
	"mov %r8, 64(%rdi)\nmov %r9, 72(%rdi)\nmov %r10, 80(%rdi)\nmov %r11, 88(%rdi)\n"
	"mov %r12, 96(%rdi)\nmov %r13, 104(%rdi)\nmov %r14, 112(%rdi)\nmov %r15, 120(%rdi)\n"
	"mov form_rdi(%rip), %rax\nmov %rax, 56(%rdi)\n"
	"mov form_host_sp(%rip), %rsp\npushfq\npop 128(%rdi)\ncld\n"
	"mov form_xsave_mask(%rip), %eax\nxor %edx, %edx\nxsave64 192(%rdi)\n"
	"emms\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

extern const char form_back[] __attribute__((visibility("hidden")));

/* x87, SSE, AVX, AVX-512: as far as the CPU has them. Set by form_map(). */
u64 form_xsave_mask;

_Static_assert(offsetof(struct form_regs, flags) == 128, "see form_run");
_Static_assert(offsetof(struct form_regs, xsave) == 192, "see form_run");

bool form_supported(const struct form *form)
{
	unsigned int a, b, c, d;

	switch (form->feature) {
	case F_BASE:
		return true;
	case F_AVX:
		return __builtin_cpu_supports("avx");
	case F_AVX2:
		return __builtin_cpu_supports("avx2");
	case F_AVX512:
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512vl");
	case F_MOVDIR:
		return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c >> 27 & 3) == 3;
	}
	return false;
}

static void map_at(u64 va, u64 size, int prot)
{
	void *want = (void *)(uintptr_t)va;

	if (mmap(want, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    want)
		abort();
}

void form_map(void)
{
	unsigned int a, d;

	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	form_xsave_mask = a & 0xe7;
	map_at(FORM_DEV, FORM_DEV_SIZE, PROT_READ | PROT_WRITE);
	map_at(FORM_PLAIN, FORM_PLAIN_SIZE, PROT_READ | PROT_WRITE);
	map_at(FORM_CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	syscall(SYS_arch_prctl, ARCH_SET_GS, FORM_DEV);
}

static void place_return(u8 *at)
{
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 }; /* jmp *(%rip) */
	const char *back = form_back;

	memcpy(at, jump, sizeof(jump));
	memcpy(at + sizeof(jump), &back, sizeof(back));
}

void form_place(const struct form *form)
{
	u8 *code = (u8 *)(uintptr_t)FORM_CODE;

	memcpy(code, form->start, (size_t)(form->end - form->start));
	place_return(code + (form->end - form->start));
	place_return((u8 *)(uintptr_t)FORM_LANDING);
}

static void fill(u8 *p, size_t len, u32 *state)
{
	for (size_t i = 0; i < len; i++) {
		*state = *state * 1664525 + 1013904223;
		p[i] = (u8)(*state >> 24);
	}
}

static void setup_vectors(struct form_regs *regs, u32 *state)
{
	static const struct {
		unsigned int component, size;
	} parts[] = { { 2, 256 }, { 5, 64 }, { 6, 512 }, { 7, 1024 } };
	unsigned int size, offset, c, d;
	u32 mxcsr = 0x1f80;

	memset(regs->xsave, 0, sizeof(regs->xsave));
	regs->xsave[0] = 0x7f;
	regs->xsave[1] = 0x03;
	memcpy(regs->xsave + 24, &mxcsr, sizeof(mxcsr));
	fill(regs->xsave + 160, 256, state);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!(form_xsave_mask >> parts[i].component & 1))
			continue;
		if (!__get_cpuid_count(0xd, parts[i].component, &size, &offset, &c, &d))
			abort();
		fill(regs->xsave + offset, parts[i].size, state);
	}
	memcpy(regs->xsave + 512, &form_xsave_mask, sizeof(form_xsave_mask));
}

void form_setup(const struct form *form, unsigned int seed, struct form_regs *regs, u8 *dev,
		u8 *plain)
{
	u64 landing = FORM_LANDING, divisor = 0x123000000047ULL + seed % 3;
	u32 state = seed * 2654435761U + 12345;

	fill((u8 *)regs->gpr, sizeof(regs->gpr), &state);
	fill(dev, FORM_DEV_SIZE, &state);
	fill(plain, FORM_PLAIN_SIZE, &state);
	fill((u8 *)&regs->flags, sizeof(regs->flags), &state);
	memset(regs->pad, 0, sizeof(regs->pad));
	setup_vectors(regs, &state);
	regs->flags = (regs->flags & 0x8d5) | 0x202 | (form->setup & FORM_DOWN ? 0x400 : 0);
	memcpy(dev + 0x4f0, &landing, 8);
	memcpy(dev + 0x4e0, &divisor, 8);
	regs->gpr[1] = 5;
	regs->gpr[3] = FORM_DEV + 0x400;
	regs->gpr[4] = FORM_PLAIN + 0x800;
	regs->gpr[6] = FORM_DEV + 0x800;
	regs->gpr[7] = form->setup & FORM_BOTH ? FORM_DEV + 0xa00 : FORM_PLAIN + 0x400;
	regs->gpr[8] = FORM_DEV + 0xc00;
	regs->gpr[9] = 3;
	regs->gpr[10] = (u64)-37;
	regs->gpr[12] = FORM_PLAIN + 0x40; /* source of MOVDIR64B, whose destination is rbx */
	if (form->setup & FORM_SWAP) {
		regs->gpr[6] = FORM_PLAIN + 0x400;
		regs->gpr[7] = FORM_DEV + 0x800;
	}
	if (form->setup & FORM_DIV) {
		regs->gpr[0] &= 0x0fff;
		regs->gpr[2] = 0;
	}
	if (form->setup & FORM_SAME) {
		memcpy(plain + 0x400, dev + 0x800, 64);
		plain[0x400 + 4 * 3] ^= 1;
		plain[0x400 + 3] ^= 0x80;
	}
	if (form->setup & FORM_MATCH) {
		memcpy(&regs->gpr[0], dev + 0x400, 8);
		memcpy(&regs->gpr[2], dev + 0x408, 8);
	}
}
