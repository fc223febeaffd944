// Error handling shared by every layer.
//
// Fallible functions return absl::Status or absl::StatusOr. Messages read
// "<verb> <object>: <cause>", in lower case, without a final dot, and always
// name the path or id. Canonical codes have one meaning each:
//
//   INVALID_ARGUMENT     what the user declared is wrong (do not retry)
//   NOT_FOUND            the named object does not exist
//   ALREADY_EXISTS       a different thing holds that name
//   FAILED_PRECONDITION  wrong state, or a missing kernel feature
//   ABORTED              lost a compare-and-swap (read again, retry at once)
//   UNAVAILABLE          transient (retry with back-off)
//   RESOURCE_EXHAUSTED   no cpu, memory, disk, port or address left
//   DEADLINE_EXCEEDED    the operation's time ran out
//   DATA_LOSS            a record on disk is corrupt
//   PERMISSION_DENIED    the caller or the daemon lacks a right
//   INTERNAL             our bug
#ifndef BASE_STATUS_H_
#define BASE_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark {

// The current errno as a status "<op> <object>: <strerror>". ENOENT becomes
// NOT_FOUND, EEXIST ALREADY_EXISTS, ENOSPC and EDQUOT RESOURCE_EXHAUSTED, and
// so on (absl::ErrnoToStatusCode). `error` defaults to errno.
absl::Status ErrnoStatus(absl::string_view op, absl::string_view object);
absl::Status ErrnoStatus(int error, absl::string_view op,
                         absl::string_view object);

// True if doing the same again later may succeed: ABORTED, UNAVAILABLE,
// RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED. The only such test in the project.
bool IsRetryable(const absl::Status& status);

// `status` with "<context>: " put before its message; OK stays OK. Payloads
// are kept.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace bulwark

#define BULWARK_CONCAT_INNER_(a, b) a##b
#define BULWARK_CONCAT_(a, b) BULWARK_CONCAT_INNER_(a, b)

// Returns from the enclosing function if `expr` is an error.
#define RETURN_IF_ERROR(expr)                              \
  do {                                                     \
    if (absl::Status bulwark_status_ = (expr);             \
        !bulwark_status_.ok()) {                           \
      return bulwark_status_;                              \
    }                                                      \
  } while (false)

// The same, with a context put before the message.
#define RETURN_IF_ERROR_CTX(expr, context)                      \
  do {                                                          \
    if (absl::Status bulwark_status_ = (expr);                  \
        !bulwark_status_.ok()) {                                \
      return ::bulwark::Annotate(bulwark_status_, (context));   \
    }                                                           \
  } while (false)

// Assigns the value of a StatusOr expression to `lhs`, or returns its error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  BULWARK_ASSIGN_(BULWARK_CONCAT_(bulwark_or_, __COUNTER__), lhs, expr)
#define BULWARK_ASSIGN_(var, lhs, expr)          \
  auto var = (expr);                             \
  if (!var.ok()) return std::move(var).status(); \
  lhs = *std::move(var)

#endif  // BASE_STATUS_H_
