#include "engine/build/mode_change.h"

#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bulwark::engine::build {
namespace {

constexpr mode_t kUser = 04700;
constexpr mode_t kGroup = 02070;
constexpr mode_t kOther = 01007;

mode_t WhoBits(char who) {
  switch (who) {
    case 'u':
      return kUser;
    case 'g':
      return kGroup;
    case 'o':
      return kOther;
    case 'a':
      return kUser | kGroup | kOther;
    default:
      return 0;
  }
}

// Three permission bits in all three places.
mode_t Spread(mode_t bits) { return bits << 6 | bits << 3 | bits; }

mode_t PermissionBits(char permission) {
  switch (permission) {
    case 'r':
      return 0444;
    case 'w':
      return 0222;
    case 'x':
      return 0111;
    case 's':
      return 06000;
    case 't':
      return 01000;
    default:
      return 0;
  }
}

}  // namespace

absl::StatusOr<ModeChange> ModeChange::Parse(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat(
      "--chmod=", text,
      ": neither an octal mode such as 0755 nor changes such as u=rwX,go=rX"));
  ModeChange change;
  if (text.empty()) return wrong;
  if (text.find_first_not_of("01234567") == absl::string_view::npos) {
    change.absolute_ = true;
    for (char c : text) {
      change.mode_ = change.mode_ * 8 + (c - '0');
      if (change.mode_ > 07777) return wrong;
    }
    return change;
  }
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    size_t i = 0;
    mode_t who = 0;
    while (i < part.size() && WhoBits(part[i]) != 0) who |= WhoBits(part[i++]);
    if (who == 0) who = WhoBits('a');
    if (i == part.size()) return wrong;
    while (i < part.size()) {
      Clause clause;
      clause.who = who;
      clause.operation = part[i++];
      if (std::string("+-=").find(clause.operation) == std::string::npos) {
        return wrong;
      }
      for (; i < part.size(); ++i) {
        const char c = part[i];
        if (c == '+' || c == '-' || c == '=') break;
        if (c == 'X') {
          clause.search = true;
        } else if (c == 'u' || c == 'g' || c == 'o') {
          clause.copy = c;
        } else if (PermissionBits(c) != 0) {
          clause.bits |= PermissionBits(c);
        } else {
          return wrong;
        }
      }
      change.clauses_.push_back(clause);
    }
  }
  return change;
}

mode_t ModeChange::Apply(mode_t mode) const {
  if (absolute_) return mode_;
  mode_t result = mode & 07777;
  for (const Clause& clause : clauses_) {
    mode_t bits = clause.bits;
    if (clause.search && (S_ISDIR(mode) || (result & 0111) != 0)) bits |= 0111;
    if (clause.copy == 'u') bits |= Spread(result >> 6 & 7);
    if (clause.copy == 'g') bits |= Spread(result >> 3 & 7);
    if (clause.copy == 'o') bits |= Spread(result & 7);
    bits &= clause.who;
    if (clause.operation == '+') {
      result |= bits;
    } else if (clause.operation == '-') {
      result &= ~bits;
    } else {
      // As chmod(1): "=" leaves a directory's set-id bits alone.
      const mode_t kept = S_ISDIR(mode) ? clause.who & 06000 : 0;
      result = (result & (~clause.who | kept)) | bits;
    }
  }
  return result;
}

}  // namespace bulwark::engine::build
