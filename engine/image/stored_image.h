// What ImageStore knows of an image.
#ifndef ENGINE_IMAGE_STORED_IMAGE_H_
#define ENGINE_IMAGE_STORED_IMAGE_H_

#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/images.h"

namespace bulwark::engine::image {

struct LayerParts {
  std::string blob;
  std::string diff_id;
  std::string directory;
};

struct StoredImage {
  Image image;  // without its names
  std::vector<LayerParts> layers;
  absl::Time used = absl::InfinitePast();
};

// Where names come from that an image gets.
struct ImageSource {
  // When a registry said that they mean this image.
  absl::Time pulled = absl::InfinitePast();
  // The manifest or index that it has under these names; empty: the
  // manifest itself.
  std::string document = {};
  // If that is an index: what of it stays, as KeptIndex::documents.
  std::set<std::string> kept = {};
};

// What a name or digest means.
struct ImagePlace {
  std::string digest;  // of an image, or if there is none, of the index
  std::string source;  // ImageSource::document
};

// Something that could go.
struct UnneededContent {
  std::vector<Image> images;
  bool extra_roots = false;  // and what SetExtraRoots() keeps
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_STORED_IMAGE_H_
