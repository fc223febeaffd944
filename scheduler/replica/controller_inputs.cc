// What a replica's controller does about secrets and configs.
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/replica/controller.h"
#include "scheduler/replica/inputs.h"
#include "scheduler/replica/spec.h"
#include "scheduler/replica/view.h"

namespace bulwark::scheduler {

absl::Status ReplicaController::SwapInputs(Loaded& loaded) {
  if (loaded.on_change.action() != v1::ChangePolicy::SWAP ||
      !loaded.revision.has_value() ||
      loaded.replica().spec().goal() != v1::ReplicaSpec::RUN) {
    return absl::OkStatus();
  }
  const v1::Template& t = loaded.revision->template_();
  for (const ContainerView& view : loaded.view.containers) {
    const v1::Container* container = FindContainer(t, view);
    if (!view.Running() || container == nullptr) continue;
    const InputReader reader{loaded.replica(), *loaded.revision, *container,
                             view.id};
    ASSIGN_OR_RETURN(const bool swapped, launcher_.inputs().Swap(reader));
    if (!swapped) continue;
    if (!loaded.on_change.signal().empty()) {
      const absl::Status told =
          engine_.Signal(view.id, SignalNumber(loaded.on_change.signal()));
      if (!told.ok() && !absl::IsNotFound(told) &&
          !absl::IsFailedPrecondition(told)) {
        return told;
      }
    }
    RETURN_IF_ERROR(launcher_.inputs().Acknowledge(reader));
    Tell(loaded, "InputsSwapped",
         absl::StrCat(
             view.name, " of ", loaded.replica().metadata().name(),
             " has the newest secrets and configs",
             loaded.on_change.signal().empty()
                 ? ""
                 : absl::StrCat(", and got ", loaded.on_change.signal())),
         v1::Event::NORMAL);
  }
  return absl::OkStatus();
}

// What cannot be removed now goes with the replica's record.
void ReplicaController::WithdrawInputs(absl::string_view container_id) {
  const absl::Status status = launcher_.inputs().Withdraw(container_id);
  if (status.ok()) return;
  LOG_WARN("files of an ended container stay for now",
           {{"container", container_id}, {"cause", status}});
}

}  // namespace bulwark::scheduler
