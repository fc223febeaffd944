// Delivered files in memory.
#ifndef SECRETS_FAKE_FAKE_DELIVERY_H_
#define SECRETS_FAKE_FAKE_DELIVERY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "secrets/delivery.h"

namespace bulwark::secrets {

// Sources do not exist. Orders follow the real rules.
class FakeDelivery final : public Delivery {
 public:
  // `vault` must outlive this object.
  explicit FakeDelivery(Vault& vault) : vault_(vault) {}

  // What a container finds under a path; "" if nothing.
  std::string ContentOf(absl::string_view container_id,
                        const std::string& path);
  // The next `count` deliveries fail with `status`.
  void FailNext(absl::Status status, int count = 1);

  absl::StatusOr<std::vector<DeliveredMount>> Deliver(
      const DeliveryOrder& order) override;
  std::string NoteOf(absl::string_view container_id) override;
  absl::Status SetNote(absl::string_view container_id,
                       absl::string_view note) override;
  absl::Status Withdraw(absl::string_view container_id) override;
  std::vector<std::string> List() override;

 private:
  struct Container {
    std::map<std::string, std::string> files;  // by path
    std::string note;
  };

  Vault& vault_;
  absl::Mutex mu_;
  std::map<std::string, Container, std::less<>> containers_
      ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::secrets

#endif  // SECRETS_FAKE_FAKE_DELIVERY_H_
