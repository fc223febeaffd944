#include "base/signals.h"

#include <csignal>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace bulwark {
namespace {

constexpr struct {
  absl::string_view name;
  int number;
} kSignals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},       {"QUIT", SIGQUIT},
    {"ILL", SIGILL},       {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},
    {"IOT", SIGABRT},      {"BUS", SIGBUS},       {"FPE", SIGFPE},
    {"KILL", SIGKILL},     {"USR1", SIGUSR1},     {"SEGV", SIGSEGV},
    {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},     {"ALRM", SIGALRM},
    {"TERM", SIGTERM},     {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},      {"CONT", SIGCONT},     {"STOP", SIGSTOP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},     {"WINCH", SIGWINCH},
    {"IO", SIGIO},         {"POLL", SIGIO},       {"PWR", SIGPWR},
    {"SYS", SIGSYS},
};

bool IsNumber(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return !text.empty();
}

// `text` as a number from 0 to `most`.
std::optional<int> NumberUpTo(absl::string_view text, int most) {
  int number = 0;
  if (!IsNumber(text) || !absl::SimpleAtoi(text, &number) || number > most) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::optional<int> ParseSignal(absl::string_view text) {
  if (IsNumber(text)) {
    const std::optional<int> number = NumberUpTo(text, SIGRTMAX);
    return number == 0 ? std::nullopt : number;
  }
  const std::string upper = absl::AsciiStrToUpper(text);
  absl::string_view name = absl::StripPrefix(upper, "SIG");
  for (const auto& signal : kSignals) {
    if (signal.name == name) return signal.number;
  }
  if (name == "RTMIN") return SIGRTMIN;
  if (name == "RTMAX") return SIGRTMAX;
  const int most = SIGRTMAX - SIGRTMIN;
  // Images of systemd stop with SIGRTMIN+3.
  if (absl::ConsumePrefix(&name, "RTMIN+")) {
    const std::optional<int> offset = NumberUpTo(name, most);
    if (offset.has_value()) return SIGRTMIN + *offset;
  } else if (absl::ConsumePrefix(&name, "RTMAX-")) {
    const std::optional<int> offset = NumberUpTo(name, most);
    if (offset.has_value()) return SIGRTMAX - *offset;
  }
  return std::nullopt;
}

}  // namespace bulwark
