#include "api/errors.h"

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace bulwark::api {
namespace {

constexpr char kUrl[] = "type.googleapis.com/bulwark.v1.ErrorDetail";
constexpr size_t kMaxMessage = 1024;
constexpr size_t kMaxDetail = 5 * 1024;

// Length of the well-formed UTF-8 sequence at the start of `text`, or 0.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  size_t length = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) length = 2;
  if (lead >= 0xe0 && lead <= 0xef) length = 3;
  if (lead >= 0xf0 && lead <= 0xf4) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

// At most `limit` bytes of `text`, whole characters only, "?" for what is none.
std::string CleanText(absl::string_view text, size_t limit) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (clean.size() + (length == 0 ? 1 : length) > limit) {
      absl::StrAppend(&clean, " ...");
      break;
    }
    if (length == 0) {
      clean.push_back('?');
      text.remove_prefix(1);
      continue;
    }
    clean.append(text.data(), length);
    text.remove_prefix(length);
  }
  return clean;
}

v1::ErrorDetail Bounded(const v1::ErrorDetail& detail) {
  v1::ErrorDetail bounded;
  bounded.set_remedy(CleanText(detail.remedy(), kMaxMessage));
  size_t size = bounded.ByteSizeLong();
  for (int i = 0; i < detail.violations_size(); ++i) {
    v1::Violation violation = detail.violations(i);
    violation.set_message(CleanText(violation.message(), kMaxMessage));
    violation.set_remedy(CleanText(violation.remedy(), kMaxMessage));
    violation.set_field(CleanText(violation.field(), kMaxMessage));
    size += violation.ByteSizeLong() + 8;
    if (size > kMaxDetail) {
      v1::Violation& rest = *bounded.add_violations();
      rest.set_object(-1);
      rest.set_message(
          absl::StrCat("and ", detail.violations_size() - i, " more problems"));
      rest.set_remedy("mend these first, then see the rest");
      break;
    }
    *bounded.add_violations() = std::move(violation);
  }
  return bounded;
}

}  // namespace

absl::Status WithDetail(absl::Status status, const v1::ErrorDetail& detail) {
  if (!status.ok()) {
    status.SetPayload(kUrl, absl::Cord(detail.SerializeAsString()));
  }
  return status;
}

absl::Status WithRemedy(absl::Status status, absl::string_view remedy) {
  v1::ErrorDetail detail = DetailOf(status).value_or(v1::ErrorDetail());
  detail.set_remedy(std::string(remedy));
  return WithDetail(std::move(status), detail);
}

std::optional<v1::ErrorDetail> DetailOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kUrl);
  v1::ErrorDetail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) {
    return std::nullopt;
  }
  return detail;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.raw_code());
  std::optional<v1::ErrorDetail> detail = DetailOf(status);
  // Without a detail a client takes this code for a connection that failed.
  if (code == grpc::StatusCode::UNAVAILABLE && !detail.has_value()) {
    detail.emplace().set_remedy(
        "try again; if it stays so, the log of bulwarkd may say more "
        "(journalctl -u bulwarkd)");
  }
  return grpc::Status(
      code, CleanText(status.message(), kMaxMessage),
      detail.has_value() ? Bounded(*detail).SerializeAsString() : "");
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  v1::ErrorDetail detail;
  if (!status.error_details().empty() &&
      detail.ParseFromString(status.error_details())) {
    return WithDetail(std::move(result), detail);
  }
  return result;
}

}  // namespace bulwark::api
