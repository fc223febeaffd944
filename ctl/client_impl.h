// What is behind a Client; for the files that implement it, by service.
#ifndef CTL_CLIENT_IMPL_H_
#define CTL_CLIENT_IMPL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "proto/bulwark/v1/contexts.grpc.pb.h"

namespace bulwark::ctl {

struct Client::Impl {
  std::string path;
  absl::Duration timeout;
  Clock* clock;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Resources::Stub> resources;
  std::unique_ptr<v1::Services::Stub> services;
  std::unique_ptr<v1::Jobs::Stub> jobs;
  std::unique_ptr<v1::Containers::Stub> containers;
  std::unique_ptr<v1::Images::Stub> images;
  std::unique_ptr<v1::Contexts::Stub> contexts;
  std::unique_ptr<v1::Secrets::Stub> secrets;
  std::unique_ptr<v1::System::Stub> system;
  std::unique_ptr<v1::Volumes::Stub> volumes;
  OnWarning on_warning;
  absl::Mutex mu;
  std::set<grpc::ClientContext*> streams ABSL_GUARDED_BY(mu);
  std::set<std::string> told ABSL_GUARDED_BY(mu);

  // Hands on what the server's metadata warns of. After the first answer.
  void TellWarnings(const grpc::ClientContext& context);
  absl::Status ToStatus(const grpc::Status& status) const;
  absl::Status ExplainUnavailable(const grpc::Status& status) const;

  // One call with the deadline.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, absl::Time deadline = absl::InfiniteFuture()) {
    grpc::ClientContext context;
    if (deadline == absl::InfiniteFuture()) deadline = clock->Now() + timeout;
    context.set_deadline(absl::ToChronoTime(deadline));
    Response response;
    absl::Status status =
        ToStatus((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    TellWarnings(context);
    return response;
  }
};

// Registers a stream's context for CancelStreams().
template <typename Impl>
class Stream {
 public:
  explicit Stream(Impl& impl) : impl_(impl) {
    absl::MutexLock lock(&impl_.mu);
    impl_.streams.insert(&context);
  }
  ~Stream() {
    absl::MutexLock lock(&impl_.mu);
    impl_.streams.erase(&context);
  }
  grpc::ClientContext context;

 private:
  Impl& impl_;
};

}  // namespace bulwark::ctl

#endif  // CTL_CLIENT_IMPL_H_
