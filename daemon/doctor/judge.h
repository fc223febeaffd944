// What the facts of a host mean for what runs on it. Pure.
#ifndef DAEMON_DOCTOR_JUDGE_H_
#define DAEMON_DOCTOR_JUDGE_H_

#include "absl/strings/string_view.h"
#include "daemon/doctor/facts.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::daemon {

// One check for each aspect, always the same ones in the same order. Each that
// is not good says its consequence in the message, and a remedy.
v1::DoctorResponse Judge(const HostFacts& facts);

// The parts of it, in this order.
void JudgeKernel(const HostFacts& facts, v1::DoctorResponse& response);
void JudgeNetwork(const HostFacts& facts, v1::DoctorResponse& response);
void JudgeHost(const HostFacts& facts, v1::DoctorResponse& response);
void JudgeDaemon(const HostFacts& facts, v1::DoctorResponse& response);
void JudgeRecords(const HostFacts& facts, v1::DoctorResponse& response);

// Adds a check.
void AddGood(v1::DoctorResponse& response, absl::string_view name,
             absl::string_view message);
void AddLimited(v1::DoctorResponse& response, absl::string_view name,
                absl::string_view message, absl::string_view remedy);
void AddBad(v1::DoctorResponse& response, absl::string_view name,
            absl::string_view message, absl::string_view remedy);

}  // namespace bulwark::daemon

#endif  // DAEMON_DOCTOR_JUDGE_H_
