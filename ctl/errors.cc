#include "ctl/errors.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bulwark::ctl {
namespace {

constexpr absl::string_view kExit = "bulwark.ctl/exit";
constexpr absl::string_view kRemedy = "bulwark.ctl/remedy";
constexpr absl::string_view kDetail = "bulwark.v1.ErrorDetail";
constexpr absl::string_view kLines = "bulwark.ctl/lines";

std::string Payload(const absl::Status& status, absl::string_view url) {
  auto payload = status.GetPayload(url);
  return payload.has_value() ? std::string(*payload) : std::string();
}

// What others wrote must not steer the terminal.
std::string Harmless(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    const bool control =
        (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    if (control) {
      absl::StrAppend(&out, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

absl::Status UsageError(absl::string_view message) {
  return WithExitCode(absl::InvalidArgumentError(message), kExitUsage);
}

absl::Status TimeoutError(absl::string_view message) {
  return WithExitCode(absl::DeadlineExceededError(message), kExitTimeout);
}

absl::Status WithRemedy(absl::Status status, absl::string_view remedy) {
  if (!remedy.empty()) status.SetPayload(kRemedy, absl::Cord(remedy));
  return status;
}

absl::Status WithDetail(absl::Status status, const v1::ErrorDetail& detail) {
  status.SetPayload(kDetail, absl::Cord(detail.SerializeAsString()));
  return status;
}

v1::ErrorDetail DetailOf(const absl::Status& status) {
  v1::ErrorDetail detail;
  if (!detail.ParseFromString(Payload(status, kDetail))) detail.Clear();
  return detail;
}

absl::Status WithExitCode(absl::Status status, int code) {
  status.SetPayload(kExit, absl::Cord(absl::StrCat(code)));
  return status;
}

absl::StatusOr<int> OrNoStatus(absl::StatusOr<int> result) {
  if (result.ok() || !Payload(result.status(), kExit).empty()) return result;
  return WithExitCode(result.status(), kExitNoStatus);
}

absl::Status WithLines(absl::Status status, absl::string_view lines) {
  status.SetPayload(kLines, absl::Cord(lines));
  return status;
}

std::string FormatError(const absl::Status& status) {
  std::string out;
  const std::string lines = Payload(status, kLines);
  for (absl::string_view line :
       absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&out, "error: ", line, "\n");
  }
  const v1::ErrorDetail detail = DetailOf(status);
  if (out.empty() && detail.violations().empty()) {
    absl::StrAppend(&out, "error: ", status.message(), "\n");
  }
  if (lines.empty()) {
    for (const v1::Violation& violation : detail.violations()) {
      absl::StrAppend(
          &out, "error: ", violation.field(),
          violation.field().empty() ? "" : ": ", violation.message(),
          violation.remedy().empty() ? "" : "; ", violation.remedy(), "\n");
    }
  }
  std::string remedy = Payload(status, kRemedy);
  if (remedy.empty()) remedy = detail.remedy();
  if (!remedy.empty()) absl::StrAppend(&out, "hint: ", remedy, "\n");
  return Harmless(out);
}

std::string FormatWarning(absl::string_view text) {
  return Harmless(absl::StrCat("warning: ", text, "\n"));
}

int ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  int code = kExitError;
  if (!absl::SimpleAtoi(Payload(status, kExit), &code)) return kExitError;
  return code;
}

}  // namespace bulwark::ctl
