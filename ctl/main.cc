// ctl, the command line client of bulwarkd.
#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "ctl/cli.h"

namespace {

constexpr int kHeap = 1 << 20;

// The whole pages of a range, at once. An old kernel says no, and they come one
// by one.
void Map(uintptr_t begin, uintptr_t end, int advice) {
  constexpr uintptr_t kPage = 4096;
  begin = (begin + kPage - 1) / kPage * kPage;
  end = end / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

void MapProgram() {
  const auto* header = reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR));
  const size_t count = getauxval(AT_PHNUM);
  uintptr_t sealed = 0;  // data that is read-only by now ends here
  for (size_t i = 0; i < count; ++i) {
    if (header[i].p_type != PT_GNU_RELRO) continue;
    sealed = header[i].p_vaddr + header[i].p_memsz;
  }
  for (size_t i = 0; i < count; ++i) {
    if (header[i].p_type != PT_LOAD) continue;
    const uintptr_t begin = header[i].p_vaddr;
    const uintptr_t end = begin + header[i].p_memsz;
    if ((header[i].p_flags & PF_W) == 0) {
      Map(begin, end, MADV_POPULATE_READ);
    } else {
      Map(std::max(begin, sealed), end, MADV_POPULATE_WRITE);
    }
  }
}

uintptr_t HeapEnd() { return reinterpret_cast<uintptr_t>(sbrk(0)); }

// Before everything else. A call of ctl touches some 400 pages for the first
// time, and in a virtual machine each such fault takes 10 to 20 us, half of
// what a short call takes; the whole program is mapped in 0.5 ms. It lies where
// its headers say, since it is linked statically.
__attribute__((constructor(101))) void MapEarly() {
  MapProgram();
  // One heap for all threads, which never shrinks.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TOP_PAD, kHeap);
  mallopt(M_TRIM_THRESHOLD, 64 * kHeap);
  mallopt(M_MMAP_THRESHOLD, 16 * kHeap);
  const uintptr_t before = HeapEnd();
  void* volatile block = malloc(kHeap / 2);
  free(block);
  Map(before, HeapEnd(), MADV_POPULATE_WRITE);
}

}  // namespace

// The start of a static program hands libgcc all tables for unwinding, which it
// sorts, 15 ms of them, when the first exception is thrown: the command line's
// parser throws for --help and for every mistake. Without that it searches the
// sorted index that the linker made. (The linker has these take the place of
// the functions.)
extern "C" {
void __wrap___register_frame_info(const void*, void*) {}
void* __wrap___deregister_frame_info(const void*) { return nullptr; }
}

int main(int argc, char** argv) {
  // gRPC's own log is no help to users; errors come back as statuses.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  bulwark::ctl::RealIo io;
  bulwark::RealClock clock;
  bulwark::ctl::Context context(
      io, clock, [](absl::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      });
  // Nothing is buffered, and threads of gRPC's still run: no destructors.
  std::_Exit(bulwark::ctl::RunCtl({argv + 1, argv + argc}, context));
}
