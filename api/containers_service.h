// The RPCs of Containers.
#ifndef API_CONTAINERS_SERVICE_H_
#define API_CONTAINERS_SERVICE_H_

#include <utility>

#include "api/exec_call.h"
#include "api/gate.h"
#include "api/stats_stream.h"
#include "api/stopper.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Thread-safe. The references must outlive this object; the destructor waits
// for the commands that run.
class ContainersService final
    : public v1::Containers::WithCallbackMethod_Exec<v1::Containers::Service> {
 public:
  ContainersService(const Gate& gate, store::MetadataStore& store,
                    engine::Engine& engine, StatsFunction stats, Clock& clock,
                    const Stopper& stopper)
      : gate_(gate),
        store_(store),
        engine_(engine),
        stats_(std::move(stats)),
        clock_(clock),
        stopper_(stopper) {}
  ~ContainersService() override { calls_.AwaitNone(); }

  grpc::Status Logs(grpc::ServerContext* context,
                    const v1::LogsRequest* request,
                    grpc::ServerWriter<v1::LogLine>* writer) override;
  grpc::Status Stats(grpc::ServerContext* context,
                     const v1::StatsRequest* request,
                     grpc::ServerWriter<v1::StatsResponse>* writer) override;
  grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecResponse>* Exec(
      grpc::CallbackServerContext* context) override;

 private:
  const Gate& gate_;
  store::MetadataStore& store_;
  engine::Engine& engine_;
  const StatsFunction stats_;
  Clock& clock_;
  const Stopper& stopper_;
  ExecCalls calls_;
};

}  // namespace bulwark::api

#endif  // API_CONTAINERS_SERVICE_H_
