// Repositories, through the program git.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/url_text.h"
#include "engine/build/remote_source.h"
#include "os/files.h"
#include "os/measure.h"
#include "os/program.h"

namespace bulwark::engine::build {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(30);
constexpr int64_t kMaxBytes = int64_t{16} << 30;
// The size is looked at every so many times that git is asked to go on.
constexpr int kSizeEvery = 16;

bool IsCommit(const std::string& text) {
  return text.size() >= 7 && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

// Runs git in one directory. The repository is somebody else's: no hook, no
// configuration of the host's, and only protocols of the network.
class Git {
 public:
  Git(const std::string& directory, const FetchOptions& options)
      : directory_(directory), options_(options) {}

  // Its output, without the last newline.
  absl::StatusOr<std::string> Run(std::vector<std::string> args) {
    os::Program program;
    program.name = "git";
    program.args = {"-c", "core.hooksPath=/dev/null", "-c",
                    "advice.detachedHead=false"};
    program.args.insert(program.args.end(), args.begin(), args.end());
    program.env = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
        "/sbin:/bin",
        "HOME=/nonexistent",
        "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ALLOW_PROTOCOL=http:https:git:ssh",
        "GIT_SSH_COMMAND=ssh -oBatchMode=yes"};
    program.directory = directory_;
    program.timeout = kTimeout;
    bool too_large = false;
    int asked = 0;
    program.wanted = [&] {
      if (options_.cancelled != nullptr && options_.cancelled()) return false;
      if (++asked % kSizeEvery != 0) return true;
      absl::StatusOr<os::TreeUsage> usage = os::MeasureTree(directory_);
      too_large = usage.ok() && usage->bytes > kMaxBytes;
      return !too_large;
    };
    absl::StatusOr<os::ProgramResult> result = os::RunProgram(program);
    if (too_large) {
      return absl::ResourceExhaustedError("it is larger than 16 GiB");
    }
    if (absl::IsNotFound(result.status())) {
      return absl::FailedPreconditionError(
          "the program git is not installed on the daemon's host; install it"
          " there (Debian: apt-get install git)");
    }
    if (!result.ok()) return result.status();
    if (result->exit_code != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "git ", args[0], ": ", absl::StripAsciiWhitespace(result->errors)));
    }
    return std::string(absl::StripTrailingAsciiWhitespace(result->output));
  }

 private:
  const std::string directory_;
  const FetchOptions& options_;
};

// Gives everything in the directory, links too, this time; `bare`: removes what
// is git's own, which no commit can hold, also of submodules.
absl::Status Tidy(int directory, const std::string& path, bool bare,
                  const timespec (&times)[2]) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   os::ListDirFd(directory, path));
  for (const std::string& name : names) {
    if (bare && name == ".git") {
      RETURN_IF_ERROR(os::RemoveTreeAt(directory, name));
      continue;
    }
    struct stat st;
    if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("stat", name);
    }
    if (S_ISDIR(st.st_mode)) {
      UniqueFd fd(openat(directory, name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!fd.ok()) return ErrnoStatus("open", name);
      RETURN_IF_ERROR(Tidy(fd.get(), name, bare, times));
    }
    if (utimensat(directory, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("set time of", name);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<GitCheckout> Checkout(const GitUrl& url,
                                     const std::string& checksum,
                                     bool keep_git_dir,
                                     const std::string& directory,
                                     const FetchOptions& options) {
  Git git(directory, options);
  RETURN_IF_ERROR(git.Run({"init", "-q", "--template="}).status());
  const std::string reference = url.reference.empty() ? "HEAD" : url.reference;
  std::string head = "FETCH_HEAD";
  absl::Status fetched = git.Run({"fetch", "-q", "--depth=1", "--no-tags", "--",
                                  url.url, reference})
                             .status();
  if (!fetched.ok() && absl::IsInvalidArgument(fetched) &&
      IsCommit(reference)) {
    // Not every server gives a commit by itself.
    fetched = git.Run({"fetch", "-q", "--tags", "--", url.url,
                       "+refs/heads/*:refs/remotes/origin/*"})
                  .status();
    head = reference;
  }
  RETURN_IF_ERROR(fetched);
  RETURN_IF_ERROR(git.Run({"checkout", "-q", "--detach", head}).status());
  struct stat st;
  if (lstat((directory + "/.gitmodules").c_str(), &st) == 0) {
    RETURN_IF_ERROR(git.Run({"submodule", "--quiet", "update", "--init",
                             "--recursive", "--depth=1"})
                        .status());
  }
  GitCheckout result;
  ASSIGN_OR_RETURN(result.commit, git.Run({"rev-parse", "HEAD"}));
  if (!checksum.empty() && !absl::StartsWith(result.commit, checksum)) {
    return absl::InvalidArgumentError(absl::StrCat("its commit is ",
                                                   result.commit, ", and not ",
                                                   checksum, " as asked for"));
  }
  ASSIGN_OR_RETURN(const std::string text,
                   git.Run({"log", "-1", "--format=%ct"}));
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(text, &seconds)) seconds = 0;
  UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", directory);
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  RETURN_IF_ERROR(Tidy(fd.get(), directory, /*bare=*/!keep_git_dir, times));
  return result;
}

}  // namespace

absl::StatusOr<GitCheckout> FetchGit(const GitUrl& url,
                                     const std::string& checksum,
                                     bool keep_git_dir,
                                     const std::string& directory,
                                     const FetchOptions& options) {
  absl::StatusOr<GitCheckout> checkout =
      Checkout(url, checksum, keep_git_dir, directory, options);
  if (checkout.ok()) return checkout;
  // Git's own words have the URL, too.
  return absl::Status(checkout.status().code(),
                      HidePasswords(absl::StrCat("fetch ", url.url, ": ",
                                                 checkout.status().message())));
}

}  // namespace bulwark::engine::build
