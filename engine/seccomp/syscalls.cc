#include "engine/seccomp/syscalls.h"

#include <array>
#include <cstddef>

namespace bulwark::engine::seccomp {
namespace {

constexpr Syscall kSyscalls[] = {
#include "engine/seccomp/syscall_table.inc"
};
constexpr size_t kCount = sizeof(kSyscalls) / sizeof(kSyscalls[0]);

// Open addressing: a profile names hundreds of calls, and a launch has no time
// to search for each.
constexpr size_t kSlots = 2048;
static_assert(kCount < kSlots / 2);

constexpr size_t Hash(const char* name, size_t size) {
  uint32_t hash = 0x811c9dc5u;
  for (size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<uint8_t>(name[i])) * 0x01000193u;
  }
  return (hash ^ hash >> 16) % kSlots;
}

constexpr size_t Length(const char* name) {
  size_t size = 0;
  while (name[size] != '\0') ++size;
  return size;
}

// Index + 1; 0: empty.
constexpr auto kIndex = [] {
  std::array<uint16_t, kSlots> index = {};
  for (size_t i = 0; i < kCount; ++i) {
    size_t slot = Hash(kSyscalls[i].name, Length(kSyscalls[i].name));
    while (index[slot] != 0) slot = (slot + 1) % kSlots;
    index[slot] = static_cast<uint16_t>(i + 1);
  }
  return index;
}();

}  // namespace

const Syscall* FindSyscall(absl::string_view name) {
  for (size_t slot = Hash(name.data(), name.size()); kIndex[slot] != 0;
       slot = (slot + 1) % kSlots) {
    const Syscall& call = kSyscalls[kIndex[slot] - 1];
    if (name == call.name) return &call;
  }
  return nullptr;
}

}  // namespace bulwark::engine::seccomp
