// ctl wait: until an object is as it should be.
#include "ctl/wait.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/container_calls.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultWait = absl::Minutes(5);

struct Flags {
  std::vector<std::string> words;
  std::string condition = "available";
  bool quiet = false;
};

// The field `status.conditions` of any kind that has one.
const v1::Condition* FindIn(const v1::Object& object, absl::string_view type) {
  const google::protobuf::Message& inner = manifest::Inner(object);
  const auto* status_field = inner.GetDescriptor()->FindFieldByName("status");
  if (status_field == nullptr) return nullptr;
  const google::protobuf::Message& status =
      inner.GetReflection()->GetMessage(inner, status_field);
  const auto* field = status.GetDescriptor()->FindFieldByName("conditions");
  if (field == nullptr) return nullptr;
  return FindCondition(
      status.GetReflection()->GetRepeatedPtrField<v1::Condition>(status, field),
      type);
}

// --for condition=TYPE.
Judge JudgeCondition(std::string type) {
  return [type](const v1::Object* object) -> Judgement {
    if (object == nullptr) return {Verdict::kFailed, "does not exist"};
    const v1::Condition* condition = FindIn(*object, type);
    if (condition != nullptr && condition->status() == v1::Condition::TRUE) {
      return {Verdict::kDone, absl::StrCat("condition ", type, " is met")};
    }
    std::string message = absl::StrCat("waiting for ", type);
    if (condition != nullptr && !condition->message().empty()) {
      absl::StrAppend(&message, ": ", condition->message());
    }
    return {Verdict::kWaiting, message};
  };
}

// --for exit: the container's exit status is ours.
absl::StatusOr<int> RunExit(Context& context, const Flags& flags) {
  if (flags.words.size() != 1) {
    return UsageError("wait --for exit: give one replica, service or job");
  }
  v1::WaitRequest request;
  request.set_project(context.ProjectOrDefault());
  absl::string_view target = flags.words[0];
  for (absl::string_view kind : {"service/", "svc/", "replica/"}) {
    if (absl::ConsumePrefix(&target, kind)) break;
  }
  request.set_target(std::string(target));
  const absl::StatusOr<v1::WaitResponse> response =
      AwaitExit(context.client(), request);
  if (!response.ok()) return response.status();
  const v1::ExitResult& exit = response->exit();
  context.io.Out(absl::StrCat(exit.exit_code(),
                              exit.oom_killed() ? " out of memory" : "", "\n"));
  if (!exit.message().empty()) {
    context.io.Err(absl::StrCat(exit.message(), "\n"));
  }
  return exit.exit_code();
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  if (flags.condition == "exit") return OrNoStatus(RunExit(context, flags));
  Judge judge;
  absl::string_view type = flags.condition;
  if (flags.condition == "available" || flags.condition == "complete") {
    judge = JudgeAvailable;
  } else if (flags.condition == "deleted") {
    judge = JudgeDeleted;
  } else if (absl::ConsumePrefix(&type, "condition=") && !type.empty()) {
    judge = JudgeCondition(std::string(type));
  } else {
    return UsageError(absl::StrCat("--for ", flags.condition,
                                   ": available, complete, deleted, exit or "
                                   "condition=TYPE"));
  }
  ASSIGN_OR_RETURN(std::vector<Target> targets, ParseTargets(flags.words));
  const absl::Time deadline =
      context.clock.Now() + context.Timeout(kDefaultWait);
  for (const Target& target : targets) {
    if (target.name.empty()) {
      return UsageError(
          absl::StrCat("wait ", target.kind->api_name, ": give a name"));
    }
    RETURN_IF_ERROR(WaitFor(context, *target.kind,
                            ProjectFor(context, *target.kind), target.name,
                            deadline, flags.quiet, judge));
  }
  return kExitOk;
}

}  // namespace

void AddWait(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "wait",
          "Wait for objects; status 124 when --timeout (5m) has passed")
      .Words("KIND", flags->words, "KIND NAME… or KIND/NAME…",
             Command::kRequired)
      .Option(
          "--for", flags->condition,
          "available (default), complete, deleted, condition=TYPE, or exit: of "
          "the container, whose status is then ctl's")
      .Flag("-q,--quiet", flags->quiet, "Print errors only")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
