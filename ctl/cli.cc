#include "ctl/cli.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cerrno>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "manifest/suggest.h"
#include "manifest/utf8.h"

namespace bulwark::ctl {
namespace {

constexpr absl::string_view kFooter =
    "Exit status: 0 success, 1 error, 2 wrong usage, 124 a wait ran out of "
    "time;\nexec and run pass on the command's own, 127 if it is not there, "
    "126 "
    "if it is no\nprogram, and 125 if something else went wrong; diff has its "
    "own.\n"
    "Environment: BULWARK_SOCKET, BULWARK_PROJECT, NO_COLOR.";

// Whether `argument`, a flag, takes the next argument as its value.
bool TakesNext(const std::string& argument, const CLI::App& app,
               const CLI::App* sub) {
  if (argument.find('=') != std::string::npos) return false;
  // Of "-itp" the last letter counts; "-p80" holds its value.
  const bool is_long = argument.rfind("--", 0) == 0;
  for (size_t i = 1; i < (is_long ? 2 : argument.size()); ++i) {
    const std::string name =
        is_long ? argument : absl::StrCat("-", argument.substr(i, 1));
    const CLI::Option* option =
        sub == nullptr ? nullptr : sub->get_option_no_throw(name);
    if (option == nullptr) option = app.get_option_no_throw(name);
    if (option != nullptr && option->get_expected_min() > 0) {
      return is_long || i + 1 == argument.size();
    }
  }
  return false;
}

// "did you mean apply?" for an unknown verb.
std::string SuggestVerb(const CLI::App& app,
                        const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands({})) {
    names.push_back(sub->get_name());
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.size() > 1 && argument[0] == '-') {
      if (TakesNext(argument, app, nullptr)) ++i;
      continue;
    }
    if (std::find(names.begin(), names.end(), argument) != names.end()) {
      return "";
    }
    const std::string nearest = manifest::Nearest(argument, names);
    return absl::StrCat("\"", argument, "\" is no command",
                        nearest.empty()
                            ? "; see ctl --help"
                            : absl::StrCat("; did you mean ", nearest, "?"));
  }
  return "";
}

// CLI11's own words, where they are clear.
std::string Sentence(const CLI::ParseError& error) {
  const std::string text = error.what();
  absl::string_view rest = text;
  if (text == "A subcommand is required") {
    return "give a command; ctl --help lists them";
  }
  if (absl::ConsumePrefix(&rest, "Could not convert: ")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(rest, absl::MaxSplits(" = ", 1));
    return absl::StrCat("\"", parts.second, "\" is no number for ",
                        parts.first);
  }
  return text;
}

int PrintParseError(const CLI::App& app, const CLI::ParseError& error,
                    const std::vector<std::string>& arguments,
                    Context& context) {
  std::ostringstream out, err;
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    app.exit(error, out, err);
    context.io.Out(out.str());
    return kExitOk;
  }
  std::string message = SuggestVerb(app, arguments);
  if (message.empty()) message = Sentence(error);
  context.io.Err(absl::StrCat("error: ", message, "\n"));
  return kExitUsage;
}

// Takes the user's command off the end of the arguments (Command::Tail).
std::vector<std::string> SplitTail(const std::vector<std::string>& arguments,
                                   const CLI::App& app, Context& context) {
  const CLI::App* sub = nullptr;
  bool word_seen = false;
  std::vector<std::string> head;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool is_flag = argument.size() > 1 && argument[0] == '-';
    const Context::Tail* tail = nullptr;
    if (sub != nullptr) tail = &context.tails.at(sub->get_name());
    if (word_seen && (!is_flag || argument == "--" || !tail->flags_after)) {
      if (argument == "--") ++i;
      tail->values->assign(arguments.begin() + i, arguments.end());
      return head;
    }
    head.push_back(argument);
    if (is_flag) {
      if (TakesNext(argument, app, sub) && i + 1 < arguments.size()) {
        head.push_back(arguments[++i]);
      }
    } else if (sub != nullptr) {
      word_seen = true;
    } else {
      if (context.tails.count(argument) == 0) return arguments;
      sub = app.get_subcommand(argument);
    }
  }
  return head;
}

}  // namespace

std::shared_ptr<CLI::App> MakeApp(Context& context) {
  auto app = std::make_shared<CLI::App>(
      "ctl controls bulwarkd: it declares, shows and runs services", "ctl");
  app->require_subcommand(1);
  app->fallthrough();
  app->footer(std::string(kFooter));
  context.socket = context.environment("BULWARK_SOCKET")
                       .value_or(std::string(kDefaultSocket));
  context.project = context.environment("BULWARK_PROJECT").value_or("");
  app->add_option("--socket", context.socket,
                  absl::StrCat("bulwarkd's socket [", kDefaultSocket, "]"));
  app->add_option("-p,--project", context.project,
                  "Project of the objects [default]");
  app->add_option("--timeout", context.timeout_text,
                  "Longest time of a call or a wait, e.g. 90s")
      ->check([](const std::string& text) {
        absl::StatusOr<absl::Duration> parsed = ParseDuration(text);
        return parsed.ok() ? std::string()
                           : std::string(parsed.status().message());
      });
  for (auto add :
       {AddApply,   AddDiff,      AddGet,      AddDescribe,  AddDelete,
        AddWait,    AddLogs,      AddExec,     AddRun,       AddPs,
        AddTop,     AddWhy,       AddScale,    AddAutoscale, AddRollout,
        AddJob,     AddVolume,    AddSecret,   AddConfig,    AddEvents,
        AddBuild,   AddPull,      AddPush,     AddImages,    AddImage,
        AddArchive, AddLogin,     AddExplain,  AddDoctor,    AddSystem,
        AddBackup,  AddAudit,     AddShutdown, AddVersion,   AddCompletion,
        AddAttach,  AddContainer, AddCp,       AddUpdate}) {
    add(*app, context);
  }
  return app;
}

int RunCtl(const std::vector<std::string>& arguments, Context& context) {
  // The API's strings are UTF-8; the server could not read a request with
  // another one.
  for (const std::string& argument : arguments) {
    if (manifest::FindInvalidUtf8(argument) == std::string::npos) continue;
    context.io.Err(absl::StrCat("error: argument \"",
                                absl::CHexEscape(argument),
                                "\" is not UTF-8 text; give it as such, or let "
                                "the command read it from a file\n"));
    return kExitUsage;
  }
  std::shared_ptr<CLI::App> app = MakeApp(context);
  const std::vector<std::string> head = SplitTail(arguments, *app, context);
  try {
    // CLI11 takes them from the back.
    app->parse(std::vector<std::string>(head.rbegin(), head.rend()));
  } catch (const CLI::ParseError& error) {
    return PrintParseError(*app, error, arguments, context);
  }
  if (!context.action) return kExitOk;
  absl::StatusOr<int> code = context.action(context);
  const int lost = context.io.out_error();
  // A reader that has left, such as `head`, has what it wanted.
  if (code.ok() && lost != 0 && lost != EPIPE) {
    code = ErrnoStatus(lost, "write", "standard output");
  }
  if (code.ok()) return *code;
  context.io.Err(FormatError(code.status()));
  return ExitCodeOf(code.status());
}

}  // namespace bulwark::ctl
