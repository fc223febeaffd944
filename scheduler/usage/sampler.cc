#include "scheduler/usage/sampler.h"

#include <algorithm>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/names.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;

// A data plane that is restarting costs one sample its connections.
constexpr absl::Duration kProxyTimeout = absl::Milliseconds(500);

// How long after the last question for the history it is still kept.
constexpr absl::Duration kInterest = absl::Seconds(30);

std::string Label(const engine::ContainerInfo& container, const char* name) {
  const auto it = container.labels.find(name);
  return it == container.labels.end() ? "" : it->second;
}

// By replica uid.
std::map<std::string, int64_t> Established(const dp::Stats& stats) {
  std::map<std::string, int64_t> active;
  for (const dp::PoolStats& pool : stats.pools()) {
    for (const dp::EndpointStats& endpoint : pool.endpoints()) {
      active[endpoint.id()] += static_cast<int64_t>(endpoint.active());
    }
  }
  return active;
}

}  // namespace

UsageSampler::UsageSampler(UsagePorts ports, UsageOptions options)
    : ports_(std::move(ports)), options_(options) {}

UsageSampler::~UsageSampler() { Stop(); }

void UsageSampler::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void UsageSampler::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void UsageSampler::Loop() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      asked_ = asked_ && ports_.clock.Steady() < last_asked_ + kInterest;
      mu_.Await(absl::Condition(this, &UsageSampler::AskedOrStopped));
      if (stop_) return;
    }
    const absl::Duration next = ports_.clock.Steady() + options_.period;
    Fresh(options_.period / 2);
    absl::MutexLock lock(&mu_);
    if (ports_.clock.AwaitUntil(mu_, absl::Condition(&stop_), next)) return;
  }
}

std::vector<UsageSamplePtr> UsageSampler::History() {
  absl::MutexLock lock(&mu_);
  last_asked_ = ports_.clock.Steady();
  asked_ = true;
  // What was taken when somebody asked last may be old.
  while (!history_.empty() &&
         history_.front()->steady + options_.history < last_asked_) {
    history_.pop_front();
  }
  return {history_.begin(), history_.end()};
}

UsageSamplePtr UsageSampler::Fresh(absl::Duration max_age) {
  absl::MutexLock sample_lock(&sample_mu_);
  {
    absl::MutexLock lock(&mu_);
    if (!history_.empty() &&
        ports_.clock.Steady() - history_.back()->steady <= max_age) {
      return history_.back();
    }
  }
  UsageSamplePtr sample = Take();
  absl::MutexLock lock(&mu_);
  history_.push_back(sample);
  while (history_.front()->steady + options_.history < sample->steady) {
    history_.pop_front();
  }
  return sample;
}

UsageSamplePtr UsageSampler::Take() {
  auto sample = std::make_shared<UsageSample>();
  sample->time = ports_.clock.Now();
  sample->steady = ports_.clock.Steady();
  std::map<std::string, ReplicaUsage> replicas = ReadContainers(*sample);
  AddTraffic(replicas, *sample);
  AddConnections(replicas, *sample);
  for (auto& [uid, replica] : replicas) {
    sample->replicas.push_back(std::move(replica));
  }
  std::sort(sample->replicas.begin(), sample->replicas.end(),
            [](const ReplicaUsage& a, const ReplicaUsage& b) {
              return std::tie(a.project, a.name) < std::tie(b.project, b.name);
            });
  if (absl::StatusOr<NodeUsage> node = ports_.node(); node.ok()) {
    sample->node = *node;
  } else {
    sample->errors.push_back(absl::StrCat("node: ", node.status().message()));
  }
  if (sample->errors != complaints_) {
    for (const std::string& error : sample->errors) {
      LOG_WARN("usage is not fully known", {{"cause", error}});
    }
    complaints_ = sample->errors;
  }
  return sample;
}

std::map<std::string, ReplicaUsage> UsageSampler::ReadContainers(
    UsageSample& sample) {
  std::map<std::string, ReplicaUsage> replicas;
  std::set<std::string> seen;
  for (const engine::ContainerInfo& info : ports_.engine.List()) {
    if (info.state != engine::ContainerState::kRunning) continue;
    const std::string uid = Label(info, kReplicaLabel);
    seen.insert(uid);
    const Identity* identity = Identify(info);
    if (identity == nullptr) continue;
    absl::StatusOr<engine::ContainerStats> stats = ports_.engine.Stats(info.id);
    if (!stats.ok()) {
      // One that went away meanwhile is no news.
      if (!absl::IsNotFound(stats.status())) {
        sample.errors.push_back(
            absl::StrCat("container: ", stats.status().message()));
      }
      continue;
    }
    ReplicaUsage& replica = replicas[uid];
    replica.uid = uid;
    replica.project = identity->project;
    replica.service = identity->service;
    replica.job = identity->job;
    replica.name = identity->name;
    replica.slot = identity->slot;
    replica.containers.push_back(
        {info.id, Label(info, kContainerLabel), *stats});
  }
  std::erase_if(identities_,
                [&](const auto& entry) { return !seen.contains(entry.first); });
  for (auto& [uid, replica] : replicas) {
    std::sort(replica.containers.begin(), replica.containers.end(),
              [](const ContainerUsage& a, const ContainerUsage& b) {
                return a.name < b.name;
              });
  }
  return replicas;
}

const UsageSampler::Identity* UsageSampler::Identify(
    const engine::ContainerInfo& container) {
  const std::string uid = Label(container, kReplicaLabel);
  const auto known = identities_.find(uid);
  if (known != identities_.end()) return &known->second;
  const std::string project = Label(container, kProjectLabel);
  absl::StatusOr<v1::Object> object = store::GetObject(
      ports_.store, store::ObjectKey("replica", project,
                                     Label(container, kReplicaNameLabel)));
  if (!object.ok() || object->replica().metadata().uid() != uid) return nullptr;
  const v1::Replica& replica = object->replica();
  Identity identity;
  identity.project = store::KeyOf(*object).project;
  identity.service = replica.spec().service();
  identity.job = replica.spec().job();
  identity.name = replica.metadata().name();
  identity.slot = replica.spec().slot();
  identity.sandbox =
      SandboxId(replica.spec().service_uid(), replica.spec().slot());
  return &identities_.emplace(uid, std::move(identity)).first->second;
}

void UsageSampler::AddTraffic(std::map<std::string, ReplicaUsage>& replicas,
                              UsageSample& sample) {
  if (replicas.empty()) return;
  auto traffic = ports_.network.ReadTraffic();
  if (!traffic.ok()) {
    sample.errors.push_back(
        absl::StrCat("network: ", traffic.status().message()));
    return;
  }
  for (auto& [uid, replica] : replicas) {
    const auto it = traffic->find(identities_.at(uid).sandbox);
    if (it != traffic->end()) replica.traffic = it->second;
  }
}

void UsageSampler::AddConnections(std::map<std::string, ReplicaUsage>& replicas,
                                  UsageSample& sample) {
  absl::StatusOr<dp::Stats> stats = ports_.proxy.Stats(kProxyTimeout);
  if (!stats.ok()) {
    sample.errors.push_back(absl::StrCat("proxy: ", stats.status().message()));
    return;
  }
  const std::map<std::string, int64_t> established = Established(*stats);
  for (auto& [uid, replica] : replicas) {
    const auto it = established.find(uid);
    // One that the data plane does not serve has none.
    replica.connections = it == established.end() ? 0 : it->second;
  }
  sample.proxy = *std::move(stats);
}

}  // namespace bulwark::scheduler
