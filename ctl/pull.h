// Pieces that pull, load, build and run share.
#ifndef CTL_PULL_H_
#define CTL_PULL_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/context.h"
#include "ctl/print/progress.h"

namespace bulwark::ctl {

// Pulls with progress; `images` may be null.
absl::Status PullImage(Context& context, const v1::PullImageRequest& request,
                       bool quiet, std::vector<v1::ImageInfo>* images);

// -u and --password-stdin of commands that speak to a registry.
struct RegistryLogin {
  std::string username;
  bool password_stdin = false;
};
// What they give, else what Docker's configuration has for the registry of
// `reference`; unset: what the daemon keeps is used.
absl::StatusOr<std::optional<v1::RegistryCredentials>> CredentialsFor(
    Context& context, const RegistryLogin& login, absl::string_view reference);

// -o of commands that print images: "" or "json"; else a usage error.
absl::Status CheckImagesOutput(const std::string& output);
// As CheckImagesOutput says: "NAMES DIGEST" lines, or one JSON object.
void PrintImages(Context& context, const std::vector<v1::ImageInfo>& images,
                 const std::string& output);

// Leaves an image those of its names that are in `wanted`: it may have others,
// which a script that gave one does not expect.
void KeepNames(const std::vector<std::string>& wanted, v1::ImageInfo& image);

// "NAMES DIGEST" lines.
void PrintImages(Context& context, const std::vector<v1::ImageInfo>& images);

// Reads `fd`, which stays the caller's, to its end. `name` is for errors.
Client::Source FileSource(int fd, std::string name);

}  // namespace bulwark::ctl

#endif  // CTL_PULL_H_
