#include "engine/oci/config/seccomp.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "engine/seccomp/filter.h"
#include "engine/seccomp/syscalls.h"

namespace bulwark::engine::oci {
namespace {

using seccomp::Action;
using seccomp::Arch;
using seccomp::CallTable;
using seccomp::Condition;
using seccomp::Syscall;

struct Named {
  const char* name;
  uint32_t value;
};

constexpr Named kActions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

constexpr Named kFlags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
     SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

constexpr uint32_t kForeign = UINT32_MAX;
constexpr Named kArchitectures[] = {
    {"SCMP_ARCH_X86_64", static_cast<uint32_t>(Arch::kX86_64)},
    {"SCMP_ARCH_X86", static_cast<uint32_t>(Arch::kI386)},
    {"SCMP_ARCH_X32", static_cast<uint32_t>(Arch::kX32)},
    {"SCMP_ARCH_AARCH64", kForeign},
    {"SCMP_ARCH_ARM", kForeign},
    {"SCMP_ARCH_LOONGARCH64", kForeign},
    {"SCMP_ARCH_M68K", kForeign},
    {"SCMP_ARCH_MIPS", kForeign},
    {"SCMP_ARCH_MIPS64", kForeign},
    {"SCMP_ARCH_MIPS64N32", kForeign},
    {"SCMP_ARCH_MIPSEL", kForeign},
    {"SCMP_ARCH_MIPSEL64", kForeign},
    {"SCMP_ARCH_MIPSEL64N32", kForeign},
    {"SCMP_ARCH_PARISC", kForeign},
    {"SCMP_ARCH_PARISC64", kForeign},
    {"SCMP_ARCH_PPC", kForeign},
    {"SCMP_ARCH_PPC64", kForeign},
    {"SCMP_ARCH_PPC64LE", kForeign},
    {"SCMP_ARCH_RISCV64", kForeign},
    {"SCMP_ARCH_S390", kForeign},
    {"SCMP_ARCH_S390X", kForeign},
    {"SCMP_ARCH_SH", kForeign},
    {"SCMP_ARCH_SHEB", kForeign},
};

absl::Status Wrong(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

// `status` of a field inside of `field`.
absl::Status Inside(absl::string_view field, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(field, ".", status.message()));
}

template <size_t N>
absl::StatusOr<uint32_t> ValueOf(const Named (&table)[N],
                                 absl::string_view name,
                                 absl::string_view field) {
  for (const Named& row : table) {
    if (name == row.name) return row.value;
  }
  return Wrong(field,
               absl::StrCat("the runtime specification has no \"", name, "\""));
}

absl::StatusOr<Action> ActionOf(absl::string_view name,
                                std::optional<uint32_t> number,
                                absl::string_view field,
                                absl::string_view number_field) {
  ASSIGN_OR_RETURN(const uint32_t action, ValueOf(kActions, name, field));
  if (action != SECCOMP_RET_ERRNO && action != SECCOMP_RET_TRACE) {
    if (!number.has_value()) return action;
    return Wrong(number_field, absl::StrCat(name, " has no number"));
  }
  // The kernel cuts a larger errno; a tracer's message has 16 bits.
  const uint32_t most = action == SECCOMP_RET_ERRNO ? 4095 : SECCOMP_RET_DATA;
  const uint32_t value = number.value_or(EPERM);
  if (value > most) {
    return Wrong(number_field,
                 absl::StrCat(value, ": ", name, " takes at most ", most));
  }
  return action | value;
}

// One entry of linux.seccomp.syscalls.
struct Entry {
  std::vector<const Syscall*> calls;
  Action action;
  // Any of them; empty: always.
  std::vector<std::vector<Condition>> alternatives;
};

seccomp::Operator OperatorOf(SeccompOperator op) {
  switch (op) {
    case SeccompOperator::kNotEqual:
      return seccomp::Operator::kNotEqual;
    case SeccompOperator::kLess:
      return seccomp::Operator::kLess;
    case SeccompOperator::kLessOrEqual:
      return seccomp::Operator::kLessOrEqual;
    case SeccompOperator::kEqual:
      return seccomp::Operator::kEqual;
    case SeccompOperator::kGreaterOrEqual:
      return seccomp::Operator::kGreaterOrEqual;
    case SeccompOperator::kGreater:
      return seccomp::Operator::kGreater;
    case SeccompOperator::kMaskedEqual:
      return seccomp::Operator::kMaskedEqual;
  }
  return seccomp::Operator::kEqual;
}

absl::StatusOr<std::vector<std::vector<Condition>>> AlternativesOf(
    const std::vector<SeccompArgument>& args) {
  std::vector<Condition> all;
  int uses[6] = {};
  bool any = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const SeccompArgument& arg = args[i];
    if (arg.index >= std::size(uses)) {
      return Wrong(
          absl::StrCat("args[", i, "].index"),
          absl::StrCat(arg.index, ": a system call has arguments 0 to 5"));
    }
    any = ++uses[arg.index] > 1 || any;
    const bool masked = arg.op == SeccompOperator::kMaskedEqual;
    all.push_back({.index = arg.index,
                   .op = OperatorOf(arg.op),
                   .value = masked ? arg.value_two : arg.value,
                   .mask = masked ? arg.value : 0});
  }
  std::vector<std::vector<Condition>> alternatives;
  if (any) {
    for (const Condition& one : all) alternatives.push_back({one});
  } else if (!all.empty()) {
    alternatives.push_back(std::move(all));
  }
  return alternatives;
}

class Compiler {
 public:
  explicit Compiler(const Seccomp& profile) : profile_(profile) {}

  absl::Status Run();
  SeccompProgram TakeResult() { return std::move(result_); }

 private:
  absl::Status ReadDefault();
  absl::Status ReadArchitectures();
  absl::Status ReadFlags();
  absl::Status ReadEntry(const SeccompSyscall& syscall);
  absl::Status ReadEntries();
  absl::Status Use(Action action, absl::string_view field);
  CallTable TableOf(Arch arch) const;
  void AddUnconditional(CallTable& table, const Entry& entry) const;
  void AddConditional(CallTable& table, const Entry& entry) const;
  void AddRequest(CallTable& table, uint32_t number, uint8_t request,
                  const Entry& entry) const;
  // Whether calls that are newer than the profile look absent.
  bool HidesNewCalls() const;

  const Seccomp& profile_;
  SeccompProgram result_;
  Action default_ = 0;
  bool arch_[seccomp::kArchs] = {};
  std::vector<Entry> entries_;
  bool asks_ = false;  // some action is SCMP_ACT_NOTIFY
  // The highest number that the profile names, whatever it says of it.
  int highest_[seccomp::kArchs] = {};
};

absl::Status Compiler::Use(Action action, absl::string_view field) {
  if (action != SECCOMP_RET_USER_NOTIF) return absl::OkStatus();
  asks_ = true;
  if (!profile_.listener_path.empty()) return absl::OkStatus();
  return Wrong(field, "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath");
}

absl::Status Compiler::ReadDefault() {
  ASSIGN_OR_RETURN(default_,
                   ActionOf(profile_.default_action, profile_.default_errno_ret,
                            "defaultAction", "defaultErrnoRet"));
  return Use(default_, "defaultAction");
}

absl::Status Compiler::ReadArchitectures() {
  // The one that the container starts as is always served.
  arch_[static_cast<int>(Arch::kX86_64)] = true;
  for (const std::string& name : profile_.architectures) {
    ASSIGN_OR_RETURN(const uint32_t arch,
                     ValueOf(kArchitectures, name, "architectures"));
    if (arch != kForeign) arch_[arch] = true;
  }
  return absl::OkStatus();
}

absl::Status Compiler::ReadFlags() {
  for (const std::string& name : profile_.flags) {
    ASSIGN_OR_RETURN(const uint32_t flag, ValueOf(kFlags, name, "flags"));
    result_.flags |= flag;
  }
  if (!asks_) {
    // Says how to wait for a listener; without one the kernel refuses it.
    result_.flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    return absl::OkStatus();
  }
  result_.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  // Both at once would return a descriptor or the thread that failed.
  if (result_.flags & SECCOMP_FILTER_FLAG_TSYNC) {
    result_.flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  }
  return absl::OkStatus();
}

absl::Status Compiler::ReadEntry(const SeccompSyscall& syscall) {
  Entry entry;
  ASSIGN_OR_RETURN(entry.action, ActionOf(syscall.action, syscall.errno_ret,
                                          "action", "errnoRet"));
  ASSIGN_OR_RETURN(entry.alternatives, AlternativesOf(syscall.args));
  for (const std::string& name : syscall.names) {
    const Syscall* call = seccomp::FindSyscall(name);
    if (call == nullptr) continue;
    entry.calls.push_back(call);
    for (int arch = 0; arch < seccomp::kArchs; ++arch) {
      highest_[arch] = std::max<int>(highest_[arch], call->numbers[arch]);
    }
  }
  // As if it was not there: another entry may still say more of its calls.
  if (entry.action == default_) return absl::OkStatus();
  RETURN_IF_ERROR(Use(entry.action, "action"));
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status Compiler::ReadEntries() {
  for (size_t i = 0; i < profile_.syscalls.size(); ++i) {
    const absl::Status status = ReadEntry(profile_.syscalls[i]);
    if (!status.ok()) return Inside(absl::StrCat("syscalls[", i, "]"), status);
  }
  return absl::OkStatus();
}

// A profile lists the calls that its author knew. To refuse a newer one with
// the errno of those that are forbidden breaks programs that try it first: libc
// falls back to an older call on ENOSYS alone. So, like runc, whatever is above
// the highest number that the profile names looks absent, which is also what an
// older kernel would say, and no less strict; unless the default lets calls
// through, or lets a tracer decide.
bool Compiler::HidesNewCalls() const {
  const Action kind = default_ & SECCOMP_RET_ACTION_FULL;
  return kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG &&
         kind != SECCOMP_RET_TRACE;
}

// The request of socketcall(2) and ipc(2) can be seen, what it is about lies in
// memory. So a condition is taken as met if its action is the stricter one, and
// as not met if not. The kernel's order is that of signed numbers.
void Compiler::AddRequest(CallTable& table, uint32_t number, uint8_t request,
                          const Entry& entry) const {
  if (request == 0 || table.IsSet(number)) return;
  const auto rank = [](Action action) {
    return static_cast<int32_t>(action & SECCOMP_RET_ACTION_FULL);
  };
  if (!entry.alternatives.empty() && rank(entry.action) >= rank(default_)) {
    return;
  }
  table.SetIf(number, {{.index = 0, .value = request, .low_half = true}},
              entry.action);
}

void Compiler::AddUnconditional(CallTable& table, const Entry& entry) const {
  if (!entry.alternatives.empty()) return;
  for (const Syscall* call : entry.calls) {
    const int number = call->Number(table.arch());
    if (number >= 0) table.Set(number, entry.action);
  }
}

// Where one entry has conditions and another has none, that other counts
// alone, wherever it stands.
void Compiler::AddConditional(CallTable& table, const Entry& entry) const {
  for (const Syscall* call : entry.calls) {
    if (table.arch() == Arch::kI386) {
      AddRequest(table, seccomp::kSocketcall, call->socketcall, entry);
      AddRequest(table, seccomp::kIpc, call->ipc, entry);
    }
    const int number = call->Number(table.arch());
    if (number < 0 || table.IsSet(number)) continue;
    for (const std::vector<Condition>& all : entry.alternatives) {
      table.SetIf(number, all, entry.action);
    }
  }
}

CallTable Compiler::TableOf(Arch arch) const {
  CallTable table(arch, default_);
  for (const Entry& entry : entries_) AddUnconditional(table, entry);
  for (const Entry& entry : entries_) AddConditional(table, entry);
  const int highest = highest_[static_cast<int>(arch)];
  if (highest > 0 && HidesNewCalls()) {
    table.SetBeyond(highest, SECCOMP_RET_ERRNO | ENOSYS);
  }
  return table;
}

absl::Status Compiler::Run() {
  RETURN_IF_ERROR(ReadDefault());
  RETURN_IF_ERROR(ReadArchitectures());
  RETURN_IF_ERROR(ReadEntries());
  RETURN_IF_ERROR(ReadFlags());
  seccomp::Filter filter;
  for (const Arch arch : {Arch::kX86_64, Arch::kI386, Arch::kX32}) {
    if (arch_[static_cast<int>(arch)]) filter.tables.push_back(TableOf(arch));
  }
  absl::StatusOr<std::string> program = seccomp::Compile(filter);
  if (!program.ok()) return Wrong("syscalls", program.status().message());
  result_.instructions = *std::move(program);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SeccompProgram> CompileSeccomp(const Seccomp& profile) {
  Compiler compiler(profile);
  const absl::Status status = compiler.Run();
  if (!status.ok()) return Inside("linux.seccomp", status);
  return compiler.TakeResult();
}

}  // namespace bulwark::engine::oci
