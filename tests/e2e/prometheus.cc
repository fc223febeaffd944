#include "tests/e2e/prometheus.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::e2e {
namespace {

using Json = nlohmann::json;

std::string Address() { return absl::StrCat("127.0.0.1:", Prometheus::kPort); }

// As a form's field.
std::string Escaped(const std::string& text) {
  std::string out;
  for (unsigned char c : text) {
    if (absl::ascii_isalnum(c)) {
      out += static_cast<char>(c);
    } else {
      absl::StrAppendFormat(&out, "%%%02X", c);
    }
  }
  return out;
}

// The body of the answer. Hundreds are asked for: no program is started.
std::string Post(const std::string& path, const std::string& form) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(Prometheus::kPort);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) != 0) {
    return "cannot connect";
  }
  // 1.0: the answer comes in one piece and ends with the connection.
  const std::string request = absl::StrCat(
      "POST ", path, " HTTP/1.0\r\nContent-Length: ", form.size(),
      "\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n", form);
  if (write(fd.get(), request.data(), request.size()) !=
      static_cast<ssize_t>(request.size())) {
    return "cannot write";
  }
  std::string answer;
  char buffer[16384];
  while (true) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n <= 0) break;
    answer.append(buffer, n);
  }
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? answer : answer.substr(end + 4);
}

}  // namespace

Prometheus::Prometheus(const World& world)
    : log_(world.Path("prometheus.log")) {
  const std::string folder =
      std::filesystem::path(World::Runfile("dashboards/alerts.yaml"))
          .parent_path();
  WriteFile(world.Path("prometheus.yml"),
            absl::StrCat("global: {scrape_interval: 1s, scrape_timeout: 1s, "
                         "evaluation_interval: 1s}\nrule_files: [",
                         folder,
                         "/alerts.yaml]\nscrape_configs:\n"
                         "  - job_name: bulwark\n    static_configs:\n"
                         "      - targets: [\"127.0.0.1:",
                         kTargetPort, "\"]\n"));
  process_ = std::make_unique<Background>(
      std::vector<std::string>{
          "prometheus",
          absl::StrCat("--config.file=", world.Path("prometheus.yml")),
          absl::StrCat("--storage.tsdb.path=", world.Path("prometheus")),
          absl::StrCat("--web.listen-address=", Address()),
          absl::StrCat("--web.console.templates=", folder, "/consoles"),
          absl::StrCat("--web.console.libraries=", folder, "/consoles"),
          "--log.level=warn"},
      log_);
  CHECK(Eventually([this] { return !Get("/-/ready").empty(); }));
}

std::string Prometheus::Get(const std::string& path) {
  const Result result =
      Run({"curl", "-sf", absl::StrCat("http://", Address(), path)});
  return result.ok() ? result.out : "";
}

absl::StatusOr<std::vector<Prometheus::Values>> Prometheus::History(
    const std::string& expression, absl::Time begin) {
  const Json body =
      Json::parse(Post("/api/v1/query_range",
                       absl::StrCat("step=1&start=", absl::ToUnixSeconds(begin),
                                    "&end=", absl::ToUnixSeconds(WallNow()),
                                    "&query=", Escaped(expression))),
                  nullptr, false);
  if (!body.is_object() || body.value("status", "") != "success") {
    return absl::InvalidArgumentError(
        absl::StrCat("query ", expression, ": ", body.dump()));
  }
  std::map<double, Values> by_time;
  for (const Json& series : body["data"]["result"]) {
    const std::string labels = series["metric"].dump();
    for (const Json& point : series["values"]) {
      by_time[point[0].get<double>()][labels] =
          std::atof(point[1].get<std::string>().c_str());
    }
  }
  std::vector<Values> history;
  for (auto& [time, values] : by_time) history.push_back(std::move(values));
  return history;
}

absl::StatusOr<Prometheus::Values> Prometheus::Query(
    const std::string& expression) {
  ASSIGN_OR_RETURN(const std::vector<Values> history,
                   History(expression, WallNow()));
  return history.empty() ? Values() : history.back();
}

double Sum(const Prometheus::Values& values) {
  double sum = 0;
  for (const auto& [labels, value] : values) {
    if (std::isfinite(value)) sum += value;
  }
  return sum;
}

}  // namespace bulwark::e2e
