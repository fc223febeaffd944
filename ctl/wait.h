// Waiting until objects are as they should be.
#ifndef CTL_WAIT_H_
#define CTL_WAIT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "ctl/context.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {

enum class Verdict { kWaiting, kDone, kFailed };

// What a wait sees: the object, or null when it does not exist.
struct Judgement {
  Verdict verdict = Verdict::kWaiting;
  // "2 of 3 replicas are available".
  std::string message;
};
using Judge = std::function<Judgement(const v1::Object* object)>;

// Watches the object until `judge` is done. Reports each new message once, as
// "KIND NAME: message", on standard error unless `quiet`. FAILED_PRECONDITION
// with the message on kFailed; TimeoutError at the deadline. Survives restarts
// of the daemon.
absl::Status WaitFor(Context& context, const manifest::Kind& kind,
                     const std::string& project, const std::string& name,
                     absl::Time deadline, bool quiet, const Judge& judge);

// Done when the newest revision is rolled out and available, and running
// containers were given other limits or refused them, which the message then
// says (for a stopped service: when nothing runs); failed when it was rolled
// back or made no progress. For a job: when it completed.
Judgement JudgeAvailable(const v1::Object* object);

// Done when there is no such object.
Judgement JudgeDeleted(const v1::Object* object);

}  // namespace bulwark::ctl

#endif  // CTL_WAIT_H_
