#include "lb/socket_source.h"

#include <cerrno>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace bulwark::lb {
namespace {
constexpr char kErrnoPayload[] = "bulwark/socket-errno";
}  // namespace

absl::Status WithSocketErrno(absl::Status status, int error_number) {
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(error_number)));
  return status;
}

int SocketErrno(const absl::Status& status) {
  int number = EIO;
  auto payload = status.GetPayload(kErrnoPayload);
  if (!payload.has_value() ||
      !absl::SimpleAtoi(std::string(*payload), &number)) {
    return EIO;
  }
  return number;
}

}  // namespace bulwark::lb
