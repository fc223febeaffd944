#include "engine/image/signature/kept.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/manifest.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

constexpr int kVersion = 1;
constexpr int64_t kMaxFileBytes = 16 << 20;
// Of one image.
constexpr size_t kMaxKept = 32;
constexpr size_t kMaxKeptBytes = 8 << 20;
constexpr absl::Duration kYoung = absl::Hours(1);

// The repository that a signature is for; empty if it does not say.
std::string RepositoryOf(const Signature& signature) {
  const absl::StatusOr<SignedClaim> claim = ParsePayload(signature.payload);
  if (!claim.ok()) return "";
  return absl::StrCat(claim->name.registry, "/", claim->name.repository);
}

}  // namespace

KeptSignatures::KeptSignatures(std::string state_dir)
    : directory_(absl::StrCat(state_dir, "/signatures")) {}

std::string KeptSignatures::PathOf(absl::string_view digest) const {
  return absl::StrCat(directory_, "/", HexOf(digest), ".json");
}

std::vector<Signature> KeptSignatures::Get(absl::string_view digest) const {
  const std::string path = PathOf(digest);
  const absl::StatusOr<std::string> text = os::ReadFile(path, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) return {};
  std::vector<Signature> result;
  const absl::StatusOr<Json> file =
      text.ok() ? ParseObject(*text, path) : text.status();
  const Json* list = file.ok() && IntField(*file, "version") == kVersion
                         ? Find(*file, "signatures")
                         : nullptr;
  if (list == nullptr || !list->is_array()) {
    LOG_WARN("kept signatures cannot be read; they are fetched again",
             {{"path", path}});
    return {};
  }
  std::map<std::vector<std::string>, std::shared_ptr<const SignedIndex>>
      indexes;
  for (const Json& item : *list) {
    Signature signature;
    if (!item.is_object() ||
        !absl::Base64Unescape(StringField(item, "payload"),
                              &signature.payload) ||
        !absl::Base64Unescape(StringField(item, "signature"),
                              &signature.signature)) {
      continue;
    }
    const std::string index = StringField(item, "index");
    if (!index.empty()) {
      std::vector<std::string> chain = StringList(item, "through");
      chain.insert(chain.begin(), index);
      std::shared_ptr<const SignedIndex>& known = indexes[chain];
      if (known == nullptr) known = std::make_shared<SignedIndex>(chain);
      signature.index = known;
    }
    result.push_back(std::move(signature));
  }
  return result;
}

absl::Status KeptSignatures::Keep(absl::string_view digest,
                                  std::vector<Signature> signatures) {
  absl::MutexLock lock(&mu_);
  std::set<std::string> renewed;
  for (const Signature& signature : signatures) {
    renewed.insert(RepositoryOf(signature));
  }
  for (Signature& old : Get(digest)) {
    if (renewed.contains(RepositoryOf(old))) continue;
    signatures.push_back(std::move(old));
  }
  Json list = Json::array();
  size_t bytes = 0;
  for (const Signature& signature : signatures) {
    const SignedIndex* index = signature.index.get();
    bytes +=
        2 * signature.payload.size() + (index == nullptr ? 0 : index->bytes());
    if (list.size() >= kMaxKept || bytes > kMaxKeptBytes) break;
    Json item = {{"payload", absl::Base64Escape(signature.payload)},
                 {"signature", absl::Base64Escape(signature.signature)}};
    if (index != nullptr) {
      const std::vector<std::string>& chain = index->chain();
      item["index"] = chain.front();
      if (chain.size() > 1) {
        item["through"] =
            std::vector<std::string>(chain.begin() + 1, chain.end());
      }
    }
    list.push_back(std::move(item));
  }
  RETURN_IF_ERROR(os::MakeDirs(directory_, 0700));
  return os::WriteFileDurably(
      PathOf(digest),
      Dump(Json{{"version", kVersion}, {"signatures", std::move(list)}}));
}

void KeptSignatures::Sweep(const std::set<std::string>& digests,
                           absl::Time now) {
  const absl::StatusOr<std::vector<std::string>> names =
      os::ListDir(directory_);
  if (!names.ok()) return;  // there are none
  for (const std::string& name : *names) {
    const std::string digest =
        absl::StrCat("sha256:", absl::StripSuffix(name, ".json"));
    if (digests.contains(digest)) continue;
    const std::string path = absl::StrCat(directory_, "/", name);
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) continue;
    const absl::Duration age = now - absl::TimeFromTimespec(info.st_mtim);
    if (age >= absl::ZeroDuration() && age < kYoung) continue;
    unlink(path.c_str());
  }
}

}  // namespace bulwark::engine::image
