#include "engine/registry/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/registry/answers.h"
#include "engine/registry/helpers.h"
#include "engine/registry/pooled.h"
#include "engine/registry/tls_files.h"

namespace bulwark::engine::registry {
namespace {

constexpr char kAccept[] =
    "Accept: application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr int kMaxRedirects = 5;
constexpr absl::Duration kMaxRetryAfter = absl::Minutes(2);

// The host that serves "docker.io".
std::string ServerOf(const std::string& registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

}  // namespace

RegistryClient::RegistryClient(std::string registry, std::string repository,
                               std::optional<RegistryAuth> auth,
                               ClientOptions options)
    : registry_(std::move(registry)),
      repository_(std::move(repository)),
      auth_(std::move(auth)),
      options_(std::move(options)) {}

RegistryClient::~RegistryClient() = default;

bool RegistryClient::MayBePlain(absl::string_view host,
                                absl::string_view port) const {
  if (IsLoopback(host)) return true;
  std::string with_port = absl::StrCat(host, ":", port);
  for (const std::string& name : options_.insecure_registries) {
    if (name == host || name == with_port) return true;
  }
  return false;
}

// Once: a pull does not notice when they change.
absl::Status RegistryClient::FindCertificates() {
  absl::MutexLock lock(&mu_);
  if (tls_.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(TlsFiles files,
                   FindTlsFiles(options_.certificate_dirs, registry_));
  tls_of_others_.authorities = files.authorities;
  tls_ = std::move(files);
  return absl::OkStatus();
}

// Its authorities also vouch for its token service and its storage; our own
// certificate is for the registry alone.
const TlsFiles* RegistryClient::TlsFor(const Url& url) {
  absl::MutexLock lock(&mu_);
  if (!tls_.has_value()) return nullptr;
  absl::StatusOr<Url> own =
      ParseUrl(absl::StrCat("https://", ServerOf(registry_)));
  return own.ok() && url.SameOrigin(*own) ? &*tls_ : &tls_of_others_;
}

absl::StatusOr<std::string> RegistryClient::BaseUrl(HttpResponse* busy) {
  {
    absl::MutexLock lock(&mu_);
    if (!base_url_.empty()) return base_url_;
  }
  RETURN_IF_ERROR(FindCertificates());
  std::string server = ServerOf(registry_);
  ASSIGN_OR_RETURN(Url url, ParseUrl(absl::StrCat("https://", server)));
  std::vector<std::string> schemes = {"https"};
  if (IsLoopback(url.host)) {
    schemes = {"http", "https"};
  } else if (MayBePlain(url.host, url.port)) {
    schemes = {"https", "http"};
  }
  absl::Status first, fallback;
  for (const std::string& scheme : schemes) {
    std::string base = absl::StrCat(scheme, "://", server);
    absl::StatusOr<HttpResponse> answer = Ping(base);
    // It speaks this, and will say more: not asked in another way meanwhile,
    // and above all not without encryption.
    if (answer.ok() && IsTransient(answer->status)) {
      if (busy != nullptr) *busy = *answer;
      return absl::UnavailableError(absl::StrCat(
          "registry ", registry_, " answers with ", answer->status));
    }
    // A TLS server answers plain http with 400.
    if (answer.ok() && !(answer->status == 400 && scheme == "http")) {
      absl::MutexLock lock(&mu_);
      base_url_ = base;
      return base;
    }
    if (answer.ok()) {
      fallback = absl::UnavailableError(
          absl::StrCat("connect to ", base, ": it answers with 400"));
    } else if (first.ok()) {
      first = answer.status();
    }
  }
  return first.ok() ? fallback : first;
}

absl::StatusOr<HttpResponse> RegistryClient::Ping(const std::string& base) {
  HttpRequest request;
  request.url = absl::StrCat(base, "/v2/");
  request.cancelled = options_.cancelled;
  request.pace = options_.pace;
  ASSIGN_OR_RETURN(const Url url, ParseUrl(request.url));
  request.tls = TlsFor(url);
  Pooled client(this);
  absl::StatusOr<HttpResponse> answer = client->Send(request);
  if (absl::IsUnavailable(answer.status()) ||
      absl::IsDeadlineExceeded(answer.status())) {
    return absl::Status(
        answer.status().code(),
        absl::StrCat(answer.status().message(), "; is registry ", registry_,
                     " running, and can this host reach it?"));
  }
  if (answer.ok() && answer->status == 404) {
    return absl::NotFoundError(absl::StrCat(
        base, " is not an image registry: it has no /v2/; check the name"));
  }
  return answer;
}

absl::StatusOr<HttpResponse> RegistryClient::Exchange(
    const HttpRequest& request) {
  absl::StatusOr<HttpResponse> answer = FollowRedirects(request);
  if (!answer.ok() || answer->status != 401) return answer;
  RETURN_IF_ERROR(Authenticate(*answer, request.cancelled));
  return FollowRedirects(request);
}

absl::StatusOr<HttpResponse> RegistryClient::FollowRedirects(
    HttpRequest request) {
  ASSIGN_OR_RETURN(const std::string base, BaseUrl());
  ASSIGN_OR_RETURN(const Url origin, ParseUrl(base));
  const bool reads = request.method == "GET" || request.method == "HEAD";
  request.pace = options_.pace;
  for (int i = 0; i <= kMaxRedirects; ++i) {
    ASSIGN_OR_RETURN(const Url target, ParseUrl(request.url));
    const bool plain_is_fine =
        target.SameOrigin(origin) || MayBePlain(target.host, target.port);
    if (target.scheme == "http" && !plain_is_fine) {
      return absl::FailedPreconditionError(absl::StrCat(
          "registry ", registry_, " redirects to plain http on ", target.host,
          ", which is refused; list that host as insecure if "
          "you trust the network"));
    }
    request.authorization =
        target.SameOrigin(origin) ? AuthorizationHeader() : SecretText();
    request.tls = TlsFor(target);
    Pooled client(this);
    ASSIGN_OR_RETURN(HttpResponse answer, client->Send(request));
    // What is sent must go elsewhere as it is.
    const bool follows =
        IsRedirect(answer.status) &&
        (reads || answer.status == 307 || answer.status == 308);
    if (!follows) return answer;
    ASSIGN_OR_RETURN(request.url,
                     ResolveUrl(request.url, answer.Header("location")));
  }
  return absl::UnavailableError(
      absl::StrCat("registry ", registry_, " redirects in circles"));
}

absl::StatusOr<HttpResponse> RegistryClient::WithRetries(
    const std::string& path,
    const std::function<HttpRequest(const std::string& url)>& make,
    const std::function<bool()>& progressed, int* attempts) {
  int own = 0;
  int& attempt = attempts == nullptr ? own : *attempts;
  for (;; ++attempt) {
    HttpResponse busy;
    absl::StatusOr<HttpResponse> answer = absl::UnknownError("");
    absl::StatusOr<std::string> base = BaseUrl(&busy);
    if (base.ok()) {
      HttpRequest request = make(absl::StrCat(*base, "/v2/", path));
      request.cancelled = options_.cancelled;
      answer = Exchange(request);
    } else {
      answer = base.status();
    }
    const bool stalled = absl::IsDeadlineExceeded(answer.status());
    bool transient = answer.ok()
                         ? IsTransient(answer->status)
                         : stalled || absl::IsUnavailable(answer.status());
    if (!transient) return answer;
    const bool progress = progressed();
    if (progress) attempt = 0;
    if (stalled && !progress) {
      return GiveUp(answer.status());
    }
    if (attempt + 1 >= options_.max_attempts) {
      if (answer.ok()) return answer;
      return absl::UnavailableError(
          absl::StrCat(answer.status().message(), " (tried ",
                       options_.max_attempts, " times)"));
    }
    RETURN_IF_ERROR(Wait(attempt, answer.ok() ? &*answer : &busy));
  }
}

absl::Status RegistryClient::Wait(int attempt, const HttpResponse* response,
                                  const std::function<bool()>& stop) {
  absl::Duration delay =
      options_.backoff.Delay(attempt, options_.entropy->Fraction());
  int64_t seconds = 0;
  if (response != nullptr &&
      absl::SimpleAtoi(response->Header("retry-after"), &seconds) &&
      seconds > 0) {
    delay = std::max(delay, std::min(absl::Seconds(seconds), kMaxRetryAfter));
  }
  const absl::Duration end = options_.clock->Steady() + delay;
  for (;;) {
    if ((options_.cancelled != nullptr && options_.cancelled()) ||
        (stop != nullptr && stop())) {
      return absl::CancelledError("cancelled");
    }
    absl::Duration left = end - options_.clock->Steady();
    if (left <= absl::ZeroDuration()) return absl::OkStatus();
    options_.clock->Sleep(std::min(left, absl::Milliseconds(200)));
  }
}

absl::Status RegistryClient::StatusOf(const HttpResponse& response,
                                      const std::string& what) const {
  std::string why = Explanation(response);
  switch (response.status) {
    case 401:
      return absl::UnauthenticatedError(absl::StrCat(
          what, ": ", registry_, " refuses ",
          auth_.has_value() ? "these credentials" : "anonymous access", why,
          "; the name may be wrong, or `ctl login ", registry_,
          " -u USER` with an account that may ",
          options_.push ? "push to it" : "pull it"));
    case 403:
      return absl::PermissionDeniedError(
          absl::StrCat(what, ": ", registry_, " forbids it", why,
                       "; ask its owner for the right to ",
                       options_.push ? "push to " : "pull ", repository_));
    case 404:
      if (options_.push) {
        return absl::NotFoundError(
            absl::StrCat(what, ": ", registry_, " has no repository ",
                         repository_, why, "; must it be made there first?"));
      }
      return absl::NotFoundError(absl::StrCat(what, ": ", registry_,
                                              " has no such image", why,
                                              "; check the name and the tag"));
    case 405:
      return absl::FailedPreconditionError(
          absl::StrCat(what, ": ", registry_, " does not allow it", why,
                       "; is it a mirror, or read-only?"));
    case 413:
      return absl::FailedPreconditionError(absl::StrCat(
          what, ": it is too large for ", registry_, why,
          "; raise the limit of its proxy (client_max_body_size)"));
    default:
      if (IsTransient(response.status)) {
        return absl::UnavailableError(
            absl::StrCat(what, ": ", registry_, " answers with ",
                         response.status, why, "; try again later"));
      }
      return absl::UnavailableError(absl::StrCat(
          what, ": ", registry_, " answers with ", response.status, why));
  }
}

absl::StatusOr<std::string> RegistryClient::ResolveDigest(
    const std::string& version) {
  if (image::IsDigest(version)) return version;
  ASSIGN_OR_RETURN(const HttpResponse answer,
                   WithRetries(
                       absl::StrCat(repository_, "/manifests/", version),
                       [](const std::string& url) {
                         HttpRequest request;
                         request.method = "HEAD";
                         request.url = url;
                         request.headers = {kAccept};
                         return request;
                       },
                       [] { return false; }));
  const std::string digest = answer.Header("docker-content-digest");
  if (answer.status == 200 && image::IsDigest(digest)) return digest;
  ASSIGN_OR_RETURN(ManifestDocument document, FetchManifest(version));
  return document.digest;
}

absl::StatusOr<ManifestDocument> RegistryClient::FetchManifest(
    const std::string& version) {
  // Whoever pulls names the image with its tag.
  std::string what = "fetch manifest";
  if (image::IsDigest(version)) absl::StrAppend(&what, " ", version);
  ASSIGN_OR_RETURN(HttpResponse answer,
                   WithRetries(
                       absl::StrCat(repository_, "/manifests/", version),
                       [](const std::string& url) {
                         HttpRequest request;
                         request.url = url;
                         request.headers = {kAccept};
                         request.max_body = image::kMaxManifestBytes;
                         return request;
                       },
                       [] { return false; }));
  if (answer.status != 200) return StatusOf(answer, what);
  ManifestDocument result;
  result.text = std::move(answer.body);
  result.digest = image::DigestOf(result.text);
  if (image::IsDigest(version) && result.digest != version) {
    return absl::DataLossError(
        absl::StrCat(what, ": registry ", registry_,
                     " sent other content: expected ", version, ", got ",
                     result.digest, "; do not trust it, try another mirror"));
  }
  std::string declared = answer.Header("content-type");
  ASSIGN_OR_RETURN(
      result.media_type,
      image::DocumentType(result.text, declared.substr(0, declared.find(';'))));
  return result;
}

HttpRequest RegistryClient::BlobRequest(const std::string& url, int64_t offset,
                                        Helpers& to) {
  HttpRequest request;
  request.url = url;
  if (offset > 0) {
    request.headers.push_back(absl::StrCat("Range: bytes=", offset, "-"));
  }
  request.begin = [&to, offset](const HttpResponse& answer) {
    to.Begin();
    if (offset == 0) return absl::OkStatus();
    if (answer.status == 206 &&
        absl::StartsWith(answer.Header("content-range"),
                         absl::StrCat("bytes ", offset, "-"))) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(to.Restart());
    if (answer.status == 200) return absl::OkStatus();  // all of it again
    return absl::UnavailableError(
        absl::StrCat("fetch: the server sends another range than asked for: ",
                     answer.Header("content-range").substr(0, 100)));
  };
  request.sink = [&to](int, absl::string_view data) { return to.Take(data); };
  return request;
}

absl::Status RegistryClient::FetchBlob(
    const image::Descriptor& blob, image::Ingest* to,
    const std::function<void(int64_t)>& progress) {
  std::string what = absl::StrCat("fetch ", blob.digest);
  int64_t counted = 0;
  Helpers helpers(this, blob, to, progress);
  for (int cut = 0;; ++cut) {
    const absl::StatusOr<HttpResponse> answer = WithRetries(
        absl::StrCat(repository_, "/blobs/", blob.digest),
        [&](const std::string& url) {
          return BlobRequest(url, to->size(), helpers);
        },
        [&] {
          bool enough = to->size() >= counted + kProgressBytes;
          if (enough) counted = to->size();
          return enough;
        });
    if (absl::IsAborted(
            answer.status())) {  // it has come to the helpers' parts
      RETURN_IF_ERROR(helpers.Absorb());
      if (to->size() == blob.size) return absl::OkStatus();
      --cut;
      continue;
    }
    if (!answer.ok()) return answer.status();
    if (answer->status == 416) {  // what is there already is not the blob
      RETURN_IF_ERROR(helpers.Restart());
    } else if (answer->status != 200 && answer->status != 206) {
      return StatusOf(*answer, what);
    }
    if (to->size() == blob.size) return absl::OkStatus();
    if (cut + 1 >= options_.max_attempts) {
      return absl::DataLossError(absl::StrCat(what, ": registry ", registry_,
                                              " sends ", to->size(),
                                              " bytes instead of ", blob.size));
    }
    RETURN_IF_ERROR(Wait(cut, nullptr));
  }
}

}  // namespace bulwark::engine::registry
