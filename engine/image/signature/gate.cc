#include "engine/image/signature/gate.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/index_tree.h"
#include "engine/image/manifest.h"
#include "engine/image/signature/search.h"
#include "engine/image_refusal.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kKeptOfRepository = 8;
constexpr size_t kMaxSpareIndex = 256 << 10;
// Indexes in an index that are looked into for one image.
constexpr int kMostNested = 16;

// Which to keep: the one that holds, and a few for keys that may come.
std::vector<Signature> Choose(const SignatureRule& rule, const Reference& name,
                              absl::string_view digest,
                              std::vector<Signature> signatures) {
  std::vector<Signature> chosen;
  bool found = false;
  for (Signature& signature : signatures) {
    if (!found && CheckSignatures(rule, &name, digest, {signature}).ok()) {
      found = true;
      chosen.insert(chosen.begin(), std::move(signature));
    } else if (chosen.size() < kKeptOfRepository &&
               (signature.index == nullptr ||
                signature.index->bytes() <= kMaxSpareIndex)) {
      chosen.push_back(std::move(signature));
    }
  }
  return chosen;
}

// Asked at another time, the registry may say something else.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         absl::IsResourceExhausted(status);
}

using Index = std::shared_ptr<const SignedIndex>;

// What was found so far, and what it is worth.
class Inquiry {
 public:
  Inquiry(const SignatureRule& rule, const Reference& name, std::string digest)
      : rule_(rule), name_(name), digest_(std::move(digest)) {}

  // Take what one way has found, of the image or, unless it is null, of the
  // `index` that lists it. An error ends the search; what cannot be read, today
  // or tomorrow, does not, since another way may do.
  absl::Status TakeTagged(absl::StatusOr<std::vector<Signature>> found,
                          const Index& index) {
    return Take(std::move(found), index, tag_trouble_);
  }
  absl::Status TakeReferring(absl::StatusOr<std::vector<Signature>> found,
                             const Index& index) {
    return Take(std::move(found), index, list_trouble_);
  }

  // Call last.
  std::vector<Signature> TakeSignatures() { return std::move(signatures_); }
  // Whether one of them will do.
  bool holds() const { return holds_; }

  // The verdict, with what stood in the way of another one.
  absl::Status Conclude() const {
    if (holds_) return absl::OkStatus();
    if (signatures_.empty() && !tag_trouble_.ok()) return tag_trouble_;
    const absl::Status& trouble =
        tag_trouble_.ok() ? list_trouble_ : tag_trouble_;
    const absl::Status verdict = Judge(signatures_);
    if (trouble.ok()) return verdict;
    return RefuseImage(
        RefusalOf(verdict),
        absl::StrCat(verdict.message(),
                     "; there may be others: ", trouble.message()));
  }

 private:
  absl::Status Take(absl::StatusOr<std::vector<Signature>> found,
                    const Index& index, absl::Status& trouble) {
    if (!found.ok()) {
      if (MayPass(found.status())) return found.status();
      trouble.Update(found.status());
      return absl::OkStatus();
    }
    for (Signature& signature : *found) signature.index = index;
    holds_ = holds_ || Judge(*found).ok();
    std::move(found->begin(), found->end(), std::back_inserter(signatures_));
    return absl::OkStatus();
  }
  absl::Status Judge(const std::vector<Signature>& signatures) const {
    return CheckSignatures(rule_, &name_, digest_, signatures);
  }

  const SignatureRule& rule_;
  const Reference& name_;
  const std::string digest_;
  std::vector<Signature> signatures_;
  bool holds_ = false;
  absl::Status tag_trouble_, list_trouble_;
};

// Appends to `chain`, whose end is an index, those in it that lead to the
// manifest `digest`, and tells whether there are any. Errors are the
// registry's.
absl::StatusOr<bool> Follow(Sources& sources, const std::string& digest,
                            std::vector<std::string>& chain, int& fetched) {
  const absl::StatusOr<std::vector<IndexEntry>> entries =
      ParseIndex(chain.back());
  if (!entries.ok()) return false;
  for (const IndexEntry& entry : *entries) {
    if (entry.descriptor.digest == digest) return true;
  }
  if (chain.size() >= kMaxIndexDepth) return false;
  for (const IndexEntry& entry : *entries) {
    if (!IsIndexType(entry.descriptor.media_type)) continue;
    if (++fetched > kMostNested) return false;
    absl::StatusOr<registry::ManifestDocument> inner =
        sources.FetchManifest(entry.descriptor.digest);
    // Another one may lead there.
    if (absl::IsNotFound(inner.status()) || absl::IsDataLoss(inner.status()) ||
        absl::IsInvalidArgument(inner.status())) {
      continue;
    }
    RETURN_IF_ERROR(inner.status());
    chain.push_back(std::move(inner->text));
    ASSIGN_OR_RETURN(const bool leads, Follow(sources, digest, chain, fetched));
    if (leads) return true;
    chain.pop_back();
  }
  return false;
}

// The indexes through which the image was chosen, the innermost first.
absl::StatusOr<std::vector<Index>> IndexesOf(
    Sources& sources, const Reference& name, const std::string& digest,
    const std::vector<std::string>& known) {
  std::vector<Index> result;
  std::vector<std::string> chain = known;
  if (chain.empty() && name.Version() != digest) {
    absl::StatusOr<registry::ManifestDocument> found =
        sources.FetchManifest(name.Version());
    if (absl::IsNotFound(found.status())) return result;
    RETURN_IF_ERROR(found.status());
    if (found->digest == digest) return result;
    chain.push_back(std::move(found->text));
    int fetched = 0;
    ASSIGN_OR_RETURN(const bool leads, Follow(sources, digest, chain, fetched));
    if (!leads) return result;
  }
  for (auto from = chain.rbegin(); from != chain.rend(); ++from) {
    auto index = std::make_shared<const SignedIndex>(
        std::vector<std::string>(from.base() - 1, chain.end()));
    if (index->Lists(digest)) result.push_back(std::move(index));
  }
  return result;
}

}  // namespace

SignatureGate::SignatureGate(SignaturePolicy policy,
                             const std::string& state_dir, BlobStore* blobs)
    : policy_(std::move(policy)), kept_(state_dir), blobs_(blobs) {}

absl::Status SignatureGate::CheckKept(const Reference* name,
                                      absl::string_view digest) const {
  const SignatureRule* rule =
      name == nullptr ? policy_.Default()
                      : policy_.Find(name->registry, name->repository);
  if (rule == nullptr) return absl::OkStatus();
  return CheckSignatures(*rule, name, digest, kept_.Get(digest));
}

absl::Status SignatureGate::CheckAtRegistry(
    Sources& sources, const Reference& name, absl::string_view digest,
    const std::vector<std::string>& indexes) {
  const SignatureRule* rule = policy_.Find(name.registry, name.repository);
  if (rule == nullptr) return absl::OkStatus();
  const std::string image(digest);
  SignatureSearch search(&sources, blobs_);
  Inquiry inquiry(*rule, name, image);
  RETURN_IF_ERROR(inquiry.TakeTagged(search.ByTag(image), nullptr));
  std::vector<Index> listing;
  if (!inquiry.holds()) {
    // Signing an index signs what it lists.
    ASSIGN_OR_RETURN(listing, IndexesOf(sources, name, image, indexes));
  }
  for (const Index& index : listing) {
    if (inquiry.holds()) break;
    RETURN_IF_ERROR(inquiry.TakeTagged(search.ByTag(index->digest()), index));
  }
  // Last, since most registries have nothing there.
  if (!inquiry.holds()) {
    RETURN_IF_ERROR(inquiry.TakeReferring(search.ByReferrers(image), nullptr));
  }
  for (const Index& index : listing) {
    if (inquiry.holds()) break;
    RETURN_IF_ERROR(
        inquiry.TakeReferring(search.ByReferrers(index->digest()), index));
  }
  RETURN_IF_ERROR(inquiry.Conclude());
  return Annotate(
      kept_.Keep(digest, Choose(*rule, name, digest, inquiry.TakeSignatures())),
      "keep its signatures");
}

}  // namespace bulwark::engine::image
