// Calls by name and bytes, for methods without a stub here.
#ifndef TESTS_INTEGRATION_API_GENERIC_CALL_H_
#define TESTS_INTEGRATION_API_GENERIC_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

namespace bulwark::api {

// Sends one message and the end of input; returns the status, and in `reply`
// the first message of the answer.
inline grpc::Status GenericCall(std::shared_ptr<grpc::Channel> channel,
                                const std::string& method,
                                const std::string& message = "",
                                std::string* reply = nullptr) {
  grpc::GenericStub stub(std::move(channel));
  grpc::ClientContext context;
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_seconds(20, GPR_TIMESPAN)));
  grpc::Slice slice(message);
  grpc::ByteBuffer request(&slice, 1);
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (reply != nullptr && status.ok()) {
    std::vector<grpc::Slice> slices;
    response.Dump(&slices);
    for (const grpc::Slice& s : slices) {
      reply->append(reinterpret_cast<const char*>(s.begin()), s.size());
    }
  }
  return status;
}

}  // namespace bulwark::api

#endif  // TESTS_INTEGRATION_API_GENERIC_CALL_H_
