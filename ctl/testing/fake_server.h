// A small server of the API for ctl's tests.
#ifndef CTL_TESTING_FAKE_SERVER_H_
#define CTL_TESTING_FAKE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/testing/temp_dir.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "proto/bulwark/v1/contexts.pb.h"

namespace bulwark::ctl::testing {

struct FakeState;

// Keeps objects by kind, project and name; applies them as they are. What it
// answers beyond that is scripted by the test. Listens on a unix socket of its
// own while it lives. Thread-safe.
class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  const std::string& socket() const { return socket_; }

  // Adds or replaces an object; watches see it.
  void Put(const v1::Object& object);
  void Remove(const std::string& kind, const std::string& name);
  bool Has(const std::string& kind, const std::string& name);

  // Every stream that is open ends with UNAVAILABLE.
  void BreakStreams();

  // The next call of the method fails so.
  void FailNext(const std::string& method, grpc::Status status);

  // What calls received: "Scale web 3", "Stop web", "Tag a b", ….
  std::vector<std::string> calls();
  v1::ApplyRequest last_apply();
  v1::ExecStart last_exec();
  v1::BuildOptions last_build();
  std::string uploaded();
  v1::OfferContextRequest last_offer();

  // Scripts.
  void set_log_lines(std::vector<v1::LogLine> lines);
  // Stats gives one after the other, and the last one again and again.
  void set_stats(std::vector<v1::StatsResponse> stats);
  void set_images(std::vector<v1::ImageInfo> images);
  void set_progress(std::vector<v1::ImageProgress> progress);
  // What of offered contexts has to be sent; without it all, as by a daemon
  // that takes no offers.
  void set_lacks(std::optional<std::set<std::string>> names);
  void set_warnings(std::vector<std::string> warnings);
  void set_doctor(v1::DoctorResponse doctor);
  void set_archive(std::string archive);
  // What a verification finds; repairing mends all of it.
  void set_damage(std::vector<v1::ImageDamage> damage);
  void set_disk_usage(v1::DiskUsageResponse usage);
  // What a restore says of objects.
  void set_restored(std::vector<v1::ApplyResult> results);
  // Exec echoes input in upper case after printing the command, and ends with
  // this code. If it is to fail: from 126 on it sends the code with the error.
  void set_exit_code(int code);
  // What List and Watch warn of beside their answers; empty: nothing.
  void set_unreadable(std::string warning);
  // Called under no lock after each applied object.
  void set_on_apply(std::function<void(const v1::Object&)> on_apply);

 private:
  class Resources;
  class Services;
  class Jobs;
  class Containers;

  bulwark::testing::TempDir dir_;
  std::string socket_;
  std::unique_ptr<FakeState> state_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace bulwark::ctl::testing

#endif  // CTL_TESTING_FAKE_SERVER_H_
