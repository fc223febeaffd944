#include "engine/image/archive_files.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/byte_source.h"
#include "engine/image/tar_reader.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kMaxFiles = 20'000;
constexpr int64_t kMaxFileBytes = int64_t{64} << 30;
constexpr int kMaxLinks = 8;

// One spelling for each name; ".." goes up, but never above the top.
std::string Clean(absl::string_view name) {
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  return absl::StrJoin(parts, "/");
}

std::string FolderOf(const std::string& name) {
  size_t slash = name.rfind('/');
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

}  // namespace

absl::StatusOr<ArchiveFiles> ArchiveFiles::Read(BlobStore* blobs, int fd,
                                                Reporter* reporter) {
  ArchiveFiles result(blobs);
  ASSIGN_OR_RETURN(std::unique_ptr<Decompressor> source,
                   NewDecompressor(std::make_unique<FdSource>(fd)));
  TarReader tar(source.get());
  TarEntry entry;
  for (;;) {
    const absl::StatusOr<bool> more = tar.Next(&entry);
    if (absl::IsDataLoss(more.status()) && result.files_.empty() &&
        absl::StrContains(more.status().message(), "Unrecognized")) {
      return absl::DataLossError(
          "read archive: it is no tar archive; make one with `ctl save`, "
          "`docker save` or `skopeo copy`");
    }
    RETURN_IF_ERROR(more.status());
    if (!*more) return result;
    std::string name = Clean(entry.path);
    if (result.files_.size() + result.links_.size() > kMaxFiles) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "read archive: more than the limit of ", kMaxFiles, " files"));
    }
    if (entry.type == TarEntry::Type::kSymlink) {
      result.links_[name] =
          Clean(absl::StrCat(FolderOf(name), "/", entry.link));
    } else if (entry.type == TarEntry::Type::kHardlink) {
      result.links_[name] = Clean(entry.link);
    }
    if (entry.type != TarEntry::Type::kFile) continue;
    ASSIGN_OR_RETURN(std::unique_ptr<Ingest> ingest, blobs->NewIngest());
    RETURN_IF_ERROR(tar.ReadData([&](int64_t offset, absl::string_view data) {
      RETURN_IF_ERROR(reporter->Check());
      if (offset != ingest->size() ||
          ingest->size() + static_cast<int64_t>(data.size()) > kMaxFileBytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("read archive: ", name, " is sparse or too large"));
      }
      RETURN_IF_ERROR(ingest->Write(data));
      reporter->Report(name, "reading", ingest->size(), entry.size);
      return absl::OkStatus();
    }));
    File file;
    file.digest = ingest->Finish();
    file.size = ingest->size();
    file.ingest = std::move(ingest);
    result.files_[name] = std::move(file);
  }
}

const std::string* ArchiveFiles::Find(absl::string_view name) const {
  std::string key = Clean(name);
  for (int i = 0; i <= kMaxLinks; ++i) {
    auto it = files_.find(key);
    if (it != files_.end()) return &it->first;
    auto link = links_.find(key);
    if (link == links_.end()) return nullptr;
    key = link->second;
  }
  return nullptr;
}

absl::Status ArchiveFiles::Missing(absl::string_view name) const {
  return absl::InvalidArgumentError(absl::StrCat(
      "read archive: it lacks \"", name.substr(0, 200),
      "\": it is cut short, or not an image archive (docker-archive or OCI"
      " layout)"));
}

absl::StatusOr<std::string> ArchiveFiles::Text(absl::string_view name,
                                               int64_t max_bytes) const {
  const std::string* key = Find(name);
  if (key == nullptr) return Missing(name);
  const File& file = files_.at(*key);
  if (file.ingest == nullptr) return blobs_->ReadAll(file.digest, max_bytes);
  return os::ReadFile(file.ingest->path(), max_bytes);
}

absl::StatusOr<std::string> ArchiveFiles::Commit(absl::string_view name) {
  const std::string* key = Find(name);
  if (key == nullptr) return Missing(name);
  File& file = files_.at(*key);
  if (file.ingest != nullptr) {
    if (!blobs_->Has(file.digest)) RETURN_IF_ERROR(file.ingest->Commit(""));
    file.ingest.reset();
  }
  return file.digest;
}

absl::StatusOr<int64_t> ArchiveFiles::Size(absl::string_view name) const {
  const std::string* key = Find(name);
  if (key == nullptr) return Missing(name);
  return files_.at(*key).size;
}

absl::StatusOr<std::string> ArchiveFiles::Digest(absl::string_view name) const {
  const std::string* key = Find(name);
  if (key == nullptr) return Missing(name);
  return files_.at(*key).digest;
}

}  // namespace bulwark::engine::image
