#include "api/cidr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"

namespace bulwark::api {
namespace {

bool BitAt(const std::array<uint8_t, 16>& address, int bit) {
  return (address[bit / 8] >> (7 - bit % 8)) & 1;
}

}  // namespace

std::optional<Cidr> Cidr::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const std::string address(text.substr(0, slash));
  const absl::string_view length = text.substr(slash + 1);
  Cidr cidr;
  if (length.empty() || length.size() > 3 ||
      length.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(length, &cidr.bits_)) {
    return std::nullopt;
  }
  if (inet_pton(AF_INET, address.c_str(), cidr.address_.data()) == 1) {
    cidr.ipv4_ = true;
  } else if (inet_pton(AF_INET6, address.c_str(), cidr.address_.data()) == 1) {
    cidr.ipv4_ = false;
  } else {
    return std::nullopt;
  }
  const int width = cidr.ipv4_ ? 32 : 128;
  if (cidr.bits_ > width) return std::nullopt;
  for (int bit = cidr.bits_; bit < width; ++bit) {
    if (BitAt(cidr.address_, bit)) return std::nullopt;
  }
  return cidr;
}

bool Cidr::Overlaps(const Cidr& other) const {
  if (ipv4_ != other.ipv4_) return false;
  const int common = std::min(bits_, other.bits_);
  for (int bit = 0; bit < common; ++bit) {
    if (BitAt(address_, bit) != BitAt(other.address_, bit)) return false;
  }
  return true;
}

bool Cidr::IsUsable() const {
  static constexpr absl::string_view kUnusable[] = {
      "0.0.0.0/8",   "127.0.0.0/8", "169.254.0.0/16",
      "224.0.0.0/4", "240.0.0.0/4", "::/127",
      "fe80::/10",   "ff00::/8",    "::ffff:0:0/96"};
  return std::none_of(
      std::begin(kUnusable), std::end(kUnusable),
      [this](absl::string_view text) { return Overlaps(*Parse(text)); });
}

}  // namespace bulwark::api
