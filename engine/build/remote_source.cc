#include "engine/build/remote_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/url_text.h"
#include "engine/build/glob.h"
#include "engine/image/digest.h"
#include "engine/registry/http.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr int64_t kMaxBytes = int64_t{16} << 30;
constexpr int kMaxRedirects = 10;
constexpr int kAttempts = 3;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

// The last part of the URL's path.
std::string NameOf(const std::string& url) {
  std::string path = url.substr(0, url.find_first_of("?#"));
  path = path.substr(path.find("://") + 3);
  const size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? "" : path.substr(slash + 1);
  if (name.empty() || name == "." || name == ".." || name.size() > 255) {
    return "download";
  }
  return name;
}

// Into one file, hashing on the way.
class Download {
 public:
  Download(std::string url, UniqueFd fd, const FetchOptions& options)
      : url_(std::move(url)), fd_(std::move(fd)), options_(options) {}

  absl::Status Run() {
    for (int attempt = 1;; ++attempt) {
      absl::Status status = Once();
      if (!absl::IsUnavailable(status) || attempt == kAttempts) return status;
      options_.clock->Sleep(absl::Seconds(attempt));
      if (options_.cancelled != nullptr && options_.cancelled()) {
        return absl::CancelledError("cancelled");
      }
    }
  }

  std::string Digest() { return hash_->Digest(); }
  const std::string& last_modified() const { return last_modified_; }
  int fd() const { return fd_.get(); }

 private:
  absl::Status Once() {
    std::string url = url_;
    for (int hop = 0; hop <= kMaxRedirects; ++hop) {
      if (ftruncate(fd_.get(), 0) != 0 || lseek(fd_.get(), 0, SEEK_SET) != 0) {
        return ErrnoStatus("empty", "the download");
      }
      hash_ = std::make_unique<image::Sha256>();
      size_ = 0;
      registry::HttpRequest request;
      request.url = url;
      request.cancelled = options_.cancelled;
      request.sink = [this](int, absl::string_view data) -> absl::Status {
        size_ += static_cast<int64_t>(data.size());
        if (size_ > kMaxBytes) {
          return absl::ResourceExhaustedError("it is larger than 16 GiB");
        }
        hash_->Update(data);
        return os::WriteAll(fd_.get(), data, "the download");
      };
      ASSIGN_OR_RETURN(const registry::HttpResponse response,
                       client_.Send(request));
      if (IsRedirect(response.status)) {
        ASSIGN_OR_RETURN(
            std::string next,
            registry::ResolveUrl(url, response.Header("location")));
        if (absl::StartsWith(url, "https:") &&
            !absl::StartsWith(next, "https:")) {
          return absl::InvalidArgumentError(
              absl::StrCat("it leads to ", next, ", without encryption"));
        }
        url = std::move(next);
        continue;
      }
      if (response.status >= 500 || response.status == 429) {
        return absl::UnavailableError(
            absl::StrCat("the server answers ", response.status));
      }
      if (response.status != 200) {
        return absl::InvalidArgumentError(
            absl::StrCat("the server answers ", response.status));
      }
      last_modified_ = response.Header("last-modified");
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("it leads on more than 10 times");
  }

  const std::string url_;
  const UniqueFd fd_;
  const FetchOptions& options_;
  registry::HttpClient client_;
  std::unique_ptr<image::Sha256> hash_;
  int64_t size_ = 0;
  std::string last_modified_;
};

absl::StatusOr<std::string> Fetch(const std::string& url,
                                  const std::string& checksum,
                                  const std::string& directory,
                                  const FetchOptions& options) {
  if (!checksum.empty() && !image::IsDigest(checksum)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--checksum=", checksum, ": it is sha256: and 64 hex digits"));
  }
  const std::string name = NameOf(url);
  const std::string path = absl::StrCat(directory, "/", name);
  UniqueFd fd(open(path.c_str(),
                   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("create", path);
  Download download(url, std::move(fd), options);
  RETURN_IF_ERROR(download.Run());
  const std::string digest = download.Digest();
  if (!checksum.empty() && digest != checksum) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its digest is ", digest, ", and not ", checksum, " as asked for"));
  }
  timespec times[2] = {};
  absl::Time changed;
  if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", download.last_modified(),
                      &changed, nullptr)) {
    times[0] = times[1] = absl::ToTimespec(changed);
  }
  if (futimens(download.fd(), times) != 0) {
    return ErrnoStatus("set time of", path);
  }
  return name;
}

// The host of a git URL, with its port where one stands there, and ":" before
// the path of "git@host:path" left out.
absl::string_view HostOf(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != absl::string_view::npos) {
    url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find_first_of("/?#"));
    const size_t at = url.rfind('@');
    return at == absl::string_view::npos ? url : url.substr(at + 1);
  }
  url.remove_prefix(absl::string_view("git@").size());
  const size_t bracket = absl::StartsWith(url, "[") ? url.find(']') : 0;
  return url.substr(0, url.find(':', bracket));
}

// Git and ssh are given it: it must not pass for anything else with them.
bool IsHost(absl::string_view text) {
  return !text.empty() && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) || absl::StrContains(".:_-[]", c);
         });
}

}  // namespace

bool IsGitUrl(absl::string_view text) {
  if (absl::StartsWith(text, "git://") || absl::StartsWith(text, "ssh://")) {
    return true;
  }
  if (absl::StartsWith(text, "git@")) return absl::StrContains(text, ":");
  if (!absl::StartsWith(text, "http://") &&
      !absl::StartsWith(text, "https://")) {
    return false;
  }
  return absl::EndsWith(text.substr(0, text.find('#')), ".git");
}

bool IsHttpUrl(absl::string_view text) {
  return !IsGitUrl(text) && (absl::StartsWith(text, "http://") ||
                             absl::StartsWith(text, "https://"));
}

absl::StatusOr<GitUrl> ParseGitUrl(absl::string_view text) {
  if (!IsGitUrl(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no git URL"));
  }
  GitUrl result;
  const size_t hash = text.find('#');
  result.url = std::string(text.substr(0, hash));
  // It is not quoted: if a password is written wrong, its end may stand there.
  if (!IsHost(HostOf(result.url))) {
    return absl::InvalidArgumentError(
        "the host of a git URL holds only letters, digits, \".\", \"-\", \"_\","
        " \":\" and \"[]\", and does not begin with \"-\": write other letters "
        "of"
        " a name as xn--NAME, and other characters of a user or password as "
        "%XX");
  }
  if (hash == absl::string_view::npos) return result;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text.substr(hash + 1), absl::MaxSplits(':', 1));
  result.reference = parts.first;
  result.directory = CleanRelative(parts.second);
  const bool odd =
      absl::StartsWith(result.reference, "-") ||
      std::any_of(result.reference.begin(), result.reference.end(), [](char c) {
        return !absl::ascii_isgraph(c) || absl::StrContains("~^:?*[\\", c);
      });
  if (odd) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", result.reference, "\" is no name of a branch, tag or commit"));
  }
  return result;
}

absl::StatusOr<std::string> FetchFile(const std::string& url,
                                      const std::string& checksum,
                                      const std::string& directory,
                                      const FetchOptions& options) {
  absl::StatusOr<std::string> name = Fetch(url, checksum, directory, options);
  if (name.ok()) return name;
  return Annotate(name.status(), HidePasswords(absl::StrCat("fetch ", url)));
}

}  // namespace bulwark::engine::build
