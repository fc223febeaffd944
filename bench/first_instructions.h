// Of a program without a C library, which has a `void Main(void)` that does not
// return.
#ifndef BENCH_FIRST_INSTRUCTIONS_H_
#define BENCH_FIRST_INSTRUCTIONS_H_

__asm__(
    ".globl _start\n"
    "_start:\n"
#if defined(__x86_64__)
    "  xor %ebp, %ebp\n"
    "  and $-16, %rsp\n"
    "  call Main\n"
#elif defined(__aarch64__)
    "  bl Main\n"
#else
#error "the first instructions of this processor are not known"
#endif
);

#endif  // BENCH_FIRST_INSTRUCTIONS_H_
