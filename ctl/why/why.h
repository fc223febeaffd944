// Why a service is as it is: one story of what the daemon recorded. Pure.
#ifndef CTL_WHY_WHY_H_
#define CTL_WHY_WHY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::ctl {

// All that is known of one service.
struct WhyFacts {
  v1::Service service;
  std::vector<v1::Replica> replicas;
  std::vector<v1::Revision> revisions;
  std::vector<v1::Event> events;
  // Secrets and configs that its revisions read, as far as they exist.
  std::vector<v1::Object> inputs;
  std::optional<v1::Scale> scale;
  absl::Time now;
};

// How the service does, in one sentence, and what to do about it.
struct Verdict {
  // All is as declared.
  bool well = false;
  std::string state;  // ServiceState()
  std::string cause;
  std::string remedy;  // empty: nothing to do
};
Verdict Judge(const WhyFacts& facts);

// One thing that happened.
struct Moment {
  absl::Time time;
  bool bad = false;
  std::string word;  // "ReplicaFailed"
  std::string text;
};
// Oldest first; what two sources tell is told once.
std::vector<Moment> Timeline(const WhyFacts& facts);

// The replica whose last words matter: the one that failed last, else one that
// is not ready; null if all is well with them.
const v1::Replica* Culprit(const WhyFacts& facts);

// What the current revision is made of: "image shop:1.4 (sha256:0123456789ab),
// secret db-password version 2".
std::string Ingredients(const v1::Revision& revision);
// The revision that is rolled out, or null.
const v1::Revision* CurrentRevision(const WhyFacts& facts);

// The log lines that a replica's end was recorded with, in its status or in an
// event, for when its log is gone.
std::vector<std::string> RecordedLines(absl::string_view message);
// It was stopped with its revision.
bool IsRolledBack(const v1::ReplicaStatus& status);
// The last event of a replica's end that holds log lines, or null: for when the
// replica is gone.
const v1::Event* LastWords(const WhyFacts& facts);

struct WhyForm {
  size_t moments = 30;  // the last ones; 0: all
  bool color = false;
};
// `lines`: what the culprit printed last, if that could be read.
std::string WhyText(const WhyFacts& facts,
                    const std::vector<std::string>& lines, const WhyForm& form);

}  // namespace bulwark::ctl

#endif  // CTL_WHY_WHY_H_
