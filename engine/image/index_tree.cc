#include "engine/image/index_tree.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

// Indexes in an index that are looked into for one image.
constexpr size_t kMostNested = 16;

absl::Status TooMuch(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("the index is too large: ", what));
}

// One tree in the making.
class TreeReader {
 public:
  explicit TreeReader(const DocumentReader& read) : read_(read) {}

  absl::Status Visit(const Descriptor& document, const std::string& platform,
                     int depth) {
    if (!seen_.insert(document.digest).second) return NoteSize(document);
    RETURN_IF_ERROR(NoteSize(document));
    if (seen_.size() > kMaxIndexDocuments + 1) {
      return TooMuch(absl::StrCat("it lists more than ", kMaxIndexDocuments,
                                  " manifests"));
    }
    IndexNode node;
    node.descriptor = document;
    node.platform = platform;
    absl::StatusOr<std::string> text = read_(document);
    if (absl::IsNotFound(text.status())) {
      node.missing = true;
    } else {
      RETURN_IF_ERROR(text.status());
      RETURN_IF_ERROR_CTX(Read(*text, depth, node),
                          absl::StrCat("document ", document.digest));
    }
    tree_.nodes.push_back(std::move(node));
    return absl::OkStatus();
  }

  IndexTree Take() { return std::move(tree_); }

 private:
  absl::Status Read(const std::string& text, int depth, IndexNode& node) {
    if (static_cast<int64_t>(text.size()) != node.descriptor.size) {
      return absl::DataLossError(
          absl::StrCat("it has ", text.size(), " bytes, not the ",
                       node.descriptor.size, " that the index says"));
    }
    ASSIGN_OR_RETURN(node.descriptor.media_type,
                     DocumentType(text, node.descriptor.media_type));
    if (!IsIndexType(node.descriptor.media_type)) {
      ASSIGN_OR_RETURN(Manifest manifest, ParseForeignManifest(text));
      RETURN_IF_ERROR(AddBlob(manifest.config, node));
      for (const Descriptor& layer : manifest.layers) {
        if (!IsForeignLayer(layer)) RETURN_IF_ERROR(AddBlob(layer, node));
      }
      return absl::OkStatus();
    }
    if (depth >= kMaxIndexDepth) {
      return TooMuch(absl::StrCat("indexes lie in it ", kMaxIndexDepth,
                                  " deep and deeper"));
    }
    ASSIGN_OR_RETURN(const std::vector<IndexEntry> entries, ParseIndex(text));
    // Before the first of them is read.
    if (entries.size() > kMaxIndexDocuments) {
      return TooMuch(absl::StrCat("it lists ", entries.size(),
                                  " manifests, and ", kMaxIndexDocuments,
                                  " are supported"));
    }
    RETURN_IF_ERROR(AddDocuments(entries));
    for (const IndexEntry& entry : entries) {
      RETURN_IF_ERROR(
          Visit(entry.descriptor, entry.platform.ToString(), depth + 1));
    }
    return absl::OkStatus();
  }

  // By what the index says; what turns out to be larger is refused one by one.
  absl::Status AddDocuments(const std::vector<IndexEntry>& entries) {
    for (const IndexEntry& entry : entries) {
      const Descriptor& document = entry.descriptor;
      if (!counted_.insert(document.digest).second) continue;
      if (document.size > kMaxIndexDocumentBytes - document_bytes_) {
        return TooMuch(absl::StrCat("its manifests have more than ",
                                    kMaxIndexDocumentBytes, " bytes"));
      }
      document_bytes_ += document.size;
    }
    return absl::OkStatus();
  }

  absl::Status AddBlob(const Descriptor& blob, IndexNode& node) {
    RETURN_IF_ERROR(NoteSize(blob));
    node.blobs.push_back(blob);
    if (!tree_.blobs.emplace(blob.digest, blob).second) return absl::OkStatus();
    if (tree_.blobs.size() > kMaxIndexBlobs) {
      return TooMuch(
          absl::StrCat("it needs more than ", kMaxIndexBlobs, " blobs"));
    }
    if (blob.size > kMaxIndexBytes - bytes_) {
      return TooMuch(
          absl::StrCat("its content has more than ", kMaxIndexBytes, " bytes"));
    }
    bytes_ += blob.size;
    return absl::OkStatus();
  }

  absl::Status NoteSize(const Descriptor& descriptor) {
    const auto [it, is_new] =
        sizes_.emplace(descriptor.digest, descriptor.size);
    if (it->second == descriptor.size) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(
        descriptor.digest, " has ", it->second, " bytes in one place of the",
        " index, and ", descriptor.size, " in another"));
  }

  const DocumentReader& read_;
  IndexTree tree_;
  std::set<std::string> seen_;
  std::set<std::string> counted_;  // documents, for document_bytes_
  std::map<std::string, int64_t> sizes_;
  int64_t document_bytes_ = 0;
  int64_t bytes_ = 0;
};

absl::StatusOr<ChosenManifest> Choose(const std::string& index,
                                      const Platform& wanted,
                                      const DocumentReader& read, int depth,
                                      size_t& nested) {
  ASSIGN_OR_RETURN(const std::vector<IndexEntry> entries, ParseIndex(index));
  const auto look_into =
      [&](const Descriptor& inner) -> absl::StatusOr<ChosenManifest> {
    if (depth + 1 >= kMaxIndexDepth || ++nested > kMostNested) {
      return TooMuch("there are too many indexes in it");
    }
    ASSIGN_OR_RETURN(const std::string text, read(inner));
    ASSIGN_OR_RETURN(ChosenManifest found,
                     Choose(text, wanted, read, depth + 1, nested));
    found.indexes.insert(found.indexes.begin(), index);
    return found;
  };
  const absl::StatusOr<Descriptor> chosen = ChoosePlatform(entries, wanted);
  if (chosen.ok() && IsIndexType(chosen->media_type)) return look_into(*chosen);
  if (chosen.ok()) return ChosenManifest{*chosen, {index}};
  for (const IndexEntry& entry : entries) {
    if (!IsIndexType(entry.descriptor.media_type)) continue;
    absl::StatusOr<ChosenManifest> inner = look_into(entry.descriptor);
    if (!absl::IsNotFound(inner.status())) return inner;
  }
  return chosen.status();
}

}  // namespace

absl::StatusOr<IndexTree> ReadIndexTree(const Descriptor& root,
                                        const DocumentReader& read) {
  TreeReader reader(read);
  RETURN_IF_ERROR(reader.Visit(root, "", 0));
  return reader.Take();
}

absl::StatusOr<ChosenManifest> ChooseManifest(const std::string& index,
                                              const Platform& wanted,
                                              const DocumentReader& read) {
  size_t nested = 0;
  return Choose(index, wanted, read, 0, nested);
}

}  // namespace bulwark::engine::image
