// Makes indexes for tests, hostile ones too.
#ifndef ENGINE_IMAGE_TESTING_INDEX_BUILDER_H_
#define ENGINE_IMAGE_TESTING_INDEX_BUILDER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "engine/image/json.h"

namespace bulwark::engine::image::testing {

// Each method that adds an entry returns the builder.
class IndexBuilder {
 public:
  // An image for "linux/ARCHITECTURE" of one file. `size_of_layer`: what the
  // manifest says, if not -1.
  IndexBuilder& Image(const std::string& architecture,
                      const std::string& content, int64_t size_of_layer = -1);
  // As BuildKit adds them: for "unknown/unknown", of a layer that is no tar.
  IndexBuilder& Attestation(const std::string& content);
  IndexBuilder& Nest(const IndexBuilder& inner);
  // A document that may be none.
  IndexBuilder& Raw(const std::string& text);
  // An entry of which there is nothing.
  IndexBuilder& Fake(const std::string& content);
  IndexBuilder& Repeat(size_t entry);
  // Makes the text larger by so many bytes.
  void Pad(size_t bytes) { padding_ = bytes; }

  Json& Entry(size_t i) { return entries_[i]; }

  std::string Text() const;
  std::string Digest() const;
  const std::string& ManifestOf(const std::string& architecture) const {
    return manifests_.at(architecture);
  }
  // Of its compressed blob.
  const std::string& LayerOf(const std::string& architecture) const {
    return layers_.at(architecture);
  }
  // By digest: configurations and layers, and manifests and indexes in it.
  const std::map<std::string, std::string>& blobs() const { return blobs_; }
  const std::map<std::string, std::string>& documents() const {
    return documents_;
  }
  // A tar of an OCI layout with this name, without what `left_out` names.
  std::string Layout(const std::string& name,
                     const std::set<std::string>& left_out = {}) const;

 private:
  void Add(const std::string& text, const char* type, Json platform);

  Json entries_ = Json::array();
  size_t padding_ = 0;
  std::map<std::string, std::string> manifests_;  // by architecture
  std::map<std::string, std::string> layers_;
  std::map<std::string, std::string> blobs_;
  std::map<std::string, std::string> documents_;
};

}  // namespace bulwark::engine::image::testing

#endif  // ENGINE_IMAGE_TESTING_INDEX_BUILDER_H_
