#include "daemon/doctor/judge.h"

#include <string>

namespace bulwark::daemon {
namespace {

void Add(v1::DoctorResponse& response, v1::DoctorCheck::Result result,
         absl::string_view name, absl::string_view message,
         absl::string_view remedy) {
  v1::DoctorCheck& check = *response.add_checks();
  check.set_name(std::string(name));
  check.set_result(result);
  check.set_message(std::string(message));
  check.set_remedy(std::string(remedy));
}

}  // namespace

void AddGood(v1::DoctorResponse& response, absl::string_view name,
             absl::string_view message) {
  Add(response, v1::DoctorCheck::GOOD, name, message, "");
}

void AddLimited(v1::DoctorResponse& response, absl::string_view name,
                absl::string_view message, absl::string_view remedy) {
  Add(response, v1::DoctorCheck::LIMITED, name, message, remedy);
}

void AddBad(v1::DoctorResponse& response, absl::string_view name,
            absl::string_view message, absl::string_view remedy) {
  Add(response, v1::DoctorCheck::BAD, name, message, remedy);
}

v1::DoctorResponse Judge(const HostFacts& facts) {
  v1::DoctorResponse response;
  JudgeKernel(facts, response);
  JudgeNetwork(facts, response);
  JudgeHost(facts, response);
  JudgeDaemon(facts, response);
  JudgeRecords(facts, response);
  return response;
}

}  // namespace bulwark::daemon
