// Removing images, and the content that nothing needs then.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/image_store.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

// The name that a layer has in the store.
std::string LayerName(absl::string_view directory) {
  size_t end = directory.rfind("/fs");
  size_t begin = directory.rfind('/', end - 1) + 1;
  return absl::StrCat("sha256:", directory.substr(begin, end - begin));
}

}  // namespace

absl::Status ImageStore::Remove(absl::string_view reference,
                                const std::vector<std::string>& in_use) {
  std::vector<std::string> aside;
  const Roots extra = ExtraRoots();
  {
    absl::MutexLock lock(&mu_);
    const std::string key(reference);
    NameRecord old_record = record_;
    std::set<std::string> digests = {key};  // of images and indexes
    if (record_.references.count(key) > 0) {
      digests = ForgetName(key);
    } else if (images_.count(key) + record_.damaged.count(key) == 0 &&
               record_.book.Find(key) == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("image ", reference, " is not present"));
    } else {
      for (const auto& [name, digest] : std::map(record_.references)) {
        if (digest == key || record_.book.SourceOf(name) == key) {
          digests.merge(ForgetName(name));
        }
      }
    }
    std::vector<decltype(images_)::node_type> gone;
    for (const std::string& digest : digests) {
      const bool wanted =
          std::find(in_use.begin(), in_use.end(), digest) != in_use.end() ||
          leased_.count(digest) > 0 || !record_.book.NamesOf(digest).empty() ||
          std::any_of(record_.references.begin(), record_.references.end(),
                      [&](const auto& name) { return name.second == digest; });
      if (wanted) continue;
      if (auto image = images_.extract(digest); !image.empty()) {
        gone.push_back(std::move(image));
      }
      record_.damaged.erase(digest);
      record_.book.Erase(digest);
    }
    record_.book.Tidy();
    absl::Status saved = SaveSmaller();
    if (!saved.ok()) {
      record_ = std::move(old_record);
      for (auto& image : gone) images_.insert(std::move(image));
      return saved;
    }
    RETURN_IF_ERROR(DropContent(extra, &aside));
  }
  for (const std::string& path : aside) RETURN_IF_ERROR(os::RemoveTree(path));
  MakeReserve();
  return absl::OkStatus();
}

std::set<std::string> ImageStore::ForgetName(const std::string& name) {
  std::set<std::string> digests = {record_.references[name]};
  if (std::string source = record_.book.SourceOf(name); !source.empty()) {
    digests.insert(std::move(source));
  }
  record_.references.erase(name);
  record_.book.Forget(name);
  return digests;
}

void ImageStore::SetExtraRoots(std::function<Roots()> roots) {
  absl::MutexLock lock(&mu_);
  extra_roots_ = std::move(roots);
}

ImageStore::Roots ImageStore::ExtraRoots() const {
  std::function<Roots()> roots;
  {
    absl::MutexLock lock(&mu_);
    roots = extra_roots_;
  }
  return roots != nullptr ? roots() : Roots();
}

void ImageStore::AddContent(const StoredImage& stored, Roots& content) {
  content.insert(stored.image.digest);
  content.insert(stored.image.config_digest);
  for (const LayerParts& layer : stored.layers) {
    content.insert(layer.blob);
    content.insert(LayerName(layer.directory));
  }
}

ImageStore::Roots ImageStore::LiveContent() const {
  Roots live(leased_.begin(), leased_.end());
  for (const auto& [digest, stored] : images_) {
    AddContent(stored, live);
  }
  for (const auto& [digest, index] : record_.book.indexes()) {
    live.insert(index.content.begin(), index.content.end());
  }
  return live;
}

absl::Status ImageStore::DropContent(const Roots& extra,
                                     std::vector<std::string>* aside) {
  // What those need that cannot be read is not known: it may be in use.
  if (!record_.damaged.empty()) {
    LOG_WARN("nothing is swept while an image is damaged: pull or remove it",
             {{"digest", *record_.damaged.begin()}});
    return absl::OkStatus();
  }
  Roots live = LiveContent();
  live.insert(extra.begin(), extra.end());
  // Indexes need no layers.
  const auto& indexes = record_.book.indexes();
  const auto damaged =
      std::find_if(indexes.begin(), indexes.end(),
                   [](const auto& index) { return index.second.damaged; });
  if (damaged != indexes.end()) {
    LOG_WARN("no blob is swept while an index is damaged: pull or remove it",
             {{"digest", damaged->first}});
  } else {
    for (const std::string& digest : blobs_->List()) {
      if (live.count(digest) == 0) RETURN_IF_ERROR(blobs_->Remove(digest));
    }
  }
  for (const std::string& name : layers_->List()) {
    if (live.count(name) > 0) continue;
    ASSIGN_OR_RETURN(std::string path, layers_->Detach(name));
    aside->push_back(std::move(path));
  }
  return absl::OkStatus();
}

absl::Status ImageStore::SweepContent() {
  std::vector<std::string> aside;
  const Roots extra = ExtraRoots();
  {
    absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(DropContent(extra, &aside));
  }
  for (const std::string& path : aside) RETURN_IF_ERROR(os::RemoveTree(path));
  return absl::OkStatus();
}

}  // namespace bulwark::engine::image
