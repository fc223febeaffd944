// How a RegistryClient proves who it is.
#include <string.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/json.h"
#include "engine/registry/client.h"
#include "engine/registry/pooled.h"

namespace bulwark::engine::registry {

namespace {

SecretText BasicHeader(const RegistryAuth& auth) {
  const SecretText pair =
      SecretText::Join({auth.username, ":", auth.password.Reveal()});
  std::string encoded = absl::Base64Escape(pair.Reveal());
  SecretText header = SecretText::Join({"Authorization: Basic ", encoded});
  explicit_bzero(encoded.data(), encoded.size());
  return header;
}

}  // namespace

SecretText RegistryClient::AuthorizationHeader() {
  absl::MutexLock lock(&mu_);
  return authorization_;
}

absl::Status RegistryClient::Authenticate(const HttpResponse& refused) {
  auto range = refused.headers.equal_range("www-authenticate");
  std::optional<Challenge> basic;
  for (auto it = range.first; it != range.second; ++it) {
    Challenge challenge = ParseChallenge(it->second);
    if (challenge.scheme == "bearer") return FetchToken(challenge);
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
  return StatusOf(answer, "log in");
}

absl::Status RegistryClient::FetchToken(const Challenge& challenge) {
  auto param = [&](const char* name) {
    auto it = challenge.params.find(name);
    return it == challenge.params.end() ? std::string() : it->second;
  };
  std::string realm = param("realm");
  ASSIGN_OR_RETURN(Url url, ParseUrl(realm));
  if (url.scheme != "https" && !MayBePlain(url.host, url.port)) {
    return absl::FailedPreconditionError(
        absl::StrCat("registry ", registry_, " wants the log-in sent to ",
                     realm, " without encryption, which is refused"));
  }
  std::string scope = param("scope");
  if (scope.empty() && !repository_.empty()) {
    scope = absl::StrCat("repository:", repository_, ":pull");
  }
  HttpRequest request;
  request.url = absl::StrCat(realm, absl::StrContains(realm, "?") ? "&" : "?",
                             scope.empty() ? "" : "scope=", UrlEscape(scope));
  if (!param("service").empty()) {
    absl::StrAppend(&request.url, "&service=", UrlEscape(param("service")));
  }
  if (auth_.has_value()) {
    absl::StrAppend(&request.url, "&account=", UrlEscape(auth_->username));
    request.authorization = BasicHeader(*auth_);
  }
  request.max_body = 1 << 20;
  request.cancelled = options_.cancelled;
  Pooled client(this);
  ASSIGN_OR_RETURN(HttpResponse answer, client->Get(request));
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
