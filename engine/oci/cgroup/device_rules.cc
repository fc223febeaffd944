#include "engine/oci/cgroup/device_rules.h"

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

absl::Status Wrong(size_t index, absl::string_view what,
                   absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "read linux.resources.devices[", index, "].", what, ": ", why));
}

// Without letters: all of them.
absl::StatusOr<uint32_t> AccessBits(size_t index, const std::string& letters) {
  uint32_t bits = letters.empty() ? kDeviceAll : 0;
  for (const char letter : letters) {
    if (letter == 'm') {
      bits |= kDeviceMknod;
    } else if (letter == 'r') {
      bits |= kDeviceRead;
    } else if (letter == 'w') {
      bits |= kDeviceWrite;
    } else {
      return Wrong(index, "access", "not made of the letters r, w and m");
    }
  }
  return bits;
}

// Engines write -1 for all.
absl::StatusOr<std::optional<uint32_t>> Number(
    size_t index, absl::string_view what,
    const std::optional<int64_t>& number) {
  if (!number.has_value() || *number == -1) return std::optional<uint32_t>();
  if (*number < 0 || *number > std::numeric_limits<uint32_t>::max()) {
    return Wrong(index, what, "not a device's number, and not -1 (all)");
  }
  return std::optional<uint32_t>(static_cast<uint32_t>(*number));
}

absl::Status Append(size_t index, const DeviceRule& rule,
                    DevicePolicy& policy) {
  if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c') {
    return Wrong(index, "type", "not \"a\", \"b\" or \"c\"");
  }
  DeviceMatch match = {.allow = rule.allow};
  ASSIGN_OR_RETURN(match.access, AccessBits(index, rule.access));
  ASSIGN_OR_RETURN(match.major, Number(index, "major", rule.major));
  ASSIGN_OR_RETURN(match.minor, Number(index, "minor", rule.minor));
  const bool every = rule.type == 'a' && match.access == kDeviceAll &&
                     !match.major.has_value() && !match.minor.has_value();
  if (every) {  // nothing before it matters
    policy.allow_others = rule.allow;
    policy.rules.clear();
    return absl::OkStatus();
  }
  for (const bool block : {false, true}) {
    if (rule.type == (block ? 'c' : 'b')) continue;
    match.block = block;
    policy.rules.push_back(match);
  }
  return absl::OkStatus();
}

bool Overlap(const std::optional<uint32_t>& a,
             const std::optional<uint32_t>& b) {
  return !a.has_value() || !b.has_value() || *a == *b;
}

// Whether all that `inner` stands for is in `outer`.
bool Covers(const std::optional<uint32_t>& outer,
            const std::optional<uint32_t>& inner) {
  return !outer.has_value() || (inner.has_value() && *outer == *inner);
}

bool Overlap(const DeviceMatch& a, const DeviceMatch& b) {
  return a.block == b.block && (a.access & b.access) != 0 &&
         Overlap(a.major, b.major) && Overlap(a.minor, b.minor);
}

bool Covers(const DeviceMatch& outer, const DeviceMatch& inner) {
  return Covers(outer.major, inner.major) && Covers(outer.minor, inner.minor);
}

std::string Text(const DeviceMatch& match) {
  const auto number = [](const std::optional<uint32_t>& n) {
    return n.has_value() ? absl::StrCat(*n) : std::string("*");
  };
  return absl::StrCat(match.block ? "b " : "c ", number(match.major), ":",
                      number(match.minor), " ",
                      match.access & kDeviceRead ? "r" : "",
                      match.access & kDeviceWrite ? "w" : "",
                      match.access & kDeviceMknod ? "m" : "");
}

// Takes back what `rule` says of the exceptions so far.
absl::Status TakeBack(const DeviceMatch& rule,
                      std::vector<DeviceMatch>& exceptions) {
  std::vector<DeviceMatch> left;
  for (DeviceMatch exception : exceptions) {
    if (Overlap(rule, exception)) {
      if (!Covers(rule, exception)) {
        return absl::FailedPreconditionError(absl::StrCat(
            "set linux.resources.devices: \"", Text(rule),
            "\" takes back a part of \"", Text(exception),
            "\", which version 1 control groups cannot: name the devices "
            "one by one, or mount the version 2 hierarchy"));
      }
      exception.access &= ~rule.access;
    }
    if (exception.access != 0) left.push_back(exception);
  }
  exceptions = std::move(left);
  return absl::OkStatus();
}

// The kernel merges what names the same devices, and so do we.
void AddException(const DeviceMatch& rule,
                  std::vector<DeviceMatch>& exceptions) {
  for (DeviceMatch& exception : exceptions) {
    if (exception.block == rule.block && exception.major == rule.major &&
        exception.minor == rule.minor) {
      exception.access |= rule.access;
      return;
    }
  }
  exceptions.push_back(rule);
}

}  // namespace

absl::StatusOr<DevicePolicy> CompileDeviceRules(
    const std::vector<DeviceRule>& rules) {
  DevicePolicy policy;
  for (size_t i = 0; i < rules.size(); ++i) {
    RETURN_IF_ERROR(Append(i, rules[i], policy));
  }
  AddUsualDevices(policy);
  return policy;
}

absl::StatusOr<std::vector<DeviceLine>> DeviceLinesV1(
    const DevicePolicy& policy) {
  std::vector<DeviceMatch> exceptions;
  for (const DeviceMatch& rule : policy.rules) {
    if (rule.allow == policy.allow_others) {
      RETURN_IF_ERROR(TakeBack(rule, exceptions));
    } else {
      AddException(rule, exceptions);
    }
  }
  std::vector<DeviceLine> lines;
  // A new group has its parent's rules; "allow a" is refused below a parent
  // that does not, and says nothing new below one that does.
  if (!policy.allow_others) lines.push_back({false, "a"});
  for (const DeviceMatch& exception : exceptions) {
    lines.push_back({exception.allow, Text(exception)});
  }
  return lines;
}

}  // namespace bulwark::engine::oci
