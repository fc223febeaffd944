// Where bulwark-oci begins, before the C library. A run touches most of this
// program once, and each page that it comes to takes a fault, which is the
// dearest part of a short run in a virtual machine. So the kernel is asked for
// all of them in a few calls (Linux 5.14; before, they come one by one).
#include <elf.h>

#include "engine/child/sys.h"

namespace bulwark::engine::oci {
namespace {

using child::Arg;
using child::Sys;

constexpr long kPopulateRead = 22;   // MADV_POPULATE_READ
constexpr long kPopulateWrite = 23;  // MADV_POPULATE_WRITE
constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kStack = 32 << 10;  // what a run needs

void Populate(uintptr_t begin, uintptr_t end, long how) {
  begin &= ~(kPage - 1);
  end = (end + kPage - 1) & ~(kPage - 1);
  // What fails here comes by faults.
  Sys(__NR_madvise, static_cast<long>(begin), static_cast<long>(end - begin),
      how);
}

}  // namespace

extern "C" {

extern const Elf64_Ehdr __ehdr_start;  // made by the linker

// `stack`: where it is at entry.
void BulwarkOciPopulate(uintptr_t stack) {
  const auto* header = reinterpret_cast<const Elf64_Phdr*>(
      reinterpret_cast<const char*>(&__ehdr_start) + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; ++i, ++header) {
    if (header->p_type != PT_LOAD) continue;
    Populate(header->p_vaddr, header->p_vaddr + header->p_memsz,
             (header->p_flags & PF_W) != 0 ? kPopulateWrite : kPopulateRead);
  }
  Populate(stack - kStack, stack, kPopulateWrite);
}

// As the C library's start finds them: the stack, and what it is to call at
// exit in rdx.
asm(R"(
  .globl BulwarkOciStart
  .type BulwarkOciStart, @function
BulwarkOciStart:
  mov %rsp, %rbx
  mov %rdx, %r12
  mov %rsp, %rdi
  and $-16, %rsp
  call BulwarkOciPopulate
  mov %r12, %rdx
  mov %rbx, %rsp
  xor %ebp, %ebp
  jmp _start
)");

}  // extern "C"

}  // namespace bulwark::engine::oci
