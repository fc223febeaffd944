#include "engine/image/index_content.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kMostTold = 20;

// How people call what an index lists.
std::string PlatformOf(const IndexNode& node) {
  if (node.platform.empty() || node.platform == "/" ||
      absl::StartsWith(node.platform, "unknown/")) {
    return node.descriptor.digest;
  }
  return node.platform;
}

bool IsWhole(ImageStore* store, const IndexNode& node) {
  if (node.missing) return false;
  return std::all_of(node.blobs.begin(), node.blobs.end(),
                     [store](const Descriptor& blob) {
                       const auto size = store->blobs().Size(blob.digest);
                       return size.ok() && *size == blob.size;
                     });
}

void Hold(ImageStore::Lease* lease, const IndexTree& tree) {
  for (const auto& [digest, blob] : tree.blobs) lease->Hold(digest);
}

}  // namespace

absl::StatusOr<IndexTree> HoldTree(ImageStore* store, ImageStore::Lease* lease,
                                   const std::string& digest,
                                   const std::string& name) {
  const auto read =
      [&](const Descriptor& document) -> absl::StatusOr<std::string> {
    lease->Hold(document.digest);
    absl::StatusOr<std::string> text =
        store->blobs().ReadAll(document.digest, kMaxManifestBytes);
    // It has rotted, and is away by now.
    if (absl::IsDataLoss(text.status())) return absl::NotFoundError("rotten");
    return text;
  };
  Descriptor root;
  root.digest = digest;
  lease->Hold(digest);
  root.size = store->blobs().Size(digest).value_or(0);
  ASSIGN_OR_RETURN(IndexTree tree, ReadIndexTree(root, read));
  Hold(lease, tree);
  std::set<std::string> missing;
  for (const IndexNode& node : tree.nodes) {
    if (!IsWhole(store, node)) missing.insert(PlatformOf(node));
  }
  if (missing.empty()) return tree;
  std::vector<std::string> told(missing.begin(), missing.end());
  if (told.size() > kMostTold) {
    told.resize(kMostTold);
    told.push_back(absl::StrCat(missing.size() - kMostTold, " more"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "some content of ", digest, " is not here: ", absl::StrJoin(told, ", "),
      "; `ctl pull --all-platforms ", name, "` fetches it"));
}

std::set<std::string> WholeDocuments(ImageStore* store,
                                     ImageStore::Lease* lease,
                                     const IndexTree& tree) {
  Hold(lease, tree);
  std::set<std::string> whole;
  for (const IndexNode& node : tree.nodes) {
    if (&node != &tree.nodes.back() && IsWhole(store, node)) {
      whole.insert(node.descriptor.digest);
    }
  }
  return whole;
}

}  // namespace bulwark::engine::image
