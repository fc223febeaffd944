// What an index lists, directly and through the indexes in it. Pure, but for
// the reader that it is given; an index is untrusted input.
#ifndef ENGINE_IMAGE_INDEX_TREE_H_
#define ENGINE_IMAGE_INDEX_TREE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::image {

// Of one index, with all that it lists.
inline constexpr size_t kMaxIndexDocuments = 1000;
// Together: they are read again for each push, and at each start.
inline constexpr int64_t kMaxIndexDocumentBytes = 64 << 20;
inline constexpr size_t kMaxIndexBlobs = 20'000;
inline constexpr int64_t kMaxIndexBytes = int64_t{1} << 40;
// An index, an index in it, and so on.
inline constexpr int kMaxIndexDepth = 4;

// A manifest or an index.
struct IndexNode {
  Descriptor descriptor;  // with the media type that it really has
  // "linux/arm64", as the first entry says that lists it; may be "/".
  std::string platform;
  bool missing = false;           // the reader has not got it
  std::vector<Descriptor> blobs;  // of a manifest, without foreign layers
};

struct IndexTree {
  std::vector<IndexNode> nodes;  // each after what it lists: the root is last
  std::map<std::string, Descriptor> blobs;  // of all nodes, by digest
};

// The text of a document. NOT_FOUND is noted; other errors end the reading.
// Whoever reads checks the digest.
using DocumentReader =
    std::function<absl::StatusOr<std::string>(const Descriptor& document)>;

// Reads what `root` refers to: a manifest, or an index. What occurs twice is
// there once. FAILED_PRECONDITION beyond the limits above, which are looked at
// before anything of the index in question is read; DATA_LOSS if a size
// is not as it is said, or is said in two ways; INVALID_ARGUMENT for what is no
// such document. Each names the digest.
absl::StatusOr<IndexTree> ReadIndexTree(const Descriptor& root,
                                        const DocumentReader& read);

// What ChooseManifest() has found, and the indexes that lead to it: the one
// that it was given, one that this lists, and so on.
struct ChosenManifest {
  Descriptor descriptor;
  std::vector<std::string> indexes;
};
// The manifest that fits `wanted` best, also one that indexes in this one list.
// Reads only those. NOT_FOUND lists the platforms.
absl::StatusOr<ChosenManifest> ChooseManifest(const std::string& index,
                                              const Platform& wanted,
                                              const DocumentReader& read);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_INDEX_TREE_H_
