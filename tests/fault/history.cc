#include "tests/fault/history.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace bulwark::fault {
namespace {

constexpr int kServices = 6;
constexpr int kThreads = 2;
constexpr int kMaxReplicas = 4;
constexpr int kFirstSeconds = 7310000;
constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kSettle = absl::Seconds(60);

// From the words of the server, not from the exit status alone: after these
// the change did not happen.
bool WasRefused(const std::string& error) {
  return absl::StrContains(error, "is being deleted") ||
         absl::StrContains(error, "not found") ||
         absl::StrContains(error, "does not exist");
}

std::string ContainerOf(const std::string& cgroups,
                        const std::string& instance) {
  const std::string prefix = absl::StrCat("/", instance, "/");
  for (absl::string_view line : absl::StrSplit(cgroups, '\n')) {
    const size_t at = line.find(prefix);
    if (at != absl::string_view::npos) {
      return std::string(line.substr(at + prefix.size()));
    }
  }
  return "";
}

}  // namespace

std::string Declared::ToString() const {
  return exists ? absl::StrCat("{replicas ", replicas, ", note ", note, "}")
                : "{deleted}";
}

std::vector<Sleeper> Sleepers(const std::string& instance) {
  std::vector<Sleeper> sleepers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    Sleeper s;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &s.pid)) continue;
    const std::string line = e2e::ReadFile(entry.path() / "cmdline");
    const std::vector<std::string> words = absl::StrSplit(line, '\0');
    if (words.size() < 2 || !absl::EndsWith(words[0], "sleep") ||
        !absl::SimpleAtoi(words[1], &s.seconds)) {
      continue;
    }
    s.container = ContainerOf(e2e::ReadFile(entry.path() / "cgroup"), instance);
    if (!s.container.empty()) sleepers.push_back(s);
  }
  return sleepers;
}

std::string Serving(int seconds) {
  return absl::StrCat("[/bin/sh, -c, \"httpd -p 80 -h /etc; exec /bin/sleep ",
                      seconds, "\"]");
}

History::History(e2e::World& world, std::string image, uint64_t seed)
    : world_(world), image_(std::move(image)), seed_(seed) {
  for (int i = 0; i < kServices; ++i) {
    services_.push_back(
        {absl::StrCat("s", i), kFirstSeconds + i, {Declared{}}});
  }
}

History::~History() { Stop(); }

void History::Start() {
  stop_ = false;
  for (int t = 0; t < kThreads; ++t) {
    threads_.emplace_back([this, t] { Run(t); });
  }
}

void History::Stop() {
  stop_ = true;
  for (std::thread& t : threads_) t.join();
  threads_.clear();
}

void History::Run(int thread) {
  SeededEntropy entropy(seed_ * kThreads + thread);
  while (!stop_) {
    const int mine = entropy.Next() % (kServices / kThreads);
    Step(services_[mine * kThreads + thread], entropy);
  }
}

void History::Step(Service& service, Entropy& entropy) {
  if (!Look(service)) return;
  // What the look has left: one.
  const Declared now = service.possible[0];
  Declared next = now;
  const uint64_t dice = entropy.Next() % 10;
  const int replicas = static_cast<int>(entropy.Next() % (kMaxReplicas + 1));
  if (!now.exists || dice < 4) {
    next = {true, replicas, absl::StrCat("n", notes_++)};
    Change(service, next, {"apply", "-f", "-"}, Manifest(service, next));
  } else if (dice < 8) {
    next.replicas = replicas;
    Change(service, next, {"scale", service.name, absl::StrCat(replicas)}, "");
  } else {
    next = Declared{};
    Change(service, next, {"delete", "service", service.name}, "");
  }
}

void History::Change(Service& service, const Declared& next,
                     const std::vector<std::string>& ctl,
                     const std::string& input) {
  const e2e::Result result = world_.Ctl(ctl, kCallTimeout, input);
  if (result.ok()) {
    ++acknowledged_;
    service.possible = {next};
  } else if (!WasRefused(result.err)) {
    ++unknown_;
    service.possible.push_back(next);
    if (result.code == -1) {
      Violate(absl::StrCat("`ctl ", absl::StrJoin(ctl, " "),
                           "` did not end within ",
                           absl::FormatDuration(kCallTimeout)));
    }
  }
}

bool History::Look(Service& service) {
  const e2e::Result result =
      world_.Ctl({"get", "service", service.name, "-o", "json"}, kCallTimeout);
  Declared seen;
  if (!result.ok()) {
    if (!absl::StrContains(result.err, "not found") &&
        !absl::StrContains(result.err, "does not exist")) {
      return false;
    }
  } else {
    const e2e::ServiceInfo info = e2e::ParseService(result.out);
    seen.exists = !info.deleted;
    if (seen.exists) {
      seen.replicas = info.replicas;
      seen.note = info.labels.count("note") ? info.labels.at("note") : "";
    }
  }
  ++looks_;
  const std::vector<Declared>& possible = service.possible;
  if (std::find(possible.begin(), possible.end(), seen) == possible.end()) {
    Violate(absl::StrCat(service.name, " is ", seen.ToString(),
                         ", but must be ",
                         absl::StrJoin(possible, " or ",
                                       [](std::string* out, const Declared& d) {
                                         out->append(d.ToString());
                                       })));
  }
  service.possible = {seen};
  return true;
}

std::string History::Manifest(const Service& service,
                              const Declared& declared) const {
  std::string manifest = absl::StrCat(
      "kind: Service\nname: ", service.name, "\nimage: ", image_,
      "\nlabels: {note: ", declared.note,
      "}\ncommand: ", Serving(service.seconds),
      "\nreplicas: ", declared.replicas,
      "\nstop: {timeout: 100ms}\nloadBalancer: {drainTimeout: 100ms}\n"
      "rollout: {minHealthyTime: 0s}\n");
  // Every second one has a port of the host, every third change rolls out.
  const int index = service.seconds - kFirstSeconds;
  if (index % 2 == 0) {
    absl::StrAppend(&manifest, "ports: [\"", 21000 + index, ":80\"]\n");
  }
  absl::StrAppend(&manifest, "env: {GROUP: g", declared.note.back() % 3, "}\n");
  return manifest;
}

void History::DeleteAll() {
  for (Service& service : services_) {
    if (!Look(service) || !service.possible[0].exists) continue;
    const e2e::Result result =
        world_.Ctl({"delete", "service", service.name}, kCallTimeout);
    if (!result.ok()) {
      Violate(absl::StrCat("delete ", service.name, ": ", result.ToString()));
    }
    service.possible = {Declared{}};
  }
}

void History::CheckDeclared() {
  for (Service& service : services_) {
    if (!Look(service)) {
      Violate(absl::StrCat("cannot look at ", service.name));
    }
  }
}

void History::CheckRunning() {
  for (const Service& service : services_) {
    const Declared& wanted = service.possible[0];
    const int count = wanted.exists ? wanted.replicas : 0;
    auto running = [&] {
      int n = 0;
      for (const Sleeper& s : Sleepers(world_.name())) {
        n += s.seconds == service.seconds;
      }
      return n;
    };
    const bool settled = e2e::Eventually(
        [&] {
          return running() == count &&
                 static_cast<int>(world_.Ready(service.name).size()) == count;
        },
        kSettle);
    if (settled) continue;
    Violate(absl::StrCat(service.name, " runs ", running(), " containers, ",
                         world_.Ready(service.name).size(), " ready, of ",
                         count, " declared"));
  }
}

void History::CheckNoDoubles() {
  std::map<std::string, std::vector<int>> pids;  // by replica and container
  for (const Sleeper& s : Sleepers(world_.name())) {
    // "UID-NAME.2" is the second attempt of "UID-NAME".
    const std::vector<std::string> parts = absl::StrSplit(s.container, '.');
    pids[parts[0]].push_back(s.pid);
  }
  for (const auto& [container, found] : pids) {
    if (found.size() < 2) continue;
    Violate(absl::StrCat("container ", container, " runs ", found.size(),
                         " times: pids ", absl::StrJoin(found, ", ")));
  }
}

void History::Violate(std::string sentence) {
  absl::MutexLock lock(&mu_);
  violations_.push_back(std::move(sentence));
}

std::vector<std::string> History::violations() const {
  absl::MutexLock lock(&mu_);
  return violations_;
}

}  // namespace bulwark::fault
