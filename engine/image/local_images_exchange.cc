#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/index_maker.h"
#include "engine/image/local_images.h"
#include "engine/image/pusher.h"
#include "engine/image/reference.h"

namespace bulwark::engine {

absl::StatusOr<std::string> LocalImages::Push(const PushRequest& request,
                                              const ProgressSink& progress) {
  std::string document;  // with all that it lists
  Image image;
  if (!request.all_platforms) {
    ASSIGN_OR_RETURN(image, Get(request.reference));
  } else if (request.format == ImageFormat::kStored) {
    ASSIGN_OR_RETURN(document, SourceOf(request.reference));
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "push ", request.reference, ": all platforms go byte for byte as they",
        " are; leave out the format"));
  }
  const std::string& name =
      request.target.empty() ? request.reference : request.target;
  if (image::IsDigest(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "push ", name, ": a digest is no name; say what it is to be called"));
  }
  image::PushTarget target;
  ASSIGN_OR_RETURN(target.reference, image::ParseReference(name));
  target.auth = AuthFor(target.reference.registry, request.auth);
  target.options = ClientOptions();
  if (request.all_platforms) {
    return image::PushTree(store_.get(), document, request.reference, target,
                           progress);
  }
  return image::PushImage(store_.get(), image, request.format, target,
                          progress);
}

absl::StatusOr<std::string> LocalImages::SourceOf(absl::string_view reference) {
  ASSIGN_OR_RETURN(const std::vector<std::string> keys, KeysOf(reference));
  absl::StatusOr<std::string> source = store_->SourceOf(keys.front());
  if (absl::IsNotFound(source.status()) && keys.size() > 1) {
    absl::StatusOr<std::string> by_digest = store_->SourceOf(keys.back());
    if (by_digest.ok()) source = std::move(by_digest);
  }
  if (source.ok() && config_.clock != nullptr) {
    store_->Touch(*source, config_.clock->Now());
  }
  return source;
}

absl::StatusOr<Image> LocalImages::MakeIndex(const IndexRequest& request) {
  ASSIGN_OR_RETURN(const image::Reference name,
                   image::ParseReference(request.reference));
  const std::string what = absl::StrCat("make index ", request.reference);
  if (!name.digest.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": a new name cannot hold a digest"));
  }
  std::vector<std::string> digests;
  for (const std::string& reference : request.images) {
    ASSIGN_OR_RETURN(const Image image, Get(reference));
    digests.push_back(image.digest);
  }
  absl::StatusOr<Image> index =
      image::MakeIndex(store_.get(), digests, name.ToString());
  if (index.ok()) return index;
  return Annotate(index.status(), what);
}

absl::StatusOr<TagsPage> LocalImages::ListTags(const TagsRequest& request) {
  ASSIGN_OR_RETURN(const image::Reference reference,
                   image::ParseReference(request.repository));
  const std::string name =
      absl::StrCat(reference.registry, "/", reference.repository);
  registry::RegistryClient client(reference.registry, reference.repository,
                                  AuthFor(reference.registry, request.auth),
                                  ClientOptions());
  absl::StatusOr<TagsPage> page = client.ListTags(request.limit, request.last);
  if (page.ok()) return page;
  return Annotate(page.status(), name);
}

absl::StatusOr<Referrers> LocalImages::ListReferrers(
    const ReferrersRequest& request) {
  ASSIGN_OR_RETURN(const image::Reference reference,
                   image::ParseReference(request.reference));
  registry::RegistryClient client(reference.registry, reference.repository,
                                  AuthFor(reference.registry, request.auth),
                                  ClientOptions());
  absl::StatusOr<std::string> digest =
      client.ResolveDigest(reference.Version());
  if (!digest.ok()) return Annotate(digest.status(), reference.ToString());
  Referrers result;
  result.digest = *std::move(digest);
  absl::StatusOr<std::vector<Referrer>> referrers =
      client.ListReferrers(result.digest, request.artifact_type);
  if (!referrers.ok()) {
    return Annotate(referrers.status(), reference.ToString());
  }
  result.referrers = *std::move(referrers);
  return result;
}

}  // namespace bulwark::engine
