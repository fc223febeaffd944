#include "ctl/registry_auth.h"

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/credential_helper.h"
#include "ctl/references.h"

namespace bulwark::ctl {
namespace {

using Json = nlohmann::json;

constexpr char kIdentityToken[] = "<token>";
constexpr absl::Duration kHelperTimeout = absl::Seconds(30);

// Docker Hub by the name that Docker keeps its credentials under.
constexpr char kHubServer[] = "https://index.docker.io/v1/";

// "host:5000" of "https://host:5000/v2/", "docker.io" of Docker Hub's names.
std::string RegistryOfKey(absl::string_view key) {
  if (!absl::ConsumePrefix(&key, "https://")) {
    absl::ConsumePrefix(&key, "http://");
  }
  key = key.substr(0, key.find('/'));
  if (key == "index.docker.io" || key == "registry-1.docker.io") {
    return "docker.io";
  }
  return std::string(key);
}

const Json* Find(const Json& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

std::string Text(const Json& object, const std::string& key) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : std::string();
}

absl::StatusOr<Json> Parse(const std::string& text) {
  Json object = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (object.is_object()) return object;
  return absl::InvalidArgumentError("it is no JSON object");
}

using Found = absl::StatusOr<std::optional<v1::RegistryCredentials>>;

Found FromHelper(const std::string& helper, const std::string& registry,
                 Clock& clock) {
  const absl::StatusOr<std::string> text = AskCredentialHelper(
      helper, registry == "docker.io" ? kHubServer : registry, kHelperTimeout,
      clock);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  RETURN_IF_ERROR(text.status());
  absl::StatusOr<Json> answer = Parse(*text);
  if (!answer.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("read what docker-credential-", helper,
                     " says: ", answer.status().message()));
  }
  v1::RegistryCredentials credentials;
  credentials.set_username(Text(*answer, "Username"));
  credentials.set_password(Text(*answer, "Secret"));
  if (credentials.password().empty()) return std::nullopt;
  return credentials;
}

// What the file has itself.
Found FromEntry(const Json& entry) {
  v1::RegistryCredentials credentials;
  credentials.set_username(Text(entry, "username"));
  credentials.set_password(Text(entry, "password"));
  const std::string encoded = Text(entry, "auth");
  if (!encoded.empty()) {
    std::string pair;
    const size_t colon = absl::Base64Unescape(encoded, &pair)
                             ? pair.find(':')
                             : std::string::npos;
    if (colon == std::string::npos) {
      return absl::InvalidArgumentError("its \"auth\" is not USER:PASSWORD");
    }
    credentials.set_username(pair.substr(0, colon));
    credentials.set_password(pair.substr(colon + 1));
  }
  const std::string token = Text(entry, "identitytoken");
  if (!token.empty()) {
    credentials.set_username(kIdentityToken);
    credentials.set_password(token);
  }
  if (credentials.username().empty() || credentials.password().empty()) {
    return std::nullopt;
  }
  return credentials;
}

Found FindIn(const Json& config, const std::string& registry, Clock& clock) {
  std::string helper = Text(config, "credsStore");
  if (const Json* helpers = Find(config, "credHelpers");
      helpers != nullptr && helpers->is_object()) {
    for (const auto& [key, value] : helpers->items()) {
      if (RegistryOfKey(key) == registry && value.is_string()) {
        helper = value.get<std::string>();
      }
    }
  }
  if (!helper.empty()) {
    Found found = FromHelper(helper, registry, clock);
    if (!found.ok() || found->has_value()) return found;
  }
  const Json* auths = Find(config, "auths");
  if (auths == nullptr || !auths->is_object()) return std::nullopt;
  for (const auto& [key, entry] : auths->items()) {
    if (RegistryOfKey(key) != registry) continue;
    Found found = FromEntry(entry);
    if (!found.ok() || found->has_value()) return found;
  }
  return std::nullopt;
}

std::string ConfigPath(const Context& context) {
  if (const auto dir = context.environment("DOCKER_CONFIG");
      dir.has_value() && !dir->empty()) {
    return absl::StrCat(*dir, "/config.json");
  }
  const auto home = context.environment("HOME");
  if (!home.has_value() || home->empty()) return "";
  return absl::StrCat(*home, "/.docker/config.json");
}

}  // namespace

std::string RegistryOf(absl::string_view reference) {
  const std::string full = FullReference(reference);
  return RegistryOfKey(full.substr(0, full.find('/')));
}

std::optional<v1::RegistryCredentials> FindCredentials(
    Context& context, const std::string& registry) {
  const std::string path = ConfigPath(context);
  if (path.empty()) return std::nullopt;
  std::ifstream file(path);
  if (!file.good()) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  Found found = std::nullopt;
  if (absl::StatusOr<Json> config = Parse(text.str()); config.ok()) {
    found = FindIn(*config, registry, context.clock);
  } else {
    found = config.status();
  }
  if (found.ok()) return *std::move(found);
  context.io.Err(
      absl::StrCat("warning: credentials for ", registry, " of ", path,
                   " cannot be used: ", found.status().message(), "\n"));
  return std::nullopt;
}

}  // namespace bulwark::ctl
