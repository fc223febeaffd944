#include "engine/oci/state.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/json.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxId = 1024;
constexpr absl::string_view kPunctuation = "+_.-";
constexpr absl::string_view kState = "state.json";
constexpr absl::string_view kStaged = "state.json.new";
constexpr absl::string_view kBegun = "begun.json";
constexpr absl::string_view kConfig = "config.json";
constexpr int64_t kMaxState = 1 << 20;
constexpr int64_t kMaxConfig = 16 << 20;

absl::Status DoesNotExist(absl::string_view id) {
  return absl::NotFoundError(
      absl::StrCat("container \"", id, "\" does not exist"));
}

Json ToJson(const std::map<std::string, std::string>& map) {
  Json json = Json::object();
  for (const auto& [key, value] : map) json[key] = value;
  return json;
}

std::string Replace(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus("rename", from);
  return absl::OkStatus();
}

// Whether the process has ended, as its parent may not have noticed yet.
bool HasEnded(const os::ProcessRef& init) {
  const absl::StatusOr<UniqueFd> pidfd = os::OpenPidfd(init);
  return !pidfd.ok() || os::AwaitEnd(pidfd->get(), absl::ZeroDuration());
}

}  // namespace

const char* StatusName(Status status) {
  switch (status) {
    case Status::kCreating:
      return "creating";
    case Status::kCreated:
      return "created";
    case Status::kRunning:
      return "running";
    case Status::kPaused:
      return "paused";
    case Status::kStopped:
      return "stopped";
  }
  return "";
}

std::string StateJson(const State& state, Status status) {
  Json json = {{"ociVersion", state.version},
               {"id", state.id},
               {"status", StatusName(status)},
               {"bundle", state.bundle},
               {"rootfs", state.rootfs},
               {"created", state.created},
               {"owner", ""}};
  json["pid"] = status == Status::kStopped ? 0 : state.init.pid;
  if (!state.annotations.empty()) {
    json["annotations"] = ToJson(state.annotations);
  }
  return Replace(json);
}

Store::Store(std::string root, std::string id)
    : root_(std::move(root)),
      id_(std::move(id)),
      directory_(absl::StrCat(root_, "/", id_)) {}

absl::Status Store::CheckId(absl::string_view id) {
  bool good = !id.empty() && id.size() <= kMaxId && id != "." && id != "..";
  for (const char c : id) {
    good = good && (absl::ascii_isalnum(c) ||
                    kPunctuation.find(c) != kPunctuation.npos);
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", id.substr(0, 80),
                   "\" is no container id: letters, digits and \"+_.-\" are"));
}

std::string Store::Path(absl::string_view name) const {
  return absl::StrCat(directory_, "/", name);
}

absl::Status Store::Create() {
  RETURN_IF_ERROR(CheckId(id_));
  RETURN_IF_ERROR(os::MakeDirs(root_, 0711));
  if (mkdir(directory_.c_str(), 0700) != 0) {
    if (errno == EEXIST) {
      return absl::AlreadyExistsError(
          absl::StrCat("container \"", id_, "\" exists already"));
    }
    return ErrnoStatus("make", directory_);
  }
  const absl::Status locked = Lock();
  if (!locked.ok()) rmdir(directory_.c_str());
  return locked;
}

absl::Status Store::Lock() {
  RETURN_IF_ERROR(CheckId(id_));
  for (;;) {
    UniqueFd fd(open(directory_.c_str(),
                     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.ok()) {
      if (errno == ENOENT) return DoesNotExist(id_);
      return ErrnoStatus("open", directory_);
    }
    if (flock(fd.get(), LOCK_EX) != 0) return ErrnoStatus("lock", directory_);
    // Who had it may have removed the directory, and another one made it again.
    struct stat ours, there;
    if (fstat(fd.get(), &ours) == 0 && stat(directory_.c_str(), &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
      lock_ = std::move(fd);
      return absl::OkStatus();
    }
  }
}

absl::StatusOr<State> Store::Read() const {
  RETURN_IF_ERROR(CheckId(id_));
  std::string path = Path(kState);
  absl::StatusOr<std::string> text = os::ReadFile(path, kMaxState);
  if (absl::IsNotFound(text.status())) {
    path = Path(kBegun);
    text = os::ReadFile(path, kMaxState);
  }
  if (!text.ok()) {
    if (!absl::IsNotFound(text.status())) return text.status();
    if (access(directory_.c_str(), F_OK) != 0) return DoesNotExist(id_);
    // Its creator died before it wrote anything that has to be undone, or is
    // about to write it.
    State state;
    state.id = id_;
    return state;
  }
  ASSIGN_OR_RETURN(const Json json, image::ParseObject(*text, path));
  State state;
  state.id = image::StringField(json, "id");
  state.version = image::StringField(json, "ociVersion");
  state.bundle = image::StringField(json, "bundle");
  state.rootfs = image::StringField(json, "rootfs");
  state.boot_id = image::StringField(json, "bootId");
  state.created = image::StringField(json, "created");
  state.init.pid = static_cast<int>(image::IntField(json, "pid"));
  state.init.start_ticks =
      static_cast<uint64_t>(image::IntField(json, "startTicks"));
  state.namespaces = static_cast<uint64_t>(image::IntField(json, "namespaces"));
  state.terminal = image::IntField(json, "terminal") != 0;
  state.systemd_cgroup = image::IntField(json, "systemdCgroup") != 0;
  state.listener_address =
      static_cast<uint64_t>(image::IntField(json, "listenerAddress"));
  state.annotations = image::StringMap(json, "annotations");
  if (const Json* cgroup = image::Find(json, "cgroup"); cgroup != nullptr) {
    state.cgroup.path = image::StringField(*cgroup, "path");
    state.cgroup.unified = image::StringField(*cgroup, "unified");
    state.cgroup.scope = image::StringField(*cgroup, "scope");
    state.cgroup.v1 = image::StringMap(*cgroup, "v1");
  }
  const bool begun = path != Path(kState);
  // A scope that systemd has started for us is ours.
  if (begun && state.cgroup.scope.empty() &&
      access(Path(kConfig).c_str(), F_OK) != 0) {
    state.intended = std::exchange(state.cgroup, {});
  }
  if (state.id != id_) {
    return absl::DataLossError(
        absl::StrCat("read ", path, ": it is of another one"));
  }
  return state;
}

absl::Status Store::Begin(const State& state) const {
  RETURN_IF_ERROR(Stage(state));
  return Rename(Path(kStaged), Path(kBegun));
}

absl::Status Store::Write(const State& state) const {
  RETURN_IF_ERROR(Stage(state));
  return Publish();
}

absl::Status Store::Stage(const State& state) const {
  const Json json = {{"id", state.id},
                     {"ociVersion", state.version},
                     {"bundle", state.bundle},
                     {"rootfs", state.rootfs},
                     {"bootId", state.boot_id},
                     {"created", state.created},
                     {"pid", state.init.pid},
                     {"startTicks", state.init.start_ticks},
                     {"namespaces", state.namespaces},
                     {"terminal", state.terminal ? 1 : 0},
                     {"systemdCgroup", state.systemd_cgroup ? 1 : 0},
                     {"listenerAddress", state.listener_address},
                     {"annotations", ToJson(state.annotations)},
                     {"cgroup",
                      {{"path", state.cgroup.path},
                       {"unified", state.cgroup.unified},
                       {"scope", state.cgroup.scope},
                       {"v1", ToJson(state.cgroup.v1)}}}};
  const std::string path = Path(kStaged);
  UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("create", path);
  return os::WriteAll(fd.get(), Replace(json), path);
}

absl::Status Store::Publish() const {
  return Rename(Path(kStaged), Path(kState));
}

absl::Status Store::WriteConfig(absl::string_view config) const {
  const std::string path = Path(kConfig);
  UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("create", path);
  return os::WriteAll(fd.get(), config, path);
}

absl::StatusOr<std::string> Store::ReadConfig() const {
  return os::ReadFile(Path(kConfig), kMaxConfig);
}

absl::Status Store::MakeStart() const {
  if (mkfifo(Path("start").c_str(), 0600) != 0) {
    return ErrnoStatus("make", Path("start"));
  }
  const UniqueFd error(open(Path("error").c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!error.ok()) return ErrnoStatus("create", Path("error"));
  return absl::OkStatus();
}

absl::Status Store::Remove() { return os::RemoveTree(directory_); }

Status Store::StatusOf(const State& state) const {
  if (state.init.pid == 0) {
    // Whoever makes it holds the lock; without it, its maker died.
    const UniqueFd fd(
        open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const bool ours = lock_.ok();
    if (!ours && fd.ok() && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return Status::kCreating;
    }
    return Status::kStopped;
  }
  const absl::StatusOr<std::string> boot_id = os::BootId();
  if (!boot_id.ok() || *boot_id != state.boot_id || HasEnded(state.init)) {
    return Status::kStopped;
  }
  // As runc has it: also before its program was started.
  if (IsCgroupFrozen(state.cgroup)) return Status::kPaused;
  return access(Path("start").c_str(), F_OK) == 0 ? Status::kCreated
                                                  : Status::kRunning;
}

absl::StatusOr<std::vector<std::string>> ListContainers(
    const std::string& root) {
  if (access(root.c_str(), F_OK) != 0) return std::vector<std::string>();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDir(root));
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    struct stat st;
    if (Store::CheckId(name).ok() &&
        stat(absl::StrCat(root, "/", name).c_str(), &st) == 0 &&
        S_ISDIR(st.st_mode)) {
      ids.push_back(name);
    }
  }
  return ids;
}

}  // namespace bulwark::engine::oci
