// Builds a launch plan: isolators add steps in any order, each with the stage
// it belongs to, and Build() lays them out by stage. The order of the stages
// is the order of the launch, and the only place where it is decided.
#ifndef ENGINE_PLAN_PLAN_BUILDER_H_
#define ENGINE_PLAN_PLAN_BUILDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/child/launch_plan.h"

namespace bulwark::engine {

// Why each comes where it does is said at its name.
enum class Stage {
  // In the shim, in the host's namespaces.
  kSources,         // open what is outside of the container
  kDetachedMounts,  // need the sources
  kEnter,           // exec: join the container; no host path after this
  kTerminal,        // needs its devpts
  kEnterUser,       // streams change hands; exec: its user namespace, and all
                    // that belongs to it
  kCgroupGate,      // what is above needs no control group
  kCgroups,         // the child is cloned into them
  kFirstInChild,
  // In the child.
  kIdMaps = kFirstInChild,  // nothing can be owned in a user namespace before
  kJoinCgroups,             // before the cgroup namespace fixes its root
  kNamespaces,              // before sysfs, which shows the network namespace
  kIsolateMounts,           // before any mount, or the host would see it
  kRoot,                    // what the rest attaches to
  kSystemMounts,  // proc and sysfs need the old root's to be visible still
  kDeviceNodes,   // on /dev
  kUserMounts,    // over the system's
  kConsole,       // on /dev, or what was mounted over it
  kHooks,         // may mount more, by paths of the host
  kMakeWorkdir,   // in what is mounted, while it can be written
  kMasks,         // hide parts of all mounts
  kSealRoot,      // nothing is made in the root after this
  kPivot,         // needs every mount
  kIdentity,      // host name
  kAccount,       // reads files of the root only
  kOwners,        // need the account, and the rights of root
  kWorkdir,       // as root: the user may not reach it
  kSession,       // streams are given to the user
  kLimits,
  kAwaitStart,    // with every right still: what follows cannot be undone
  kEarlySeccomp,  // where new privileges stay allowed: needs CAP_SYS_ADMIN
  kBoundingSet,   // needs CAP_SETPCAP, which kCapabilities drops
  kIds,           // needs CAP_SETUID
  kCapabilities,
  kNoNewPrivs,  // before the filter: without CAP_SYS_ADMIN it needs this
  kGate,        // all that can be undone is done, the program is not begun
  kCloseFiles,
  kSeccomp,  // last: from here only what the filter allows works
  kExec,
};

// Who is to blame if a step fails.
enum class Blame { kHost, kSpec };

struct StepInfo {
  std::string label;  // "mount proc on /proc", for messages
  Blame blame = Blame::kHost;
  child::StepKind kind = child::StepKind::kNone;
  Stage stage = Stage::kSources;
};

struct CompiledPlan {
  std::string bytes;            // for the shim
  std::vector<StepInfo> steps;  // by index, for messages
};

// What a step is given; unset fields are absent.
struct StepArgs {
  int slot = child::kNoSlot;
  int slot2 = child::kNoSlot;
  uint32_t flags = 0;
  std::string str;
  std::string str2;
  uint64_t value = 0;
  uint64_t value2 = 0;
  Blame blame = Blame::kHost;
};

// The parts of the plan that are not steps; see child::PlanHeader.
struct PlanSettings {
  uint64_t clone_flags = 0;
  std::string runtime_dir;
  std::string state_dir;
  std::string boot_id;
  std::string oom_file;
  uint64_t log_file_bytes = 0;
  uint32_t log_files = 0;
  child::LogDriver log_driver = child::kLogLocal;
  std::string log_fields;
  std::string log_socket;
  bool terminal = false;
  bool open_stdin = false;
};

// Thread-compatible.
class PlanBuilder {
 public:
  // A new slot, or `count` consecutive ones, of which it returns the first.
  int NewSlot(int count = 1);

  void Add(Stage stage, child::StepKind kind, std::string label,
           StepArgs args = {});
  // `program`: seccomp instructions, empty for none. `stage`: kSeccomp or
  // kEarlySeccomp. `flags`: of seccomp(2).
  void AddSeccomp(Stage stage, absl::string_view program, uint32_t flags = 0);
  // A step whose `str` is bytes, aligned to 8, not a text.
  void AddBytes(Stage stage, child::StepKind kind, std::string label,
                StepArgs args);
  // The last step. The strings hold no NUL.
  void AddExec(const std::vector<std::string>& args,
               const std::vector<std::string>& env);

  PlanSettings& settings() { return settings_; }

  // RESOURCE_EXHAUSTED if the plan exceeds the format's limits,
  // INVALID_ARGUMENT if a string has a NUL in it.
  absl::StatusOr<CompiledPlan> Build() const;

 private:
  struct Pending {
    Stage stage;
    child::StepKind kind;
    std::string label;
    StepArgs args;
    bool str_is_bytes = false;  // aligned, with NULs
  };

  int slots_ = child::kFirstFreeSlot;
  std::vector<Pending> steps_;
  PlanSettings settings_;
};

// "<label>: <strerror>" with the code that fits: INVALID_ARGUMENT for what the
// spec asked for in vain, else as errno says. Of the program itself, or of
// going to its directory, with its ProgramErrorOf().
absl::Status LaunchFailure(const CompiledPlan& plan, uint64_t step, int error);

}  // namespace bulwark::engine

#endif  // ENGINE_PLAN_PLAN_BUILDER_H_
