// All that an index, or an image, has in the store: to be sent elsewhere.
#ifndef ENGINE_IMAGE_INDEX_CONTENT_H_
#define ENGINE_IMAGE_INDEX_CONTENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/image/image_store.h"
#include "engine/image/index_tree.h"

namespace bulwark::engine::image {

// Reads what the document `digest` (an index or a manifest) lists, and holds
// all of it. `name` is for messages. FAILED_PRECONDITION lists the platforms
// of which something is not here, and says how it comes; others as
// ReadIndexTree().
absl::StatusOr<IndexTree> HoldTree(ImageStore* store, ImageStore::Lease* lease,
                                   const std::string& digest,
                                   const std::string& name);

// The documents of a tree below its root that are here with all their blobs;
// these are held.
std::set<std::string> WholeDocuments(ImageStore* store,
                                     ImageStore::Lease* lease,
                                     const IndexTree& tree);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_INDEX_CONTENT_H_
