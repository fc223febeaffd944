// The problems found in one request, all of them, each at its field.
#ifndef API_REPORT_H_
#define API_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/meta.pb.h"

namespace bulwark::api {

// Collects violations. Paths are written as in a manifest:
// "spec.initContainers[0].image". Thread-compatible.
class Report {
 public:
  // The object of the request that the next problems are of; -1: none.
  void SetObject(int index) { object_ = index; }

  // What was declared is wrong in itself.
  void Invalid(absl::string_view field, absl::string_view message,
               absl::string_view remedy = "");

  // It could be right, but not in the state that things are in (or not in this
  // version).
  void Refuse(absl::string_view field, absl::string_view message,
              absl::string_view remedy = "");

  bool ok() const { return violations_.empty(); }
  const std::vector<v1::Violation>& violations() const { return violations_; }

  // OK if nothing was found. Else INVALID_ARGUMENT if anything was invalid,
  // FAILED_PRECONDITION if all was only refused; every violation is in the
  // ErrorDetail. The message reads "<what>: <first problem>".
  absl::Status ToStatus(absl::string_view what) const;

 private:
  void Add(absl::string_view field, absl::string_view message,
           absl::string_view remedy);

  int object_ = -1;
  bool invalid_ = false;
  std::vector<v1::Violation> violations_;
};

}  // namespace bulwark::api

#endif  // API_REPORT_H_
