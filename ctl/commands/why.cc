// ctl why: the causes behind a service's state, as one story.
#include "ctl/why/why.h"

#include <deque>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/objects.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string service;
  int64_t lines = 10;
  bool all = false;
};

// Objects of a kind that belong to the service.
absl::StatusOr<std::vector<v1::Object>> Of(Context& context,
                                           const std::string& service,
                                           const char* kind) {
  ListOptions options;
  options.service = service;
  ASSIGN_OR_RETURN(Listing listing,
                   ListObjects(context, *manifest::FindKind(kind), options));
  return std::move(listing.objects);
}

// What revisions read; nothing of what is gone, or may not be seen.
std::vector<v1::Object> Inputs(Context& context,
                               const std::vector<v1::Revision>& revisions) {
  std::set<std::pair<std::string, std::string>> names;
  for (const v1::Revision& revision : revisions) {
    for (const v1::InputVersion& input : revision.template_().inputs()) {
      names.emplace(input.kind(), input.name());
    }
  }
  std::vector<v1::Object> inputs;
  for (const auto& [kind, name] : names) {
    const manifest::Kind* found = manifest::FindKind(kind);
    if (found == nullptr) continue;
    absl::StatusOr<v1::Object> object = GetObject(context, *found, name);
    if (object.ok()) inputs.push_back(*std::move(object));
  }
  return inputs;
}

absl::StatusOr<WhyFacts> Gather(Context& context, const std::string& name) {
  WhyFacts facts;
  facts.now = context.clock.Now();
  ASSIGN_OR_RETURN(v1::Object object,
                   GetObject(context, *manifest::FindKind("service"), name));
  facts.service = std::move(*object.mutable_service());
  ASSIGN_OR_RETURN(auto replicas, Of(context, name, "replica"));
  for (v1::Object& o : replicas) {
    facts.replicas.push_back(std::move(*o.mutable_replica()));
  }
  ASSIGN_OR_RETURN(auto revisions, Of(context, name, "revision"));
  for (v1::Object& o : revisions) {
    facts.revisions.push_back(std::move(*o.mutable_revision()));
  }
  ASSIGN_OR_RETURN(auto events, Of(context, name, "event"));
  for (v1::Object& o : events) {
    facts.events.push_back(std::move(*o.mutable_event()));
  }
  facts.inputs = Inputs(context, facts.revisions);
  if (facts.service.spec().has_autoscale()) {
    absl::StatusOr<v1::Object> scale =
        GetObject(context, *manifest::FindKind("scale"), name);
    if (scale.ok()) facts.scale = std::move(*scale->mutable_scale());
  }
  return facts;
}

// What the culprit printed last; empty if its log is gone.
std::vector<std::string> LastLines(Context& context, const WhyFacts& facts,
                                   int64_t count) {
  const v1::Replica* culprit = Culprit(facts);
  if (culprit == nullptr || count <= 0) return {};
  v1::LogsRequest request;
  request.set_project(context.ProjectOrDefault());
  request.set_service(facts.service.metadata().name());
  request.set_replica(culprit->metadata().name());
  request.set_tail(count);
  std::deque<std::string> lines;
  bool open = false;
  const absl::Status status =
      context.client().Logs(request, [&](const v1::LogLine& line) {
        if (open) {
          lines.back() += line.line();
        } else {
          lines.push_back(line.line());
        }
        open = line.partial();
        // A replica may have several containers.
        if (static_cast<int64_t>(lines.size()) > count) lines.pop_front();
      });
  if (!status.ok()) return {};
  return {lines.begin(), lines.end()};
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const std::string name,
                   NameOfKind(flags.service, "service"));
  ASSIGN_OR_RETURN(const WhyFacts facts, Gather(context, name));
  WhyForm form;
  form.color = context.io.color();
  if (flags.all) form.moments = 0;
  context.io.Out(WhyText(facts, LastLines(context, facts, flags.lines), form));
  return kExitOk;
}

}  // namespace

void AddWhy(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "why",
          "Say why a service is as it is: its state and cause, what to do, one "
          "timeline of\nrevisions, starts, exits, probes and rollouts, and the "
          "last log lines")
      .Word("SERVICE", flags->service, "The service", Command::kRequired)
      .Option("-n,--lines", flags->lines, "Log lines that are shown [10]")
      .Flag("--all", flags->all, "The whole timeline")
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
