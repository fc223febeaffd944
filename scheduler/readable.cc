#include "scheduler/readable.h"

#include <cstddef>

namespace bulwark::scheduler {
namespace {

// Bytes of the valid UTF-8 sequence (RFC 3629) at the front of `s`, or 0.
size_t SequenceLength(absl::string_view s) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < s.size() ? static_cast<unsigned char>(s[i]) : 0;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  // Overlong forms, surrogates and what is beyond U+10FFFF.
  const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string Readable(absl::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const unsigned char c = bytes[0];
    const size_t n = SequenceLength(bytes);
    if (c == '\n' || c == '\r' || c == '\t') {
      out.push_back(' ');
    } else if (n == 0 || c < 0x20 || c == 0x7f) {
      out.push_back('?');
    } else {
      out.append(bytes.data(), n);
    }
    bytes.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

}  // namespace bulwark::scheduler
