// LocalEngine's ContainerFiles.
#include "os/files.h"

#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/image/tar_reader.h"
#include "engine/image/tree_writer.h"
#include "engine/local/local_engine.h"
#include "engine/local/overlay_view.h"
#include "engine/local/tree_tar.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr int64_t kMaxMap = 1 << 20;
constexpr int64_t kMaxEntries = 2'000'000;

absl::Status Describe(const absl::Status& status, absl::string_view verb,
                      absl::string_view id, const std::string& path) {
  if (status.ok()) return status;
  return Annotate(status, absl::StrCat(verb, " ", path, " of container ", id));
}

// What comes out of a TarSource, as libarchive wants it.
class PieceSource final : public image::ByteSource {
 public:
  explicit PieceSource(const TarSource& source) : source_(source) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    if (at_ == piece_.size() && !ended_) {
      ASSIGN_OR_RETURN(piece_, source_());
      at_ = 0;
      ended_ = piece_.empty();
      bytes_ += static_cast<int64_t>(piece_.size());
    }
    const size_t n = std::min(size, piece_.size() - at_);
    std::memcpy(buffer, piece_.data() + at_, n);
    at_ += n;
    return n;
  }

  int64_t bytes() const { return bytes_; }

 private:
  const TarSource& source_;
  std::string piece_;
  size_t at_ = 0;
  bool ended_ = false;
  int64_t bytes_ = 0;
};

// Runs `work` as the container's root where that is not the host's: only it can
// make files on mounts that are mapped for the container. It keeps our
// capabilities. On a thread of its own, which takes that along when it ends.
absl::Status AsOwner(uint32_t uid, uint32_t gid,
                     const std::function<absl::Status()>& work) {
  if (uid == 0 && gid == 0) return work();
  absl::Status status;
  std::thread([&] {
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0) {
      status = ErrnoStatus("keep", "capabilities");
      return;
    }
    syscall(SYS_setfsgid, gid);
    syscall(SYS_setfsuid, uid);
    status = work();
  }).join();
  return status;
}

// A file must not take the place of a folder, nor the other way round.
absl::Status CheckKind(int folder, const image::TarEntry& entry) {
  const absl::StatusOr<UniqueFd> there =
      os::OpenInRoot(folder, entry.path, O_PATH | O_NOFOLLOW);
  struct stat st;
  if (!there.ok() || fstat(there->get(), &st) != 0) return absl::OkStatus();
  const bool is_folder = entry.type == image::TarEntry::Type::kDirectory;
  if (S_ISDIR(st.st_mode) && !is_folder) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", entry.path, "\" is a folder there, and a file here"));
  }
  return absl::OkStatus();
}

absl::Status Unpack(int folder, image::TarReader& reader,
                    const std::vector<IdExtent>& uids,
                    const std::vector<IdExtent>& gids, bool keep_ids) {
  image::TreeWriter::Options options;
  options.whiteouts = false;
  image::TreeWriter writer(folder, options);
  image::TarEntry entry;
  for (int64_t entries = 0;; ++entries) {
    ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) return writer.Finish();
    if (entries >= kMaxEntries) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kMaxEntries, " entries"));
    }
    const uint32_t uid = keep_ids ? static_cast<uint32_t>(entry.uid) : 0;
    const uint32_t gid = keep_ids ? static_cast<uint32_t>(entry.gid) : 0;
    entry.uid = uids.empty() ? uid : ToOutside(uids, uid);
    entry.gid = gids.empty() ? gid : ToOutside(gids, gid);
    RETURN_IF_ERROR(CheckKind(folder, entry));
    RETURN_IF_ERROR(writer.Apply(entry, &reader));
  }
}

}  // namespace

absl::StatusOr<LocalEngine::Inside> LocalEngine::Enter(absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  ASSIGN_OR_RETURN(const UniqueFd init, InitOf(container));
  int pid = 0;
  {
    absl::MutexLock lock(&container->mu);
    pid = container->info.pid;
  }
  const std::string base = absl::StrCat("/proc/", pid);
  Inside inside;
  inside.root.Reset(
      open((base + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const int error = errno;
  inside.uids =
      ParseIdMap(os::ReadFile(base + "/uid_map", kMaxMap).value_or(""));
  inside.gids =
      ParseIdMap(os::ReadFile(base + "/gid_map", kMaxMap).value_or(""));
  // What we opened under its number was its own.
  if (!os::SendSignal(init.get(), 0).ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("reach files of container ", id, ": it has exited"));
  }
  if (!inside.root.ok()) {
    return ErrnoStatus(error, "open root of container", id);
  }
  const absl::StatusOr<ProcessRecord> process =
      ReadProcess(launcher_->Dirs(id));
  if (process.ok()) inside.cwd = process->cwd;
  return inside;
}

std::string LocalEngine::UpperOf(const ContainerRecord& record) const {
  return record.upper_dir.empty() ? launcher_->Dirs(record.id).state + "/upper"
                                  : record.upper_dir;
}

absl::StatusOr<LocalEngine::Inside> LocalEngine::EnterAny(
    absl::string_view id) {
  absl::StatusOr<Inside> running = Enter(id);
  if (!absl::IsFailedPrecondition(running.status())) return running;
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  Inside inside;
  // On the disk, files have the owners that the container sees.
  ASSIGN_OR_RETURN(inside.root, MountLayers(UpperOf(container->record),
                                            container->record.layers));
  return inside;
}

absl::Status LocalEngine::Export(absl::string_view id, const TarSink& sink) {
  ASSIGN_OR_RETURN(const Inside inside, EnterAny(id));
  TreeTarOptions options;
  options.uids = inside.uids;
  options.gids = inside.gids;
  options.one_mount = true;
  return Describe(WriteTreeTar(inside.root.get(), "", options, sink), "export",
                  id, "/");
}

absl::StatusOr<std::string> LocalEngine::WritableLayer(absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  return UpperOf(container->record);
}

absl::StatusOr<std::vector<FileChange>> LocalEngine::Diff(
    absl::string_view id) {
  ASSIGN_OR_RETURN(const ContainerPtr container, Find(id));
  absl::StatusOr<std::vector<FileChange>> changes =
      DiffLayers(UpperOf(container->record), container->record.layers);
  if (!changes.ok()) return Describe(changes.status(), "compare", id, "/");
  return changes;
}

absl::Status LocalEngine::CopyFrom(absl::string_view id,
                                   const std::string& path, bool follow_link,
                                   const TarSink& sink) {
  ASSIGN_OR_RETURN(const Inside inside, EnterAny(id));
  std::string full =
      path.empty() || path[0] != '/' ? inside.cwd + "/" + path : path;
  while (full.size() > 1 && full.back() == '/') full.pop_back();
  const size_t slash = full.rfind('/');
  std::string name = full.substr(slash + 1);
  const bool is_itself = name.empty() || name == "." || name == "..";
  // The last part is resolved with the rest only if a link is to be followed.
  absl::StatusOr<UniqueFd> found =
      os::OpenInRoot(inside.root.get(), full,
                     O_PATH | (follow_link || is_itself ? 0 : O_NOFOLLOW));
  if (!found.ok()) return Describe(found.status(), "copy", id, path);
  if (IsKernelFs(found->get())) {
    return absl::FailedPreconditionError(
        absl::StrCat("copy ", path, " of container ", id,
                     ": it belongs to the kernel, not to the container"));
  }
  TreeTarOptions options;
  options.uids = inside.uids;
  options.gids = inside.gids;
  return Describe(
      WriteTreeTar(found->get(), is_itself ? "" : name, options, sink), "copy",
      id, path);
}

absl::StatusOr<int64_t> LocalEngine::CopyTo(absl::string_view id,
                                            const std::string& path,
                                            bool keep_ids,
                                            const TarSource& source) {
  ASSIGN_OR_RETURN(const Inside inside, Enter(id));
  const std::string full =
      path.empty() || path[0] != '/' ? inside.cwd + "/" + path : path;
  const absl::StatusOr<UniqueFd> folder =
      os::OpenInRoot(inside.root.get(), full, O_RDONLY | O_DIRECTORY);
  if (!folder.ok()) return Describe(folder.status(), "copy to", id, path);
  if (IsKernelFs(folder->get())) {
    return absl::FailedPreconditionError(
        absl::StrCat("copy to ", path, " of container ", id,
                     ": it belongs to the kernel, not to the container"));
  }
  PieceSource pieces(source);
  image::TarReader reader(&pieces);
  const absl::Status status =
      AsOwner(ToOutside(inside.uids, 0), ToOutside(inside.gids, 0), [&] {
        return Unpack(folder->get(), reader, inside.uids, inside.gids,
                      keep_ids);
      });
  if (!status.ok()) return Describe(status, "copy to", id, path);
  return pieces.bytes();
}

}  // namespace bulwark::engine
