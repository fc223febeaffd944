// Which image of several is for a machine.
#include <sys/utsname.h>

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::image {
namespace {

// Names of architectures that others have.
Platform Normalized(Platform p) {
  p.os = absl::AsciiStrToLower(p.os);
  p.architecture = absl::AsciiStrToLower(p.architecture);
  p.variant = absl::AsciiStrToLower(p.variant);
  if (p.architecture == "x86_64" || p.architecture == "x86-64") {
    p.architecture = "amd64";
  } else if (p.architecture == "aarch64") {
    p.architecture = "arm64";
  } else if (p.architecture == "i386" || p.architecture == "i686") {
    p.architecture = "386";
  } else if (p.architecture == "armhf" || p.architecture == "armv7l") {
    p = {p.os, "arm", p.variant.empty() ? "v7" : p.variant};
  } else if (p.architecture == "armel") {
    p = {p.os, "arm", p.variant.empty() ? "v6" : p.variant};
  }
  // What no variant means.
  if (p.architecture == "arm64" && p.variant == "v8") p.variant = "";
  if (p.architecture == "amd64" && p.variant == "v1") p.variant = "";
  if (p.architecture == "arm" && p.variant.empty()) p.variant = "v7";
  return p;
}

// "v7" is 7; what is no number is 0.
int Level(absl::string_view variant) {
  int level = 0;
  if (variant.empty() || variant[0] != 'v' ||
      !absl::SimpleAtoi(variant.substr(1), &level)) {
    return 0;
  }
  return level;
}

// How well an image for `has` does on `wanted`: negative not at all, else the
// higher the better. A machine runs what was made for older ones of its kind.
int Fitness(const Platform& has_raw, const Platform& wanted_raw) {
  const Platform has = Normalized(has_raw);
  const Platform wanted = Normalized(wanted_raw);
  if (has.os != wanted.os || has.architecture != wanted.architecture) return -1;
  if (has.variant == wanted.variant) return 1000;
  const int level = Level(has.variant);
  const bool named = !has.variant.empty() && level == 0;
  const bool wanted_named =
      !wanted.variant.empty() && Level(wanted.variant) == 0;
  if (named || wanted_named) return -1;
  // The first of its kind is what no variant means.
  const int base = wanted.architecture == "arm64" ? 8 : 1;
  const int most = wanted.variant.empty() ? base : Level(wanted.variant);
  const int own = has.variant.empty() ? base : level;
  return own <= most ? own : -1;
}

}  // namespace

std::string Platform::ToString() const {
  std::string result = absl::StrCat(os, "/", architecture);
  if (!variant.empty()) absl::StrAppend(&result, "/", variant);
  return result;
}

bool Runs(const Platform& has, const Platform& wanted) {
  return Fitness(has, wanted) >= 0;
}

absl::StatusOr<Platform> ParsePlatform(absl::string_view text) {
  if (text.empty()) {
    utsname name;
    uname(&name);
    return Normalized({"linux", name.machine, ""});
  }
  std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() == 1) parts.insert(parts.begin(), "linux");
  bool empty_part = false;
  for (const std::string& part : parts) empty_part |= part.empty();
  if (parts.size() > 3 || empty_part) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a platform such as linux/amd64"));
  }
  return Platform{parts[0], parts[1], parts.size() == 3 ? parts[2] : ""};
}

absl::StatusOr<Descriptor> ChoosePlatform(const std::vector<IndexEntry>& index,
                                          const Platform& wanted) {
  std::set<std::string> available;
  const IndexEntry* unnamed = nullptr;
  const IndexEntry* best = nullptr;
  int fitness = -1;
  for (const IndexEntry& entry : index) {
    const Platform& p = entry.platform;
    const int own = Fitness(p, wanted);
    if (own > fitness) {
      best = &entry;
      fitness = own;
    }
    if (p.os.empty() && p.architecture.empty()) unnamed = &entry;
    if (p.os != "unknown") available.insert(p.ToString());
  }
  if (best != nullptr) return best->descriptor;
  if (index.size() == 1 && unnamed != nullptr) return unnamed->descriptor;
  return absl::NotFoundError(absl::StrCat(
      "there is no image for platform ", wanted.ToString(), "; available: ",
      available.empty() ? "none" : absl::StrJoin(available, ", ")));
}

}  // namespace bulwark::engine::image
