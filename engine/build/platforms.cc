#include "engine/build/platforms.h"

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

// As emulators call architectures; others are called as images have them.
std::string EmulatorOf(const std::string& architecture) {
  static const auto* const kNames =
      new std::map<std::string, std::string>{{"amd64", "x86_64"},
                                             {"arm64", "aarch64"},
                                             {"386", "i386"},
                                             {"ppc64le", "ppc64le"},
                                             {"loong64", "loongarch64"}};
  auto it = kNames->find(architecture);
  return absl::StrCat("qemu-", it == kNames->end() ? architecture : it->second);
}

}  // namespace

absl::Status CheckRunnable(const image::Platform& platform) {
  ASSIGN_OR_RETURN(const image::Platform host, image::ParsePlatform(""));
  if (platform.os.empty() && platform.architecture.empty()) {
    return absl::OkStatus();
  }
  if (platform.os == host.os) {
    if (platform.architecture == host.architecture) return absl::OkStatus();
    if (host.architecture == "amd64" && platform.architecture == "386") {
      return absl::OkStatus();
    }
    if (host.architecture == "arm64" && platform.architecture == "arm") {
      return absl::OkStatus();
    }
    // "F": the kernel has opened the emulator, which is in no container.
    absl::StatusOr<std::string> text =
        os::ReadFile(absl::StrCat("/proc/sys/fs/binfmt_misc/",
                                  EmulatorOf(platform.architecture)),
                     4096);
    if (text.ok() && absl::StartsWith(*text, "enabled") &&
        absl::StrContains(text->substr(text->find("flags:")), "F")) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "this host (", host.ToString(), ") cannot run programs of ",
      platform.ToString(),
      "; build for the host's platform, or install an emulator (Debian:"
      " apt-get install qemu-user-static)"));
}

}  // namespace bulwark::engine::build
