// The one rule for ids of volumes, and for names of snapshots and stages.
#ifndef VOLUMES_VOLUME_ID_H_
#define VOLUMES_VOLUME_ID_H_

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bulwark::volumes {

inline constexpr size_t kMaxVolumeId = 64;

// INVALID_ARGUMENT unless `id` is 1 to 64 characters of [a-z0-9-]: safe as a
// file's name.
inline absl::Status CheckVolumeId(absl::string_view id) {
  bool good =
      !id.empty() && id.size() <= kMaxVolumeId &&
      std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("volume id or name \"", id.substr(0, 80), "\" is not 1 to ",
                   kMaxVolumeId, " characters of [a-z0-9-]"));
}

}  // namespace bulwark::volumes

#endif  // VOLUMES_VOLUME_ID_H_
