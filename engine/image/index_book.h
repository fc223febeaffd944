// Which names stand for what document of their registry, and what is kept of
// the indexes among these documents.
#ifndef ENGINE_IMAGE_INDEX_BOOK_H_
#define ENGINE_IMAGE_INDEX_BOOK_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/image/blob_store.h"
#include "engine/image/json.h"

namespace bulwark::engine::image {

// An index whose own bytes are a blob.
struct KeptIndex {
  // Manifests and indexes that it lists and that stay, with their blobs, as
  // long as it does; without itself.
  std::set<std::string> documents;
  // The digests of all blobs that stay with it: itself, `documents`, and what
  // these need.
  std::set<std::string> content;
  std::set<std::string> platforms;  // of `documents`, without attestations
  int64_t size_bytes = 0;           // of `content`, as far as it is there
  // Some of it cannot be read, so `content` may lack something.
  bool damaged = false;
  absl::Time used = absl::InfinitePast();

  bool operator==(const KeptIndex&) const = default;
};

// With the names that stand for it.
struct NamedIndex {
  std::string digest;
  std::vector<std::string> names;
  KeptIndex index;
};

// What is kept if these documents are to stay.
KeptIndex DescribeIndex(const BlobStore& blobs, const std::string& digest,
                        const std::set<std::string>& documents);

// Thread-compatible: the lock of ImageStore guards it.
class IndexBook {
 public:
  // The full name stands for this manifest or index; "": for none that is
  // known.
  void SetSource(const std::string& name, const std::string& document);
  void Forget(const std::string& name) { sources_.erase(name); }
  // Of the name; "" if it is not known.
  std::string SourceOf(absl::string_view name) const;
  std::vector<std::string> NamesOf(absl::string_view document) const;
  // All of them, by document.
  std::map<std::string, std::vector<std::string>> Names() const;

  // Adds to what is kept of an index.
  void Keep(const std::string& digest, const KeptIndex& index);
  void Erase(const std::string& digest) { indexes_.erase(digest); }
  // Null if it is not kept.
  const KeptIndex* Find(absl::string_view digest) const;
  const std::map<std::string, KeptIndex>& indexes() const { return indexes_; }
  void Touch(const std::string& digest, absl::Time now);
  // Erases the indexes that have no name, unless more than their own bytes is
  // kept: that stays until it is pruned.
  void Tidy();

  // {"sources": {NAME: DIGEST}, "indexes": {DIGEST: [DOCUMENT…]}}; the second
  // without those of which nothing more is kept.
  Json Sources() const { return Json(sources_); }
  Json Documents() const;

  bool operator==(const IndexBook&) const = default;

 private:
  std::map<std::string, std::string> sources_;  // full name -> digest
  std::map<std::string, KeptIndex> indexes_;    // by digest
};

// What the store writes down beside its images: in one piece, so that a change
// that cannot be written is undone in one piece.
struct NameRecord {
  // Images whose documents cannot be read. Nothing is swept while there are
  // any: a container may run on their layers.
  std::set<std::string> damaged;
  std::map<std::string, std::string> references;  // full name -> digest
  IndexBook book;
  // Full name -> when it was last pulled. Of names that are gone, too, until
  // it is written.
  std::map<std::string, absl::Time> pulled;

  bool operator==(const NameRecord&) const = default;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_INDEX_BOOK_H_
