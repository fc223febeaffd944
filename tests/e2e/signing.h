// Puts signatures into a registry, beside the images that they are of.
#ifndef TESTS_E2E_SIGNING_H_
#define TESTS_E2E_SIGNING_H_

#include <string>
#include <vector>

#include "engine/image/signature/testing/signer.h"

namespace bulwark::e2e {

// A registry that takes plain HTTP and anybody's pushes.
class SigningRegistry {
 public:
  // "127.0.0.1:5000"; files of the size of what is pushed go to `directory`.
  SigningRegistry(std::string address, std::string directory);

  // Each returns what went wrong, or "".
  std::string PutBlob(const std::string& repository,
                      const std::string& content);
  std::string PutManifest(const std::string& repository,
                          const std::string& version,
                          const std::string& content,
                          const std::string& type = "");
  // As `cosign sign` does: with the payloads and the manifest that holds them,
  // under the tag of `digest`.
  std::string PutSignatures(
      const std::string& repository, const std::string& digest,
      const std::vector<engine::image::testing::SignedPayload>& signatures);
  // As `cosign sign --registry-referrers-mode=oci-1-1` does with a registry
  // that has not the API of referrers: one artifact for each entry of
  // `signatures`, and the list of them under a tag, in this order.
  std::string PutReferrers(
      const std::string& repository, const std::string& digest,
      const std::vector<std::vector<engine::image::testing::SignedPayload>>&
          signatures);
  // The digest of what a tag means now; "" if there is none.
  std::string DigestOf(const std::string& repository, const std::string& tag);

 private:
  std::string Url(const std::string& path) const;
  std::string PutBlobsOf(
      const std::string& repository,
      const std::vector<engine::image::testing::SignedPayload>& signatures);
  std::string Send(const std::string& method, const std::string& url,
                   const std::string& type, const std::string& content);

  const std::string address_;
  const std::string directory_;
  std::string headers_;  // of the last answer
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_SIGNING_H_
