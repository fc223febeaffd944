#include "api/stats_stream.h"

#include <algorithm>

#include "absl/strings/strip.h"
#include "api/convert.h"
#include "api/stopper.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kLeastPeriod = absl::Milliseconds(200);
// One answer need not be newer than this.
constexpr absl::Duration kMaxAge = absl::Seconds(1);

}  // namespace

absl::Status StatsStream::Check() {
  if (request_.has_period() && ToDuration(request_.period()) < kLeastPeriod) {
    return absl::InvalidArgumentError(
        "read statistics: the period is below 200ms");
  }
  absl::string_view name = request_.service();
  if (name.empty()) return absl::OkStatus();
  const bool is_job = absl::ConsumePrefix(&name, "job/");
  (is_job ? job_ : service_) = std::string(name);
  return store::GetObject(store_, store::ObjectKey(is_job ? "job" : "service",
                                                   request_.project(), name))
      .status();
}

v1::StatsResponse StatsStream::Read(absl::Duration max_age) const {
  v1::StatsResponse all = stats_(max_age);
  const std::string project =
      request_.project().empty() ? "default" : request_.project();
  v1::StatsResponse answer;
  *answer.mutable_time() = all.time();
  if (all.has_node()) *answer.mutable_node() = std::move(*all.mutable_node());
  for (v1::ContainerUsage& usage : *all.mutable_containers()) {
    if (project != "*" && usage.project() != project) continue;
    if (!service_.empty() && usage.service() != service_) continue;
    if (!job_.empty() && usage.job() != job_) continue;
    *answer.add_containers() = std::move(usage);
  }
  return answer;
}

bool StatsStream::WaitUntil(absl::Duration time, Done done) {
  while (!done()) {
    const absl::Duration left = time - clock_.Steady();
    if (left <= absl::ZeroDuration()) return true;
    clock_.Sleep(std::min(left, kCancelPoll));
  }
  return false;
}

absl::Status StatsStream::Run(Send send, Done done) {
  RETURN_IF_ERROR(Check());
  if (!request_.has_period()) {
    send(Read(kMaxAge));
    return absl::OkStatus();
  }
  const absl::Duration period = ToDuration(request_.period());
  while (true) {
    const absl::Duration next = clock_.Steady() + period;
    if (!send(Read(period / 4)) || !WaitUntil(next, done)) {
      return absl::OkStatus();
    }
  }
}

}  // namespace bulwark::api
