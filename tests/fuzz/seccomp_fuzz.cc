// Any profile of system calls: the program answers what the profile says, read
// entry by entry.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/oci/config/seccomp.h"
#include "engine/seccomp/syscalls.h"
#include "engine/seccomp/testing/interpreter.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine::oci {
namespace {

using seccomp::Arch;

struct Action {
  const char* name;
  uint32_t value;
};
constexpr Action kActions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
};
constexpr const char* kNames[] = {
    "read",  "write",   "readv", "ioctl",  "socket",  "socketcall", "semop",
    "ipc",   "recv",    "clone", "clone3", "openat2", "dup",        "dup2",
    "pause", "restart", "mseal", "uprobe", "chown32"};
constexpr uint64_t kValues[] = {0,          1,           2,    0x7fffffff,
                                0xffffffff, 0x100000000, ~0ull};
constexpr const char* kArchitectures[] = {"SCMP_ARCH_X86", "SCMP_ARCH_X32",
                                          "SCMP_ARCH_ARM"};

uint64_t Value(fuzz::Input& input) {
  const uint32_t which = input.Below(9);
  return which < 7 ? kValues[which] : input.Int(8);
}

Seccomp Profile(fuzz::Input& input) {
  Seccomp profile;
  profile.default_action = kActions[input.Below(8)].name;
  if (input.Below(4) == 0) profile.default_errno_ret = input.Below(5000);
  if (input.Below(2) == 0) profile.listener_path = "/run/listener";
  for (const char* name : kArchitectures) {
    if (input.Below(2) == 0) profile.architectures.push_back(name);
  }
  const uint32_t entries = input.Below(24);
  for (uint32_t i = 0; i < entries; ++i) {
    SeccompSyscall entry;
    entry.action = kActions[input.Below(8)].name;
    if (input.Below(4) == 0) entry.errno_ret = input.Below(5000);
    const uint32_t names = input.Below(4);
    for (uint32_t n = 0; n < names; ++n) {
      entry.names.push_back(kNames[input.Below(std::size(kNames))]);
    }
    const uint32_t args = input.Below(8) % 4;
    for (uint32_t n = 0; n < args; ++n) {
      SeccompArgument arg;
      arg.index = input.Below(256) == 255 ? 6 : input.Below(6);
      arg.op = static_cast<SeccompOperator>(input.Below(7));
      arg.value = Value(input);
      arg.value_two = Value(input);
      entry.args.push_back(arg);
    }
    profile.syscalls.push_back(std::move(entry));
  }
  return profile;
}

uint32_t ActionOf(const std::string& name, std::optional<uint32_t> number) {
  for (const Action& action : kActions) {
    if (name != action.name) continue;
    const bool numbered =
        action.value == SECCOMP_RET_ERRNO || action.value == SECCOMP_RET_TRACE;
    return numbered ? action.value | number.value_or(EPERM) : action.value;
  }
  CHECK(false);
  return 0;
}

bool Holds(const SeccompArgument& arg, const seccomp_data& call, Arch arch) {
  const uint64_t width = arch == Arch::kX86_64 ? ~0ull : 0xffffffffull;
  const uint64_t got = call.args[arg.index] & width;
  const uint64_t value = arg.value & width;
  switch (arg.op) {
    case SeccompOperator::kNotEqual:
      return got != value;
    case SeccompOperator::kLess:
      return got < value;
    case SeccompOperator::kLessOrEqual:
      return got <= value;
    case SeccompOperator::kEqual:
      return got == value;
    case SeccompOperator::kGreaterOrEqual:
      return got >= value;
    case SeccompOperator::kGreater:
      return got > value;
    case SeccompOperator::kMaskedEqual:
      return (got & value) == (arg.value_two & value);
  }
  return false;
}

bool Holds(const SeccompSyscall& entry, const seccomp_data& call, Arch arch) {
  int uses[6] = {};
  bool any = false;
  for (const SeccompArgument& arg : entry.args) {
    any = ++uses[arg.index] > 1 || any;
  }
  const auto holds = [&](const SeccompArgument& arg) {
    return Holds(arg, call, arch);
  };
  return any ? std::any_of(entry.args.begin(), entry.args.end(), holds)
             : std::all_of(entry.args.begin(), entry.args.end(), holds);
}

// What the profile says of a call with the number `number` on `arch`.
uint32_t Expected(const Seccomp& profile, const seccomp_data& call, Arch arch,
                  int number) {
  const uint32_t otherwise =
      ActionOf(profile.default_action, profile.default_errno_ret);
  int highest = 0;
  std::vector<const SeccompSyscall*> entries;
  for (const SeccompSyscall& entry : profile.syscalls) {
    bool names = false;
    for (const std::string& name : entry.names) {
      const seccomp::Syscall* known = seccomp::FindSyscall(name);
      if (known == nullptr) continue;
      highest = std::max(highest, known->Number(arch));
      names = names || known->Number(arch) == number;
    }
    if (names && ActionOf(entry.action, entry.errno_ret) != otherwise) {
      entries.push_back(&entry);
    }
  }
  for (const bool conditional : {false, true}) {
    for (const SeccompSyscall* entry : entries) {
      if (entry->args.empty() == conditional) continue;
      if (Holds(*entry, call, arch)) {
        return ActionOf(entry->action, entry->errno_ret);
      }
    }
  }
  const uint32_t kind = otherwise & SECCOMP_RET_ACTION_FULL;
  const bool permits = kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG ||
                       kind == SECCOMP_RET_TRACE;
  return !permits && highest > 0 && number > highest
             ? SECCOMP_RET_ERRNO | ENOSYS
             : otherwise;
}

void TryCalls(const Seccomp& profile, const std::string& program,
              fuzz::Input& input) {
  bool served[seccomp::kArchs] = {true, false, false};
  for (const std::string& name : profile.architectures) {
    if (name == kArchitectures[0]) served[1] = true;
    if (name == kArchitectures[1]) served[2] = true;
  }
  seccomp_data call = {};
  for (auto& arg : call.args) arg = Value(input);
  for (const Arch arch : {Arch::kX86_64, Arch::kI386, Arch::kX32}) {
    for (int number = 0; number < 560; ++number) {
      // There the argument stands for the call; the tests have that.
      if (arch == Arch::kI386 &&
          (number == seccomp::kSocketcall || number == seccomp::kIpc)) {
        continue;
      }
      call.nr = arch == Arch::kX32 ? number | 0x40000000 : number;
      call.arch = arch == Arch::kI386 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
      const auto answer = seccomp::Run(program, call);
      CHECK(answer.has_value());
      CHECK(answer->action == (served[static_cast<int>(arch)]
                                   ? Expected(profile, call, arch, number)
                                   : SECCOMP_RET_KILL_THREAD));
    }
  }
}

}  // namespace
}  // namespace bulwark::engine::oci

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::engine::oci;
  bulwark::fuzz::Input input(data, size);
  const Seccomp profile = Profile(input);
  const absl::StatusOr<SeccompProgram> program = CompileSeccomp(profile);
  if (!program.ok()) {
    CHECK(program.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  CHECK(program->instructions.size() <= BPF_MAXINSNS * sizeof(sock_filter));
  TryCalls(profile, program->instructions, input);
  return 0;
}
