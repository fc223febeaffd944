#include "daemon/node/boot_report.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bulwark::daemon {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

std::string After(absl::Duration d) {
  return absl::FormatDuration(
      absl::Trunc(std::max(d, absl::ZeroDuration()), absl::Milliseconds(100)));
}

std::string KeyOf(const v1::Service& service) {
  return absl::StrCat(service.metadata().project(), "/",
                      service.metadata().name());
}

bool ShouldRun(const v1::Service& service) {
  return !service.spec().stopped() && !service.metadata().has_delete_time() &&
         (!service.spec().has_replicas() || service.spec().replicas() > 0);
}

const v1::Condition* Find(const v1::Service& service, const char* type) {
  for (const v1::Condition& c : service.status().conditions()) {
    if (c.type() == type) return &c;
  }
  return nullptr;
}

// Since when it is available, if that began after the start: what was written
// before the reboot says nothing.
std::optional<absl::Time> ReadyTime(const v1::Service& service,
                                    absl::Time start) {
  const v1::Condition* available = Find(service, "Available");
  if (available == nullptr || available->status() != v1::Condition::TRUE) {
    return std::nullopt;
  }
  const absl::Time since = ToTime(available->last_transition_time());
  if (since < start) return std::nullopt;
  return since;
}

std::string WhyNot(const v1::Service& service) {
  for (const char* type : {"ImageResolved", "DependenciesReady", "Available"}) {
    const v1::Condition* c = Find(service, type);
    if (c != nullptr && c->status() == v1::Condition::FALSE) {
      return absl::StrCat(c->reason(), ": ", c->message());
    }
  }
  return "it has not been looked at";
}

class Order {
 public:
  explicit Order(const std::vector<v1::Service>& services) {
    for (const v1::Service& s : services) {
      if (ShouldRun(s)) services_[KeyOf(s)] = &s;
    }
    for (const auto& [key, service] : services_) Place(key);
  }

  const std::vector<const v1::Service*>& services() const { return order_; }

 private:
  // After what it depends on; a cycle is cut where it is found.
  void Place(const std::string& key) {
    auto it = services_.find(key);
    if (it == services_.end() || it->second == nullptr) return;
    const v1::Service* service = std::exchange(it->second, nullptr);
    for (const v1::Dependency& d : service->spec().depends_on()) {
      Place(absl::StrCat(service->metadata().project(), "/", d.service()));
    }
    order_.push_back(service);
  }

  std::map<std::string, const v1::Service*> services_;  // null: placed
  std::vector<const v1::Service*> order_;
};

std::string Needs(const v1::Service& service) {
  std::vector<std::string> names;
  for (const v1::Dependency& d : service.spec().depends_on()) {
    names.push_back(d.service());
  }
  return names.empty()
             ? ""
             : absl::StrCat(" (after ", absl::StrJoin(names, ", "), ")");
}

}  // namespace

BootReport ReportBoot(const BootFacts& facts) {
  BootReport report;
  std::vector<std::string> lines;
  lines.push_back(
      absl::StrCat("the host booted at ",
                   absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", facts.boot_time,
                                    absl::UTCTimeZone()),
                   "; bulwarkd started ",
                   After(facts.start_time - facts.boot_time), " later"));
  const Order order(facts.services);
  for (const v1::Service* service : order.services()) {
    const std::optional<absl::Time> ready =
        ReadyTime(*service, facts.start_time);
    if (ready.has_value()) {
      lines.push_back(absl::StrCat(KeyOf(*service), " ready after ",
                                   After(*ready - facts.start_time),
                                   Needs(*service)));
    } else {
      ++report.waiting;
      lines.push_back(absl::StrCat(KeyOf(*service), " not ready after ",
                                   After(facts.now - facts.start_time),
                                   Needs(*service), ": ", WhyNot(*service)));
    }
  }
  if (lines.size() == 1) lines.push_back("no service is declared to run");
  report.done = report.waiting == 0;
  report.text = absl::StrJoin(lines, "\n");
  return report;
}

}  // namespace bulwark::daemon
