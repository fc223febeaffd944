// ctl completion: scripts for shells, made from the commands themselves.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "manifest/kinds.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string shell;
};

std::string OptionsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options({})) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back(absl::StrCat("--", name));
    }
  }
  return absl::StrJoin(names, " ");
}

// `verb) flags="…"; subs="…" ;;` for each verb.
std::string Cases(const CLI::App& app) {
  std::string out;
  for (const CLI::App* sub : app.get_subcommands({})) {
    std::vector<std::string> subs;
    for (const CLI::App* inner : sub->get_subcommands({})) {
      subs.push_back(inner->get_name());
    }
    absl::StrAppend(&out, "    ", sub->get_name(), ") flags=\"",
                    OptionsOf(*sub), "\"; subs=\"", absl::StrJoin(subs, " "),
                    "\" ;;\n");
  }
  return out;
}

// Names of objects are asked of the daemon; with none there is no completion.
constexpr absl::string_view kBash = R"sh(# bash completion for ctl
_ctl() {
  local cur="${COMP_WORDS[COMP_CWORD]}" verb="" kind="" flags="" subs="" i w
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    w="${COMP_WORDS[i]}"
    case "$w" in
      -*) ;;
      *) if [ -z "$verb" ]; then verb="$w"; elif [ -z "$kind" ]; then kind="$w"; fi ;;
    esac
  done
  if [ -z "$verb" ]; then
    COMPREPLY=($(compgen -W "@VERBS@ @GLOBAL@" -- "$cur"))
    return
  fi
  case "$verb" in
@CASES@  esac
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags @GLOBAL@" -- "$cur"))
    return
  fi
  if [ -n "$subs" ] && [ -z "$kind" ]; then
    COMPREPLY=($(compgen -W "$subs" -- "$cur"))
    return
  fi
  case "$verb" in
    get|describe|delete|wait|explain)
      if [ -z "$kind" ]; then
        COMPREPLY=($(compgen -W "@KINDS@" -- "$cur"))
      else
        COMPREPLY=($(compgen -W "$(ctl get "$kind" -o name 2>/dev/null | sed 's|.*/||')" -- "$cur"))
      fi ;;
    logs|exec|scale|stop|start|events|rollout)
      COMPREPLY=($(compgen -W "$(ctl get services -o name 2>/dev/null | sed 's|.*/||')" -- "$cur")) ;;
    rmi|tag|run)
      COMPREPLY=($(compgen -W "$(ctl images -q 2>/dev/null)" -- "$cur")) ;;
    *)
      COMPREPLY=($(compgen -f -- "$cur")) ;;
  esac
}
complete -o default -F _ctl ctl
)sh";

std::string Script(const CLI::App& app, absl::string_view shell) {
  std::vector<std::string> verbs, kinds;
  for (const CLI::App* sub : app.get_subcommands({})) {
    verbs.push_back(sub->get_name());
  }
  for (const manifest::Kind& kind : manifest::AllKinds()) {
    kinds.push_back(kind.plural);
  }
  const std::string body =
      absl::StrReplaceAll(kBash, {{"@VERBS@", absl::StrJoin(verbs, " ")},
                                  {"@GLOBAL@", OptionsOf(app)},
                                  {"@KINDS@", absl::StrJoin(kinds, " ")},
                                  {"@CASES@", Cases(app)}});
  // zsh reads bash's own form through its compatibility layer.
  if (shell == "zsh") {
    return absl::StrCat(
        "#compdef ctl\nautoload -U +X compinit && compinit\n"
        "autoload -U +X bashcompinit && bashcompinit\n",
        body);
  }
  return body;
}

}  // namespace

void AddCompletion(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "completion",
          "Print a completion script: source <(ctl completion bash)")
      .Word("SHELL", flags->shell, "bash or zsh", Command::kRequired)
      .Action([flags, &app](Context& c) -> absl::StatusOr<int> {
        if (flags->shell != "bash" && flags->shell != "zsh") {
          return UsageError(
              absl::StrCat("completion ", flags->shell, ": bash or zsh"));
        }
        c.io.Out(Script(app, flags->shell));
        return kExitOk;
      });
}

}  // namespace bulwark::ctl
