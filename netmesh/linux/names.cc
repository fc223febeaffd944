#include "netmesh/linux/names.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bulwark::netmesh {
namespace {

constexpr size_t kInstanceCharacters = 7;
constexpr absl::string_view kAliasTag = "bulwark";

// 64-bit FNV-1a (Fowler, Noll, Vo), the same in every process and version.
uint64_t Hash(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3;
  }
  // Mix, since the low bits of FNV depend on few input bits.
  hash ^= hash >> 32;
  hash *= 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 29);
}

std::string Digits(uint64_t value, int count) {
  std::string text;
  for (int i = 0; i < count; ++i, value /= 32) {
    text += "0123456789abcdefghijklmnopqrstuv"[value % 32];
  }
  return text;
}

std::string ShortInstance(absl::string_view instance) {
  if (instance.size() <= kInstanceCharacters) return std::string(instance);
  return absl::StrCat(instance.substr(0, 4), Digits(Hash(instance), 3));
}

}  // namespace

std::string LinkPrefix(absl::string_view instance, LinkKind kind) {
  return absl::StrCat(ShortInstance(instance),
                      std::string(1, static_cast<char>(kind)));
}

std::string LinkName(absl::string_view instance, LinkKind kind,
                     absl::string_view id) {
  std::string prefix = LinkPrefix(instance, kind);
  return prefix + Digits(Hash(absl::StrCat(prefix, "/", instance, "/", id)), 7);
}

std::string UplinkName(absl::string_view instance) {
  return absl::StrCat(ShortInstance(instance), "-up");
}

std::string TableName(absl::string_view instance) {
  return absl::StrCat(instance, "-net");
}

std::string FormatAlias(absl::string_view instance, absl::string_view kind,
                        const std::vector<std::string>& fields) {
  std::string alias = absl::StrCat(kAliasTag, " ", instance, " ", kind);
  for (const std::string& field : fields) {
    absl::StrAppend(&alias, " ", field.empty() ? "-" : field);
  }
  return alias;
}

std::optional<std::vector<std::string>> ParseAlias(absl::string_view alias,
                                                   absl::string_view instance,
                                                   absl::string_view kind) {
  std::vector<std::string> fields = absl::StrSplit(alias, ' ');
  if (fields.size() < 4 || fields[0] != kAliasTag || fields[1] != instance ||
      fields[2] != kind) {
    return std::nullopt;
  }
  fields.erase(fields.begin(), fields.begin() + 3);
  for (std::string& field : fields) {
    if (field == "-") field.clear();
  }
  return fields;
}

os::MacAddress MacFor(const os::IpAddress& address) {
  return {0x02,
          0x42,
          address.bytes[0],
          address.bytes[1],
          address.bytes[2],
          address.bytes[3]};
}

}  // namespace bulwark::netmesh
