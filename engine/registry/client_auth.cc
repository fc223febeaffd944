// How a RegistryClient proves who it is.
#include <string.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/json.h"
#include "engine/registry/answers.h"
#include "engine/registry/client.h"
#include "engine/registry/pooled.h"

namespace bulwark::engine::registry {

namespace {

// The name that goes with an identity token in place of a password.
constexpr char kIdentityToken[] = "<token>";

SecretText BasicHeader(const RegistryAuth& auth) {
  const SecretText pair =
      SecretText::Join({auth.username, ":", auth.password.Reveal()});
  std::string encoded = absl::Base64Escape(pair.Reveal());
  SecretText header = SecretText::Join({"Authorization: Basic ", encoded});
  explicit_bzero(encoded.data(), encoded.size());
  return header;
}

std::string Parameter(const Challenge& challenge, const char* name) {
  const auto it = challenge.params.find(name);
  return it == challenge.params.end() ? "" : it->second;
}

}  // namespace

SecretText RegistryClient::AuthorizationHeader() {
  absl::MutexLock lock(&mu_);
  return authorization_;
}

absl::Status RegistryClient::Authenticate(
    const HttpResponse& refused, const std::function<bool()>& cancelled) {
  auto range = refused.headers.equal_range("www-authenticate");
  std::optional<Challenge> basic;
  for (auto it = range.first; it != range.second; ++it) {
    Challenge challenge = ParseChallenge(it->second);
    if (challenge.scheme == "bearer") return FetchToken(challenge, cancelled);
    if (challenge.scheme == "basic") basic = std::move(challenge);
  }
  if (!basic.has_value()) {
    return absl::UnauthenticatedError(absl::StrCat(
        "registry ", registry_,
        " refuses access and offers no way to log in that we know"));
  }
  if (!auth_.has_value()) {
    return absl::UnauthenticatedError(absl::StrCat(
        "registry ", registry_, " wants a user and password; `ctl login ",
        registry_, " -u USER` has bulwarkd keep them"));
  }
  absl::MutexLock lock(&mu_);
  authorization_ = BasicHeader(*auth_);
  return absl::OkStatus();
}

absl::Status RegistryClient::CheckCredentials() {
  const auto make = [](const std::string& url) {
    HttpRequest request;
    request.url = url;
    request.max_body = 64 << 10;
    return request;
  };
  ASSIGN_OR_RETURN(const HttpResponse answer,
                   WithRetries("", make, [] { return false; }));
  if (answer.status == 200) return absl::OkStatus();
  if (answer.status != 401) return StatusOf(answer, "log in");
  // Who logs in needs no advice to do so.
  return absl::UnauthenticatedError(
      absl::StrCat(registry_, " refuses these credentials", Explanation(answer),
                   "; check the name and the password"));
}

// What the registry says is needed, and what we are going to need: a push asks
// for the rights on several repositories at once.
std::vector<std::string> RegistryClient::ScopesFor(
    const std::string& challenged) const {
  std::vector<std::string> scopes =
      absl::StrSplit(challenged, ' ', absl::SkipEmpty());
  if (repository_.empty()) return scopes;
  if (!options_.push) {
    if (scopes.empty()) {
      scopes = {absl::StrCat("repository:", repository_, ":pull")};
    }
    return scopes;
  }
  std::vector<std::string> result = {
      absl::StrCat("repository:", repository_, ":pull,push")};
  for (const std::string& from : options_.mount_from) {
    if (no_mounts_) break;
    result.push_back(absl::StrCat("repository:", from, ":pull"));
  }
  for (std::string& scope : scopes) {
    const bool known = std::any_of(
        result.begin(), result.end(), [&scope](const std::string& ours) {
          return absl::StartsWith(scope, ours.substr(0, ours.rfind(':') + 1));
        });
    if (!known) result.push_back(std::move(scope));
  }
  return result;
}

absl::StatusOr<HttpResponse> RegistryClient::AskForToken(
    const Url& url, const Challenge& challenge,
    const std::function<bool()>& cancelled) {
  const std::string realm = Parameter(challenge, "realm");
  const std::string service = Parameter(challenge, "service");
  const std::vector<std::string> scopes =
      ScopesFor(Parameter(challenge, "scope"));
  HttpRequest request;
  SecretText form;
  if (auth_.has_value() && auth_->username == kIdentityToken) {
    // OAuth2: what stands for the password is a token that gives others.
    std::string query = absl::StrCat(
        "grant_type=refresh_token&client_id=bulwark&service=",
        UrlEscape(service), "&scope=", UrlEscape(absl::StrJoin(scopes, " ")),
        "&refresh_token=");
    std::string escaped = UrlEscape(auth_->password.Reveal());
    form = SecretText::Join({query, escaped});
    explicit_bzero(escaped.data(), escaped.size());
    request.method = "POST";
    request.url = realm;
    request.body = form.Reveal();
  } else {
    request.url = realm;
    char separator = absl::StrContains(realm, "?") ? '&' : '?';
    const auto add = [&](absl::string_view name, absl::string_view value) {
      absl::StrAppend(&request.url, std::string(1, separator), name, "=",
                      UrlEscape(value));
      separator = '&';
    };
    for (const std::string& scope : scopes) add("scope", scope);
    if (!service.empty()) add("service", service);
    if (auth_.has_value()) {
      add("account", auth_->username);
      request.authorization = BasicHeader(*auth_);
    }
  }
  request.tls = TlsFor(url);
  request.max_body = 1 << 20;
  request.cancelled = cancelled;
  request.pace = options_.pace;
  Pooled client(this);
  return client->Send(request);
}

absl::Status RegistryClient::FetchToken(
    const Challenge& challenge, const std::function<bool()>& cancelled) {
  const std::string realm = Parameter(challenge, "realm");
  ASSIGN_OR_RETURN(const Url url, ParseUrl(realm));
  if (url.scheme != "https" && !MayBePlain(url.host, url.port)) {
    return absl::FailedPreconditionError(
        absl::StrCat("registry ", registry_, " wants the log-in sent to ",
                     realm, " without encryption, which is refused"));
  }
  // Others may be asking at the same time.
  const bool with_mounts =
      options_.push && !options_.mount_from.empty() && !no_mounts_;
  ASSIGN_OR_RETURN(HttpResponse answer, AskForToken(url, challenge, cancelled));
  const bool refused = answer.status >= 400 && answer.status < 500 &&
                       !IsTransient(answer.status);
  if (refused && with_mounts) {
    no_mounts_ = true;
    // Perhaps only for the repositories to mount from: without their layers
    // there is more to send, and nothing else amiss.
    ASSIGN_OR_RETURN(answer, AskForToken(url, challenge, cancelled));
  }
  if (answer.status != 200) {
    return StatusOf(answer, absl::StrCat("get a token from ", url.host));
  }
  ASSIGN_OR_RETURN(image::Json body,
                   image::ParseObject(answer.body, "read token"));
  std::string token = image::StringField(body, "token");
  if (token.empty()) token = image::StringField(body, "access_token");
  if (token.empty() || token.find_first_of("\r\n") != std::string::npos) {
    return absl::UnavailableError(
        absl::StrCat("get a token from ", url.host, ": the answer holds none"));
  }
  absl::MutexLock lock(&mu_);
  authorization_ = SecretText::Join({"Authorization: Bearer ", token});
  return absl::OkStatus();
}

}  // namespace bulwark::engine::registry
