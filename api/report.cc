#include "api/report.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/errors.h"

namespace bulwark::api {

void Report::Invalid(absl::string_view field, absl::string_view message,
                     absl::string_view remedy) {
  invalid_ = true;
  Add(field, message, remedy);
}

void Report::Refuse(absl::string_view field, absl::string_view message,
                    absl::string_view remedy) {
  Add(field, message, remedy);
}

void Report::Add(absl::string_view field, absl::string_view message,
                 absl::string_view remedy) {
  v1::Violation violation;
  violation.set_object(object_);
  violation.set_field(std::string(field));
  violation.set_message(std::string(message));
  violation.set_remedy(std::string(remedy));
  violations_.push_back(std::move(violation));
}

absl::Status Report::ToStatus(absl::string_view what) const {
  if (ok()) return absl::OkStatus();
  v1::ErrorDetail detail;
  for (const v1::Violation& violation : violations_) {
    *detail.add_violations() = violation;
  }
  const v1::Violation& first = violations_.front();
  std::string message = absl::StrCat(what, ": ");
  if (!first.field().empty()) absl::StrAppend(&message, first.field(), ": ");
  absl::StrAppend(&message, first.message());
  if (violations_.size() > 1) {
    absl::StrAppend(&message, " (and ", violations_.size() - 1, " more)");
  }
  return WithDetail(
      absl::Status(invalid_ ? absl::StatusCode::kInvalidArgument
                            : absl::StatusCode::kFailedPrecondition,
                   message),
      detail);
}

}  // namespace bulwark::api
