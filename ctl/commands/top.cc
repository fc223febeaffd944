// ctl top: what services and replicas use.
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"
#include "ctl/usage.h"
#include "ctl/watch.h"

namespace bulwark::ctl {
namespace {

// To the top left corner; and the rest of the line, or of the screen, empty.
constexpr char kHome[] = "\033[H";
constexpr char kClearBelow[] = "\033[J";
constexpr int kOtherLines = 5;  // than rows

struct Flags {
  std::string service;
  std::string output;
  std::string period = "2s";
  bool by_replica = false;
  bool all_projects = false;
  bool once = false;
};

// "web", "service/web" or "job/import", as StatsRequest takes it.
absl::StatusOr<std::string> ServiceOf(const std::string& word) {
  if (word.empty() || absl::StartsWith(word, "job/")) return word;
  return NameOfKind(word, "service");
}

// What two answers tell, as it is asked for.
class View {
 public:
  View(Context& context, const Flags& flags)
      : context_(context), flags_(flags), live_(IsLive()) {}

  // True: another answer is wanted.
  bool Take(const v1::StatsResponse& stats) {
    if (before_.has_value()) Print(*before_, stats);
    const bool more = live_ || !before_.has_value();
    before_ = stats;
    return more;
  }

 private:
  bool IsLive() const {
    return context_.io.out_tty() && !flags_.once && flags_.output.empty();
  }

  void Print(const v1::StatsResponse& before, const v1::StatsResponse& after) {
    const bool by_replica = flags_.by_replica || !flags_.service.empty();
    const std::vector<Usage> rows = UsageOf(before, after, by_replica);
    if (flags_.output == "json") {
      context_.io.Out(UsageJson(before, after, rows, by_replica));
      return;
    }
    const size_t max_rows =
        live_
            ? static_cast<size_t>(std::max(1, context_.io.rows() - kOtherLines))
            : rows.size();
    std::string text = absl::StrCat(
        NodeLine(before, after), "\n",
        UsageTable(rows, by_replica, flags_.all_projects, max_rows));
    if (live_) text = absl::StrCat(kHome, kClearBelow, text);
    context_.io.Out(text);
  }

  Context& context_;
  const Flags& flags_;
  const bool live_;
  std::optional<v1::StatsResponse> before_;
};

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  if (!flags.output.empty() && flags.output != "json") {
    return UsageError(absl::StrCat("-o is json, not \"", flags.output, "\""));
  }
  v1::StatsRequest request;
  ASSIGN_OR_RETURN(const absl::Duration period, ParseDuration(flags.period));
  const bool quick =
      !context.io.out_tty() || flags.once || !flags.output.empty();
  const int64_t nanos =
      absl::ToInt64Nanoseconds(quick ? absl::Seconds(1) : period);
  request.mutable_period()->set_seconds(nanos / 1000000000);
  request.mutable_period()->set_nanos(static_cast<int>(nanos % 1000000000));
  request.set_project(flags.all_projects ? "*" : context.ProjectOrDefault());
  ASSIGN_OR_RETURN(const std::string service, ServiceOf(flags.service));
  request.set_service(service);
  View view(context, flags);
  while (true) {
    const absl::Status status = context.client().Stats(
        request,
        [&](const v1::StatsResponse& stats) { return view.Take(stats); });
    if (status.ok()) return kExitOk;
    RETURN_IF_ERROR(AwaitDaemon(context, status, absl::InfiniteFuture()));
  }
}

}  // namespace

void AddTop(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "top",
          "Show what services use, again and again on a terminal")
      .Word("SERVICE", flags->service,
            "Only this one (or job/NAME), by replica")
      .Flag("-r,--replicas", flags->by_replica, "A row for each replica")
      .Flag("-A,--all-projects", flags->all_projects, "In every project")
      .Flag("--once", flags->once, "Print it once; so does a pipe")
      .Option("--period", flags->period, "Time between two looks [2s]")
      .Option("-o,--output", flags->output, "json")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
