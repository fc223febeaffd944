// Starts containers over the API of a running bulwarkd, and tells how long each
// takes from the call of Apply.
//
//   api_start unix:PATH sequential COUNT NAME IMAGE WORD...
//   api_start unix:PATH burst COUNT NAME IMAGE WORD...
//
// sequential: COUNT services of one replica, NAME-0 and so on, one after the
// other. Prints for each the call of Apply (nanoseconds of the monotonic
// clock), and, in milliseconds from it, when Apply answered and when the watch
// told that its program runs. burst: one service of COUNT replicas; prints the
// same for all of them together. WORDs are the command. What it makes stays.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/api.grpc.pb.h"

namespace bulwark {
namespace {

using Steady = std::chrono::steady_clock;

double Milliseconds(Steady::time_point from) {
  return std::chrono::duration<double, std::milli>(Steady::now() - from)
      .count();
}

class Client {
 public:
  Client(const std::string& address, std::string image,
         std::vector<std::string> command)
      : image_(std::move(image)),
        command_(std::move(command)),
        stub_(v1::Resources::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    v1::WatchRequest request;
    request.set_kind("replica");
    events_ = stub_->Watch(&watch_, request);
    v1::WatchEvent event;
    while (Next(event) && event.type() != v1::WatchEvent::SYNCED) {
    }
  }
  ~Client() {
    watch_.TryCancel();
    events_->Finish().ok();
  }

  bool Start(const std::string& name, int replicas) {
    v1::ApplyRequest request;
    v1::Service& service = *request.add_objects()->mutable_service();
    service.mutable_metadata()->set_name(name);
    v1::ServiceSpec& spec = *service.mutable_spec();
    spec.set_replicas(replicas);
    spec.mutable_rollout()->mutable_min_healthy_time();
    // As a first process it takes no SIGTERM.
    spec.mutable_stop()->set_signal("SIGKILL");
    v1::Container& container = *spec.add_containers();
    container.set_name("main");
    container.set_image(image_);
    for (const std::string& word : command_) container.add_command(word);
    const Steady::time_point begin = Steady::now();
    grpc::ClientContext context;
    v1::ApplyResponse response;
    const grpc::Status status = stub_->Apply(&context, request, &response);
    if (!status.ok()) {
      std::fprintf(stderr, "apply: %s\n", status.error_message().c_str());
      return false;
    }
    const double applied = Milliseconds(begin);
    if (!AwaitRunning(name, replicas)) return false;
    std::printf("%lld %.3f %.3f\n",
                static_cast<long long>(
                    std::chrono::nanoseconds(begin.time_since_epoch()).count()),
                applied, Milliseconds(begin));
    return true;
  }

 private:
  bool Next(v1::WatchEvent& event) {
    if (events_->Read(&event)) return true;
    std::fprintf(stderr, "watch: ended\n");
    return false;
  }
  bool AwaitRunning(const std::string& service, int count) {
    std::set<std::string> running;
    v1::WatchEvent event;
    while (static_cast<int>(running.size()) < count) {
      if (!Next(event)) return false;
      if (!event.object().has_replica()) continue;
      const v1::Replica& replica = event.object().replica();
      if (replica.spec().service() != service) continue;
      if (replica.status().state() == v1::ReplicaStatus::RUNNING) {
        running.insert(replica.metadata().uid());
      }
      if (replica.status().state() == v1::ReplicaStatus::FAILED) {
        std::fprintf(stderr, "failed: %s\n",
                     replica.status().message().c_str());
        return false;
      }
    }
    return true;
  }

  const std::string image_;
  const std::vector<std::string> command_;
  std::unique_ptr<v1::Resources::Stub> stub_;
  grpc::ClientContext watch_;
  std::unique_ptr<grpc::ClientReader<v1::WatchEvent>> events_;
};

int Run(Client& client, absl::string_view mode, int count,
        const std::string& name) {
  if (mode == "burst") return client.Start(name, count) ? 0 : 1;
  for (int i = 0; i < count; ++i) {
    if (!client.Start(absl::StrCat(name, "-", i), 1)) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace bulwark

int main(int argc, char** argv) {
  const absl::string_view mode = argc > 6 ? argv[2] : "";
  if (mode != "burst" && mode != "sequential") {
    std::fprintf(stderr,
                 "usage: api_start unix:PATH sequential|burst COUNT NAME "
                 "IMAGE WORD...\n");
    return 64;
  }
  bulwark::Client client(argv[1], argv[5], {argv + 6, argv + argc});
  return bulwark::Run(client, mode, std::atoi(argv[3]), argv[4]);
}
