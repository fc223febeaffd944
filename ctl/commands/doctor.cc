// ctl doctor: what this host can and cannot do.
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string output;
  bool problems = false;
};

struct Word {
  const char* text;
  int color;
};

Word WordOf(v1::DoctorCheck::Result result) {
  switch (result) {
    case v1::DoctorCheck::GOOD:
      return {"good", 2};
    case v1::DoctorCheck::LIMITED:
      return {"limited", 3};
    default:
      return {"bad", 1};
  }
}

std::string Padded(absl::string_view text, size_t width) {
  return absl::StrCat(
      text, std::string(width > text.size() ? width - text.size() : 0, ' '));
}

std::string Line(const v1::DoctorCheck& check, bool color) {
  constexpr size_t kResult = 9, kName = 15;
  const Word word = WordOf(check.result());
  const std::string result = Padded(word.text, kResult);
  std::string line =
      absl::StrCat(color ? Colored(result, word.color) : result,
                   Padded(check.name(), kName), check.message(), "\n");
  if (!check.remedy().empty()) {
    absl::StrAppend(&line, std::string(kResult + kName, ' '),
                    "what to do: ", check.remedy(), "\n");
  }
  return line;
}

// "24 checks: 20 good, 3 limited, 1 bad".
std::string Summary(const v1::DoctorResponse& response) {
  std::vector<std::string> parts;
  for (auto result : {v1::DoctorCheck::GOOD, v1::DoctorCheck::LIMITED,
                      v1::DoctorCheck::BAD}) {
    int count = 0;
    for (const v1::DoctorCheck& check : response.checks()) {
      if (check.result() == result) ++count;
    }
    if (count > 0) {
      parts.push_back(absl::StrCat(count, " ", WordOf(result).text));
    }
  }
  return absl::StrCat(response.checks_size(),
                      " checks: ", absl::StrJoin(parts, ", "), "\n");
}

absl::StatusOr<int> Run(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(const v1::DoctorResponse response,
                   context.client().Doctor());
  int code = kExitOk;
  std::string text;
  for (const v1::DoctorCheck& check : response.checks()) {
    if (check.result() == v1::DoctorCheck::BAD) code = kExitError;
    if (flags.problems && check.result() == v1::DoctorCheck::GOOD) continue;
    text += Line(check, context.io.color());
  }
  if (!PrintMessage(context, response, flags.output)) {
    context.io.Out(text + Summary(response));
  }
  return code;
}

}  // namespace

void AddDoctor(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "doctor",
          "Say what this host can and cannot do, what follows from it and what "
          "mends it;\nexit status 1 if something does not work")
      .Flag("--problems", flags->problems, "Leave out what is good")
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([flags](Context& c) { return Run(c, *flags); });
}

}  // namespace bulwark::ctl
