#include "engine/image/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/byte_source.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

absl::Status Changed(absl::string_view digest, absl::string_view got) {
  return absl::DataLossError(
      absl::StrCat("read blob ", digest, ": it changed on disk, got ", got));
}

}  // namespace

Ingest::Ingest(BlobStore* store, std::string path, UniqueFd fd)
    : store_(store),
      path_(std::move(path)),
      fd_(std::move(fd)),
      hash_(std::make_unique<Sha256>()) {}

Ingest::~Ingest() {
  if (!path_.empty()) unlink(path_.c_str());
}

absl::Status Ingest::Write(absl::string_view data) {
  CHECK(digest_.empty());
  RETURN_IF_ERROR(os::WriteAll(fd_.get(), data, path_));
  hash_->Update(data);
  size_ += data.size();
  return absl::OkStatus();
}

absl::Status Ingest::WriteAt(int64_t offset, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = pwrite(fd_.get(), data.data(), data.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("write", path_);
    data.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return absl::OkStatus();
}

absl::Status Ingest::Advance(int64_t end) {
  CHECK(digest_.empty());
  std::vector<char> buffer(256 << 10);
  while (size_ < end) {
    const size_t wanted =
        std::min<int64_t>(static_cast<int64_t>(buffer.size()), end - size_);
    const ssize_t n = pread(fd_.get(), buffer.data(), wanted, size_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", path_);
    if (n == 0) {
      return absl::InternalError(
          absl::StrCat("read ", path_, ": it ends before ", end));
    }
    hash_->Update(absl::string_view(buffer.data(), static_cast<size_t>(n)));
    size_ += n;
  }
  if (lseek(fd_.get(), size_, SEEK_SET) < 0) return ErrnoStatus("seek", path_);
  return absl::OkStatus();
}

absl::Status Ingest::Restart() {
  CHECK(digest_.empty());
  if (ftruncate(fd_.get(), 0) != 0 || lseek(fd_.get(), 0, SEEK_SET) != 0) {
    return ErrnoStatus("truncate", path_);
  }
  hash_ = std::make_unique<Sha256>();
  size_ = 0;
  return absl::OkStatus();
}

const std::string& Ingest::Finish() {
  if (digest_.empty()) {
    digest_ = hash_->Digest();
    fd_.Reset();
  }
  return digest_;
}

absl::Status Ingest::Commit(absl::string_view expected) {
  const std::string& digest = Finish();
  if (!expected.empty() && digest != expected) {
    return absl::DataLossError(absl::StrCat("content does not match: expected ",
                                            expected, ", got ", digest));
  }
  UniqueFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path_);
  if (fsync(fd.get()) != 0) return ErrnoStatus("flush", path_);
  std::string target = store_->PathOf(digest);
  if (rename(path_.c_str(), target.c_str()) != 0) {
    return ErrnoStatus("rename to", target);
  }
  path_.clear();
  return os::SyncDir(store_->blob_dir_);
}

BlobStore::BlobStore(std::string state_dir)
    : state_dir_(std::move(state_dir)),
      blob_dir_(absl::StrCat(state_dir_, "/blobs/sha256")) {}

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(
    const std::string& state_dir) {
  auto store = absl::WrapUnique(new BlobStore(state_dir));
  RETURN_IF_ERROR(os::MakeDirs(store->blob_dir_, 0700));
  std::string ingest = absl::StrCat(state_dir, "/ingest");
  RETURN_IF_ERROR(os::MakeDirs(ingest, 0700));
  RETURN_IF_ERROR(os::SyncDir(state_dir));
  RETURN_IF_ERROR(os::SyncDir(absl::StrCat(state_dir, "/blobs")));
  ASSIGN_OR_RETURN(std::vector<std::string> leftovers, os::ListDir(ingest));
  for (const std::string& name : leftovers) {
    absl::Status status = os::RemoveTree(absl::StrCat(ingest, "/", name));
    if (!status.ok()) {
      LOG_WARN("cannot remove what an interrupted operation left",
               {{"name", name}, {"error", status}});
    }
  }
  return store;
}

absl::StatusOr<std::unique_ptr<Ingest>> BlobStore::NewIngest() {
  for (;;) {
    std::string path = NextTemporaryPath();
    UniqueFd fd(
        open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd.ok()) {
      return absl::WrapUnique(new Ingest(this, std::move(path), std::move(fd)));
    }
    if (errno != EEXIST) return ErrnoStatus("create", path);
  }
}

absl::StatusOr<std::string> BlobStore::Put(absl::string_view data) {
  std::string digest = DigestOf(data);
  if (Has(digest)) return digest;
  ASSIGN_OR_RETURN(std::unique_ptr<Ingest> ingest, NewIngest());
  RETURN_IF_ERROR(ingest->Write(data));
  RETURN_IF_ERROR(ingest->Commit(digest));
  return digest;
}

bool BlobStore::Has(absl::string_view digest) const {
  struct stat st;
  return IsDigest(digest) && stat(PathOf(digest).c_str(), &st) == 0;
}

absl::StatusOr<UniqueFd> BlobStore::Read(absl::string_view digest) const {
  std::string path = PathOf(digest);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open blob", path);
  return fd;
}

absl::StatusOr<int64_t> BlobStore::Size(absl::string_view digest) const {
  struct stat st;
  std::string path = PathOf(digest);
  if (stat(path.c_str(), &st) != 0) return ErrnoStatus("stat blob", path);
  return st.st_size;
}

absl::StatusOr<std::string> BlobStore::ReadAll(absl::string_view digest,
                                               int64_t max_bytes) const {
  ASSIGN_OR_RETURN(UniqueFd fd, Read(digest));
  ASSIGN_OR_RETURN(std::string data, os::ReadFd(fd.get(), digest, max_bytes));
  std::string got = DigestOf(data);
  if (got == digest) return data;
  RETURN_IF_ERROR(Remove(digest));
  return Changed(digest, got);
}

std::vector<std::string> BlobStore::List() const {
  std::vector<std::string> result;
  absl::StatusOr<std::vector<std::string>> names = os::ListDir(blob_dir_);
  if (!names.ok()) return result;
  for (const std::string& name : *names) {
    std::string digest = absl::StrCat("sha256:", name);
    if (IsDigest(digest)) result.push_back(std::move(digest));
  }
  return result;
}

absl::StatusOr<std::string> BlobStore::Rehash(
    absl::string_view digest,
    const std::function<bool(int64_t)>& on_bytes) const {
  ASSIGN_OR_RETURN(UniqueFd fd, Read(digest));
  FdSource source(fd.get());
  Sha256 hash;
  std::vector<char> buffer(256 << 10);
  for (;;) {
    ASSIGN_OR_RETURN(size_t n, source.Read(buffer.data(), buffer.size()));
    if (n == 0) return hash.Digest();
    hash.Update(absl::string_view(buffer.data(), n));
    if (on_bytes != nullptr && !on_bytes(static_cast<int64_t>(n))) {
      return absl::CancelledError("cancelled");
    }
  }
}

absl::Status BlobStore::Verify(absl::string_view digest) const {
  ASSIGN_OR_RETURN(const std::string got, Rehash(digest, nullptr));
  if (got == digest) return absl::OkStatus();
  RETURN_IF_ERROR(Remove(digest));
  return Changed(digest, got);
}

absl::StatusOr<std::string> BlobStore::SetAside(absl::string_view digest) {
  std::string aside = NextTemporaryPath();
  const std::string path = PathOf(digest);
  if (rename(path.c_str(), aside.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("move aside blob", path);
  }
  return aside;
}

absl::Status BlobStore::EndAside(const std::string& path,
                                 absl::string_view digest) const {
  const std::string target = PathOf(digest);
  const int result =
      Has(digest) ? unlink(path.c_str()) : rename(path.c_str(), target.c_str());
  if (result != 0 && errno != ENOENT) return ErrnoStatus("move back", target);
  return absl::OkStatus();
}

absl::Status BlobStore::Remove(absl::string_view digest) const {
  std::string path = PathOf(digest);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove blob", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BlobStore::NewTemporaryDirectory() {
  for (;;) {
    std::string path = NextTemporaryPath();
    if (mkdir(path.c_str(), 0700) == 0) return path;
    // What could not be removed at the start may have the name.
    if (errno != EEXIST) return ErrnoStatus("make directory", path);
  }
}

std::string BlobStore::NextTemporaryPath() {
  return absl::StrCat(state_dir_, "/ingest/", getpid(), "-",
                      counter_.fetch_add(1));
}

std::string BlobStore::PathOf(absl::string_view digest) const {
  return absl::StrCat(blob_dir_, "/", HexOf(digest));
}

}  // namespace bulwark::engine::image
