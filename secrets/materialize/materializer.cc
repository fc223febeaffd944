#include "secrets/materialize/materializer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "os/files.h"
#include "secrets/delivery_order.h"
#include "secrets/materialize/file_set.h"
#include "secrets/materialize/memory_mount.h"

namespace bulwark::secrets {
namespace {

constexpr int64_t kMaxNote = 64 << 10;

}  // namespace

absl::Status Materializer::Open(bool tmpfs) {
  return EnsureMemoryMount(directory_, tmpfs);
}

absl::Status Materializer::Teardown(const std::string& directory) {
  return RemoveMemoryMount(directory);
}

absl::StatusOr<SecretBytes> Materializer::ContentOf(const DeliveredFile& file) {
  if (file.binding.has_value()) return vault_.Open(*file.binding, file.rows);
  SecretBytes content(file.content.size());
  if (!file.content.empty()) {
    std::memcpy(content.data(), file.content.data(), file.content.size());
  }
  return content;
}

absl::StatusOr<std::vector<DeliveredMount>> Materializer::Deliver(
    const DeliveryOrder& order) {
  RETURN_IF_ERROR(CheckOrder(order));
  // All are opened before anything is written.
  std::map<std::string, std::vector<PlainFile>> sets;  // by folder
  std::map<std::string, PlainFile> singles;            // by path
  for (const DeliveredFile& file : order.files) {
    ASSIGN_OR_RETURN(SecretBytes content, ContentOf(file));
    PlainFile plain{BaseName(file.path), file.mode, std::move(content)};
    if (IsSwappable(file.path)) {
      sets[FolderOf(file.path)].push_back(std::move(plain));
    } else {
      singles.emplace(file.path, std::move(plain));
    }
  }
  if (order.before_write != nullptr) RETURN_IF_ERROR(order.before_write());
  const std::string root = absl::StrCat(directory_, "/", order.container_id);
  if (mkdir(root.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus("make", root);
  }
  std::vector<DeliveredMount> mounts;
  for (const auto& [folder, files] : sets) {
    const std::string source = absl::StrCat(root, "/", BaseName(folder));
    RETURN_IF_ERROR(WriteFileSet(source, files));
    mounts.push_back({source, folder});
  }
  int number = 0;
  for (const auto& [path, file] : singles) {
    const std::string source = absl::StrCat(root, "/file-", ++number);
    RETURN_IF_ERROR(WriteSingleFile(source, file));
    mounts.push_back({source, path});
  }
  return mounts;
}

std::string Materializer::NoteOf(absl::string_view container_id) {
  if (!IsContainerId(container_id)) return "";
  return os::ReadFile(absl::StrCat(directory_, "/", container_id, "/note"),
                      kMaxNote)
      .value_or("");
}

absl::Status Materializer::SetNote(absl::string_view container_id,
                                   absl::string_view note) {
  RETURN_IF_ERROR(CheckContainerId(container_id));
  return os::WriteFileDurably(
      absl::StrCat(directory_, "/", container_id, "/note"), note);
}

absl::Status Materializer::Withdraw(absl::string_view container_id) {
  RETURN_IF_ERROR(CheckContainerId(container_id));
  return os::RemoveTree(absl::StrCat(directory_, "/", container_id));
}

std::vector<std::string> Materializer::List() {
  absl::StatusOr<std::vector<std::string>> names = os::ListDir(directory_);
  if (!names.ok()) {
    LOG_ERROR("cannot list delivered files", {{"error", names.status()}});
    return {};
  }
  return *std::move(names);
}

}  // namespace bulwark::secrets
