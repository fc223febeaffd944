#include "ctl/offer.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace bulwark::ctl {
namespace {

// Of a message, far below what the daemon takes: some 50,000 files.
constexpr size_t kMostBytes = 8 << 20;
// The coarsest file system (FAT) counts in steps of two seconds.
constexpr absl::Duration kYoung = absl::Seconds(3);

}  // namespace

v1::ContextEntry EntryOf(const TarFolder::Listed& listed, absl::Time now) {
  const struct stat& info = listed.info;
  v1::ContextEntry entry;
  entry.set_path(listed.name);
  entry.set_mode(info.st_mode);
  entry.set_mtime_seconds(std::max<int64_t>(0, info.st_mtim.tv_sec));
  entry.set_target(listed.target);
  if (!S_ISREG(info.st_mode)) return entry;
  entry.set_size_bytes(info.st_size);
  const absl::Time changed = absl::TimeFromTimespec(info.st_ctim);
  if (changed > now - kYoung) return entry;
  // The time of change is the kernel's own: unlike that of modification, nobody
  // sets it back.
  entry.set_version(absl::StrCat(
      info.st_dev, " ", info.st_ino, " ", absl::ToUnixNanos(changed), " ",
      absl::ToUnixNanos(absl::TimeFromTimespec(info.st_mtim))));
  return entry;
}

std::optional<Offer> OfferFolder(Context& context, const std::string& origin,
                                 TarFolder& tar) {
  v1::OfferContextRequest request;
  request.set_origin(origin);
  const absl::Time now = context.clock.Now();
  // Reading it for the archive says what is wrong.
  const absl::StatusOr<std::vector<TarFolder::Listed>> all = tar.ListAll();
  if (!all.ok()) return std::nullopt;
  size_t bytes = 0;
  for (const TarFolder::Listed& listed : *all) {
    *request.add_entries() = EntryOf(listed, now);
    bytes += request.entries(request.entries_size() - 1).ByteSizeLong();
    if (bytes > kMostBytes) return std::nullopt;
  }
  const absl::StatusOr<v1::OfferContextResponse> response =
      context.client().OfferContext(request);
  if (!response.ok()) return std::nullopt;
  std::set<std::string> known;
  for (const v1::ContextEntry& entry : request.entries()) {
    if (S_ISREG(entry.mode())) known.insert(entry.path());
  }
  for (const uint32_t index : response->missing()) {
    if (index < all->size()) known.erase((*all)[index].name);
  }
  tar.Skip(std::move(known));
  return Offer{absl::StrCat("offered:", response->id()), response->complete()};
}

}  // namespace bulwark::ctl
