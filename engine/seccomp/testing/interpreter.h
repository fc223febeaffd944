// Runs a filter as the kernel does, to see what it answers.
#ifndef ENGINE_SECCOMP_TESTING_INTERPRETER_H_
#define ENGINE_SECCOMP_TESTING_INTERPRETER_H_

#include <linux/seccomp.h>

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace bulwark::engine::seccomp {

struct Answer {
  uint32_t action = 0;
  int steps = 0;  // instructions that were run
};

// `instructions`: of sock_filter. Nothing if the program jumps or reads out of
// bounds, does not end, or uses an instruction that no filter of ours has: the
// kernel would refuse it.
std::optional<Answer> Run(absl::string_view instructions,
                          const seccomp_data& data);

}  // namespace bulwark::engine::seccomp

#endif  // ENGINE_SECCOMP_TESTING_INTERPRETER_H_
