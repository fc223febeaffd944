// What a RegistryClient finds under a name.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/registry/answers.h"
#include "engine/registry/client.h"

namespace bulwark::engine::registry {
namespace {

// More than any registry has: one that sends them sends them for ever.
constexpr size_t kMostTags = 200'000;
constexpr size_t kMostReferrers = 10'000;
constexpr int kMostPages = 2000;
constexpr int64_t kMaxPageBytes = 16 << 20;

absl::Status Endless(const std::string& registry, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("list ", what, ": what registry ", registry,
                   " sends does not end; ask for fewer with a limit"));
}

bool Contains(const std::vector<std::string>& tags, const std::string& tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

// Those behind `last`, sorted.
void KeepAfter(const std::string& last, std::vector<std::string>& tags) {
  std::sort(tags.begin(), tags.end());
  tags.erase(tags.begin(), std::upper_bound(tags.begin(), tags.end(), last));
}

// An error unless `item` is a descriptor. Other types are left out.
absl::Status AddReferrer(const image::Json& item, absl::string_view type,
                         std::vector<Referrer>& to) {
  if (!item.is_object()) {
    return absl::InvalidArgumentError("an entry is no object");
  }
  Referrer referrer;
  referrer.digest = image::StringField(item, "digest");
  referrer.media_type = image::StringField(item, "mediaType");
  referrer.artifact_type = image::StringField(item, "artifactType");
  referrer.size_bytes = image::IntField(item, "size");
  referrer.annotations = image::StringMap(item, "annotations");
  if (!image::IsDigest(referrer.digest) || referrer.size_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", referrer.digest.substr(0, 100),
                     "\" is not the digest and size of a manifest"));
  }
  if (type.empty() || referrer.artifact_type == type) {
    to.push_back(std::move(referrer));
  }
  return absl::OkStatus();
}

// Those of `text`, an index, whose entries it counts in `seen`.
absl::Status AddReferrers(const std::string& text, absl::string_view type,
                          size_t& seen, std::vector<Referrer>& to) {
  ASSIGN_OR_RETURN(const image::Json index,
                   image::ParseObject(text, "read referrers"));
  const image::Json* manifests = image::Find(index, "manifests");
  if (manifests == nullptr || !manifests->is_array()) {
    return absl::InvalidArgumentError("read referrers: it is no index");
  }
  seen += manifests->size();
  for (const image::Json& item : *manifests) {
    RETURN_IF_ERROR_CTX(AddReferrer(item, type, to), "read referrers");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HttpResponse> RegistryClient::GetPage(
    const std::string& path, const std::string& accept) {
  const auto make = [&accept](const std::string& url) {
    HttpRequest request;
    request.url = url;
    if (!accept.empty()) {
      request.headers = {absl::StrCat("Accept: ", accept)};
    }
    request.max_body = kMaxPageBytes;
    return request;
  };
  absl::StatusOr<HttpResponse> answer =
      WithRetries(path, make, [] { return false; });
  if (absl::IsResourceExhausted(answer.status())) {
    return absl::DataLossError(answer.status().message());
  }
  return answer;
}

absl::StatusOr<std::string> RegistryClient::NextPage(const HttpResponse& answer,
                                                     const std::string& path) {
  const std::string link = NextLink(answer);
  if (link.empty()) return std::string();
  ASSIGN_OR_RETURN(const std::string base, BaseUrl());
  const std::string root = absl::StrCat(base, "/v2/");
  ASSIGN_OR_RETURN(const std::string next,
                   ResolveUrl(absl::StrCat(root, path), link));
  if (!absl::StartsWith(next, root)) {
    return absl::DataLossError(
        absl::StrCat("registry ", registry_,
                     " continues its list elsewhere: ", next.substr(0, 200)));
  }
  return next.substr(root.size());
}

absl::StatusOr<TagsPage> RegistryClient::ListTags(int limit,
                                                  const std::string& last) {
  std::string path = absl::StrCat(repository_, "/tags/list");
  if (limit > 0) absl::StrAppend(&path, "?n=", limit);
  if (!last.empty()) {
    absl::StrAppend(&path, limit > 0 ? "&" : "?", "last=", UrlEscape(last));
  }
  TagsPage result;
  for (int page = 0; page < kMostPages; ++page) {
    ASSIGN_OR_RETURN(const HttpResponse answer, GetPage(path, ""));
    if (answer.status != 200) return StatusOf(answer, "list tags");
    absl::StatusOr<image::Json> body =
        image::ParseObject(answer.body, "list tags");
    if (!body.ok()) return absl::DataLossError(body.status().message());
    for (std::string& tag : image::StringList(*body, "tags")) {
      result.tags.push_back(std::move(tag));
    }
    ASSIGN_OR_RETURN(path, NextPage(answer, path));
    const size_t most = static_cast<size_t>(limit);
    const bool enough = limit > 0 && result.tags.size() >= most;
    if (path.empty() || enough) {
      // Some do not know pages, and give all they have, in any order.
      const bool all = path.empty() && (result.tags.size() > most ||
                                        Contains(result.tags, last));
      if (all) KeepAfter(last, result.tags);
      if (limit > 0 && result.tags.size() >= most) {
        result.more = !path.empty() || result.tags.size() > most;
        result.tags.resize(limit);
      }
      return result;
    }
    if (result.tags.size() > kMostTags) break;
  }
  return Endless(registry_, "tags");
}

absl::StatusOr<std::vector<Referrer>> RegistryClient::ListReferrers(
    const std::string& digest, const std::string& artifact_type) {
  std::string path = absl::StrCat(repository_, "/referrers/", digest);
  if (!artifact_type.empty()) {
    absl::StrAppend(&path, "?artifactType=", UrlEscape(artifact_type));
  }
  std::vector<Referrer> result;
  size_t seen = 0;  // of all types: a registry need not filter
  const auto add = [&](const std::string& text) {
    const absl::Status status = AddReferrers(text, artifact_type, seen, result);
    return status.ok() ? status : absl::DataLossError(status.message());
  };
  for (int page = 0; page < kMostPages; ++page) {
    ASSIGN_OR_RETURN(const HttpResponse answer,
                     GetPage(path, image::kOciIndex));
    // A registry without the API: whoever pushes keeps a list by itself.
    if (page == 0 && (answer.status == 400 || answer.status == 404 ||
                      answer.status == 405)) {
      ASSIGN_OR_RETURN(
          const HttpResponse tagged,
          GetPage(absl::StrCat(repository_, "/manifests/",
                               absl::StrReplaceAll(digest, {{":", "-"}})),
                  image::kOciIndex));
      if (tagged.status == 404) return result;
      if (tagged.status != 200) return StatusOf(tagged, "list referrers");
      RETURN_IF_ERROR(add(tagged.body));
      if (seen > kMostReferrers) break;
      return result;
    }
    if (answer.status != 200) return StatusOf(answer, "list referrers");
    RETURN_IF_ERROR(add(answer.body));
    ASSIGN_OR_RETURN(path, NextPage(answer, path));
    if (seen > kMostReferrers) break;
    if (path.empty()) return result;
  }
  return Endless(registry_, "referrers");
}

}  // namespace bulwark::engine::registry
