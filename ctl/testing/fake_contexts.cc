#include "ctl/testing/fake_state.h"
#include "proto/bulwark/v1/contexts.grpc.pb.h"

namespace bulwark::ctl::testing {
namespace {

class Contexts final : public v1::Contexts::Service {
 public:
  explicit Contexts(FakeState& state) : state_(state) {}

  grpc::Status Offer(grpc::ServerContext*,
                     const v1::OfferContextRequest* request,
                     v1::OfferContextResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    state_.offer = *request;
    if (!state_.lacks.has_value()) {
      return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "");
    }
    response->set_id("7");
    response->set_complete(state_.lacks->empty());
    for (int i = 0; i < request->entries_size(); ++i) {
      if (state_.lacks->count(request->entries(i).path()) > 0) {
        response->add_missing(static_cast<uint32_t>(i));
      }
    }
    return grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFakeContexts(FakeState& state) {
  return std::make_unique<Contexts>(state);
}

}  // namespace bulwark::ctl::testing
