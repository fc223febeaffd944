#include "api/call_stats.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/interceptor.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace bulwark::api {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

// Also of a call whose handler never gave a status (it was cancelled).
constexpr int kNoStatus = static_cast<int>(absl::StatusCode::kCancelled);

// Health checks and reflection are not ours; nor is a name that a client has
// made up, which would be kept for ever.
bool IsOurs(absl::string_view method) {
  if (!absl::ConsumePrefix(&method, "/bulwark.v1.")) return false;
  return google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
             absl::StrCat("bulwark.v1.", absl::StrReplaceAll(
                                             method, {{"/", "."}}))) != nullptr;
}

// One for each call; goes with it.
class Watch final : public grpc::experimental::Interceptor {
 public:
  Watch(CallStats& stats, const ServerRpcInfo& call)
      : stats_(stats),
        method_(call.method()),
        streams_(call.type() != ServerRpcInfo::Type::UNARY),
        begin_(stats.clock().Steady()) {
    stats_.Began(method_);
  }
  ~Watch() override {
    stats_.Ended(method_, code_,
                 streams_ ? -absl::InfiniteDuration()
                          : stats_.clock().Steady() - begin_);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      code_ = methods->GetSendStatus().error_code();
    }
    methods->Proceed();
  }

 private:
  CallStats& stats_;
  const std::string method_;
  const bool streams_;
  const absl::Duration begin_;
  int code_ = kNoStatus;
};

class Factory final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(CallStats& stats) : stats_(stats) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      ServerRpcInfo* call) override {
    return IsOurs(call->method()) ? new Watch(stats_, *call) : nullptr;
  }

 private:
  CallStats& stats_;
};

// "/bulwark.v1.Resources/Apply" -> "Resources/Apply"
absl::string_view ShortName(absl::string_view method) {
  absl::ConsumePrefix(&method, "/bulwark.v1.");
  return method;
}

}  // namespace

void CallStats::Began(absl::string_view method) {
  absl::MutexLock lock(&mu_);
  ++methods_[std::string(ShortName(method))].in_flight;
}

void CallStats::Ended(absl::string_view method, int code, absl::Duration took) {
  absl::MutexLock lock(&mu_);
  Counts& counts = methods_[std::string(ShortName(method))];
  --counts.in_flight;
  ++counts.by_code[code];
  if (took >= absl::ZeroDuration()) counts.durations.Observe(took);
}

std::vector<CallStats::Method> CallStats::Get() const {
  std::vector<Method> methods;
  absl::MutexLock lock(&mu_);
  for (const auto& [name, counts] : methods_) {
    Method& method = methods.emplace_back();
    method.name = name;
    method.in_flight = counts.in_flight;
    for (const auto& [code, count] : counts.by_code) {
      method.by_code[absl::StatusCodeToString(
          static_cast<absl::StatusCode>(code))] += count;
    }
    method.durations = counts.durations.Get();
  }
  return methods;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
CallStats::NewInterceptors() {
  return std::make_unique<Factory>(*this);
}

}  // namespace bulwark::api
