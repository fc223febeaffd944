#include "engine/build/step_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr absl::Duration kKeep = absl::Hours(30 * 24);
constexpr int64_t kMaxEntryBytes = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<StepCache>> StepCache::Open(
    const std::string& state_dir, image::ImageStore* store, Clock* clock) {
  std::string dir = absl::StrCat(state_dir, "/build-cache");
  RETURN_IF_ERROR(os::MakeDirs(dir, 0700));
  auto cache = absl::WrapUnique(new StepCache(std::move(dir), store, clock));
  store->SetExtraRoots([cache = cache.get()] { return cache->Prune(); });
  return cache;
}

std::string StepCache::PathOf(const std::string& key) const {
  return absl::StrCat(dir_, "/", image::HexOf(key), ".json");
}

std::optional<StepResult> StepCache::Read(const std::string& path) const {
  absl::StatusOr<std::string> text = os::ReadFile(path, kMaxEntryBytes);
  if (!text.ok()) return std::nullopt;
  absl::StatusOr<image::Json> json = image::ParseObject(*text, path);
  if (!json.ok()) return std::nullopt;
  StepResult result;
  result.blob = image::StringField(*json, "blob");
  result.size = image::IntField(*json, "size");
  result.diff_id = image::StringField(*json, "diff_id");
  result.create_time =
      absl::FromUnixNanos(image::IntField(*json, "created_ns"));
  result.zstd = image::StringField(*json, "compression") == "zstd";
  bool whole = image::IsDigest(result.blob) && image::IsDigest(result.diff_id);
  bool empty = result.blob.empty() && result.diff_id.empty();
  if (!whole && !empty) return std::nullopt;
  return result;
}

std::optional<StepResult> StepCache::Find(const std::string& key,
                                          image::ImageStore::Lease* lease) {
  std::string path = PathOf(key);
  std::optional<StepResult> result = Read(path);
  if (!result.has_value()) return std::nullopt;
  if (!result->diff_id.empty()) {
    lease->Hold(result->blob);
    lease->Hold(result->diff_id);
    if (!store_->blobs().Has(result->blob) ||
        store_->layers().Find(result->diff_id, result->diff_id).empty()) {
      return std::nullopt;
    }
  }
  Touch(path);
  return result;
}

// The time of its last use.
void StepCache::Touch(const std::string& path) const {
  timespec now = absl::ToTimespec(clock_->Now());
  timespec times[2] = {now, now};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
}

absl::Status StepCache::Put(const std::string& key, const StepResult& result) {
  RETURN_IF_ERROR(os::WriteFileDurably(
      PathOf(key),
      image::Dump(
          image::Json{{"blob", result.blob},
                      {"size", result.size},
                      {"diff_id", result.diff_id},
                      {"compression", result.zstd ? "zstd" : "gzip"},
                      {"created_ns", absl::ToUnixNanos(result.create_time)}})));
  Touch(PathOf(key));
  return absl::OkStatus();
}

int64_t StepCache::Count() const {
  int64_t count = 0;
  for (const std::string& name :
       os::ListDir(dir_).value_or(std::vector<std::string>())) {
    if (absl::EndsWith(name, ".json")) ++count;
  }
  return count;
}

absl::Status StepCache::Clear() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDir(dir_));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".json")) continue;
    const std::string path = absl::StrCat(dir_, "/", name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus("remove", path);
    }
  }
  return absl::OkStatus();
}

image::ImageStore::Roots StepCache::Prune() {
  image::ImageStore::Roots roots;
  absl::StatusOr<std::vector<std::string>> names = os::ListDir(dir_);
  if (!names.ok()) {
    LOG_WARN("cannot read the build cache", {{"error", names.status()}});
    return roots;
  }
  const absl::Time oldest = clock_->Now() - kKeep;
  for (const std::string& name : *names) {
    std::string path = absl::StrCat(dir_, "/", name);
    struct stat st;
    if (stat(path.c_str(), &st) != 0) continue;
    std::optional<StepResult> result = Read(path);
    bool old = absl::TimeFromTimespec(st.st_mtim) < oldest;
    // Others are being written.
    if (!old && !absl::EndsWith(name, ".json")) continue;
    if (old || !result.has_value()) {
      unlink(path.c_str());
      continue;
    }
    if (result->diff_id.empty()) continue;
    roots.insert(result->blob);
    roots.insert(result->diff_id);
  }
  return roots;
}

}  // namespace bulwark::engine::build
