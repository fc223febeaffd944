#include "engine/plan/plan_builder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/child/wire.h"
#include "engine/program_error.h"

namespace bulwark::engine {
namespace {

using child::StepKind;

bool HasNul(absl::string_view s) {
  return s.find('\0') != absl::string_view::npos;
}

// Strings of the plan, each once. Offset 0 of the area is the empty string.
class StringTable {
 public:
  explicit StringTable(uint32_t base) : base_(base), bytes_(1, '\0') {}

  uint32_t Add(const std::string& s) {
    if (s.empty()) return base_;
    const auto [it, is_new] =
        known_.emplace(s, static_cast<uint32_t>(base_ + bytes_.size()));
    if (is_new) bytes_.append(s).push_back('\0');
    return it->second;
  }
  uint32_t AddBytes(const std::string& s) {
    bytes_.resize((base_ + bytes_.size() + 7) / 8 * 8 - base_, '\0');
    const uint32_t offset = static_cast<uint32_t>(base_ + bytes_.size());
    bytes_.append(s);
    return offset;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  uint32_t base_;
  std::string bytes_;
  std::map<std::string, uint32_t> known_;
};

std::string SpecialStepName(uint64_t step) {
  switch (step) {
    case child::kStepPlan:
      return "verify launch plan";
    case child::kStepDirectory:
      return "open container directory";
    case child::kStepStdio:
      return "make standard streams";
    case child::kStepControl:
      return "listen on control socket";
    case child::kStepClone:
      return "create container process";
    case child::kStepRecords:
      return "write container records";
    default:
      return absl::StrCat("launch step ", step);
  }
}

}  // namespace

int PlanBuilder::NewSlot(int count) {
  const int first = slots_;
  slots_ += count;
  return first;
}

void PlanBuilder::Add(Stage stage, StepKind kind, std::string label,
                      StepArgs args) {
  steps_.push_back({stage, kind, std::move(label), std::move(args)});
}

void PlanBuilder::AddBytes(Stage stage, StepKind kind, std::string label,
                           StepArgs args) {
  steps_.push_back({stage, kind, std::move(label), std::move(args), true});
}

void PlanBuilder::AddSeccomp(Stage stage, absl::string_view program,
                             uint32_t flags) {
  if (program.empty()) return;
  StepArgs args;
  args.str = std::string(program);
  args.value = program.size() / 8;  // sizeof(struct sock_filter)
  args.value2 = flags;
  AddBytes(stage, StepKind::kSeccomp, "load system call filter",
           std::move(args));
}

void PlanBuilder::AddExec(const std::vector<std::string>& args,
                          const std::vector<std::string>& env) {
  StepArgs step;
  const std::string separator(1, '\0');
  step.str = absl::StrJoin(args, separator) + separator;
  step.str2 = absl::StrJoin(env, separator) + separator;
  step.value = args.size();
  step.value2 = env.size();
  step.blame = Blame::kSpec;
  steps_.push_back({Stage::kExec, StepKind::kExec,
                    absl::StrCat("execute \"", args[0], "\""), std::move(step),
                    true});
}

absl::StatusOr<CompiledPlan> PlanBuilder::Build() const {
  std::vector<const Pending*> order;
  for (const Pending& step : steps_) order.push_back(&step);
  std::stable_sort(
      order.begin(), order.end(),
      [](const Pending* a, const Pending* b) { return a->stage < b->stage; });

  const uint32_t steps_size =
      static_cast<uint32_t>(order.size() * sizeof(child::Step));
  StringTable strings(sizeof(child::PlanHeader) + steps_size);
  CompiledPlan plan;
  std::vector<child::Step> table;
  for (const Pending* p : order) {
    if (!p->str_is_bytes && (HasNul(p->args.str) || HasNul(p->args.str2))) {
      return absl::InvalidArgumentError(
          absl::StrCat(p->label, ": a text holds a NUL byte"));
    }
    child::Step step = {};
    step.kind = p->kind;
    step.where = p->stage < Stage::kFirstInChild ? child::Where::kShim
                                                 : child::Where::kChild;
    step.slot = static_cast<int16_t>(p->args.slot);
    step.slot2 = static_cast<int16_t>(p->args.slot2);
    step.flags = p->args.flags;
    step.str = p->str_is_bytes ? strings.AddBytes(p->args.str)
                               : strings.Add(p->args.str);
    step.str2 = p->str_is_bytes ? strings.AddBytes(p->args.str2)
                                : strings.Add(p->args.str2);
    step.value = p->args.value;
    step.value2 = p->args.value2;
    table.push_back(step);
    plan.steps.push_back({p->label, p->args.blame, p->kind, p->stage});
  }

  child::PlanHeader header = {};
  header.magic = child::kPlanMagic;
  header.version = child::kPlanVersion;
  header.step_count = static_cast<uint32_t>(table.size());
  header.steps = sizeof(header);
  header.slot_count = static_cast<uint32_t>(slots_);
  header.clone_flags = settings_.clone_flags;
  header.runtime_dir = strings.Add(settings_.runtime_dir);
  header.state_dir = strings.Add(settings_.state_dir);
  header.boot_id = strings.Add(settings_.boot_id);
  header.oom_file = strings.Add(settings_.oom_file);
  header.log_file_bytes = settings_.log_file_bytes;
  header.log_files = settings_.log_files;
  header.terminal = settings_.terminal;
  header.log_driver = settings_.log_driver;
  header.log_fields = strings.Add(settings_.log_fields);
  header.log_socket = strings.Add(settings_.log_socket);
  header.open_stdin = settings_.open_stdin;
  const uint64_t size =
      sizeof(header) + steps_size + strings.bytes().size() + 1;
  if (slots_ > child::kMaxSlots || table.size() > child::kMaxSteps ||
      size > child::kMaxPlanBytes) {
    return absl::ResourceExhaustedError(
        "compile launch plan: too many mounts, layers or arguments");
  }
  header.size = static_cast<uint32_t>(size);
  plan.bytes.append(reinterpret_cast<const char*>(&header), sizeof(header));
  plan.bytes.append(reinterpret_cast<const char*>(table.data()), steps_size);
  plan.bytes.append(strings.bytes());
  plan.bytes.push_back('\0');
  return plan;
}

absl::Status LaunchFailure(const CompiledPlan& plan, uint64_t step, int error) {
  if (step >= plan.steps.size()) {
    return ErrnoStatus(error, SpecialStepName(step), "of the container");
  }
  const StepInfo& info = plan.steps[step];
  const bool is_program =
      info.kind == StepKind::kExec || info.kind == StepKind::kFindProgram;
  std::string cause = std::strerror(error);
  // ESRCH and EXDEV as the interpreter uses them.
  if (info.kind == StepKind::kAccount && error == ESRCH) {
    cause = "no such user or group in the image";
  } else if (info.kind == StepKind::kAccount && error == ERANGE) {
    cause = "the id is out of range";
  } else if ((info.kind == StepKind::kMask ||
              info.kind == StepKind::kReadOnly) &&
             error == EXDEV) {
    cause = "a link on the way leads out of the root";
  } else if (is_program && error == ENOENT) {
    cause = "no such file in the container";
  } else if (is_program && error == EACCES) {
    cause += ": it is not executable for the container's user";
  } else if (info.kind == StepKind::kExec && error == ENOEXEC) {
    cause = "not a program for this machine, nor a script with #!";
  }
  const std::string message = absl::StrCat(info.label, ": ", cause);
  // Nothing runs in a directory that is not there: as for the program itself.
  if (is_program || info.kind == StepKind::kWorkdir ||
      info.stage == Stage::kMakeWorkdir) {
    return WithProgramError(
        absl::InvalidArgumentError(message),
        error == ENOENT ? kProgramNotFound : kProgramCannotRun);
  }
  if (info.blame == Blame::kSpec) return absl::InvalidArgumentError(message);
  absl::StatusCode code = ErrnoStatus(error, "launch", "").code();
  // Of the engine's callers these would speak of the container itself.
  if (code == absl::StatusCode::kNotFound ||
      code == absl::StatusCode::kAlreadyExists ||
      code == absl::StatusCode::kInvalidArgument) {
    code = absl::StatusCode::kInternal;
  }
  return absl::Status(code, message);
}

}  // namespace bulwark::engine
