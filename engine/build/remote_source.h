// Files that a build takes from the network: ADD with a URL, remote contexts.
#ifndef ENGINE_BUILD_REMOTE_SOURCE_H_
#define ENGINE_BUILD_REMOTE_SOURCE_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/secret_text.h"

namespace bulwark::engine::build {

// A git repository and what of it is meant: "https://host/x.git#v1.0:sub",
// "git@host:x.git", "git://…", "ssh://…".
struct GitUrl {
  std::string url;        // without the fragment
  std::string reference;  // branch, tag or commit; empty: the default branch
  std::string directory;  // within it; clean, relative, or empty
};

bool IsGitUrl(absl::string_view text);
bool IsHttpUrl(absl::string_view text);  // and no git URL
inline bool IsRemote(absl::string_view text) {
  return IsGitUrl(text) || IsHttpUrl(text);
}
// INVALID_ARGUMENT if IsGitUrl() does not hold, or the host or reference is
// none.
absl::StatusOr<GitUrl> ParseGitUrl(absl::string_view text);

struct FetchOptions {
  Clock* clock = nullptr;           // borrowed
  std::function<bool()> cancelled;  // may be null
  // The build's, borrowed; may be null. "GIT_AUTH_TOKEN.HOST[:PORT]", or else
  // "GIT_AUTH_TOKEN", opens repositories whose URLs name no user; the latter by
  // https, and by http on this host only.
  const std::map<std::string, SecretText>* secrets = nullptr;
  // A git server that sends nothing for so long is given up; whole seconds.
  absl::Duration silence = absl::Minutes(2);
  // Where git finds itself and ssh.
  std::string path =
      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
};

// Writes what `url` gives to a file in `directory`, mode 0600, changed when the
// server says it was, else at the epoch; the file's name is the URL's. A
// failing server is tried three times. INVALID_ARGUMENT if there is nothing, or
// the content does not have the digest `checksum` (may be empty);
// RESOURCE_EXHAUSTED if it is larger than 16 GiB or the disk is full.
absl::StatusOr<std::string> FetchFile(const std::string& url,
                                      const std::string& checksum,
                                      const std::string& directory,
                                      const FetchOptions& options);

struct GitCheckout {
  std::string commit;  // hex
};

// Checks the repository out into the empty `directory`, through the program
// git, with its submodules; every file has the commit's time. User and password
// of an http(s) URL are told to its host only, and not kept.
// FAILED_PRECONDITION if git is not installed; DEADLINE_EXCEEDED if the server
// is silent, or it takes half an hour; INVALID_ARGUMENT with git's own
// words if it fails, or if the commit is not `checksum` (may be empty).
absl::StatusOr<GitCheckout> FetchGit(const GitUrl& url,
                                     const std::string& checksum,
                                     bool keep_git_dir,
                                     const std::string& directory,
                                     const FetchOptions& options);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_REMOTE_SOURCE_H_
