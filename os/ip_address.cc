#include "os/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

// `address` with the bits after the first `bits` set to `value`.
IpAddress Fill(IpAddress address, int bits, bool value) {
  for (int i = bits; i < address.size() * 8; ++i) {
    uint8_t mask = static_cast<uint8_t>(0x80 >> (i % 8));
    uint8_t& byte = address.bytes[i / 8];
    byte = static_cast<uint8_t>(value ? byte | mask : byte & ~mask);
  }
  return address;
}

}  // namespace

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  std::string copy(text);
  IpAddress result;
  result.family = absl::StrContains(text, ":") ? AF_INET6 : AF_INET;
  // inet_pton stops at a NUL: compare the length it saw.
  if (copy.size() == std::strlen(copy.c_str()) &&
      inet_pton(result.family, copy.c_str(), result.bytes.data()) == 1) {
    return result;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::CEscape(text), "\" is not an address such as 10.0.0.1"));
}

IpAddress IpAddress::V4(uint32_t host_order) {
  IpAddress result;
  result.family = AF_INET;
  for (int i = 0; i < 4; ++i) {
    result.bytes[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  }
  return result;
}

IpAddress IpAddress::Plus(uint64_t n) const {
  IpAddress result = *this;
  uint64_t carry = 0;
  for (int i = size() - 1; i >= 0; --i) {
    uint64_t sum = result.bytes[i] + (n & 0xff) + carry;
    result.bytes[i] = static_cast<uint8_t>(sum);
    carry = sum >> 8;
    n >>= 8;
  }
  return result;
}

std::string IpAddress::ToString() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  if (family == AF_UNSPEC) return "";
  inet_ntop(family, bytes.data(), buffer, sizeof(buffer));
  return buffer;
}

std::string IpAddress::ReverseName() const {
  std::string name;
  for (int i = size() - 1; i >= 0; --i) {
    if (family == AF_INET) {
      absl::StrAppend(&name, static_cast<int>(bytes[i]), ".");
    } else {
      absl::StrAppendFormat(&name, "%x.%x.", bytes[i] & 15, bytes[i] >> 4);
    }
  }
  return name + (family == AF_INET ? "in-addr.arpa" : "ip6.arpa");
}

absl::StatusOr<Subnet> Subnet::Parse(absl::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  Subnet result;
  if (parts.size() != 2 || parts[1].empty() || parts[1].size() > 3 ||
      !std::all_of(parts[1].begin(), parts[1].end(),
                   [](char c) { return c >= '0' && c <= '9'; }) ||
      !absl::SimpleAtoi(parts[1], &result.bits)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", absl::CEscape(text), "\" is not a subnet such as 10.0.0.0/24"));
  }
  ASSIGN_OR_RETURN(result.base, IpAddress::Parse(parts[0]));
  if (result.bits > result.base.size() * 8) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": a prefix has at most ",
                     result.base.size() * 8, " bits"));
  }
  IpAddress masked = Fill(result.base, result.bits, false);
  if (masked != result.base) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" has bits after the prefix; use \"",
                     masked.ToString(), "/", result.bits, "\""));
  }
  return result;
}

bool Subnet::Contains(const IpAddress& address) const {
  return address.family == base.family && Fill(address, bits, false) == base;
}

bool Subnet::Overlaps(const Subnet& other) const {
  return Contains(other.base) || other.Contains(base);
}

IpAddress Subnet::Last() const { return Fill(base, bits, true); }

std::string Subnet::ToString() const {
  return absl::StrCat(base.ToString(), "/", bits);
}

}  // namespace bulwark::os
