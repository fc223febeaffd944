// linux.seccomp of a configuration; see spec.h.
#ifndef ENGINE_OCI_CONFIG_SPEC_SECCOMP_H_
#define ENGINE_OCI_CONFIG_SPEC_SECCOMP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bulwark::engine::oci {

enum class SeccompOperator {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual,  // (argument & value) == value_two
};

struct SeccompArgument {
  uint32_t index = 0;  // 0 to 5
  uint64_t value = 0;
  uint64_t value_two = 0;
  SeccompOperator op = SeccompOperator::kEqual;
};

struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW", …
  std::optional<uint32_t> errno_ret;
  // All must hold. More than one with the same index: any of them, as
  // libseccomp has it.
  std::vector<SeccompArgument> args;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64", …
  std::vector<std::string> flags;          // "SECCOMP_FILTER_FLAG_LOG", …
  std::string listener_path;
  std::string listener_metadata;
  std::vector<SeccompSyscall> syscalls;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CONFIG_SPEC_SECCOMP_H_
