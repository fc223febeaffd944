#include "engine/seccomp/testing/interpreter.h"

#include <linux/filter.h>

#include <cstring>

namespace bulwark::engine::seccomp {
namespace {

// Whether the test of a conditional jump holds.
std::optional<bool> Test(const sock_filter& at, uint32_t value) {
  switch (BPF_OP(at.code)) {
    case BPF_JEQ:
      return value == at.k;
    case BPF_JGT:
      return value > at.k;
    case BPF_JGE:
      return value >= at.k;
    case BPF_JSET:
      return (value & at.k) != 0;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Answer> Run(absl::string_view instructions,
                          const seccomp_data& data) {
  const size_t count = instructions.size() / sizeof(sock_filter);
  if (count == 0 || count > BPF_MAXINSNS) return std::nullopt;
  uint32_t value = 0;
  int steps = 0;
  for (size_t pc = 0; pc < count; ++pc) {
    sock_filter at;
    std::memcpy(&at, instructions.data() + pc * sizeof(at), sizeof(at));
    ++steps;
    if (at.code == (BPF_RET | BPF_K)) return Answer{at.k, steps};
    if (at.code == (BPF_LD | BPF_W | BPF_ABS)) {
      if (at.k % 4 != 0 || at.k > sizeof(data) - 4) return std::nullopt;
      std::memcpy(&value, reinterpret_cast<const char*>(&data) + at.k, 4);
    } else if (at.code == (BPF_ALU | BPF_AND | BPF_K)) {
      value &= at.k;
    } else if (at.code == (BPF_JMP | BPF_JA)) {
      pc += at.k;
    } else if (BPF_CLASS(at.code) == BPF_JMP && BPF_SRC(at.code) == BPF_K) {
      const std::optional<bool> holds = Test(at, value);
      if (!holds.has_value()) return std::nullopt;
      pc += *holds ? at.jt : at.jf;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace bulwark::engine::seccomp
