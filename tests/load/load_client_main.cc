// load_client: HTTP/1.1 GETs, and what became of each.
//
//   load_client --target ADDRESS:PORT [--path /] [--connections 8]
//     [--duration 5s] [--rate N] [--mode per-request|keep-alive]
//     [--timeout 10s] [--backend-header X-Backend] [--namespace PATH]
//     [--kills FILE] [--report-outage]
//
// Prints one JSON object; exits 0 if no request failed, 1 if some did, 2 on
// wrong usage. FILE is read at the end: a line "KILLED GONE BACKEND" for each
// process that was killed on purpose, with the milliseconds of CLOCK_BOOTTIME
// right before the signal and when it was gone; BACKEND "-" is the proxy.
// SIGINT and SIGTERM end the run early, with its report.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/units.h"
#include "tests/load/load.h"

namespace bulwark::load {
namespace {

std::atomic<bool> g_stop = false;

struct Flags {
  LoadOptions load;
  std::string netns;
  std::string kills;
  bool report_outage = false;
};

absl::Status ParseTarget(const std::string& value, LoadOptions& load) {
  const size_t colon = value.rfind(':');
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(value.substr(colon + 1), &load.port)) {
    return absl::InvalidArgumentError("read --target: not ADDRESS:PORT");
  }
  absl::string_view address = absl::string_view(value).substr(0, colon);
  absl::ConsumePrefix(&address, "[");
  absl::ConsumeSuffix(&address, "]");
  load.address = std::string(address);
  return absl::OkStatus();
}

absl::Status ParseFlag(const std::string& name, const std::string& value,
                       Flags& flags) {
  bool ok = true;
  if (name == "--target") return ParseTarget(value, flags.load);
  if (name == "--path") {
    flags.load.path = value;
  } else if (name == "--connections") {
    ok = absl::SimpleAtoi(value, &flags.load.connections) &&
         flags.load.connections > 0;
  } else if (name == "--duration") {
    ASSIGN_OR_RETURN(flags.load.duration, ParseDuration(value));
  } else if (name == "--timeout") {
    ASSIGN_OR_RETURN(flags.load.timeout, ParseDuration(value));
  } else if (name == "--rate") {
    ok = absl::SimpleAtod(value, &flags.load.rate) && flags.load.rate >= 0;
  } else if (name == "--mode") {
    ok = value == "per-request" || value == "keep-alive";
    flags.load.mode =
        value == "keep-alive" ? Mode::kKeepAlive : Mode::kPerRequest;
  } else if (name == "--backend-header") {
    flags.load.backend_header = value;
  } else if (name == "--namespace") {
    flags.netns = value;
  } else if (name == "--kills") {
    flags.kills = value;
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("read ", name, ": no such flag"));
  }
  if (ok) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("read ", name, ": \"", value, "\" is not valid"));
}

absl::StatusOr<Flags> ParseFlags(int argc, char** argv) {
  Flags flags;
  bool target = false;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--report-outage") {
      flags.report_outage = true;
      continue;
    }
    std::string value;
    if (const size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (++i < argc) {
      value = argv[i];
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", name, ": a value is missing"));
    }
    RETURN_IF_ERROR(ParseFlag(name, value, flags));
    target |= name == "--target";
  }
  if (!target) return absl::InvalidArgumentError("read flags: no --target");
  return flags;
}

std::vector<Kill> ReadKills(const std::string& path) {
  std::vector<Kill> kills;
  std::ifstream file(path);
  int64_t killed, gone;
  std::string name;
  while (file >> killed >> gone >> name) {
    // The rest of its millisecond belongs to `gone`.
    kills.push_back({absl::Milliseconds(killed), absl::Milliseconds(gone + 1),
                     name == "-" ? "" : name});
  }
  return kills;
}

absl::StatusOr<LoadReport> Main(Flags flags) {
  if (!flags.netns.empty()) {
    const int fd = open(flags.netns.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
      return ErrnoStatus("enter", flags.netns);
    }
  }
  signal(SIGINT, [](int) { g_stop = true; });
  signal(SIGTERM, [](int) { g_stop = true; });
  flags.load.stop = &g_stop;
  RealClock clock;
  ASSIGN_OR_RETURN(LoadReport report, RunLoad(flags.load, clock));
  if (!flags.kills.empty()) ForgiveKilled(report, ReadKills(flags.kills));
  std::printf("%s\n", ToJson(report).c_str());
  if (flags.report_outage) {
    std::printf("longest time without a new connection: %.1f ms\n",
                absl::ToDoubleMilliseconds(report.max_connect_gap));
  }
  return report;
}

}  // namespace
}  // namespace bulwark::load

int main(int argc, char** argv) {
  auto flags = bulwark::load::ParseFlags(argc, argv);
  absl::Status status = flags.status();
  if (flags.ok()) {
    auto report = bulwark::load::Main(*std::move(flags));
    if (report.ok()) return report->failed == 0 ? 0 : 1;
    status = report.status();
  }
  std::fprintf(stderr, "load_client: %s\n",
               std::string(status.message()).c_str());
  return 2;
}
