// Names of images: what is read can be written and read again, and is safe to
// be put into a URL.
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "engine/image/digest.h"
#include "engine/image/reference.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine::image {
namespace {

void Try(const std::string& text) {
  const absl::StatusOr<Reference> reference = ParseReference(text);
  if (!reference.ok()) {
    CHECK(reference.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(!reference.status().message().empty());
    return;
  }
  CHECK(!reference->registry.empty() && !reference->repository.empty());
  CHECK(!reference->tag.empty() || !reference->digest.empty());
  CHECK(reference->digest.empty() || IsDigest(reference->digest));
  CHECK(!absl::StrContains(reference->repository, "//"));
  CHECK(!absl::StrContains(absl::StrCat("/", reference->repository, "/"),
                           "/../"));
  for (const char c : reference->ToString()) {
    CHECK(absl::ascii_isgraph(static_cast<unsigned char>(c)));
    CHECK(c != '?' && c != '#' && c != '%' && c != '\\' && c != '"');
  }
  // The full name means the same, and is its own full name.
  const absl::StatusOr<Reference> again = ParseReference(reference->ToString());
  CHECK(again.ok());
  CHECK(again->ToString() == reference->ToString());
  CHECK(again->registry == reference->registry);
  CHECK(again->repository == reference->repository);
  CHECK(again->tag == reference->tag && again->digest == reference->digest);
}

}  // namespace
}  // namespace bulwark::engine::image

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bulwark::fuzz::Input input(data, size);
  bulwark::engine::image::Try(input.Rest());
  return 0;
}
