#include "base/units.h"

#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bulwark {
namespace {

struct Unit {
  absl::string_view suffix;
  int64_t factor;
};

constexpr Unit kByteUnits[] = {
    {"Ti", int64_t{1} << 40}, {"Gi", int64_t{1} << 30},
    {"Mi", int64_t{1} << 20}, {"Ki", int64_t{1} << 10},
    {"T", 1000000000000},     {"G", 1000000000},
    {"M", 1000000},           {"k", 1000},
};

absl::Status Refuse(absl::string_view text, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not ", expected));
}

bool IsPlainNumber(absl::string_view text) {
  bool dot = false;
  if (text.empty() || text.front() == '.' || text.back() == '.') return false;
  for (char c : text) {
    if (c == '.') {
      if (dot) return false;
      dot = true;
    } else if (c < '0' || c > '9') {
      return false;
    }
  }
  return true;
}

// `number` times `factor`, when that is a whole number that fits.
bool Multiply(absl::string_view number, int64_t factor, int64_t& out) {
  if (!IsPlainNumber(number)) return false;
  if (!absl::StrContains(number, '.')) {
    return absl::SimpleAtoi(number, &out) &&
           !__builtin_mul_overflow(out, factor, &out);
  }
  double value;
  if (!absl::SimpleAtod(number, &value)) return false;
  value *= static_cast<double>(factor);
  if (value >= 9e15 || std::abs(value - std::round(value)) > 1e-6) return false;
  out = static_cast<int64_t>(std::llround(value));
  return true;
}

// What Docker's "20m", "20mb" or "1g" is here; else "". (There it is
// 1024-based, while "m" is a thousandth in Kubernetes' quantities, and so is no
// size here.)
std::string FromDocker(absl::string_view text) {
  std::string lower = absl::AsciiStrToLower(text);
  if (lower.size() > 2 && lower.back() == 'b') lower.pop_back();
  if (lower.size() < 2) return "";
  const char unit = absl::ascii_toupper(lower.back());
  lower.pop_back();
  if (!IsPlainNumber(lower) ||
      absl::string_view("KMGT").find(unit) == absl::string_view::npos) {
    return "";
  }
  return absl::StrCat(lower, std::string(1, unit), "i");
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  constexpr absl::string_view kExpected =
      "a duration such as 500ms, 10s, 5m, 1h30m or 2d";
  if (text == "0") return absl::ZeroDuration();
  int64_t days = 0;
  absl::string_view rest = text;
  if (size_t d = text.find('d'); d != absl::string_view::npos) {
    if (!IsPlainNumber(text.substr(0, d)) ||
        !absl::SimpleAtoi(text.substr(0, d), &days) || days > 100000) {
      return Refuse(text, kExpected);
    }
    rest = text.substr(d + 1);
  }
  absl::Duration duration;
  if (!rest.empty() || rest.size() == text.size()) {
    if (rest == "inf" || !absl::ParseDuration(rest, &duration) ||
        duration < absl::ZeroDuration() ||
        duration == absl::InfiniteDuration() || rest.front() == '+') {
      return Refuse(text, kExpected);
    }
  }
  return duration + absl::Hours(24 * days);
}

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  int64_t bytes = 0;
  for (const Unit& unit : kByteUnits) {
    if (!absl::EndsWith(text, unit.suffix)) continue;
    if (Multiply(absl::StripSuffix(text, unit.suffix), unit.factor, bytes)) {
      return bytes;
    }
    break;
  }
  if (!absl::StrContains(text, '.') && Multiply(text, 1, bytes)) return bytes;
  const std::string here = FromDocker(text);
  return Refuse(
      text,
      absl::StrCat("a size such as 1024, 64Ki, 256Mi or 2Gi",
                   here.empty() ? "" : "; what Docker calls so is ", here));
}

std::string FormatBytes(int64_t bytes) {
  for (const Unit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.factor == 0) {
      return absl::StrCat(bytes / unit.factor, unit.suffix);
    }
  }
  return absl::StrCat(bytes);
}

absl::StatusOr<int64_t> ParseMillicores(absl::string_view text) {
  int64_t value = 0;
  const bool milli = absl::EndsWith(text, "m");
  if (Multiply(absl::StripSuffix(text, "m"), milli ? 1 : 1000, value) &&
      value <= 1000000000) {
    return value;
  }
  return Refuse(text, "an amount of processor such as 250m, 0.5 or 2");
}

std::string FormatMillicores(int64_t millicores) {
  if (millicores % 1000 == 0) return absl::StrCat(millicores / 1000);
  return absl::StrCat(millicores, "m");
}

absl::StatusOr<int32_t> ParsePercent(absl::string_view text) {
  int32_t value = 0;
  absl::string_view digits = text;
  if (absl::ConsumeSuffix(&digits, "%") && IsPlainNumber(digits) &&
      absl::SimpleAtoi(digits, &value) && value <= 1000) {
    return value;
  }
  return Refuse(text, "a percentage such as 70%");
}

std::string FormatPercent(int32_t percent) {
  return absl::StrCat(percent, "%");
}

}  // namespace bulwark
