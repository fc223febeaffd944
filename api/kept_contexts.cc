#include "api/kept_contexts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kOfferLasts = absl::Minutes(10);

using Entry = v1::ContextEntry;

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("offer build context: ", what));
}

// "" of "x", "a" of "a/x".
std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool IsClean(const std::string& path) {
  if (path.empty() || path.size() >= PATH_MAX ||
      path.find('\0') != std::string::npos) {
    return false;
  }
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

absl::Status CheckEntry(const Entry& entry) {
  if (!IsClean(entry.path())) {
    return Wrong("a path is not one inside the context");
  }
  if (!S_ISREG(entry.mode()) && !S_ISDIR(entry.mode()) &&
      !S_ISLNK(entry.mode())) {
    return Wrong("an entry is neither a file nor a folder nor a link");
  }
  if (entry.size_bytes() < 0) return Wrong("a file has less than no bytes");
  return absl::OkStatus();
}

bool Same(const Entry& a, const Entry& b) {
  return a.mode() == b.mode() && a.mtime_seconds() == b.mtime_seconds() &&
         a.size_bytes() == b.size_bytes() && a.target() == b.target() &&
         a.version() == b.version();
}

// Folders below one that is ours alone, never through a link.
class Folders {
 public:
  static absl::StatusOr<Folders> Open(const std::string& path) {
    Folders folders;
    folders.path_ = path;
    folders.root_.Reset(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folders.root_.ok()) return ErrnoStatus("open", path);
    return folders;
  }

  // Borrowed until the next call. Those that are missing are made if `make`.
  absl::StatusOr<int> Find(const std::string& folder, bool make) {
    if (folder.empty()) return root_.get();
    if (last_.ok() && folder == last_name_) return last_.get();
    UniqueFd fd;
    for (absl::string_view part : absl::StrSplit(folder, '/')) {
      const std::string name(part);
      const int above = fd.ok() ? fd.get() : root_.get();
      if (make && mkdirat(above, name.c_str(), 0755) != 0 && errno != EEXIST) {
        return ErrnoStatus("make", folder);
      }
      UniqueFd next(openat(above, name.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!next.ok()) return ErrnoStatus("open", folder);
      fd = std::move(next);
    }
    last_ = std::move(fd);
    last_name_ = folder;
    return last_.get();
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd root_;
  UniqueFd last_;
  std::string last_name_;
};

// Gives `to` the files of `from`: what one more name has is the same content,
// mode and times.
absl::Status Link(const std::vector<std::string>& files, Folders& from,
                  Folders& to) {
  for (const std::string& file : files) {
    const std::string folder = FolderOf(file);
    const std::string name = NameOf(file);
    ASSIGN_OR_RETURN(const int source, from.Find(folder, /*make=*/false));
    ASSIGN_OR_RETURN(const int target, to.Find(folder, /*make=*/true));
    if (linkat(source, name.c_str(), target, name.c_str(), 0) != 0) {
      return ErrnoStatus("link", absl::StrCat(to.path(), "/", file));
    }
  }
  return absl::OkStatus();
}

// A folder's time, which making something in it has changed.
absl::Status SetTime(const Entry& entry, Folders& folders) {
  ASSIGN_OR_RETURN(const int fd, folders.Find(entry.path(), /*make=*/true));
  const timespec times[2] = {{entry.mtime_seconds(), 0},
                             {entry.mtime_seconds(), 0}};
  if (futimens(fd, times) != 0) return ErrnoStatus("set time of", entry.path());
  return absl::OkStatus();
}

// Whether the disk has just that under the entry's path.
bool IsThere(const Entry& entry, Folders& folders) {
  const absl::StatusOr<int> folder =
      folders.Find(FolderOf(entry.path()), false);
  struct stat st;
  const std::string name = NameOf(entry.path());
  if (!folder.ok() ||
      fstatat(*folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
      (st.st_mode & S_IFMT) != (entry.mode() & S_IFMT)) {
    return false;
  }
  if (S_ISLNK(st.st_mode)) {
    char target[PATH_MAX];
    const ssize_t n = readlinkat(*folder, name.c_str(), target, sizeof(target));
    return n >= 0 && absl::string_view(target, static_cast<size_t>(n)) ==
                         absl::string_view(entry.target());
  }
  return (st.st_mode & 07777) == (entry.mode() & 07777) &&
         st.st_mtim.tv_sec == entry.mtime_seconds() &&
         (!S_ISREG(st.st_mode) || st.st_size == entry.size_bytes());
}

int64_t BytesOf(const KeptContext& context) {
  int64_t bytes = 0;
  for (const auto& [path, entry] : context.entries()) {
    bytes += entry.size_bytes();
  }
  return bytes;
}

bool IsRoomy(const std::string& path, const KeptContexts::Limits& limits) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) return false;
  const auto available = static_cast<double>(info.f_bavail);
  return available >= limits.free * static_cast<double>(info.f_blocks) ||
         available * static_cast<double>(info.f_frsize) >=
             16.0 * static_cast<double>(limits.bytes);
}

}  // namespace

absl::StatusOr<v1::OfferContextResponse> KeptContexts::Offer(
    int64_t uid, const v1::OfferContextRequest& request) {
  OfferedContext offer;
  offer.key = absl::StrCat(uid, " ", request.origin());
  for (const Entry& entry : request.entries()) {
    RETURN_IF_ERROR(CheckEntry(entry));
    if (!offer.entries.emplace(entry.path(), entry).second) {
      return Wrong(absl::StrCat("it has ", entry.path(), " twice"));
    }
  }
  v1::OfferContextResponse response;
  response.set_id(NewUid(entropy_));
  std::vector<ContextPtr> gone;
  absl::MutexLock lock(&mu_);
  const absl::Duration now = clock_.Steady();
  DropOld(now, &gone);
  if (const auto kept = kept_.find(offer.key); kept != kept_.end()) {
    kept->second.used = now;
    offer.base = kept->second.context;
  }
  bool same = offer.base != nullptr &&
              offer.base->entries().size() == offer.entries.size();
  for (int i = 0; i < request.entries_size(); ++i) {
    const Entry& entry = request.entries(i);
    const bool is_file = S_ISREG(entry.mode());
    bool known = false;
    if (offer.base != nullptr) {
      const auto before = offer.base->entries().find(entry.path());
      known = before != offer.base->entries().end() &&
              Same(before->second, entry) &&
              !(is_file && entry.version().empty());
    }
    same = same && known;
    if (!is_file) continue;
    if (known) {
      offer.known.push_back(entry.path());
    } else {
      response.add_missing(static_cast<uint32_t>(i));
    }
  }
  offer.complete = same;
  response.set_complete(same);
  if (pending_.size() >= limits_.offers) {
    const auto oldest = std::min_element(pending_.begin(), pending_.end(),
                                         [](const auto& a, const auto& b) {
                                           return a.second.made < b.second.made;
                                         });
    gone.push_back(std::move(oldest->second.offer.base));
    pending_.erase(oldest);
  }
  pending_[response.id()] = {uid, now, std::move(offer)};
  return response;
}

absl::StatusOr<OfferedContext> KeptContexts::Take(int64_t uid,
                                                  const std::string& id) {
  absl::MutexLock lock(&mu_);
  const auto it = pending_.find(id);
  if (it == pending_.end() || it->second.uid != uid) {
    return absl::AbortedError(
        "the context that was offered is not known any more: the daemon has"
        " started again, or it was too long ago; build again");
  }
  OfferedContext offer = std::move(it->second.offer);
  pending_.erase(it);
  return offer;
}

absl::StatusOr<std::shared_ptr<const KeptContext>> KeptContexts::Complete(
    OfferedContext offer, std::unique_ptr<UploadDir> dir) {
  ASSIGN_OR_RETURN(Folders to, Folders::Open(dir->path()));
  if (!offer.known.empty()) {
    ASSIGN_OR_RETURN(Folders from, Folders::Open(offer.base->path()));
    const absl::Status linked = Link(offer.known, from, to);
    if (!linked.ok()) {
      // The next build is sent all of it.
      absl::MutexLock lock(&mu_);
      kept_.erase(offer.key);
      return linked;
    }
    std::set<std::string> changed;
    for (const std::string& file : offer.known) changed.insert(FolderOf(file));
    for (const std::string& folder : changed) {
      const auto entry = offer.entries.find(folder);
      if (entry == offer.entries.end()) continue;
      RETURN_IF_ERROR(SetTime(entry->second, to));
    }
  }
  const bool as_offered =
      std::all_of(offer.entries.begin(), offer.entries.end(),
                  [&to](const auto& item) { return IsThere(item.second, to); });
  auto context = std::make_shared<const KeptContext>(std::move(dir),
                                                     std::move(offer.entries));
  // What changed while it was sent is good for one build.
  if (as_offered) Keep(offer.key, context);
  return context;
}

void KeptContexts::Keep(const std::string& key, ContextPtr context) {
  if (!IsRoomy(context->path(), limits_)) return Clear();
  const int64_t bytes = BytesOf(*context);
  const size_t entries = context->entries().size();
  std::vector<ContextPtr> gone;
  absl::MutexLock lock(&mu_);
  if (const auto before = kept_.find(key); before != kept_.end()) {
    gone.push_back(std::move(before->second.context));
    kept_.erase(before);
  }
  if (bytes > limits_.bytes || entries > limits_.entries) return;
  MakeRoom(bytes, entries, &gone);
  kept_[key] = {std::move(context), bytes, clock_.Steady()};
}

void KeptContexts::Clear() {
  std::map<std::string, Kept> gone;
  absl::MutexLock lock(&mu_);
  gone.swap(kept_);
}

void KeptContexts::DropOld(absl::Duration now, std::vector<ContextPtr>* gone) {
  for (auto it = kept_.begin(); it != kept_.end();) {
    if (now - it->second.used < limits_.idle) {
      ++it;
      continue;
    }
    gone->push_back(std::move(it->second.context));
    it = kept_.erase(it);
  }
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (now - it->second.made < kOfferLasts) {
      ++it;
      continue;
    }
    gone->push_back(std::move(it->second.offer.base));
    it = pending_.erase(it);
  }
}

void KeptContexts::MakeRoom(int64_t bytes, size_t entries,
                            std::vector<ContextPtr>* gone) {
  for (;;) {
    int64_t all_bytes = bytes;
    size_t all_entries = entries;
    for (const auto& [key, kept] : kept_) {
      all_bytes += kept.bytes;
      all_entries += kept.context->entries().size();
    }
    if (kept_.empty() ||
        (all_bytes <= limits_.bytes && all_entries <= limits_.entries)) {
      return;
    }
    const auto oldest = std::min_element(kept_.begin(), kept_.end(),
                                         [](const auto& a, const auto& b) {
                                           return a.second.used < b.second.used;
                                         });
    gone->push_back(std::move(oldest->second.context));
    kept_.erase(oldest);
  }
}

}  // namespace bulwark::api
