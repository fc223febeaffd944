#include "ctl/usage.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/units.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"

namespace bulwark::ctl {
namespace {

using Key = std::tuple<std::string, std::string, std::string>;

Key KeyOf(const v1::ContainerUsage& c) {
  return {c.project(), c.replica(), c.container()};
}

absl::Duration Between(const v1::StatsResponse& before,
                       const v1::StatsResponse& after) {
  return ToTime(after.time()) - ToTime(before.time());
}

// A counter's growth in a second; 0 for one that began anew.
int64_t Rate(int64_t before, int64_t after, absl::Duration time) {
  if (after <= before || time <= absl::ZeroDuration()) return 0;
  return static_cast<int64_t>(
      static_cast<double>(after - before) / absl::ToDoubleSeconds(time) + 0.5);
}

void AddRates(const v1::ContainerUsage& before, const v1::ContainerUsage& after,
              absl::Duration time, bool first_of_replica, Usage& usage) {
  const auto rate = [&](auto field) {
    return Rate((before.*field)(), (after.*field)(), time);
  };
  using C = v1::ContainerUsage;
  usage.cpu_millicores += (rate(&C::cpu_usec) + 500) / 1000;
  usage.throttled_percent += (rate(&C::cpu_throttled_usec) + 5000) / 10000;
  usage.read_rate += rate(&C::io_read_bytes);
  usage.write_rate += rate(&C::io_write_bytes);
  // The containers of a replica share one link.
  if (!first_of_replica) return;
  usage.receive_rate += rate(&C::network_receive_bytes);
  usage.transmit_rate += rate(&C::network_transmit_bytes);
}

std::string Share(int64_t part, int64_t whole) {
  return whole > 0 ? absl::StrCat((part * 100 + whole / 2) / whole, "%") : "";
}

std::string Cores(int64_t millicores) {
  return absl::StrFormat("%.2f", static_cast<double>(millicores) / 1000);
}

std::string PerSecond(int64_t bytes) { return HumanSize(bytes) + "/s"; }

}  // namespace

std::vector<Usage> UsageOf(const v1::StatsResponse& before,
                           const v1::StatsResponse& after, bool by_replica) {
  std::map<Key, const v1::ContainerUsage*> old;
  for (const v1::ContainerUsage& c : before.containers()) old[KeyOf(c)] = &c;
  std::map<std::pair<std::string, std::string>, Usage> rows;
  std::set<std::pair<std::string, std::string>> seen, unlimited_cpu,
      unlimited_memory;
  for (const v1::ContainerUsage& c : after.containers()) {
    const std::string name = by_replica        ? c.replica()
                             : c.job().empty() ? c.service()
                                               : "job/" + c.job();
    const std::pair<std::string, std::string> key{c.project(), name};
    Usage& row = rows[key];
    row.project = c.project();
    row.name = name;
    const bool first = seen.insert({c.project(), c.replica()}).second;
    row.replicas += first;
    row.memory_bytes += c.memory_bytes();
    row.memory_limit_bytes += c.memory_limit_bytes();
    row.cpu_limit_millicores += c.cpu_limit_millicores();
    if (c.memory_limit_bytes() == 0) unlimited_memory.insert(key);
    if (c.cpu_limit_millicores() == 0) unlimited_cpu.insert(key);
    row.pids += c.pids();
    row.oom_kills += c.oom_kills();
    const auto it = old.find(KeyOf(c));
    if (it == old.end()) continue;
    AddRates(*it->second, c, Between(before, after), first, row);
  }
  std::vector<Usage> sorted;
  for (auto& [key, row] : rows) {
    if (unlimited_cpu.count(key)) row.cpu_limit_millicores = 0;
    if (unlimited_memory.count(key)) row.memory_limit_bytes = 0;
    sorted.push_back(std::move(row));
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Usage& a, const Usage& b) {
                     return a.cpu_millicores > b.cpu_millicores;
                   });
  return sorted;
}

std::string NodeLine(const v1::StatsResponse& before,
                     const v1::StatsResponse& after) {
  if (!after.has_node()) return "Node: not known; see bulwarkd's log\n";
  const v1::NodeUsage& n = after.node();
  const int64_t cpu =
      Rate(before.node().cpu_usec(), n.cpu_usec(), Between(before, after)) /
      1000;
  const int64_t memory = n.memory_total_bytes() - n.memory_available_bytes();
  const int64_t disk = n.disk_total_bytes() - n.disk_available_bytes();
  return absl::StrCat(
      "Node: cpu ", Cores(cpu), " of ", FormatMillicores(n.cpu_millicores()),
      " (", Share(cpu, n.cpu_millicores()), "), memory ", HumanSize(memory),
      " of ", HumanSize(n.memory_total_bytes()), " (",
      Share(memory, n.memory_total_bytes()), "), disk ", HumanSize(disk),
      " of ", HumanSize(n.disk_total_bytes()), " (",
      Share(disk, n.disk_total_bytes()), ")\n");
}

std::string UsageTable(const std::vector<Usage>& rows, bool by_replica,
                       bool projects, size_t max_rows) {
  std::vector<std::string> header = {"CPU",     "CPU%",     "MEMORY", "MEM%",
                                     "RECEIVE", "TRANSMIT", "READ",   "WRITE",
                                     "PIDS",    "THROTTLED"};
  if (!by_replica) header.insert(header.begin(), "REPLICAS");
  header.insert(header.begin(), by_replica ? "REPLICA" : "SERVICE");
  if (projects) header.insert(header.begin(), "PROJECT");
  Table table(header);
  for (size_t i = 0; i < std::min(rows.size(), max_rows); ++i) {
    const Usage& u = rows[i];
    std::vector<std::string> row = {
        Cores(u.cpu_millicores),
        Share(u.cpu_millicores, u.cpu_limit_millicores),
        HumanSize(u.memory_bytes),
        Share(u.memory_bytes, u.memory_limit_bytes),
        PerSecond(u.receive_rate),
        PerSecond(u.transmit_rate),
        PerSecond(u.read_rate),
        PerSecond(u.write_rate),
        absl::StrCat(u.pids),
        absl::StrCat(u.throttled_percent, "%")};
    if (!by_replica) row.insert(row.begin(), absl::StrCat(u.replicas));
    row.insert(row.begin(), u.name);
    if (projects) row.insert(row.begin(), u.project);
    table.Add(std::move(row));
  }
  std::string text = table.Take();
  if (rows.size() > max_rows) {
    absl::StrAppend(&text, "… and ", rows.size() - max_rows, " more\n");
  }
  return text;
}

// Names are DNS labels: there is nothing to escape.
std::string UsageJson(const v1::StatsResponse& before,
                      const v1::StatsResponse& after,
                      const std::vector<Usage>& rows, bool by_replica) {
  const v1::NodeUsage& n = after.node();
  std::string items =
      absl::StrJoin(rows, ",\n    ", [&](std::string* out, const Usage& u) {
        absl::StrAppend(out, "{\"project\": \"", u.project, "\", \"",
                        by_replica ? "replica" : "service", "\": \"", u.name,
                        "\", \"replicas\": ", u.replicas,
                        ", \"cpuMillicores\": ", u.cpu_millicores,
                        ", \"cpuLimitMillicores\": ", u.cpu_limit_millicores,
                        ", \"memoryBytes\": ", u.memory_bytes,
                        ", \"memoryLimitBytes\": ", u.memory_limit_bytes);
        absl::StrAppend(
            out, ", \"networkReceiveBytesPerSecond\": ", u.receive_rate,
            ", \"networkTransmitBytesPerSecond\": ", u.transmit_rate,
            ", \"ioReadBytesPerSecond\": ", u.read_rate,
            ", \"ioWriteBytesPerSecond\": ", u.write_rate,
            ", \"pids\": ", u.pids,
            ", \"throttledPercent\": ", u.throttled_percent,
            ", \"oomKills\": ", u.oom_kills, "}");
      });
  return absl::StrCat(
      "{\n  \"time\": \"", FormatTimestamp(after.time()),
      "\",\n  \"node\": {\"cpuMillicores\": ",
      Rate(before.node().cpu_usec(), n.cpu_usec(), Between(before, after)) /
          1000,
      ", \"cpuTotalMillicores\": ", n.cpu_millicores(),
      ", \"memoryTotalBytes\": ", n.memory_total_bytes(),
      ", \"memoryAvailableBytes\": ", n.memory_available_bytes(),
      ", \"diskTotalBytes\": ", n.disk_total_bytes(),
      ", \"diskAvailableBytes\": ", n.disk_available_bytes(),
      "},\n  \"items\": [", rows.empty() ? "" : "\n    ", items,
      rows.empty() ? "" : "\n  ", "]\n}\n");
}

}  // namespace bulwark::ctl
