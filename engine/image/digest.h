// Content digests, "sha256:<64 hex digits>".
#ifndef ENGINE_IMAGE_DIGEST_H_
#define ENGINE_IMAGE_DIGEST_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct evp_md_ctx_st;

namespace bulwark::engine::image {

// Hashes a stream. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::string_view data);
  // The digest of what was given so far; call once, last.
  std::string Digest();

 private:
  evp_md_ctx_st* context_;
};

// The digest of `data`.
std::string DigestOf(absl::string_view data);

// True for "sha256:" and 64 lower-case hex digits: the only digests we take,
// so that one can be used as a file name.
bool IsDigest(absl::string_view text);

// The hex digits of a digest for which IsDigest holds.
absl::string_view HexOf(absl::string_view digest);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_DIGEST_H_
