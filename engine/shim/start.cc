// What a libc would bring: the entry point, and the memory functions that the
// compiler calls by itself.
#include <stddef.h>
#include <stdint.h>

#include "engine/child/sys.h"
#include "engine/shim/shim.h"

extern "C" {

// Initializers of static objects, between symbols that the linker makes.
extern void (*__init_array_start[])();
extern void (*__init_array_end[])();

void* memcpy(void* to, const void* from, size_t n) {
  void* result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

void* memmove(void* to, const void* from, size_t n) {
  char* t = static_cast<char*>(to);
  const char* f = static_cast<const char*>(from);
  if (t <= f || t >= f + n) return memcpy(to, from, n);
  while (n-- > 0) t[n] = f[n];
  return to;
}

void* memset(void* to, int value, size_t n) {
  void* result = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

int memcmp(const void* a, const void* b, size_t n) {
  const uint8_t* x = static_cast<const uint8_t*>(a);
  const uint8_t* y = static_cast<const uint8_t*>(b);
  for (; n > 0; --n, ++x, ++y) {
    if (*x != *y) return *x - *y;
  }
  return 0;
}

size_t strlen(const char* s) {
  const char* end = s;
  while (*end != 0) {
    asm volatile("" : "+r"(end));  // not a call to itself
    ++end;
  }
  return end - s;
}

// The stack at entry: argc, then argv.
[[noreturn]] void BulwarkShimStart(long* stack) {
  char** argv = reinterpret_cast<char**>(stack + 1);
  for (auto f = __init_array_start; f != __init_array_end; ++f) (*f)();
  bulwark::child::Exit(bulwark::shim::Main(static_cast<int>(stack[0]), argv));
}

asm(R"(
  .globl _start
  .type _start, @function
_start:
  xor %ebp, %ebp
  mov %rsp, %rdi
  and $-16, %rsp
  call BulwarkShimStart
  hlt
)");

}  // extern "C"
