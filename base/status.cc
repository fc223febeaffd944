#include "base/status.h"

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace bulwark {

absl::Status ErrnoStatus(absl::string_view op, absl::string_view object) {
  return ErrnoStatus(errno, op, object);
}

absl::Status ErrnoStatus(int error, absl::string_view op,
                         absl::string_view object) {
  return absl::ErrnoToStatus(error, absl::StrCat(op, " ", object));
}

bool IsRetryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(),
                      absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    result.SetPayload(url, payload);
  });
  return result;
}

}  // namespace bulwark
