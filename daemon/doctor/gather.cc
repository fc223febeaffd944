#include "daemon/doctor/gather.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "os/files.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::daemon {
namespace {

constexpr int64_t kMaxFile = int64_t{16} << 20;

absl::Time NewestEvent(store::MetadataStore& store) {
  absl::Time newest = absl::InfinitePast();
  const auto events = store::ListReadable(store, "event");
  if (!events.ok()) return newest;
  for (const v1::Object& object : events->objects) {
    newest = std::max(
        newest, absl::FromUnixSeconds(object.event().last_time().seconds()));
  }
  return newest;
}

}  // namespace

void GatherRecords(store::MetadataStore& store, HostFacts& facts) {
  for (const std::string& kind : store::AllKinds()) {
    const auto listing = store::ListReadable(store, kind);
    if (!listing.ok()) continue;
    for (const store::Unreadable& bad : listing->unreadable) {
      facts.unreadable_records.push_back(bad.record.key.ToString());
    }
  }
}

std::string SmallFile(const std::string& path) {
  absl::StatusOr<std::string> text = os::ReadFile(path, kMaxFile);
  return text.ok() ? *std::move(text) : "";
}

int64_t NumberIn(const std::string& path) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(SmallFile(path)), &number)) {
    return 0;
  }
  return number;
}

HostFacts Gather(const Config& config, store::MetadataStore& store,
                 Clock& clock) {
  HostFacts facts;
  facts.now = clock.Now();
  GatherKernel(config, facts);
  GatherNetwork(config, store, facts);
  GatherHost(config, facts);
  GatherDaemon(config, facts);
  GatherRecords(store, facts);
  facts.newest_record = NewestEvent(store);
  const auto secrets = store::ListReadable(store, "secret");
  if (secrets.ok()) {
    facts.secrets = static_cast<int64_t>(secrets->objects.size());
  }
  return facts;
}

}  // namespace bulwark::daemon
