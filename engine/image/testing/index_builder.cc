#include "engine/image/testing/index_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/image/testing/tar_builder.h"

namespace bulwark::engine::image::testing {

IndexBuilder& IndexBuilder::Image(const std::string& architecture,
                                  const std::string& content,
                                  int64_t size_of_layer) {
  const std::string layer = TarBuilder().File("content", content).Build();
  const std::string blob = Gzip(layer);
  const std::string config = Dump(
      Json{{"os", "linux"},
           {"architecture", architecture},
           {"rootfs", {{"type", "layers"}, {"diff_ids", {DigestOf(layer)}}}}});
  Manifest manifest;
  manifest.config = {kOciConfig, DigestOf(config),
                     static_cast<int64_t>(config.size())};
  manifest.layers = {
      {kOciLayerGzip, DigestOf(blob),
       size_of_layer < 0 ? static_cast<int64_t>(blob.size()) : size_of_layer}};
  blobs_[DigestOf(config)] = config;
  blobs_[DigestOf(blob)] = blob;
  const std::string text = FormatManifest(manifest);
  manifests_[architecture] = DigestOf(text);
  layers_[architecture] = DigestOf(blob);
  Add(text, kOciManifest, {{"os", "linux"}, {"architecture", architecture}});
  return *this;
}

IndexBuilder& IndexBuilder::Attestation(const std::string& content) {
  const std::string config =
      Dump(Json{{"os", "unknown"}, {"architecture", "unknown"}});
  const std::string statement = Dump(Json{{"predicate", content}});
  Manifest manifest;
  manifest.config = {kOciConfig, DigestOf(config),
                     static_cast<int64_t>(config.size())};
  manifest.layers = {{"application/vnd.in-toto+json", DigestOf(statement),
                      static_cast<int64_t>(statement.size())}};
  blobs_[DigestOf(config)] = config;
  blobs_[DigestOf(statement)] = statement;
  Add(FormatManifest(manifest), kOciManifest,
      {{"os", "unknown"}, {"architecture", "unknown"}});
  return *this;
}

IndexBuilder& IndexBuilder::Nest(const IndexBuilder& inner) {
  for (const auto& [digest, blob] : inner.blobs_) blobs_[digest] = blob;
  for (const auto& [digest, text] : inner.documents_) {
    documents_[digest] = text;
  }
  Add(inner.Text(), kOciIndex, Json());
  return *this;
}

IndexBuilder& IndexBuilder::Raw(const std::string& text) {
  Add(text, kOciManifest, Json());
  return *this;
}

IndexBuilder& IndexBuilder::Fake(const std::string& content) {
  entries_.push_back(Json{{"mediaType", kOciManifest},
                          {"digest", DigestOf(content)},
                          {"size", 100}});
  return *this;
}

IndexBuilder& IndexBuilder::Repeat(size_t entry) {
  const Json copy = entries_[entry];
  entries_.push_back(copy);
  return *this;
}

void IndexBuilder::Add(const std::string& text, const char* type,
                       Json platform) {
  Json entry = {
      {"mediaType", type}, {"digest", DigestOf(text)}, {"size", text.size()}};
  if (!platform.is_null()) entry["platform"] = std::move(platform);
  documents_[DigestOf(text)] = text;
  entries_.push_back(std::move(entry));
}

std::string IndexBuilder::Text() const {
  Json index = {
      {"schemaVersion", 2}, {"mediaType", kOciIndex}, {"manifests", entries_}};
  if (padding_ > 0) {
    index["annotations"] = {{"padding", std::string(padding_, ' ')}};
  }
  return Dump(index);
}

std::string IndexBuilder::Digest() const { return DigestOf(Text()); }

std::string IndexBuilder::Layout(const std::string& name,
                                 const std::set<std::string>& left_out) const {
  TarBuilder tar;
  tar.File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  const auto add = [&](const std::string& digest, const std::string& data) {
    if (left_out.count(digest) > 0) return;
    tar.File(absl::StrCat("blobs/sha256/", HexOf(digest)), data);
  };
  for (const auto& [digest, blob] : blobs_) add(digest, blob);
  for (const auto& [digest, text] : documents_) add(digest, text);
  const std::string text = Text();
  add(DigestOf(text), text);
  const Json entry = {{"mediaType", kOciIndex},
                      {"digest", DigestOf(text)},
                      {"size", text.size()},
                      {"annotations", {{"io.containerd.image.name", name}}}};
  tar.File("index.json", Dump(Json{{"schemaVersion", 2},
                                   {"manifests", Json::array({entry})}}));
  return tar.Build();
}

}  // namespace bulwark::engine::image::testing
