#include "engine/build/run_mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/build/copy_plan.h"
#include "engine/build/glob.h"
#include "engine/image/json.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

// Of a tmpfs that does not say; steps have no limit of memory to go by.
constexpr int64_t kTmpfsBytes = int64_t{1} << 30;
constexpr char kSecretsDirectory[] = "/run/secrets/";

bool HasPlace(const RunMount& mount) {
  return mount.type == RunMount::Type::kBind ||
         (mount.type == RunMount::Type::kCache &&
          (!mount.from.empty() || !mount.source.empty()));
}

// Whether something below `node` does not belong to the source.
absl::StatusOr<bool> HoldsIgnored(const FileTree& tree,
                                  const IgnoreList& ignored,
                                  const FileTree::Node& node) {
  ASSIGN_OR_RETURN(std::vector<FileTree::Node> children, tree.List(node));
  for (const FileTree::Node& child : children) {
    if (ignored.Ignores(child.path)) return true;
    if (!child.IsDirectory()) continue;
    ASSIGN_OR_RETURN(const bool below, HoldsIgnored(tree, ignored, child));
    if (below) return true;
  }
  return false;
}

absl::Status SetAttributes(const std::string& path, uid_t uid, gid_t gid,
                           mode_t mode) {
  if (lchown(path.c_str(), uid, gid) != 0 || chmod(path.c_str(), mode) != 0) {
    return ErrnoStatus("set owner and mode of", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsRamfs(int fd, const std::string& path) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return ErrnoStatus("look at", path);
  return info.f_type == RAMFS_MAGIC;
}

CacheSharing SharingOf(RunMount::Sharing sharing) {
  switch (sharing) {
    case RunMount::Sharing::kPrivate:
      return CacheSharing::kPrivate;
    case RunMount::Sharing::kLocked:
      return CacheSharing::kLocked;
    case RunMount::Sharing::kShared:
      break;
  }
  return CacheSharing::kShared;
}

}  // namespace

RunMounts::~RunMounts() {
  places_.clear();
  for (const std::string& path : secrets_) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) continue;
    LOG_WARN("cannot remove a secret of a build step",
             {{"error", ErrnoStatus("remove", path)}});
  }
  for (const std::string& path : temporary_) {
    absl::Status status = os::RemoveTree(path);
    if (status.ok()) continue;
    LOG_WARN("cannot remove the files of a build step",
             {{"path", path}, {"error", status}});
  }
}

absl::Status RunMounts::Resolve(const FindSource& find) {
  for (const RunMount& mount : wanted_) {
    places_.push_back(nullptr);
    if (!HasPlace(mount)) continue;
    auto place = std::make_unique<Place>();
    ASSIGN_OR_RETURN(place->source, find(mount.from));
    ASSIGN_OR_RETURN(place->tree, FileTree::Open(place->source.directories));
    const std::string path = CleanRelative(mount.source);
    absl::StatusOr<FileTree::Node> node = place->tree.Lookup(path, true);
    if (absl::IsNotFound(node.status()) ||
        (node.ok() && !path.empty() && !node->IsDirectory() &&
         place->source.ignored.Ignores(path))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--mount: \"", mount.source, "\" is not in ",
          mount.from.empty() ? "the build context"
                             : absl::StrCat("\"", mount.from, "\"")));
    }
    if (!node.ok()) return node.status();
    place->node = *std::move(node);
    places_.back() = std::move(place);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RunMounts::Key() const {
  image::Json list = image::Json::array();
  for (size_t i = 0; i < wanted_.size(); ++i) {
    const RunMount& mount = wanted_[i];
    image::Json item = {{"type", static_cast<int>(mount.type)},
                        {"id", mount.id},
                        {"target", mount.target},
                        {"source", mount.source},
                        {"from", mount.from},
                        {"env", mount.env},
                        {"ro", mount.read_only},
                        {"size", mount.size_bytes}};
    if (mount.mode.has_value()) item["mode"] = *mount.mode;
    if (mount.uid.has_value()) item["uid"] = *mount.uid;
    if (mount.gid.has_value()) item["gid"] = *mount.gid;
    const Place* place = places_[i].get();
    if (mount.type == RunMount::Type::kBind && !place->source.key.empty()) {
      item["content"] = place->source.key;
    } else if (mount.type == RunMount::Type::kBind) {
      CopyPlan plan;
      if (place->node.IsDirectory()) {
        CopyFilter filter;
        filter.ignored = place->source.ignored;
        RETURN_IF_ERROR(
            AddContents(place->tree, filter, place->node, "", &plan));
      } else {
        plan.items.push_back({&place->tree, place->node, "file", false});
      }
      ASSIGN_OR_RETURN(
          item["content"],
          HashPlan(plan, CopyAttributes(), context_->options.cache->digests(),
                   *context_->options.clock));
    }
    list.push_back(std::move(item));
  }
  return image::Dump(list);
}

absl::Status RunMounts::AddScript(const std::string& target,
                                  const std::string& text) {
  ASSIGN_OR_RETURN(std::string path,
                   context_->options.store->blobs().NewTemporaryDirectory());
  temporary_.push_back(path);
  Mount mount;
  mount.source = path + "/script";
  mount.destination = target;
  mount.read_only = true;
  RETURN_IF_ERROR(os::WriteFileDurably(mount.source, text, 0755));
  RETURN_IF_ERROR(SetAttributes(mount.source, 0, 0, 0755));
  mounts_.push_back(std::move(mount));
  return absl::OkStatus();
}

absl::Status RunMounts::Prepare(const IdRange& ids) {
  own_users_ = ids.size != 0;
  for (size_t i = 0; i < wanted_.size(); ++i) {
    RETURN_IF_ERROR_CTX(PrepareOne(wanted_[i], places_[i].get()),
                        absl::StrCat("--mount of ", wanted_[i].target.empty()
                                                        ? wanted_[i].id
                                                        : wanted_[i].target));
  }
  // What is mounted within another mount comes after it.
  std::stable_sort(mounts_.begin(), mounts_.end(),
                   [](const Mount& a, const Mount& b) {
                     return a.destination < b.destination;
                   });
  return absl::OkStatus();
}

absl::Status RunMounts::PrepareOne(const RunMount& wanted, const Place* place) {
  Mount mount;
  std::string target = wanted.target;
  if (wanted.type == RunMount::Type::kSecret && target.empty() &&
      wanted.env.empty()) {
    target = absl::StrCat(kSecretsDirectory, wanted.id);
  }
  if (!target.empty()) {
    mount.destination =
        absl::StrCat("/", CleanRelative(absl::StartsWith(target, "/")
                                            ? target
                                            : absl::StrCat(cwd_, "/", target)));
    if (mount.destination == "/") {
      return absl::InvalidArgumentError("the target cannot be \"/\"");
    }
  }
  switch (wanted.type) {
    case RunMount::Type::kBind:
      RETURN_IF_ERROR(PrepareBind(wanted, *place, &mount));
      break;
    case RunMount::Type::kCache:
      RETURN_IF_ERROR(PrepareCache(wanted, place, &mount));
      break;
    case RunMount::Type::kTmpfs:
      mount.kind = Mount::Kind::kTmpfs;
      mount.size_bytes =
          wanted.size_bytes > 0 ? wanted.size_bytes : kTmpfsBytes;
      mount.mode = wanted.mode.value_or(01777);
      break;
    case RunMount::Type::kSecret:
      RETURN_IF_ERROR(PrepareSecret(wanted, &mount));
      if (mount.source.empty()) return absl::OkStatus();
      break;
  }
  mounts_.push_back(std::move(mount));
  return absl::OkStatus();
}

absl::Status RunMounts::CopyOf(const Place& place,
                               const std::string& directory) const {
  CopyPlan plan;
  CopyFilter filter;
  filter.ignored = place.source.ignored;
  RETURN_IF_ERROR(AddContents(place.tree, filter, place.node, "", &plan));
  UniqueFd root(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", directory);
  return WritePlan(plan, CopyAttributes(), FileTree(), root.get(),
                   context_->Cancelled());
}

absl::Status RunMounts::PrepareBind(const RunMount& wanted, const Place& place,
                                    Mount* mount) {
  const FileTree::Node& node = place.node;
  mount->read_only = wanted.read_only;
  // Of one directory alone, and whole: then there is nothing to copy.
  bool as_it_is = wanted.read_only &&
                  (!node.IsDirectory() || node.below.size() == 1) &&
                  !place.source.directories.empty();
  if (as_it_is && node.IsDirectory()) {
    ASSIGN_OR_RETURN(
        const bool ignored,
        HoldsIgnored(place.tree, place.source.ignored, place.node));
    as_it_is = !ignored;
  }
  if (as_it_is) {
    mount->source = place.source.directories[node.layer];
    if (!node.path.empty()) absl::StrAppend(&mount->source, "/", node.path);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::string path,
                   context_->options.store->blobs().NewTemporaryDirectory());
  temporary_.push_back(path);
  mount->source = path + "/mount";
  const struct stat& st = node.stat;
  if (node.IsDirectory()) {
    if (mkdir(mount->source.c_str(), 0755) != 0) {
      return ErrnoStatus("make directory", mount->source);
    }
    RETURN_IF_ERROR(CopyOf(place, mount->source));
    return SetAttributes(mount->source, st.st_uid, st.st_gid,
                         st.st_mode & 07777);
  }
  CopyPlan plan;
  plan.items.push_back({&place.tree, node, "mount", false});
  UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", path);
  return WritePlan(plan, CopyAttributes(), FileTree(), root.get(),
                   context_->Cancelled());
}

absl::Status RunMounts::PrepareCache(const RunMount& wanted, const Place* place,
                                     Mount* mount) {
  if (context_->options.cache_mounts == nullptr) {
    return absl::FailedPreconditionError("there is no place for caches here");
  }
  if (place != nullptr && !place->node.IsDirectory()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", wanted.source, "\" is not a directory"));
  }
  const auto fill = [&](const std::string& directory) -> absl::Status {
    if (place != nullptr) RETURN_IF_ERROR(CopyOf(*place, directory));
    return SetAttributes(directory, wanted.uid.value_or(0),
                         wanted.gid.value_or(0), wanted.mode.value_or(0755));
  };
  ASSIGN_OR_RETURN(
      std::unique_ptr<CacheMounts::Use> use,
      context_->options.cache_mounts->Acquire(
          wanted.id, SharingOf(wanted.sharing), fill, context_->Cancelled()));
  mount->source = use->path();
  mount->read_only = wanted.read_only;
  caches_.push_back(std::move(use));
  return absl::OkStatus();
}

absl::Status RunMounts::PrepareSecret(const RunMount& wanted, Mount* mount) {
  auto it = context_->request.secrets.find(wanted.id);
  if (it == context_->request.secrets.end()) {
    if (!wanted.required) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("the secret \"", wanted.id,
                     "\" is required, but was not given; give"
                     " it with --secret id=",
                     wanted.id, ",src=FILE"));
  }
  const SecretText& value = it->second;
  if (!wanted.env.empty()) {
    env_.push_back(absl::StrCat(wanted.env, "=", value.Reveal()));
  }
  if (mount->destination.empty()) return absl::OkStatus();
  if (context_->options.memory_dir.empty()) {
    return absl::FailedPreconditionError(
        "there is no folder in memory for secrets here; the daemon's log says"
        " why");
  }
  const std::string path = absl::StrCat(context_->options.memory_dir, "/",
                                        NewUid(*context_->options.entropy));
  UniqueFd fd(open(path.c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("create", path);
  secrets_.push_back(path);
  RETURN_IF_ERROR(os::WriteAll(fd.get(), value.Reveal(), path));
  if (fchown(fd.get(), wanted.uid.value_or(0), wanted.gid.value_or(0)) != 0 ||
      fchmod(fd.get(), wanted.mode.value_or(0400)) != 0) {
    return ErrnoStatus("set owner and mode of", path);
  }
  mount->source = path;
  mount->read_only = true;
  if (!own_users_) return absl::OkStatus();
  // The ids of a ramfs cannot be mapped: there the step's user gets the file,
  // whatever the mount says.
  ASSIGN_OR_RETURN(mount->owned_by_user, IsRamfs(fd.get(), path));
  return absl::OkStatus();
}

}  // namespace bulwark::engine::build
