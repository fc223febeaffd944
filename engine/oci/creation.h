// How `create`, `run` and `start` bring a container up.
#ifndef ENGINE_OCI_CREATION_H_
#define ENGINE_OCI_CREATION_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/rollback.h"
#include "base/unique_fd.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/compile.h"
#include "engine/oci/config/seccomp.h"
#include "engine/oci/container.h"
#include "engine/oci/launching.h"

namespace bulwark::engine::oci {

// What a launch ends with.
struct Created {
  int pid = 0;
  UniqueFd pidfd;
  UniqueFd terminal;  // the master, if nobody else got it
};

// Brings one container up to where its program waits, or runs. Used once.
class Creation {
 public:
  // `wait`: the program waits for `start`.
  Creation(const Runtime& runtime, const CreateOptions& options, bool wait);

  // On an error nothing is left but what hooks did.
  absl::StatusOr<Created> Run();

  Store& store() { return store_; }
  const State& state() const { return state_; }
  const Spec& spec() const { return spec_; }

 private:
  absl::Status ReadBundle();
  absl::Status Prepare();
  absl::StatusOr<Created> Launch(Launching launching);
  absl::Status HandleSync(Launching& launching, LaunchEvent event,
                          Created& created);
  absl::Status Register(int pid, Created& created);
  absl::Status SetTimeOffsets(int pid) const;
  absl::Status RunCreateHooks(int pid) const;
  absl::Status TakeTerminal(UniqueFd master, Created& created);
  absl::Status Finish(Created& created);
  void Undo();

  const Runtime& runtime_;
  const CreateOptions& options_;
  const bool wait_;
  Store store_;
  State state_;
  std::string config_;
  Spec spec_;
  CgroupHost host_;
  std::optional<ContainerCgroup> cgroup_;
  SeccompProgram seccomp_;
  UniqueFd console_;
  std::vector<UniqueFd> mount_namespaces_;
  CompiledPlan plan_;
  absl::Status filtered_;  // by the devices that it may use
  int pid_ = 0;            // of what was launched
};

// The plan that a container was, or is to be, launched with. `wait`: its
// program waits for `start`.
absl::StatusOr<CompiledPlan> PlanOf(const Spec& spec, const Store& store,
                                    const CgroupHost& host,
                                    const CgroupRecord& cgroup,
                                    const SeccompProgram& seccomp,
                                    std::vector<std::string> mount_namespaces,
                                    bool wait);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CREATION_H_
