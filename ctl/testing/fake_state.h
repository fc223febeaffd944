// What the parts of FakeServer share.
#ifndef CTL_TESTING_FAKE_STATE_H_
#define CTL_TESTING_FAKE_STATE_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "manifest/kinds.h"
#include "proto/bulwark/v1/api.pb.h"
#include "proto/bulwark/v1/contexts.pb.h"

namespace bulwark::ctl::testing {

// What clients seal values to.
struct SealingKeys {
  SealingKeys();
  // "not sealed" for what does not open.
  std::string Open(const std::string& sealed) const;

  std::string public_key, secret_key;
};

// Thread-safe by `mu`.
struct FakeState {
  using Key = std::tuple<std::string, std::string, std::string>;

  absl::Mutex mu;
  std::map<Key, v1::Object> objects;
  std::vector<v1::WatchEvent> changes;
  std::map<std::string, std::deque<grpc::Status>> failures;
  std::vector<std::string> calls;
  v1::ApplyRequest apply;
  v1::ExecStart exec;
  v1::BuildOptions build;
  std::string uploaded;
  v1::OfferContextRequest offer;
  // What the daemon lacks of contexts; nothing: it takes no offers.
  std::optional<std::set<std::string>> lacks;
  std::string archive;  // of Backup
  SealingKeys keys;
  std::vector<v1::LogLine> lines;
  std::vector<v1::StatsResponse> stats;
  std::vector<v1::ImageInfo> images;
  std::vector<v1::ImageProgress> progress;
  std::vector<v1::ImageDamage> damage;
  std::vector<std::string> warnings;
  v1::DoctorResponse doctor;
  v1::DiskUsageResponse disk_usage;
  std::function<void(const v1::Object&)> on_apply;
  std::string unreadable;  // List and Watch warn of it
  int exit_code = 0;
  std::vector<v1::ApplyResult> restored;
  bool stopping = false;
  int connection = 0;  // streams of an earlier one have broken

  static Key KeyOf(const v1::Object& object) {
    const v1::Metadata& m = manifest::MetadataOf(object);
    return {manifest::KindOf(object)->api_name,
            m.project().empty() ? "default" : m.project(), m.name()};
  }

  void Change(v1::WatchEvent::Type type, const v1::Object& object) {
    v1::WatchEvent event;
    event.set_type(type);
    *event.mutable_object() = object;
    event.set_revision(static_cast<int64_t>(changes.size()) + 1);
    changes.push_back(std::move(event));
  }

  void Put(v1::Object object) {
    absl::MutexLock lock(&mu);
    manifest::MutableMetadata(object).set_resource_version(
        absl::StrCat(changes.size() + 1));
    const bool existed = objects.count(KeyOf(object)) > 0;
    objects[KeyOf(object)] = object;
    Change(existed ? v1::WatchEvent::MODIFIED : v1::WatchEvent::ADDED, object);
  }

  int Connection() {
    absl::MutexLock lock(&mu);
    return connection;
  }

  // OK, or the failure that the test asked for.
  grpc::Status Take(const std::string& method) {
    absl::MutexLock lock(&mu);
    std::deque<grpc::Status>& queue = failures[method];
    if (queue.empty()) return grpc::Status::OK;
    grpc::Status status = queue.front();
    queue.pop_front();
    return status;
  }

  void Note(std::string call) {
    absl::MutexLock lock(&mu);
    calls.push_back(std::move(call));
  }
};

// The Images service over `state`.
std::unique_ptr<grpc::Service> MakeFakeContexts(FakeState& state);
std::unique_ptr<grpc::Service> MakeFakeImages(FakeState& state);

// The System service over `state`.
std::unique_ptr<grpc::Service> MakeFakeSystem(FakeState& state);

// The Secrets service over `state`: its public key.
std::unique_ptr<grpc::Service> MakeFakeSecrets(FakeState& state);

// The Volumes service over `state`: it lists one backup.
std::unique_ptr<grpc::Service> MakeFakeVolumes(FakeState& state);

}  // namespace bulwark::ctl::testing

#endif  // CTL_TESTING_FAKE_STATE_H_
