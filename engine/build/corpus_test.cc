// Reads and plans every Dockerfile of corpus/, and compares what comes out with
// NAME.expected: stages, steps, configurations and warnings, or the message.
// corpus/README.md says what else a case can have, and how to renew them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/build/check_build.h"
#include "engine/build/dockerfile.h"
#include "engine/build/instruction_flags.h"
#include "engine/build/instruction_form.h"
#include "engine/build/stage_plan.h"

namespace bulwark::engine::build {
namespace {

namespace fs = std::filesystem;

constexpr char kFolder[] = "engine/build/corpus";
constexpr char kSuffix[] = ".Dockerfile";

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

// NAME.options: a line each of "arg NAME=VALUE", "target STAGE", "context
// NAME", "crlf", "bom", "env REFERENCE NAME=VALUE", "onbuild REFERENCE
// INSTRUCTION", "shell REFERENCE WORD".
struct Case {
  std::string text;
  std::map<std::string, std::string> args;
  std::string target;
  std::set<std::string> contexts;
  std::map<std::string, image::ConfigFile> bases;
  IgnoreList ignored;
};

absl::Status ReadOption(absl::string_view line, Case* result) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::MaxSplits(' ', 2), absl::SkipEmpty());
  if (words.empty()) return absl::OkStatus();
  const std::string& kind = words[0];
  if (kind == "arg" && words.size() >= 2) {
    const std::string text(line.substr(4));
    const size_t equals = text.find('=');
    result->args[text.substr(0, equals)] = text.substr(equals + 1);
  } else if (kind == "target" && words.size() == 2) {
    result->target = words[1];
  } else if (kind == "context" && words.size() == 2) {
    result->contexts.insert(words[1]);
  } else if (kind == "crlf") {
    result->text = absl::StrReplaceAll(result->text, {{"\n", "\r\n"}});
  } else if (kind == "bom") {
    result->text = absl::StrCat("\xef\xbb\xbf", result->text);
  } else if (kind == "env" && words.size() == 3) {
    result->bases[words[1]].config.env.push_back(words[2]);
  } else if (kind == "onbuild" && words.size() == 3) {
    result->bases[words[1]].on_build.push_back(words[2]);
  } else if (kind == "shell" && words.size() == 3) {
    result->bases[words[1]].shell.push_back(words[2]);
  } else {
    return absl::InvalidArgumentError(absl::StrCat("option: ", line));
  }
  return absl::OkStatus();
}

absl::StatusOr<Case> ReadCase(const fs::path& path) {
  Case result;
  result.text = ReadAll(path);
  fs::path options = path;
  const std::string option_text =
      ReadAll(options.replace_extension(".options"));
  for (absl::string_view line : absl::StrSplit(option_text, '\n')) {
    RETURN_IF_ERROR(ReadOption(line, &result));
  }
  ASSIGN_OR_RETURN(result.ignored,
                   IgnoreList::Parse(ReadAll(path.string() + ".dockerignore"),
                                     "Dockerfile.dockerignore"));
  return result;
}

// Writes what was understood, for people and for diff.
class Printer {
 public:
  Printer(const BuildPlan& plan, const Case& input, char escape)
      : plan_(plan), input_(input), escape_(escape) {}

  std::string Run(const CheckResult& result) {
    Line(absl::StrCat("order: ", absl::StrJoin(plan_.order, " ")));
    for (size_t i = 0; i < plan_.stages.size(); ++i) {
      Stage(i, plan_.stages[i]);
      auto it = result.configs.find(i);
      if (it != result.configs.end()) Config(it->second);
    }
    for (const BuildWarning& warning : result.warnings) {
      Line(absl::StrCat("warning: ", warning.line, ": ", warning.rule, ": ",
                        warning.message));
    }
    return std::move(out_);
  }

 private:
  void Line(absl::string_view text) { absl::StrAppend(&out_, text, "\n"); }
  void Field(absl::string_view name, absl::string_view value) {
    if (!value.empty()) Line(absl::StrCat("  ", name, ": ", Quoted(value)));
  }
  static std::string Quoted(absl::string_view text) {
    return absl::StrReplaceAll(text,
                               {{"\n", "\\n"}, {"\t", "\\t"}, {"\r", "\\r"}});
  }
  void List(absl::string_view name, const std::vector<std::string>& words) {
    if (words.empty()) return;
    std::vector<std::string> quoted;
    for (const std::string& word : words) {
      quoted.push_back(absl::StrCat("\"", Quoted(word), "\""));
    }
    Line(absl::StrCat("  ", name, ": [", absl::StrJoin(quoted, ", "), "]"));
  }

  void Stage(size_t index, const StagePlan& stage) {
    std::string base = stage.base;
    if (stage.base_stage >= 0) base = absl::StrCat("stage ", stage.base_stage);
    if (!stage.base_context.empty()) base = "context " + stage.base_context;
    Line(absl::StrCat("stage ", index, stage.name.empty() ? "" : " ",
                      stage.name, ": ", base,
                      stage.platform.empty() ? "" : " for ", stage.platform,
                      stage.needed ? "" : " (not needed)",
                      stage.needs.empty() ? "" : "; needs ",
                      absl::StrJoin(stage.needs, " ")));
    if (!stage.needed) return;
    for (const Instruction& instruction : stage.instructions) {
      if (instruction.keyword == "RUN") Run(instruction);
      if (instruction.keyword == "COPY" || instruction.keyword == "ADD") {
        Copy(instruction);
      }
    }
  }

  void Step(const Instruction& instruction) {
    if (instruction.exec_form) {
      List(instruction.keyword, instruction.words);
    } else {
      Field(instruction.keyword, instruction.rest);
    }
    for (const Heredoc& heredoc : instruction.heredocs) {
      Line(absl::StrCat("    heredoc ", heredoc.name,
                        heredoc.expand ? "" : " (as it is)", ": ",
                        Quoted(heredoc.text)));
    }
  }

  std::string From(const std::string& from) {
    absl::StatusOr<Source> source =
        ResolveSource(plan_.stages, input_.contexts, from);
    if (!source.ok()) return "?";
    if (source->stage >= 0) return absl::StrCat("stage ", source->stage);
    if (!source->context.empty()) return "context " + source->context;
    return "image " + source->image;
  }

  void Run(const Instruction& run) {
    Step(run);
    absl::StatusOr<RunFlags> flags = ReadRunFlags(run, NoExpansion);
    ExpectOk(flags.status());
    for (const RunMount& mount : flags->mounts) Mount(mount);
    if (flags->network == RunFlags::Network::kNone) Line("    network none");
    if (flags->network == RunFlags::Network::kHost) Line("    network host");
    if (flags->insecure) Line("    insecure");
  }

  static void ExpectOk(const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
  }

  void Mount(const RunMount& mount) {
    static const char* const types[] = {"bind", "cache", "tmpfs", "secret"};
    static const char* const sharing[] = {"shared", "private", "locked"};
    std::string text =
        absl::StrCat("    mount ", types[static_cast<int>(mount.type)]);
    const auto add = [&text](absl::string_view name, absl::string_view value) {
      if (!value.empty()) absl::StrAppend(&text, " ", name, "=", value);
    };
    const auto number = [&add](absl::string_view name, auto value) {
      if (value.has_value()) add(name, absl::StrCat(*value));
    };
    add("id", mount.id);
    add("target", mount.target);
    add("source", mount.source);
    if (!mount.from.empty()) add("from", From(mount.from));
    add("env", mount.env);
    if (mount.type == RunMount::Type::kCache) {
      add("sharing", sharing[static_cast<int>(mount.sharing)]);
    }
    if (mount.mode.has_value()) {
      absl::StrAppend(&text, " mode=0", absl::StrFormat("%o", *mount.mode));
    }
    number("uid", mount.uid);
    number("gid", mount.gid);
    if (mount.size_bytes > 0) add("size", absl::StrCat(mount.size_bytes));
    absl::StrAppend(&text, mount.read_only ? " ro" : " rw",
                    mount.required ? " required" : "");
    Line(text);
  }

  void Copy(const Instruction& copy) {
    Step(copy);
    absl::StatusOr<CopyFlags> flags = ReadCopyFlags(copy, NoExpansion);
    ExpectOk(flags.status());
    std::string text;
    if (!flags->from.empty())
      absl::StrAppend(&text, " from ", From(flags->from));
    if (!flags->chown.empty()) absl::StrAppend(&text, " chown ", flags->chown);
    if (!flags->chmod.empty()) absl::StrAppend(&text, " chmod ", flags->chmod);
    if (flags->link) absl::StrAppend(&text, " link");
    if (flags->parents) absl::StrAppend(&text, " parents");
    for (const std::string& pattern : flags->exclude) {
      absl::StrAppend(&text, " exclude ", pattern);
    }
    if (flags->keep_git_dir) absl::StrAppend(&text, " keep-git-dir");
    if (!flags->checksum.empty()) {
      absl::StrAppend(&text, " checksum ", flags->checksum);
    }
    if (flags->unpack.has_value()) {
      absl::StrAppend(&text, *flags->unpack ? " unpack" : " no-unpack");
    }
    if (!text.empty()) Line("   " + text);
  }

  void Config(const image::ConfigFile& file) {
    const ImageConfig& config = file.config;
    List("env", config.env);
    List("entrypoint", config.entrypoint);
    List("command", config.command);
    Field("workdir", config.working_dir);
    Field("user", config.user);
    Field("stop signal", config.stop_signal);
    List("ports", config.exposed_ports);
    List("volumes", config.volumes);
    for (const auto& [name, value] : config.labels) {
      Field(absl::StrCat("label ", name), absl::StrCat("\"", value, "\""));
    }
    Field("author", file.author);
    List("shell", file.shell);
    List("on build", file.on_build);
    if (!config.healthcheck.has_value()) return;
    const ImageHealthcheck& check = *config.healthcheck;
    List("healthcheck", check.command);
    Field("  interval", absl::FormatDuration(check.interval));
    Field("  timeout", absl::FormatDuration(check.timeout));
    Field("  start period", absl::FormatDuration(check.start_period));
    Field("  start interval", absl::FormatDuration(check.start_interval));
    Field("  retries", absl::StrCat(check.retries));
  }

  const BuildPlan& plan_;
  const Case& input_;
  const char escape_;
  std::string out_;
};

absl::StatusOr<std::string> Understand(const fs::path& path) {
  ASSIGN_OR_RETURN(const Case input, ReadCase(path));
  ASSIGN_OR_RETURN(const Dockerfile file,
                   ParseDockerfile(input.text, "Dockerfile"));
  const image::Platform platform{"linux", "amd64", ""};
  GlobalScope global(input.args, platform, platform, input.target);
  ASSIGN_OR_RETURN(const BuildPlan plan,
                   PlanBuild(file, input.target, input.contexts, &global));
  CheckInput check;
  check.file = &file;
  check.plan = &plan;
  check.global = &global;
  check.given = &input.args;
  check.platform = platform;
  check.ignored = &input.ignored;
  check.base = [&input](const StagePlan& stage) {
    auto it = input.bases.find(stage.base);
    return it == input.bases.end()
               ? std::nullopt
               : std::optional<image::ConfigFile>(it->second);
  };
  ASSIGN_OR_RETURN(const CheckResult result, CheckBuild(check));
  if (result.fail) return LintError(file, result.warnings);
  return Printer(plan, input, file.escape).Run(result);
}

TEST(CorpusTest, WhenRead_EachGivesWhatIsExpected) {
  const char* renew = std::getenv("RENEW_CORPUS");
  const fs::path folder = renew != nullptr ? renew : kFolder;
  size_t count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!absl::EndsWith(entry.path().string(), kSuffix)) continue;
    ++count;
    const absl::StatusOr<std::string> result = Understand(entry.path());
    const std::string got =
        result.ok() ? *result
                    : absl::StrCat("error: ", result.status().message(), "\n");
    fs::path expected = entry.path();
    expected.replace_extension(".expected");
    if (renew != nullptr) {
      std::ofstream(expected, std::ios::binary) << got;
    }
    EXPECT_EQ(got, ReadAll(expected)) << entry.path();
  }
  EXPECT_GE(count, 60u);
}

}  // namespace
}  // namespace bulwark::engine::build
