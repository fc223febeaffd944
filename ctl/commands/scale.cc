// ctl scale, stop, start: how many replicas of a service run.
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultWait = absl::Minutes(5);

struct Flags {
  std::vector<std::string> words;
  int64_t replicas = -1;
  bool wait = false;
};

absl::Status WaitIfAsked(Context& context, const Flags& flags,
                         const std::string& name) {
  if (!flags.wait) return absl::OkStatus();
  return WaitFor(context, *manifest::FindKind("service"),
                 context.ProjectOrDefault(), name,
                 context.clock.Now() + context.Timeout(kDefaultWait), false,
                 JudgeAvailable);
}

// SERVICE N, SERVICE=N… or SERVICE… --replicas N.
absl::StatusOr<std::vector<std::pair<std::string, int32_t>>> ReadCounts(
    const Flags& flags) {
  std::vector<std::pair<std::string, int32_t>> counts;
  auto add = [&](const std::string& word, const std::string& count) {
    int32_t n;
    absl::StatusOr<std::string> name = NameOfKind(word, "service");
    if (!name.ok()) return name.status();
    if (!absl::SimpleAtoi(count, &n) || n < 0) {
      return UsageError(
          absl::StrCat("\"", count, "\" is no count of replicas"));
    }
    counts.emplace_back(*name, n);
    return absl::OkStatus();
  };
  if (flags.replicas >= 0) {
    for (const std::string& word : flags.words) {
      RETURN_IF_ERROR(add(word, absl::StrCat(flags.replicas)));
    }
    return counts;
  }
  const bool pairs = flags.words[0].find('=') != std::string::npos;
  if (!pairs) {
    if (flags.words.size() != 2) return UsageError("give SERVICE COUNT");
    RETURN_IF_ERROR(add(flags.words[0], flags.words[1]));
    return counts;
  }
  for (const std::string& word : flags.words) {
    std::pair<std::string, std::string> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    RETURN_IF_ERROR(add(parts.first, parts.second));
  }
  return counts;
}

absl::StatusOr<int> Scale(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(auto counts, ReadCounts(flags));
  for (const auto& [name, count] : counts) {
    v1::ScaleRequest request;
    request.set_project(context.ProjectOrDefault());
    request.set_service(name);
    request.set_replicas(count);
    RETURN_IF_ERROR(context.client().Scale(request).status());
    context.io.Out(absl::StrCat("service ", name, " scaled to ", count, "\n"));
  }
  for (const auto& [name, count] : counts) {
    RETURN_IF_ERROR(WaitIfAsked(context, flags, name));
  }
  return kExitOk;
}

// Stop and Start are alike.
template <typename Request, typename Call>
absl::StatusOr<int> Each(Context& context, const Flags& flags,
                         absl::string_view done, const Call& call) {
  std::vector<std::string> names;
  for (const std::string& word : flags.words) {
    ASSIGN_OR_RETURN(std::string name, NameOfKind(word, "service"));
    Request request;
    request.set_project(context.ProjectOrDefault());
    request.set_service(name);
    RETURN_IF_ERROR(call(request).status());
    context.io.Out(absl::StrCat("service ", name, " ", done, "\n"));
    names.push_back(std::move(name));
  }
  for (const std::string& name : names) {
    RETURN_IF_ERROR(WaitIfAsked(context, flags, name));
  }
  return kExitOk;
}

}  // namespace

void AddScale(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "scale", "Set how many replicas a service has")
      .Words("SERVICE", flags->words, "SERVICE COUNT or SERVICE=COUNT…",
             Command::kRequired)
      .Option("--replicas", flags->replicas, "The count, of every SERVICE")
      .Flag("--wait", flags->wait, "Return when they are available")
      .Action([flags](Context& c) { return Scale(c, *flags); });
  Command(app, context, "stop",
          "Stop every replica of services, and keep them declared")
      .Words("SERVICE", flags->words, "Services", Command::kRequired)
      .Flag("--wait", flags->wait, "Return when nothing runs")
      .Action([flags](Context& c) {
        return Each<v1::StopRequest>(c, *flags, "stopped",
                                     [&c](const v1::StopRequest& request) {
                                       return c.client().Stop(request);
                                     });
      });
  Command(app, context, "start", "Start stopped services again")
      .Words("SERVICE", flags->words, "Services", Command::kRequired)
      .Flag("--wait", flags->wait, "Return when they are available")
      .Action([flags](Context& c) {
        return Each<v1::StartRequest>(c, *flags, "started",
                                      [&c](const v1::StartRequest& request) {
                                        return c.client().Start(request);
                                      });
      });
}

}  // namespace bulwark::ctl
