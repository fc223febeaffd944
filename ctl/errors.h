// Errors as ctl carries and prints them, and its exit codes.
#ifndef CTL_ERRORS_H_
#define CTL_ERRORS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/meta.pb.h"

namespace bulwark::ctl {

constexpr int kExitOk = 0;
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
// As timeout(1).
constexpr int kExitTimeout = 124;
// Of a command that passes on the exit status of another: it has none. As
// Docker's.
constexpr int kExitNoStatus = 125;

// INVALID_ARGUMENT that ends ctl with kExitUsage: the command line is wrong.
absl::Status UsageError(absl::string_view message);

// DEADLINE_EXCEEDED that ends ctl with kExitTimeout: a wait took too long.
absl::Status TimeoutError(absl::string_view message);

// `status` with what to do about it.
absl::Status WithRemedy(absl::Status status, absl::string_view remedy);

// `status` with a server's details; and those details, empty if there are none.
absl::Status WithDetail(absl::Status status, const v1::ErrorDetail& detail);
v1::ErrorDetail DetailOf(const absl::Status& status);

// `status`, ending ctl with `code` instead of its own.
absl::Status WithExitCode(absl::Status status, int code);

// `result`, an error without an exit code of its own ending ctl with
// kExitNoStatus: what failed is not the command that ctl was to run.
absl::StatusOr<int> OrNoStatus(absl::StatusOr<int> result);

// `status` replaced by lines that are printed as they are, one error each.
absl::Status WithLines(absl::Status status, absl::string_view lines);

// "error: …" and "hint: …" lines.
std::string FormatError(const absl::Status& status);

// A "warning: …" line of what a server wrote.
std::string FormatWarning(absl::string_view text);

int ExitCodeOf(const absl::Status& status);

}  // namespace bulwark::ctl

#endif  // CTL_ERRORS_H_
