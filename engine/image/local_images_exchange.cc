#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/local_images.h"
#include "engine/image/pusher.h"
#include "engine/image/reference.h"

namespace bulwark::engine {

absl::StatusOr<std::string> LocalImages::Push(const PushRequest& request,
                                              const ProgressSink& progress) {
  ASSIGN_OR_RETURN(const Image image, Get(request.reference));
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
  return image::PushImage(store_.get(), image, request.format, target,
                          progress);
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
