// Port of the delivery of secrets and configs: files in memory that containers
// mount.
#ifndef SECRETS_DELIVERY_H_
#define SECRETS_DELIVERY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "secrets/secrets.h"

namespace bulwark::secrets {

// Files directly in one of these are mounted as one directory, and can be
// swapped while the container runs; any other is mounted by itself.
inline constexpr absl::string_view kSecretsDirectory = "/run/secrets";
inline constexpr absl::string_view kConfigsDirectory = "/run/configs";

// Whether `path` names a file directly in one of the two.
bool IsSwappable(absl::string_view path);

struct DeliveredFile {
  std::string path;  // in the container, absolute
  uint32_t mode = 0400;
  // Of a secret; a config has `content` instead.
  std::optional<Binding> binding;
  ValueRows rows;
  std::string content;
};

struct DeliveryOrder {
  std::string container_id;  // safe as a file's name
  std::vector<DeliveredFile> files;
  // Called when every value has been opened, and before the container can see
  // any of them. Its error is the delivery's, and nothing has changed.
  std::function<absl::Status()> before_write = nullptr;
};

// What the container mounts, read-only; it belongs to the container's user once
// the engine has given it away (engine::Mount::owned_by_user).
struct DeliveredMount {
  std::string source;       // path of the host
  std::string destination;  // path in the container
};

// Thread-safe for different containers; calls for one container come one after
// the other. Every call is idempotent. Nothing outlives a reboot.
class Delivery {
 public:
  virtual ~Delivery() = default;

  // Makes the files of a container that does not run yet, or swaps those of one
  // that does: the files of a directory change all at once, and belong to whom
  // the old ones belong to. Errors: those of Vault::Open(); RESOURCE_EXHAUSTED
  // if the memory set aside for this is full.
  virtual absl::StatusOr<std::vector<DeliveredMount>> Deliver(
      const DeliveryOrder& order) = 0;

  // A note on a container that has files, of the caller's own: which versions
  // the container knows of. Empty if there is none, or no such container.
  virtual std::string NoteOf(absl::string_view container_id) = 0;
  virtual absl::Status SetNote(absl::string_view container_id,
                               absl::string_view note) = 0;

  // Removes the files. OK if there are none.
  virtual absl::Status Withdraw(absl::string_view container_id) = 0;

  // The containers that have files.
  virtual std::vector<std::string> List() = 0;
};

}  // namespace bulwark::secrets

#endif  // SECRETS_DELIVERY_H_
