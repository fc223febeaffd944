#include "engine/isolators/seccomp.h"

#include <asm/ioctls.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/seccomp/filter.h"
#include "engine/seccomp/syscalls.h"

namespace bulwark::engine {
namespace {

using seccomp::Action;
using seccomp::Arch;
using seccomp::CallTable;
using seccomp::Condition;
using seccomp::Operator;

constexpr Action kAllow = SECCOMP_RET_ALLOW;
constexpr Action kRefuse = SECCOMP_RET_ERRNO | EPERM;
constexpr Action kUnknown = SECCOMP_RET_ERRNO | ENOSYS;
constexpr Action kNoSuchFamily = SECCOMP_RET_ERRNO | EAFNOSUPPORT;
constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                 CLONE_NEWCGROUP;
constexpr uint64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

// Rules by name; keeps the first name that does not exist.
class Rules {
 public:
  void Set(const char* name, Action action) {
    const int number = NumberOf(name);
    if (number >= 0) table_.Set(number, action);
  }
  void SetIf(const char* name, const Condition& condition, Action action) {
    const int number = NumberOf(name);
    if (number >= 0) table_.SetIf(number, {condition}, action);
  }
  void SetAll(const char* const* names, Action action) {
    for (; *names != nullptr; ++names) Set(*names, action);
  }
  absl::StatusOr<std::string> Compile() const {
    if (unknown_ != nullptr) {
      return absl::InternalError(absl::StrCat(
          "compile system call filter: no call is named ", unknown_));
    }
    seccomp::Filter filter;
    filter.tables.push_back(table_);
    // Another architecture's calls look unknown too, they do not kill.
    filter.foreign = kUnknown;
    return seccomp::Compile(filter);
  }

 private:
  int NumberOf(const char* name) {
    const seccomp::Syscall* call = seccomp::FindSyscall(name);
    const int number = call == nullptr ? -1 : call->Number(Arch::kX86_64);
    if (number < 0 && unknown_ == nullptr) unknown_ = name;
    return number;
  }

  CallTable table_{Arch::kX86_64, kUnknown};
  const char* unknown_ = nullptr;
};

// The low half of the argument is `value`: the kernel reads no more of it.
Condition IsInt(uint32_t index, uint64_t value) {
  return {.index = index, .value = value, .low_half = true};
}

void AddConditional(Rules& rules) {
  // Processes and threads, but no new namespaces.
  rules.SetIf("clone",
              {.index = 0,
               .op = Operator::kMaskedEqual,
               .value = 0,
               .mask = kNamespaces},
              kAllow);
  for (const uint64_t value : kPersonalities) {
    rules.SetIf("personality", IsInt(0, value), kAllow);
  }
  // Typing into a terminal that is not one's own.
  rules.SetIf("ioctl", IsInt(1, TIOCSTI), kRefuse);
  rules.SetIf("ioctl", IsInt(1, TIOCLINUX), kRefuse);
  rules.Set("ioctl", kAllow);
  // Kernel code and hosts that no container needs.
  rules.SetIf("socket", IsInt(0, AF_ALG), kNoSuchFamily);
  rules.SetIf("socket", IsInt(0, AF_VSOCK), kNoSuchFamily);
  rules.Set("socket", kAllow);
}

}  // namespace

absl::StatusOr<std::string> CompileSeccomp(SecurityProfile profile) {
  if (profile == SecurityProfile::kPrivileged) return std::string();
  Rules rules;
  rules.SetAll(kAllowedSyscalls, kAllow);
  AddConditional(rules);
  rules.SetAll(kBuildSyscalls,
               profile == SecurityProfile::kBuild ? kAllow : kRefuse);
  rules.SetAll(kRefusedSyscalls, kRefuse);
  return rules.Compile();
}

}  // namespace bulwark::engine
