// Repositories, through the program git.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/url_text.h"
#include "engine/build/remote_source.h"
#include "engine/registry/http.h"
#include "os/files.h"
#include "os/measure.h"
#include "os/program.h"

namespace bulwark::engine::build {
namespace {

constexpr absl::Duration kTimeout = absl::Minutes(30);
constexpr int64_t kMaxBytes = int64_t{16} << 30;
// How much longer than git's own limit for http, which then comes first.
constexpr absl::Duration kSilenceOfHttp = absl::Seconds(5);
// The size is looked at every so many times that git is asked to go on.
constexpr int kSizeEvery = 16;
// Of ssh: how long it tries to connect, and, four times in a row, waits for a
// sign of life of the other host.
constexpr char kSsh[] =
    "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=30"
    " -oServerAliveInterval=30 -oServerAliveCountMax=4";

constexpr char kToken[] = "GIT_AUTH_TOKEN";
// What GitHub, GitLab and others take as the user of a token.
constexpr char kTokenUser[] = "x-access-token";
// For git to run when it is asked for a user and password: neither stands in a
// command line, which everybody on the host can read. The place is compared
// here, and not named in git's configuration, so that nothing of a URL is ever
// read as a setting. GIT_CONFIG_COUNT would want git 2.31.
constexpr char kHelper[] =
    "!f() { test \"$1\" = get || return 0; protocol= host=;"
    " while IFS= read -r line; do case \"$line\" in"
    " protocol=*) protocol=${line#*=};; host=*) host=${line#*=};;"
    " '') break;; esac; done;"
    " test \"$protocol://$host\" != \"$BULWARK_GIT_PLACE\" ||"
    " printf 'username=%s\\npassword=%s\\n'"
    " \"$BULWARK_GIT_USER\" \"$BULWARK_GIT_PASSWORD\"; }; f";

bool IsCommit(const std::string& text) {
  return text.size() >= 7 && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

// What opens a server.
struct Login {
  std::string place;  // "https://host:port"
  std::string user;
  SecretText password;
};

// Whether what is sent to "SCHEME://HOST[:PORT]" stays on this host. No name is
// looked up: only what surely does.
bool IsLocal(const std::string& place) {
  const absl::StatusOr<registry::Url> url = registry::ParseUrl(place);
  return url.ok() && registry::IsLoopback(url->host);
}

// Of a part of a URL; INVALID_ARGUMENT if it cannot be sent.
absl::StatusOr<std::string> Decode(absl::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const bool encoded = text.size() > 2 && text[0] == '%' &&
                         absl::ascii_isxdigit(text[1]) &&
                         absl::ascii_isxdigit(text[2]);
    const size_t size = encoded ? 3 : 1;
    const absl::string_view part = text.substr(0, size);
    decoded +=
        encoded ? absl::HexStringToBytes(part.substr(1)) : std::string(part);
    text.remove_prefix(size);
  }
  if (std::any_of(decoded.begin(), decoded.end(), absl::ascii_iscntrl)) {
    return absl::InvalidArgumentError(
        "its user or password holds a control character");
  }
  return decoded;
}

// The one that the URL names, which is taken out of it, or else the build's
// secret. None for other protocols: ssh has the host's keys. `withheld`: there
// is a secret, but everybody on the way could read it.
absl::StatusOr<std::optional<Login>> TakeLogin(const FetchOptions& options,
                                               std::string* url,
                                               bool* withheld) {
  if (!absl::StartsWith(*url, "http://") &&
      !absl::StartsWith(*url, "https://")) {
    return std::nullopt;
  }
  const size_t start = url->find("://") + 3;
  const size_t end = std::min(url->find_first_of("/?#", start), url->size());
  const std::string authority = url->substr(start, end - start);
  const size_t at = authority.rfind('@');
  Login login;
  const std::string host =
      at == std::string::npos ? authority : authority.substr(at + 1);
  login.place = absl::StrCat(url->substr(0, start), host);
  if (at != std::string::npos) {
    url->erase(start, at + 1);
    const std::string own = authority.substr(0, at);
    const size_t colon = std::min(own.find(':'), own.size());
    ASSIGN_OR_RETURN(login.user, Decode(own.substr(0, colon)));
    ASSIGN_OR_RETURN(const std::string password,
                     Decode(own.substr(std::min(colon + 1, own.size()))));
    login.password = SecretText(password);
    return login;
  }
  if (options.secrets == nullptr) return std::nullopt;
  auto it = options.secrets->find(absl::StrCat(kToken, ".", host));
  if (it == options.secrets->end()) {
    // Is for any host, and so for none that nothing vouches for.
    it = options.secrets->find(kToken);
    *withheld = it != options.secrets->end() &&
                absl::StartsWith(*url, "http://") && !IsLocal(login.place);
  }
  if (*withheld || it == options.secrets->end()) return std::nullopt;
  login.user = kTokenUser;
  // Files end with a newline.
  login.password = SecretText(absl::StripAsciiWhitespace(it->second.Reveal()));
  return login;
}

// Git's own words, and what to do where they do not say it.
std::string Explain(absl::string_view words, bool had_login, bool withheld,
                    absl::Duration silence) {
  const bool asked = absl::StrContains(words, "could not read Username") ||
                     absl::StrContains(words, "could not read Password") ||
                     absl::StrContains(words, "Authentication failed");
  if (asked && withheld) {
    return absl::StrCat(
        words, "; ", kToken,
        " was not sent, since http does not encrypt it: use https, or give the"
        " token for this host with --secret id=",
        kToken, ".HOST[:PORT],src=FILE");
  }
  if (asked) {
    return absl::StrCat(
        words, "; the server ",
        had_login ? "does not accept the user and password"
                  : "wants a user and password",
        ": give a token with --secret id=", kToken,
        ",src=FILE, or write USER:PASSWORD@ before the URL's host");
  }
  if (absl::StrContains(words, "Operation too slow")) {
    return absl::StrCat(words, "; the server sent nothing for ",
                        absl::ToInt64Seconds(silence), " s");
  }
  return std::string(words);
}

// Runs git in one directory. The repository is somebody else's: no hook, no
// configuration of the host's, and only protocols of the network.
class Git {
 public:
  Git(const std::string& directory, const std::optional<Login>& login,
      bool withheld, const FetchOptions& options)
      : directory_(directory),
        login_(login),
        withheld_(withheld),
        options_(options) {}

  // Its output, without the last newline.
  absl::StatusOr<std::string> Run(std::vector<std::string> args) {
    os::Program program;
    program.name = "git";
    program.has_children = true;
    // Nothing of it may go on by itself, nor wait for ever.
    for (const std::string& setting :
         {std::string("core.hooksPath=/dev/null"),
          std::string("advice.detachedHead=false"), std::string("gc.auto=0"),
          std::string("maintenance.auto=false"),
          std::string("http.lowSpeedLimit=1"),
          absl::StrCat("http.lowSpeedTime=",
                       absl::ToInt64Seconds(options_.silence))}) {
      program.args.insert(program.args.end(), {"-c", setting});
    }
    if (login_.has_value()) {
      program.args.insert(program.args.end(),
                          {"-c", absl::StrCat("credential.helper=", kHelper)});
    }
    program.args.insert(program.args.end(), args.begin(), args.end());
    program.env = {absl::StrCat("PATH=", options_.path),
                   "HOME=/nonexistent",
                   "LC_ALL=C",
                   "GIT_CONFIG_NOSYSTEM=1",
                   "GIT_CONFIG_GLOBAL=/dev/null",
                   "GIT_TERMINAL_PROMPT=0",
                   "GIT_ALLOW_PROTOCOL=http:https:git:ssh",
                   kSsh};
    if (login_.has_value()) {
      program.env.push_back(absl::StrCat("BULWARK_GIT_PLACE=", login_->place));
      program.env.push_back(absl::StrCat("BULWARK_GIT_USER=", login_->user));
      program.env.push_back(
          absl::StrCat("BULWARK_GIT_PASSWORD=", login_->password.Reveal()));
    }
    program.directory = directory_;
    program.timeout = kTimeout;
    // Git knows of such a limit for http alone, and says it better there.
    program.silence = options_.silence + kSilenceOfHttp;
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
    if (absl::IsDeadlineExceeded(result.status())) {
      return absl::DeadlineExceededError(
          absl::StrCat(result.status().message(),
                       "; its server does not answer, or is too slow: try "
                       "again later, or another mirror"));
    }
    if (!result.ok()) return result.status();
    if (result->exit_code != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "git ", args[0], ": ",
          Explain(absl::StripAsciiWhitespace(result->errors),
                  login_.has_value(), withheld_, options_.silence)));
    }
    return std::string(absl::StripTrailingAsciiWhitespace(result->output));
  }

  // With the history as short as the server can send it: one of plain files
  // cannot cut it.
  absl::Status RunShallow(std::vector<std::string> args) {
    std::vector<std::string> shallow = args;
    shallow.insert(shallow.begin() + 2, "--depth=1");
    absl::Status status = Run(std::move(shallow)).status();
    if (!absl::IsInvalidArgument(status) ||
        !absl::StrContains(status.message(), "shallow")) {
      return status;
    }
    return Run(std::move(args)).status();
  }

 private:
  const std::string directory_;
  const std::optional<Login>& login_;
  const bool withheld_;
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

// Checks out what is meant, with its submodules.
absl::Status CheckOut(Git& git, const std::string& url,
                      const std::string& reference,
                      const std::string& directory) {
  RETURN_IF_ERROR(git.Run({"init", "-q", "--template="}).status());
  // Submodules may be named from there.
  RETURN_IF_ERROR(git.Run({"remote", "add", "--", "origin", url}).status());
  std::string head = "FETCH_HEAD";
  absl::Status fetched =
      git.RunShallow({"fetch", "-q", "--no-tags", "--", url, reference});
  if (absl::IsInvalidArgument(fetched) && IsCommit(reference)) {
    // Not every server gives a commit by itself.
    fetched = git.Run({"fetch", "-q", "--tags", "--", url,
                       "+refs/heads/*:refs/remotes/origin/*"})
                  .status();
    head = reference;
  }
  RETURN_IF_ERROR(fetched);
  RETURN_IF_ERROR(git.Run({"checkout", "-q", "--detach", head}).status());
  struct stat st;
  if (lstat((directory + "/.gitmodules").c_str(), &st) != 0) {
    return absl::OkStatus();
  }
  return git.RunShallow(
      {"submodule", "update", "--quiet", "--init", "--recursive"});
}

absl::StatusOr<GitCheckout> Checkout(const GitUrl& url,
                                     const std::string& checksum,
                                     bool keep_git_dir,
                                     const std::string& directory,
                                     const FetchOptions& options) {
  std::string place = url.url;
  bool withheld = false;
  ASSIGN_OR_RETURN(const std::optional<Login> login,
                   TakeLogin(options, &place, &withheld));
  Git git(directory, login, withheld, options);
  RETURN_IF_ERROR(CheckOut(
      git, place, url.reference.empty() ? "HEAD" : url.reference, directory));
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
