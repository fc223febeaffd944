// Images between this host and its registries.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/images_progress.h"
#include "api/rules.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

using ImagesOr = absl::StatusOr<std::vector<engine::Image>>;

template <typename Request>
std::optional<engine::RegistryAuth> AuthOf(const Request& request) {
  if (!request.has_credentials()) return std::nullopt;
  return engine::RegistryAuth{request.credentials().username(),
                              SecretText(request.credentials().password())};
}

// All tags are those of a repository.
absl::Status RequireNoVersion(absl::string_view name) {
  const size_t slash = name.rfind('/');
  const absl::string_view last =
      slash == absl::string_view::npos ? name : name.substr(slash + 1);
  if (last.find_first_of(":@") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("all tags of ", Quoted(name),
                   ": name the repository alone, without a tag or digest"));
}

absl::StatusOr<engine::ImageFormat> FormatOf(const std::string& text) {
  if (text.empty()) return engine::ImageFormat::kStored;
  if (text == "oci") return engine::ImageFormat::kOci;
  if (text == "docker") return engine::ImageFormat::kDocker;
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not a format; it is oci or docker"));
}

}  // namespace

absl::StatusOr<std::vector<engine::PullRequest>> ImagesService::PullsOf(
    const v1::PullImageRequest& request) {
  engine::PullRequest pull;
  pull.reference = request.reference();
  pull.platform = request.platform();
  pull.all_platforms = request.all_platforms();
  pull.always = true;
  pull.auth = AuthOf(request);
  std::vector<engine::PullRequest> pulls;
  if (!request.all_tags()) {
    pulls.push_back(std::move(pull));
    return pulls;
  }
  RETURN_IF_ERROR(RequireNoVersion(request.reference()));
  ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
  engine::TagsRequest tags;
  tags.repository = request.reference();
  tags.auth = pull.auth;
  ASSIGN_OR_RETURN(const engine::TagsPage page, exchange->ListTags(tags));
  if (page.tags.empty()) {
    return absl::NotFoundError(
        absl::StrCat("pull ", request.reference(), ": it has no tags"));
  }
  for (const std::string& tag : page.tags) {
    pull.reference = absl::StrCat(request.reference(), ":", tag);
    pulls.push_back(pull);
  }
  return pulls;
}

grpc::Status ImagesService::Pull(
    grpc::ServerContext* context, const v1::PullImageRequest* request,
    grpc::ServerWriter<v1::ImageProgress>* writer) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Pull", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(const std::vector<engine::PullRequest> pulls,
                         PullsOf(*request));
        return WithProgress(*context, *writer,
                            [&](const engine::ProgressSink& sink) -> ImagesOr {
                              std::vector<engine::Image> images;
                              for (const engine::PullRequest& pull : pulls) {
                                ASSIGN_OR_RETURN(engine::Image image,
                                                 env_.images.Pull(pull, sink));
                                images.push_back(std::move(image));
                              }
                              return images;
                            });
      });
}

absl::StatusOr<std::vector<engine::PushRequest>> ImagesService::PushesOf(
    const v1::PushImageRequest& request) {
  engine::PushRequest push;
  push.reference = request.reference();
  push.target = request.target();
  push.all_platforms = request.all_platforms();
  push.auth = AuthOf(request);
  ASSIGN_OR_RETURN(push.format, FormatOf(request.format()));
  std::vector<engine::PushRequest> pushes;
  if (!request.all_tags()) {
    pushes.push_back(std::move(push));
    return pushes;
  }
  RETURN_IF_ERROR(RequireNoVersion(request.reference()));
  RETURN_IF_ERROR(RequireNoVersion(request.target()));
  ASSIGN_OR_RETURN(
      const std::string full,
      env_.registries.reference(absl::StrCat(request.reference(), ":x")));
  const absl::string_view prefix =
      absl::string_view(full).substr(0, full.size() - 1);
  for (const engine::Image& image : env_.images.List()) {
    for (const std::string& name : image.references) {
      if (!absl::StartsWith(name, prefix)) continue;
      const std::string tag = name.substr(prefix.size());
      if (tag.find('@') != std::string::npos) continue;
      if (image.is_index && !push.all_platforms) {
        return absl::FailedPreconditionError(absl::StrCat(
            "push ", name,
            ": it stands for an index of which nothing here is"
            " for this host; push all platforms (--all-platforms)"));
      }
      push.reference = name;
      if (!request.target().empty()) {
        push.target = absl::StrCat(request.target(), ":", tag);
      }
      pushes.push_back(push);
    }
  }
  if (!pushes.empty()) return pushes;
  return absl::NotFoundError(
      absl::StrCat("push ", request.reference(),
                   ": no image here has a name in this repository"));
}

grpc::Status ImagesService::Push(
    grpc::ServerContext* context, const v1::PushImageRequest* request,
    grpc::ServerWriter<v1::ImageProgress>* writer) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Push", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
        ASSIGN_OR_RETURN(const std::vector<engine::PushRequest> pushes,
                         PushesOf(*request));
        return WithProgress(*context, *writer,
                            [&](const engine::ProgressSink& sink) -> ImagesOr {
                              std::vector<engine::Image> images;
                              for (const engine::PushRequest& push : pushes) {
                                ASSIGN_OR_RETURN(const std::string digest,
                                                 exchange->Push(push, sink));
                                // What the registry has, by its name there.
                                absl::StatusOr<engine::Image> found =
                                    env_.images.Get(push.reference);
                                // Of an index nothing may be for this host.
                                if (absl::IsNotFound(found.status()))
                                  found = engine::Image();
                                if (!found.ok()) return found.status();
                                engine::Image image = *std::move(found);
                                image.digest = digest;
                                image.references = {push.target.empty()
                                                        ? push.reference
                                                        : push.target};
                                images.push_back(std::move(image));
                              }
                              return images;
                            });
      });
}

grpc::Status ImagesService::ListTags(grpc::ServerContext* context,
                                     const v1::ListTagsRequest* request,
                                     v1::ListTagsResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/ListTags", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
        if (request->limit() < 0) {
          return absl::InvalidArgumentError("list tags: the limit is negative");
        }
        engine::TagsRequest tags;
        tags.repository = request->repository();
        tags.auth = AuthOf(*request);
        tags.limit = request->limit();
        tags.last = request->last();
        ASSIGN_OR_RETURN(const engine::TagsPage page, exchange->ListTags(tags));
        response->mutable_tags()->Assign(page.tags.begin(), page.tags.end());
        response->set_more(page.more);
        return absl::OkStatus();
      });
}

grpc::Status ImagesService::ListReferrers(
    grpc::ServerContext* context, const v1::ListReferrersRequest* request,
    v1::ListReferrersResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/ListReferrers", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
        engine::ReferrersRequest wanted;
        wanted.reference = request->reference();
        wanted.artifact_type = request->artifact_type();
        wanted.auth = AuthOf(*request);
        ASSIGN_OR_RETURN(const engine::Referrers found,
                         exchange->ListReferrers(wanted));
        response->set_digest(found.digest);
        for (const engine::Referrer& referrer : found.referrers) {
          v1::Referrer& out = *response->add_referrers();
          out.set_digest(referrer.digest);
          out.set_media_type(ToUtf8(referrer.media_type));
          out.set_artifact_type(ToUtf8(referrer.artifact_type));
          out.set_size_bytes(referrer.size_bytes);
          for (const auto& [name, value] : referrer.annotations) {
            (*out.mutable_annotations())[ToUtf8(name)] = ToUtf8(value);
          }
        }
        return absl::OkStatus();
      });
}

}  // namespace bulwark::api
