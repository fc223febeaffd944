// The story as people read it.
#include "ctl/print/text.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "ctl/io.h"
#include "ctl/print/table.h"
#include "ctl/why/why.h"

namespace bulwark::ctl {
namespace {

constexpr int kRed = 1, kGreen = 2, kYellow = 3;

std::string Paint(absl::string_view text, int color, const WhyForm& form) {
  return form.color ? Colored(text, color) : std::string(text);
}

// What a terminal must not obey.
std::string Plain(absl::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

std::string Head(const WhyFacts& facts, const WhyForm& form) {
  const Verdict verdict = Judge(facts);
  std::string out = absl::StrCat(
      "service ", facts.service.metadata().name(), " is ",
      Paint(verdict.state, verdict.well ? kGreen : kRed, form),
      verdict.cause.empty() ? "" : absl::StrCat(": ", Plain(verdict.cause)),
      "\n");
  if (!verdict.remedy.empty()) {
    absl::StrAppend(&out, "what to do: ", verdict.remedy, "\n");
  }
  const v1::ServiceStatus& status = facts.service.status();
  absl::StrAppend(&out, "\nreplicas   ", status.ready_replicas(), " ready of ",
                  status.desired_replicas(), "\n");
  if (const v1::Revision* revision = CurrentRevision(facts)) {
    absl::StrAppend(&out, "revision   ", revision->number(), ": ",
                    Ingredients(*revision), "\n");
  }
  if (facts.scale.has_value() && !facts.scale->message().empty()) {
    absl::StrAppend(&out, "autoscale  ", facts.scale->message(), "\n");
  }
  return out;
}

std::string TimelineText(const WhyFacts& facts, const WhyForm& form) {
  std::vector<Moment> moments = Timeline(facts);
  if (moments.empty()) return "\nnothing is recorded of it\n";
  std::string out;
  if (form.moments > 0 && moments.size() > form.moments) {
    const size_t left_out = moments.size() - form.moments;
    moments.erase(moments.begin(), moments.begin() + left_out);
    absl::StrAppend(&out, "\n(", left_out, " earlier ones: --all)\n");
  } else {
    out = "\n";
  }
  Table table({"TIME", "AGO", "WHAT", "MESSAGE"});
  for (const Moment& m : moments) {
    table.Add(
        {absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", m.time, absl::UTCTimeZone()),
         ShortDuration(facts.now - m.time), m.word, m.text});
  }
  const std::string text = table.Take();
  if (!form.color) return out + text;
  // The header, then a line for each moment.
  size_t begin = 0;
  for (size_t line = 0; begin < text.size(); ++line) {
    const size_t end = text.find('\n', begin);
    const absl::string_view row(text.data() + begin, end - begin);
    const bool bad = line > 0 && moments[line - 1].bad;
    absl::StrAppend(&out, bad ? Colored(row, kYellow) : std::string(row), "\n");
    begin = end + 1;
  }
  return out;
}

std::string Indented(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) {
    absl::StrAppend(&out, "  ", Plain(line), "\n");
  }
  return out;
}

// Of a service that is not well although all its replicas are: what the one
// that failed said, as an event has kept it.
std::string LinesOfTheGone(const WhyFacts& facts) {
  const v1::Event* event = LastWords(facts);
  if (event == nullptr || Judge(facts).well) return "";
  const std::string& message = event->message();
  return absl::StrCat("\nLast log lines of ",
                      Plain(message.substr(0, message.find(' '))), " (",
                      Age(event->last_time(), facts.now), " ago):\n",
                      Indented(RecordedLines(message)));
}

std::string LinesText(const WhyFacts& facts,
                      const std::vector<std::string>& lines) {
  const v1::Replica* culprit = Culprit(facts);
  if (culprit == nullptr) return LinesOfTheGone(facts);
  const std::string name = culprit->metadata().name();
  const bool ended = culprit->status().finish_time().seconds() > 0;
  const std::string when =
      ended ? absl::StrCat(" (ended ",
                           Age(culprit->status().finish_time(), facts.now),
                           " ago)")
            : "";
  const std::vector<std::string> recorded =
      RecordedLines(culprit->status().message());
  const std::vector<std::string>& shown = lines.empty() ? recorded : lines;
  if (shown.empty()) {
    return absl::StrCat("\n", name, when,
                        " has printed nothing, or its log is "
                        "gone\n");
  }
  return absl::StrCat("\nLast log lines of ", name, when, ":\n",
                      Indented(shown));
}

}  // namespace

std::string WhyText(const WhyFacts& facts,
                    const std::vector<std::string>& lines,
                    const WhyForm& form) {
  return absl::StrCat(Head(facts, form), TimelineText(facts, form),
                      LinesText(facts, lines));
}

}  // namespace bulwark::ctl
