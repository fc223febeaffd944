#include "secrets/fake/fake_delivery.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "secrets/delivery_order.h"

namespace bulwark::secrets {

std::string FakeDelivery::ContentOf(absl::string_view container_id,
                                    const std::string& path) {
  absl::MutexLock lock(&mu_);
  const auto container = containers_.find(container_id);
  if (container == containers_.end()) return "";
  const auto file = container->second.files.find(path);
  return file == container->second.files.end() ? "" : file->second;
}

void FakeDelivery::FailNext(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
  failures_ = count;
}

absl::StatusOr<std::vector<DeliveredMount>> FakeDelivery::Deliver(
    const DeliveryOrder& order) {
  RETURN_IF_ERROR(CheckOrder(order));
  absl::MutexLock lock(&mu_);
  if (failures_ > 0) {
    --failures_;
    return failure_;
  }
  std::map<std::string, std::string> files;
  std::set<std::string> destinations;
  for (const DeliveredFile& file : order.files) {
    files[file.path] = file.content;
    if (file.binding.has_value()) {
      ASSIGN_OR_RETURN(const SecretBytes opened,
                       vault_.Open(*file.binding, file.rows));
      files[file.path] = std::string(opened.Reveal());
    }
    destinations.insert(IsSwappable(file.path) ? FolderOf(file.path)
                                               : file.path);
  }
  if (order.before_write != nullptr) RETURN_IF_ERROR(order.before_write());
  containers_[order.container_id].files = std::move(files);
  std::vector<DeliveredMount> mounts;
  for (const std::string& destination : destinations) {
    mounts.push_back(
        {absl::StrCat("/fake/inputs/", order.container_id, destination),
         destination});
  }
  return mounts;
}

std::string FakeDelivery::NoteOf(absl::string_view container_id) {
  absl::MutexLock lock(&mu_);
  const auto container = containers_.find(container_id);
  return container == containers_.end() ? "" : container->second.note;
}

absl::Status FakeDelivery::SetNote(absl::string_view container_id,
                                   absl::string_view note) {
  RETURN_IF_ERROR(CheckContainerId(container_id));
  absl::MutexLock lock(&mu_);
  const auto container = containers_.find(container_id);
  if (container == containers_.end()) {
    return absl::NotFoundError(
        absl::StrCat("note on ", container_id, ": it has no files"));
  }
  container->second.note = std::string(note);
  return absl::OkStatus();
}

absl::Status FakeDelivery::Withdraw(absl::string_view container_id) {
  RETURN_IF_ERROR(CheckContainerId(container_id));
  absl::MutexLock lock(&mu_);
  const auto container = containers_.find(container_id);
  if (container != containers_.end()) containers_.erase(container);
  return absl::OkStatus();
}

std::vector<std::string> FakeDelivery::List() {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> ids;
  for (const auto& [id, container] : containers_) ids.push_back(id);
  return ids;
}

}  // namespace bulwark::secrets
