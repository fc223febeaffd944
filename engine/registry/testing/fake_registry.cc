#include "engine/registry/testing/fake_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::registry::testing {
namespace {

using image::DigestOf;
using image::Json;

ServerResponse Error(int status, const std::string& code) {
  return {status, {}, image::Dump(Json{{"errors", {{{"code", code}}}}}), -1};
}

// The value of a parameter of a query, with %3A and %2F undone.
std::string Parameter(const std::string& query, const std::string& name) {
  for (absl::string_view part : absl::StrSplit(query, '&')) {
    if (absl::StartsWith(part, name + "=")) {
      return absl::StrReplaceAll(part.substr(name.size() + 1),
                                 {{"%3A", ":"}, {"%2F", "/"}});
    }
  }
  return "";
}

ServerResponse Accepted(const std::string& location, size_t size) {
  return {202,
          {"Location: " + location,
           absl::StrCat("Range: 0-", size == 0 ? 0 : size - 1)},
          "",
          -1};
}

}  // namespace

FakeRegistry::FakeRegistry(RegistryFaults faults) : faults_(faults) {
  server_ = std::make_unique<HttpServer>(
      [this](const ServerRequest& request) {
        absl::MutexLock lock(&mu_);
        return Handle(request);
      },
      [this](const ServerRequest& request) -> BodyPlan {
        absl::MutexLock lock(&mu_);
        if (!absl::StrContains(request.path, "/blobs/uploads/")) return {};
        BodyPlan plan;
        plan.pace = faults_.pace;
        int64_t size = 0;
        const auto length = request.headers.find("content-length");
        if (faults_.cuts > 0 && length != request.headers.end() &&
            absl::SimpleAtoi(length->second, &size) &&
            size > faults_.cut_after) {
          --faults_.cuts;
          plan.limit = faults_.cut_after;
        }
        return plan;
      });
}

void FakeRegistry::SetFaults(const RegistryFaults& faults) {
  absl::MutexLock lock(&mu_);
  faults_ = faults;
  failed_.clear();
  tokens_.clear();
}

int FakeRegistry::Count(const std::string& method,
                        const std::string& prefix) const {
  int n = 0;
  for (const ServerRequest& request : server_->requests()) {
    n += request.method == method && absl::StartsWith(request.path, prefix);
  }
  return n;
}

int64_t FakeRegistry::UploadedBytes() const {
  int64_t bytes = 0;
  for (const ServerRequest& request : server_->requests()) {
    if (!absl::StrContains(request.path, "/blobs/uploads/")) continue;
    bytes += static_cast<int64_t>(request.body.size());
  }
  return bytes;
}

bool FakeRegistry::HasBlob(const std::string& repository,
                           const std::string& digest) const {
  absl::MutexLock lock(&mu_);
  const auto it = repositories_.find(repository);
  return it != repositories_.end() && it->second.blobs.count(digest) > 0;
}

std::string FakeRegistry::Manifest(const std::string& repository,
                                   const std::string& version) const {
  absl::MutexLock lock(&mu_);
  const auto it = repositories_.find(repository);
  if (it == repositories_.end()) return "";
  const auto found = it->second.manifests.find(version);
  return found == it->second.manifests.end() ? "" : found->second.text;
}

std::string FakeRegistry::MediaType(const std::string& repository,
                                    const std::string& version) const {
  absl::MutexLock lock(&mu_);
  const auto it = repositories_.find(repository);
  if (it == repositories_.end()) return "";
  const auto found = it->second.manifests.find(version);
  return found == it->second.manifests.end() ? "" : found->second.media_type;
}

void FakeRegistry::PutBlob(const std::string& repository,
                           const std::string& data) {
  absl::MutexLock lock(&mu_);
  repositories_[repository].blobs[DigestOf(data)] = data;
}

void FakeRegistry::PutManifest(const std::string& repository,
                               const std::string& version,
                               const std::string& text,
                               const std::string& media_type) {
  absl::MutexLock lock(&mu_);
  for (const std::string& name : {version, DigestOf(text)}) {
    repositories_[repository].manifests[name] = {text, media_type};
  }
}

ServerResponse FakeRegistry::Handle(const ServerRequest& request) {
  const std::vector<std::string> split =
      absl::StrSplit(request.path, absl::MaxSplits('?', 1));
  const std::string query = split.size() > 1 ? split[1] : "";
  if (split[0] == "/token") return GiveToken(query);
  if (faults_.token_uses > 0 && !IsAuthorized(request, query)) {
    ServerResponse refusal = Error(401, "UNAUTHORIZED");
    refusal.headers = {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://",
                                    server_->address(),
                                    "/token\",service=\"fake\"")};
    return refusal;
  }
  if (failed_[absl::StrCat(request.method, " ", split[0])]++ <
      faults_.errors_each) {
    ServerResponse failure = Error(faults_.error_status, "UNAVAILABLE");
    if (!faults_.retry_after.empty()) {
      failure.headers = {"Retry-After: " + faults_.retry_after};
    }
    return failure;
  }
  const std::vector<std::string> parts = absl::StrSplit(split[0], '/');
  // "", "v2", repository, kind, …
  if (parts.size() < 5) return ServerResponse();
  const std::string& repository = parts[2];
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (faults_.read_only && !reads) return Error(405, "UNSUPPORTED");
  if (parts[3] == "manifests") {
    return HandleManifest(repository, parts[4], request);
  }
  if (parts[3] == "referrers") return HandleReferrers(repository, parts[4]);
  if (parts[3] != "blobs") return Error(404, "NAME_UNKNOWN");
  if (parts[4] != "uploads") {
    const auto& blobs = repositories_[repository].blobs;
    const auto it = blobs.find(parts[4]);
    if (it == blobs.end()) return Error(404, "BLOB_UNKNOWN");
    return GiveBlob(it->second, request);
  }
  if (request.method == "POST") return BeginUpload(repository, query);
  return HandleUpload(repository, parts.size() > 5 ? parts[5] : "", request);
}

bool FakeRegistry::IsAuthorized(const ServerRequest& request,
                                const std::string& query) {
  const auto header = request.headers.find("authorization");
  if (header == request.headers.end()) return false;
  const auto token = tokens_.find(header->second);
  if (token == tokens_.end() || token->second.uses == 0) return false;
  --token->second.uses;
  const std::string from = Parameter(query, "from");
  return from.empty() ||
         absl::StrContains(token->second.scopes,
                           absl::StrCat("repository:", from, ":"));
}

ServerResponse FakeRegistry::GiveToken(const std::string& query) {
  std::string scopes;
  int repositories = 0;
  for (absl::string_view part : absl::StrSplit(query, '&')) {
    if (!absl::StartsWith(part, "scope=")) continue;
    ++repositories;
    absl::StrAppend(&scopes, absl::StrReplaceAll(part, {{"%3A", ":"}}), " ");
  }
  if (faults_.narrow_tokens && repositories > 1) return Error(403, "DENIED");
  const std::string name = absl::StrCat("t", tokens_.size() + 1);
  tokens_["Bearer " + name] = {scopes, faults_.token_uses};
  return {200, {}, image::Dump(Json{{"token", name}}), -1};
}

ServerResponse FakeRegistry::GiveBlob(const std::string& data,
                                      const ServerRequest& request) {
  ServerResponse response{200, {}, data, -1};
  if (request.method == "HEAD" || data.size() <= kLargeBlob) return response;
  if (faults_.circles) return {307, {"Location: " + request.path}, "", -1};
  std::string& body = response.body;
  if (faults_.lies) body.back() = static_cast<char>(body.back() ^ 1);
  body.resize(body.size() + faults_.excess);
  const auto range = request.headers.find("range");
  if (range != request.headers.end() && !faults_.no_ranges) {
    const std::vector<std::string> ends = absl::StrSplit(
        absl::StripPrefix(range->second, "bytes="), absl::MaxSplits('-', 1));
    size_t first = 0;
    size_t last = body.size() - 1;
    if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &first) ||
        first > last) {
      return {416, {}, "", -1};
    }
    if (size_t wanted = 0; absl::SimpleAtoi(ends[1], &wanted)) {
      last = std::min(last, wanted);
    }
    response.status = 206;
    response.headers = {absl::StrCat("Content-Range: bytes ", first, "-", last,
                                     "/", body.size())};
    body = body.substr(first, last - first + 1);
  }
  response.pace = faults_.pace;
  response.endless = faults_.endless;
  if (faults_.resets > 0) {
    --faults_.resets;
    response.reset_after = faults_.reset_after;
  }
  return response;
}

ServerResponse FakeRegistry::BeginUpload(const std::string& repository,
                                         const std::string& query) {
  const std::string mount = Parameter(query, "mount");
  if (!mount.empty() && faults_.mount_refusal != 0) {
    return Error(faults_.mount_refusal, "DENIED");
  }
  const std::string from = Parameter(query, "from");
  const auto& others = repositories_[from].blobs;
  const auto it = others.find(mount);
  if (!faults_.no_mounts && it != others.end()) {
    repositories_[repository].blobs[mount] = it->second;
    return {201, {}, "", -1};
  }
  const std::string id = absl::StrCat("u", next_upload_++);
  uploads_[id] = "";
  return Accepted(absl::StrCat("/v2/", repository, "/blobs/uploads/", id), 0);
}

ServerResponse FakeRegistry::HandleUpload(const std::string& repository,
                                          const std::string& id,
                                          const ServerRequest& request) {
  const auto it = uploads_.find(id);
  if (it == uploads_.end()) return Error(404, "BLOB_UPLOAD_UNKNOWN");
  std::string& data = it->second;
  const std::string path =
      absl::StrCat("/v2/", repository, "/blobs/uploads/", id);
  if (request.method == "GET") {
    ServerResponse response = Accepted(path, data.size());
    response.status = 204;
    return response;
  }
  if (faults_.most_piece >= 0 &&
      static_cast<int64_t>(request.body.size()) > faults_.most_piece) {
    return {413, {}, "<html>", -1};
  }
  if (faults_.busy > 0) {
    --faults_.busy;
    return {429, {"Retry-After: 7"}, "", -1};
  }
  const auto range = request.headers.find("content-range");
  if (request.method == "PATCH" && range != request.headers.end() &&
      !absl::StartsWith(range->second, absl::StrCat(data.size(), "-"))) {
    return Error(416, "BLOB_UPLOAD_INVALID");
  }
  data += request.body;
  if (request.cut) {
    if (faults_.forgets) uploads_.erase(it);
    return {};
  }
  if (request.method == "PATCH") return Accepted(path, data.size());
  if (faults_.end_errors > 0) {
    --faults_.end_errors;
    return Error(502, "UNKNOWN");
  }
  const std::string digest =
      Parameter(request.path.substr(request.path.find('?') + 1), "digest");
  if (digest != DigestOf(data)) return Error(400, "DIGEST_INVALID");
  repositories_[repository].blobs[digest] = data;
  uploads_.erase(it);
  if (faults_.lost_answers > 0) {
    --faults_.lost_answers;
    return {201, {}, "", 1 << 20};
  }
  return {201, {}, "", -1};
}

ServerResponse FakeRegistry::HandleManifest(const std::string& repository,
                                            const std::string& version,
                                            const ServerRequest& request) {
  Repository& stored = repositories_[repository];
  if (request.method != "PUT") {
    const auto it = stored.manifests.find(version);
    if (it == stored.manifests.end()) return Error(404, "MANIFEST_UNKNOWN");
    return {200,
            {"Content-Type: " + it->second.media_type,
             "Docker-Content-Digest: " + DigestOf(it->second.text)},
            it->second.text,
            -1};
  }
  const std::string type = request.headers.at("content-type");
  if (faults_.no_oci && absl::StrContains(type, "vnd.oci")) {
    return Error(400, "MANIFEST_INVALID");
  }
  if (faults_.loses_blobs > 0) {
    --faults_.loses_blobs;
    stored.blobs.clear();
  }
  const absl::StatusOr<std::string> document =
      image::DocumentType(request.body, type);
  if (document.ok() && image::IsIndexType(*document)) {
    const auto index = image::ParseIndex(request.body);
    if (!index.ok()) return Error(400, "MANIFEST_INVALID");
    for (const image::IndexEntry& entry : *index) {
      if (stored.manifests.count(entry.descriptor.digest) == 0) {
        return Error(400, "MANIFEST_BLOB_UNKNOWN");
      }
    }
  } else {
    const auto manifest = image::ParseForeignManifest(request.body);
    if (!manifest.ok()) return Error(400, "MANIFEST_INVALID");
    for (const image::Descriptor& layer : manifest->layers) {
      if (stored.blobs.count(layer.digest) == 0) {
        return Error(400, "MANIFEST_BLOB_UNKNOWN");
      }
    }
  }
  const std::string digest = DigestOf(request.body);
  stored.manifests[version] = stored.manifests[digest] = {request.body, type};
  return {201,
          {"Docker-Content-Digest: " +
           (faults_.wrong_digest ? DigestOf("other") : digest)},
          "",
          -1};
}

ServerResponse FakeRegistry::HandleReferrers(const std::string& repository,
                                             const std::string& digest) {
  if (faults_.no_referrers != 0) {
    return {faults_.no_referrers, {}, "page not found", -1};
  }
  Json manifests = Json::array();
  for (const auto& [name, stored] : repositories_[repository].manifests) {
    if (!image::IsDigest(name)) continue;
    absl::StatusOr<Json> object = image::ParseObject(stored.text, "manifest");
    if (!object.ok()) continue;
    const Json* subject = image::Find(*object, "subject");
    if (subject == nullptr ||
        image::StringField(*subject, "digest") != digest) {
      continue;
    }
    std::string type = image::StringField(*object, "artifactType");
    const Json* config = image::Find(*object, "config");
    if (type.empty() && config != nullptr) {
      type = image::StringField(*config, "mediaType");
    }
    manifests.push_back(Json{{"mediaType", stored.media_type},
                             {"digest", name},
                             {"size", stored.text.size()},
                             {"artifactType", type}});
  }
  return {200,
          {},
          image::Dump(Json{{"schemaVersion", 2},
                           {"mediaType", image::kOciIndex},
                           {"manifests", manifests}}),
          -1};
}

}  // namespace bulwark::engine::registry::testing
