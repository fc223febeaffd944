// What happened to a service, in order.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ctl/print/text.h"
#include "ctl/why/why.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {
namespace {

using State = v1::ReplicaStatus;

constexpr char kLines[] = "; last log lines: ";

class Teller {
 public:
  explicit Teller(const WhyFacts& facts) : facts_(facts) {}

  std::vector<Moment> Tell() {
    for (const v1::Revision& revision : facts_.revisions) Tell(revision);
    for (const v1::Replica& replica : facts_.replicas) Tell(replica);
    for (const v1::Object& input : facts_.inputs) TellInput(input);
    for (const v1::Condition& c : facts_.service.status().conditions()) {
      Tell(c);
    }
    if (facts_.scale.has_value()) Tell(*facts_.scale);
    for (const v1::Event& event : facts_.events) Tell(event);
    std::stable_sort(
        moments_.begin(), moments_.end(),
        [](const Moment& a, const Moment& b) { return a.time < b.time; });
    return std::move(moments_);
  }

 private:
  void Add(const google::protobuf::Timestamp& time, bool bad, std::string word,
           std::string text) {
    if (time.seconds() == 0) return;
    moments_.push_back({ToTime(time), bad, std::move(word), std::move(text)});
  }

  void Tell(const v1::Revision& r) {
    const std::string name = absl::StrCat("revision ", r.number());
    told_.insert(absl::StrCat("RevisionCreated ", name));
    Add(r.metadata().create_time(), false, "Revision",
        absl::StrCat(name, ": ", Ingredients(r),
                     r.actor().name().empty()
                         ? ""
                         : absl::StrCat(", by ", r.actor().name())));
  }

  // Its exit, with how long it ran; or since when it is ready.
  void Tell(const v1::Replica& r) {
    const std::string& name = r.metadata().name();
    const State& s = r.status();
    if (s.state() == State::FAILED) {
      told_.insert(absl::StrCat("ReplicaFailed ", name));
      told_.insert(absl::StrCat("ReplicaCompleted ", name));
      const std::string message =
          s.message().substr(0, s.message().find(kLines));
      std::string ran;
      if (s.has_start_time() && s.has_finish_time()) {
        ran = absl::StrCat(" after ",
                           absl::FormatDuration(absl::Trunc(
                               ToTime(s.finish_time()) - ToTime(s.start_time()),
                               absl::Milliseconds(1))));
      }
      Add(s.finish_time(), s.reason() != "Completed", s.reason(),
          absl::StrCat(name, " ended", ran, ": ", message, Exits(s)));
    } else if (s.ready()) {
      Add(s.ready_time(), false, "Ready",
          absl::StrCat(name, " is ready (revision ", r.spec().revision(), ")"));
    } else if (IsRolledBack(s)) {
      told_.insert(absl::StrCat("ReplicaRolledBack ", name));
      Add(s.finish_time(), true, "RolledBack",
          absl::StrCat(name, " was stopped: ",
                       s.message().substr(0, s.message().find(kLines))));
    } else if (s.state() == State::RUNNING && !s.probe_message().empty()) {
      told_.insert(absl::StrCat("ProbeFailed ", name,
                                " is not ready: ", s.probe_message()));
      Add(s.state_time(), true, "NotReady",
          absl::StrCat(name, " runs, but is not ready: ", s.probe_message()));
    }
  }

  // Containers beyond the one that the message names.
  static std::string Exits(const State& s) {
    std::vector<std::string> exits;
    for (const v1::ContainerStatus& c : s.containers()) {
      if (c.running() || c.finish_time().seconds() == 0) continue;
      if (s.containers_size() < 2 && !c.oom_killed()) continue;
      exits.push_back(absl::StrCat(
          c.name(), c.oom_killed() ? " out of memory, status " : " status ",
          c.exit_code()));
    }
    return exits.empty() ? ""
                         : absl::StrCat(" [", absl::StrJoin(exits, ", "), "]");
  }

  void TellInput(const v1::Object& object) {
    const std::string name = manifest::NameOf(object);
    const auto& versions = object.has_secret()
                               ? object.secret().status().versions()
                               : object.config().status().versions();
    for (const v1::ValueVersion& v : versions) {
      Add(v.create_time(), false, "NewValue",
          absl::StrCat(
              name, " version ", v.version(),
              v.rolled_back_to() > 0
                  ? absl::StrCat(", again that of version ", v.rolled_back_to())
                  : "",
              v.actor().name().empty()
                  ? ""
                  : absl::StrCat(", by ", v.actor().name())));
    }
  }

  // Only what no event tells.
  void Tell(const v1::Condition& c) {
    if (c.type() != "PortsOpen" && c.type() != "DependenciesReady") return;
    if (c.status() != v1::Condition::FALSE) return;
    Add(c.last_transition_time(), true, c.reason(), c.message());
  }

  void Tell(const v1::Scale& scale) {
    Add(scale.last_scale_time(), false, "Scaled", scale.message());
  }

  void Tell(const v1::Event& e) {
    if (told_.count(absl::StrCat(e.reason(), " ", e.message())) > 0) return;
    // "web-0-x2x4z failed …", "revision 3 is recorded …".
    std::vector<std::string> words = absl::StrSplit(e.message(), ' ');
    words.resize(2);
    if (told_.count(absl::StrCat(e.reason(), " ", words[0])) > 0 ||
        told_.count(absl::StrCat(e.reason(), " ", words[0], " ", words[1])) >
            0) {
      return;
    }
    std::string text = e.message();
    if (e.count() > 1) {
      absl::StrAppend(&text, " (", e.count(), " times since ",
                      FormatTimestamp(e.first_time()), ")");
    }
    const std::string& actor = e.actor().name();
    if (!actor.empty() && actor != "system" &&
        !absl::StrContains(text, " " + actor)) {
      absl::StrAppend(&text, ", by ", actor);
    }
    Add(e.last_time(), e.severity() == v1::Event::WARNING, e.reason(), text);
  }

  const WhyFacts& facts_;
  std::vector<Moment> moments_;
  // "ReplicaFailed web-0-x2x4z": events that would say it again.
  std::set<std::string> told_;
};

}  // namespace

std::vector<Moment> Timeline(const WhyFacts& facts) {
  return Teller(facts).Tell();
}

const v1::Revision* CurrentRevision(const WhyFacts& facts) {
  for (const v1::Revision& r : facts.revisions) {
    if (r.number() == facts.service.status().revision()) return &r;
  }
  return nullptr;
}

std::string Ingredients(const v1::Revision& revision) {
  std::vector<std::string> parts;
  const std::map<std::string, std::string> digests(
      revision.image_digests().begin(), revision.image_digests().end());
  for (const auto& [image, digest] : digests) {
    absl::string_view hex = digest;
    absl::ConsumePrefix(&hex, "sha256:");
    parts.push_back(
        absl::StrCat("image ", image, " (sha256:", hex.substr(0, 12), ")"));
  }
  for (const v1::InputVersion& input : revision.template_().inputs()) {
    parts.push_back(absl::StrCat(
        input.kind(), " ", input.name(), " ",
        input.version() == 0 ? "newest version"
                             : absl::StrCat("version ", input.version())));
  }
  return absl::StrJoin(parts, ", ");
}

std::vector<std::string> RecordedLines(absl::string_view message) {
  const size_t at = message.find(kLines);
  if (at == absl::string_view::npos) return {};
  return absl::StrSplit(message.substr(at + sizeof(kLines) - 1), " | ");
}

bool IsRolledBack(const v1::ReplicaStatus& status) {
  return status.state() == State::STOPPED && status.reason() == "RolledBack";
}

const v1::Event* LastWords(const WhyFacts& facts) {
  const v1::Event* last = nullptr;
  for (const v1::Event& e : facts.events) {
    if (e.reason() != "ReplicaFailed" && e.reason() != "ReplicaRolledBack") {
      continue;
    }
    if (RecordedLines(e.message()).empty()) continue;
    if (last == nullptr || ToTime(e.last_time()) > ToTime(last->last_time())) {
      last = &e;
    }
  }
  return last;
}

}  // namespace bulwark::ctl
