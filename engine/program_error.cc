#include "engine/program_error.h"

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace bulwark::engine {
namespace {

constexpr char kUrl[] = "bulwark.engine/program-error";

}  // namespace

absl::Status WithProgramError(absl::Status status, int exit_status) {
  status.SetPayload(kUrl, absl::Cord(absl::StrCat(exit_status)));
  return status;
}

std::optional<int> ProgramErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kUrl);
  int exit_status = 0;
  if (!payload.has_value() ||
      !absl::SimpleAtoi(std::string(*payload), &exit_status)) {
    return std::nullopt;
  }
  return exit_status;
}

}  // namespace bulwark::engine
