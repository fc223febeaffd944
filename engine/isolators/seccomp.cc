#include "engine/isolators/seccomp.h"

#include <asm/ioctls.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

constexpr uint32_t kAllow = SCMP_ACT_ALLOW;
constexpr uint32_t kRefuse = SCMP_ACT_ERRNO(EPERM);
constexpr uint32_t kUnknown = SCMP_ACT_ERRNO(ENOSYS);
constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                 CLONE_NEWCGROUP;
constexpr uint64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

// Collects the first error of many calls.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  void Add(uint32_t action, const char* name,
           std::initializer_list<scmp_arg_cmp> conditions = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    // Not of this architecture, or newer than the library.
    if (number >= 0) Add(action, number, conditions);
  }
  void Add(uint32_t action, int number,
           std::initializer_list<scmp_arg_cmp> conditions) {
    Note(seccomp_rule_add_array(filter_, action, number,
                                static_cast<unsigned>(conditions.size()),
                                conditions.begin()));
  }
  void AddAll(uint32_t action, const char* const* names) {
    for (; *names != nullptr; ++names) Add(action, *names);
  }
  void Note(int result) {
    if (result < 0 && error_ == 0) error_ = -result;
  }
  int error() const { return error_; }

 private:
  scmp_filter_ctx filter_;
  int error_ = 0;
};

void AddConditional(Rules& rules) {
  // Processes and threads, but no new namespaces.
  rules.Add(kAllow, "clone", {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, kNamespaces, 0)});
  for (const uint64_t value : kPersonalities) {
    rules.Add(kAllow, "personality", {SCMP_CMP32(0, SCMP_CMP_EQ, value)});
  }
  // Beyond what the head of the program refuses.
  rules.Add(kAllow, "ioctl");
  rules.Add(kAllow, "socket");
}

// Refuses typing into a terminal that is not one's own (TIOCSTI, TIOCLINUX),
// and the socket families that reach kernel code and hosts that no container
// needs (AF_ALG, AF_VSOCK). The kernel looks at the low half of these arguments
// only, and the library cannot say "any value but these" of a half: so these
// instructions come before its own. They fall through to the end.
std::string Head() {
  const auto statement = [](int code, uint32_t k) {
    return sock_filter{static_cast<uint16_t>(code), 0, 0, k};
  };
  const auto equal = [](uint32_t k, int yes, int no) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint8_t>(yes),
                       static_cast<uint8_t>(no), k};
  };
  const int load = BPF_LD | BPF_W | BPF_ABS;
  const int low_half = std::endian::native == std::endian::little ? 0 : 4;
  const sock_filter head[] = {
      statement(load, offsetof(seccomp_data, arch)),
      equal(seccomp_arch_native(), 0, 13),
      statement(load, offsetof(seccomp_data, nr)),
      equal(SYS_ioctl, 1, 0),
      equal(SYS_socket, 4, 10),
      statement(load, offsetof(seccomp_data, args[1]) + low_half),
      equal(TIOCSTI, 6, 0),
      equal(TIOCLINUX, 5, 0),
      statement(BPF_JMP | BPF_JA, 6),
      statement(load, offsetof(seccomp_data, args[0]) + low_half),
      equal(AF_ALG, 3, 0),
      equal(AF_VSOCK, 2, 0),
      statement(BPF_JMP | BPF_JA, 2),
      statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
  };
  return std::string(reinterpret_cast<const char*>(head), sizeof(head));
}

absl::StatusOr<std::string> Export(scmp_filter_ctx filter) {
  UniqueFd fd(memfd_create("seccomp", MFD_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("create memory file", "seccomp");
  const int result = seccomp_export_bpf(filter, fd.get());
  if (result < 0) return ErrnoStatus(-result, "export", "system call filter");
  return os::ReadFd(fd.get(), "system call filter", 1 << 20);
}

}  // namespace

absl::StatusOr<std::string> CompileSeccomp(SecurityProfile profile) {
  if (profile == SecurityProfile::kPrivileged) return std::string();
  Filter filter(seccomp_init(kUnknown), &seccomp_release);
  if (filter == nullptr) {
    return absl::InternalError("compile system call filter: no memory");
  }
  Rules rules(filter.get());
  // A binary tree: its depth, not its length, is what a call pays.
  rules.Note(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  // Another architecture's calls look unknown too, they do not kill.
  rules.Note(seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, kUnknown));
  rules.AddAll(kAllow, kAllowedSyscalls);
  for (const int* number = kAllowedSyscallNumbers; *number >= 0; ++number) {
    rules.Add(kAllow, *number, {});
  }
  AddConditional(rules);
  if (profile == SecurityProfile::kBuild) {
    rules.AddAll(kAllow, kBuildSyscalls);
  } else {
    rules.AddAll(kRefuse, kBuildSyscalls);
  }
  rules.AddAll(kRefuse, kRefusedSyscalls);
  if (rules.error() != 0) {
    return ErrnoStatus(rules.error(), "compile", "system call filter");
  }
  ASSIGN_OR_RETURN(const std::string program, Export(filter.get()));
  return absl::StrCat(Head(), program);
}

}  // namespace bulwark::engine
