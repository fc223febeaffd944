// Secrets and configs as files in memory.
#ifndef SECRETS_MATERIALIZE_MATERIALIZER_H_
#define SECRETS_MATERIALIZE_MATERIALIZER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "secrets/delivery.h"
#include "secrets/secrets.h"

namespace bulwark::secrets {

// <directory>/            0700, a file system in memory
//   <container id>/       0700
//     secrets/ configs/   what is mounted on kSecretsDirectory,
//     kConfigsDirectory file-<n>            files with a path of their own, in
//     the paths' order note
//
// Thread-safe; see Delivery.
class Materializer final : public Delivery {
 public:
  // `vault` must outlive this object. `directory` is absolute.
  Materializer(std::string directory, Vault& vault)
      : directory_(std::move(directory)), vault_(vault) {}

  // Mounts the memory unless it is. Call once, before the others. Without
  // `tmpfs` as on a kernel older than 6.4.
  absl::Status Open(bool tmpfs = true);
  // Takes away everything. Needs no Open().
  static absl::Status Teardown(const std::string& directory);

  absl::StatusOr<std::vector<DeliveredMount>> Deliver(
      const DeliveryOrder& order) override;
  std::string NoteOf(absl::string_view container_id) override;
  absl::Status SetNote(absl::string_view container_id,
                       absl::string_view note) override;
  absl::Status Withdraw(absl::string_view container_id) override;
  std::vector<std::string> List() override;

 private:
  absl::StatusOr<SecretBytes> ContentOf(const DeliveredFile& file);

  const std::string directory_;
  Vault& vault_;
};

}  // namespace bulwark::secrets

#endif  // SECRETS_MATERIALIZE_MATERIALIZER_H_
