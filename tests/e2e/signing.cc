#include "tests/e2e/signing.h"

#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/image/signature/evidence.h"
#include "tests/e2e/process.h"

namespace bulwark::e2e {
namespace {

namespace image = engine::image;

std::string HeaderOf(const std::string& headers, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(headers, '\n')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::EqualsIgnoreCase(parts.first, name)) {
      return std::string(absl::StripAsciiWhitespace(parts.second));
    }
  }
  return "";
}

}  // namespace

SigningRegistry::SigningRegistry(std::string address, std::string directory)
    : address_(std::move(address)), directory_(std::move(directory)) {}

std::string SigningRegistry::Url(const std::string& path) const {
  return absl::StrCat("http://", address_, "/v2/", path);
}

std::string SigningRegistry::Send(const std::string& method,
                                  const std::string& url,
                                  const std::string& type,
                                  const std::string& content) {
  const std::string file = directory_ + "/sent";
  WriteFile(file, content);
  const Result result =
      Run({"curl", "-s", "-f", "-D", "-", "-o", "/dev/null", "-X", method, "-H",
           "Content-Type: " + type, "--data-binary", "@" + file, url});
  headers_ = result.out;
  return result.ok() ? ""
                     : absl::StrCat(method, " ", url, ": ", result.ToString());
}

std::string SigningRegistry::PutBlob(const std::string& repository,
                                     const std::string& content) {
  constexpr char kBytes[] = "application/octet-stream";
  std::string problem =
      Send("POST", Url(repository + "/blobs/uploads/"), kBytes, "");
  if (!problem.empty()) return problem;
  std::string location = HeaderOf(headers_, "location");
  if (absl::StartsWith(location, "/")) {
    location = absl::StrCat("http://", address_, location);
  }
  return Send(
      "PUT",
      absl::StrCat(location, absl::StrContains(location, "?") ? "&" : "?",
                   "digest=", image::DigestOf(content)),
      kBytes, content);
}

std::string SigningRegistry::PutManifest(const std::string& repository,
                                         const std::string& version,
                                         const std::string& content,
                                         const std::string& type) {
  return Send("PUT", Url(absl::StrCat(repository, "/manifests/", version)),
              type.empty() ? image::kOciManifest : type, content);
}

std::string SigningRegistry::PutBlobsOf(
    const std::string& repository,
    const std::vector<image::testing::SignedPayload>& signatures) {
  std::set<std::string> blobs = {"{}"};
  for (const auto& signature : signatures) blobs.insert(signature.payload);
  for (const std::string& blob : blobs) {
    std::string problem = PutBlob(repository, blob);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string SigningRegistry::PutSignatures(
    const std::string& repository, const std::string& digest,
    const std::vector<image::testing::SignedPayload>& signatures) {
  std::string problem = PutBlobsOf(repository, signatures);
  if (!problem.empty()) return problem;
  return PutManifest(repository,
                     absl::StrCat("sha256-", image::HexOf(digest), ".sig"),
                     image::testing::SignatureManifest(signatures));
}

std::string SigningRegistry::PutReferrers(
    const std::string& repository, const std::string& digest,
    const std::vector<std::vector<image::testing::SignedPayload>>& signatures) {
  std::string entries;
  for (const auto& each : signatures) {
    std::string problem = PutBlobsOf(repository, each);
    if (!problem.empty()) return problem;
    const std::string text = image::testing::SignatureManifest(each, digest);
    problem = PutManifest(repository, image::DigestOf(text), text);
    if (!problem.empty()) return problem;
    absl::StrAppend(&entries, entries.empty() ? "" : ",", R"({"mediaType":")",
                    image::kOciManifest, R"(","artifactType":")",
                    image::kSignatureArtifact, R"(","size":)", text.size(),
                    R"(,"digest":")", image::DigestOf(text), R"("})");
  }
  return PutManifest(
      repository, absl::StrCat("sha256-", image::HexOf(digest)),
      absl::StrCat(R"({"schemaVersion":2,"mediaType":")", image::kOciIndex,
                   R"(","manifests":[)", entries, "]}"),
      image::kOciIndex);
}

std::string SigningRegistry::DigestOf(const std::string& repository,
                                      const std::string& tag) {
  const Result result =
      Run({"curl", "-s", "-f", "-I", "-H",
           absl::StrCat("Accept: ", image::kOciManifest, ", ",
                        image::kDockerManifest),
           Url(absl::StrCat(repository, "/manifests/", tag))});
  return HeaderOf(result.out, "docker-content-digest");
}

}  // namespace bulwark::e2e
