#include "api/sent_contexts.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr char kOffered[] = "offered:";

std::string TextOf(const std::string& name) {
  return absl::StrCat("the build context", name.empty() ? "" : " ", name);
}

}  // namespace

absl::Status SentContexts::TakeOffer(const std::string& name, int64_t uid,
                                     std::string& place) {
  absl::string_view id = place;
  if (!absl::ConsumePrefix(&id, kOffered)) return absl::OkStatus();
  absl::StatusOr<OfferedContext> offer = kept_.Take(uid, std::string(id));
  if (!offer.ok()) return Annotate(offer.status(), "build image");
  offers_[name] = *std::move(offer);
  place.clear();
  return absl::OkStatus();
}

absl::Status SentContexts::Append(const std::string& name,
                                  absl::string_view data) {
  auto it = files_.find(name);
  if (it == files_.end()) {
    ASSIGN_OR_RETURN(UploadFile file, uploads_.NewFile(limit_));
    it = files_.emplace(name, std::make_unique<UploadFile>(std::move(file)))
             .first;
  }
  return it->second->Append(data);
}

bool SentContexts::Has(const std::string& name) const {
  const auto offer = offers_.find(name);
  return files_.count(name) > 0 ||
         (offer != offers_.end() && offer->second.complete);
}

absl::StatusOr<std::string> SentContexts::Open(const std::string& name,
                                               const UnpackFunction& unpack) {
  const auto offer = offers_.find(name);
  const auto file = files_.find(name);
  if (offer != offers_.end() && file == files_.end()) {
    if (!offer->second.complete) {
      return absl::InvalidArgumentError(absl::StrCat(
          "build image: of ", TextOf(name),
          " only a part is here, and nothing was sent of the rest"));
    }
    used_.push_back(offer->second.base);
    return used_.back()->path();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<UploadDir> dir, uploads_.NewDir());
  std::string path = dir->path();
  dirs_.push_back(std::move(dir));
  if (file == files_.end()) return path;
  RETURN_IF_ERROR(file->second->Rewind());
  RETURN_IF_ERROR_CTX(unpack(file->second->fd(), path),
                      absl::StrCat("unpack ", TextOf(name)));
  files_.erase(file);
  if (offer == offers_.end()) return path;
  dir = std::move(dirs_.back());
  dirs_.pop_back();
  absl::StatusOr<std::shared_ptr<const KeptContext>> whole =
      kept_.Complete(std::move(offer->second), std::move(dir));
  if (!whole.ok()) {
    return Annotate(whole.status(), absl::StrCat("complete ", TextOf(name)));
  }
  used_.push_back(*std::move(whole));
  return path;
}

}  // namespace bulwark::api
