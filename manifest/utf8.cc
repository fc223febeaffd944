#include "manifest/utf8.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace bulwark::manifest {
namespace {

// Bytes of the valid sequence at the front of `s`, or 0.
size_t SequenceLength(absl::string_view s) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < s.size() ? static_cast<unsigned char>(s[i]) : 0;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  size_t length;
  unsigned low = 0x80, high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

// The code unit of "\uXXXX" at the front of `s`, or -1.
int64_t UnicodeEscape(absl::string_view s) {
  if (s.size() < 6 || !absl::StartsWith(s, "\\u")) return -1;
  uint32_t value = 0;
  for (char c : s.substr(2, 4)) {
    if (!absl::ascii_isxdigit(c)) return -1;
    value =
        value * 16 +
        (absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
  }
  return value;
}

}  // namespace

size_t FindInvalidUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = SequenceLength(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return absl::string_view::npos;
}

Mark MarkAt(absl::string_view text, size_t offset) {
  Mark mark{1, 1};
  for (char c : text.substr(0, offset)) {
    if (c == '\n') {
      mark = {mark.line + 1, 1};
    } else if ((c & 0xC0) != 0x80) {
      ++mark.column;
    }
  }
  return mark;
}

std::string JoinSurrogateEscapes(absl::string_view text) {
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(text);
  const bool json =
      absl::StartsWith(start, "{") || absl::StartsWith(start, "[");
  if (!json || !absl::StrContains(text, "\\u")) return std::string(text);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i++]);
      continue;
    }
    const int64_t high = UnicodeEscape(text.substr(i));
    const int64_t low =
        high < 0xD800 || high > 0xDBFF ? -1 : UnicodeEscape(text.substr(i + 6));
    if (low < 0xDC00 || low > 0xDFFF) {
      absl::StrAppend(&out, text.substr(i, 2));
      i += 2;
      continue;
    }
    const int64_t c = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    out.push_back(static_cast<char>(0xF0 | (c >> 18)));
    out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    i += 12;
  }
  return out;
}

}  // namespace bulwark::manifest
