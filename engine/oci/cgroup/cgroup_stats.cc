// What a container has used, with the names that runc's `events --stats` gives
// it. Times are nanoseconds, "no limit" is the largest number, and what is not
// counted here is left out or 0.
#include <dirent.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/cgroup_files.h"

namespace bulwark::engine::oci {
namespace {

using nlohmann::json;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kNanosecondsPerTick = 10000000;  // of cpuacct.stat
constexpr uint64_t kNanosecondsPerMicrosecond = 1000;

// The directory that counts for a controller of version 1; empty if it is
// version 2 that does.
std::string V1(const CgroupRecord& record, const char* controller) {
  const auto directory = record.v1.find(controller);
  return directory == record.v1.end() ? "" : directory->second;
}

uint64_t Number(const std::string& path) {
  return ControlNumber(ReadControl(path));
}

uint64_t Limit(const std::string& path) {
  const std::string text = ReadControl(path);
  return text == "max" ? kNoLimit : ControlNumber(text);
}

uint64_t Field(const std::string& text, absl::string_view key) {
  return ControlNumber(ControlField(text, key));
}

// Every "NAME NUMBER" of a file.
json Raw(const std::string& text) {
  json raw = json::object();
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> words =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    uint64_t value;
    if (absl::SimpleAtoi(words.second, &value)) {
      raw[std::string(words.first)] = value;
    }
  }
  return raw;
}

json PerCpu(const std::string& text) {
  json list = json::array();
  for (absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    list.push_back(ControlNumber(word));
  }
  return list;
}

json Cpu(const CgroupRecord& record) {
  json usage, throttling;
  const std::string unified = ReadControl(record.unified + "/cpu.stat");
  const std::string acct = V1(record, "cpuacct");
  if (acct.empty()) {
    const auto time = [&](const char* key) {
      return Field(unified, key) * kNanosecondsPerMicrosecond;
    };
    usage = {{"total", time("usage_usec")},
             {"kernel", time("system_usec")},
             {"user", time("user_usec")}};
  } else {
    const std::string stat = ReadControl(acct + "/cpuacct.stat");
    usage = {{"total", Number(acct + "/cpuacct.usage")},
             {"percpu", PerCpu(ReadControl(acct + "/cpuacct.usage_percpu"))},
             {"kernel", Field(stat, "system") * kNanosecondsPerTick},
             {"user", Field(stat, "user") * kNanosecondsPerTick}};
  }
  const std::string cpu = V1(record, "cpu");
  const std::string stat =
      cpu.empty() ? unified : ReadControl(cpu + "/cpu.stat");
  throttling = {{"periods", Field(stat, "nr_periods")},
                {"throttledPeriods", Field(stat, "nr_throttled")},
                {"throttledTime", cpu.empty() ? Field(stat, "throttled_usec") *
                                                    kNanosecondsPerMicrosecond
                                              : Field(stat, "throttled_time")}};
  return {{"usage", usage}, {"throttling", throttling}};
}

// One of the four counters of version 1: "memory." and "memory.memsw." …
json MemoryV1(const std::string& prefix) {
  return {{"limit", Number(prefix + "limit_in_bytes")},
          {"usage", Number(prefix + "usage_in_bytes")},
          {"max", Number(prefix + "max_usage_in_bytes")},
          {"failcnt", Number(prefix + "failcnt")}};
}

json MemoryV2(const std::string& prefix) {
  const std::string events = ReadControl(prefix + "events");
  return {{"limit", Limit(prefix + "max")},
          {"usage", Number(prefix + "current")},
          {"max", Number(prefix + "peak")},  // Linux 5.19
          {"failcnt", Field(events, "max")}};
}

json Memory(const CgroupRecord& record) {
  const std::string v1 = V1(record, "memory");
  if (!v1.empty()) {
    const std::string stat = ReadControl(v1 + "/memory.stat");
    return {{"cache", Field(stat, "cache")},
            {"usage", MemoryV1(v1 + "/memory.")},
            {"swap", MemoryV1(v1 + "/memory.memsw.")},
            {"kernel", MemoryV1(v1 + "/memory.kmem.")},
            {"kernelTCP", MemoryV1(v1 + "/memory.kmem.tcp.")},
            {"raw", Raw(stat)}};
  }
  if (!PathExists(record.unified + "/memory.current")) return json::object();
  const std::string stat = ReadControl(record.unified + "/memory.stat");
  json usage = MemoryV2(record.unified + "/memory.");
  json swap = MemoryV2(record.unified + "/memory.swap.");
  // As version 1 has it, swap includes memory: the readers of this format
  // subtract the one from the other.
  for (const char* key : {"limit", "usage"}) {
    const uint64_t a = usage[key], b = swap[key];
    swap[key] = a > kNoLimit - b ? kNoLimit : a + b;
  }
  return {{"cache", Field(stat, "file")},
          {"usage", std::move(usage)},
          {"swap", std::move(swap)},
          {"raw", Raw(stat)}};
}

json Pids(const CgroupRecord& record) {
  const std::string v1 = V1(record, "pids");
  const std::string directory = v1.empty() ? record.unified : v1;
  if (!PathExists(directory + "/pids.current")) return json::object();
  json pids = {{"current", Number(directory + "/pids.current")}};
  const uint64_t limit = Limit(directory + "/pids.max");
  if (limit != kNoLimit) pids["limit"] = limit;
  return pids;
}

// One "MAJOR:MINOR" of a line's first word. False for "Total".
bool ParseDevice(absl::string_view word, json& entry) {
  const std::pair<absl::string_view, absl::string_view> numbers =
      absl::StrSplit(word, absl::MaxSplits(':', 1));
  uint64_t major, minor;
  if (!absl::SimpleAtoi(numbers.first, &major) ||
      !absl::SimpleAtoi(numbers.second, &minor)) {
    return false;
  }
  entry["major"] = major;
  entry["minor"] = minor;
  return true;
}

// Lines "8:0 Read 4096".
json BlockIoV1(const std::string& path) {
  json list = json::array();
  for (absl::string_view line : absl::StrSplit(ReadControl(path), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    json entry;
    if (words.size() != 3 || !ParseDevice(words[0], entry)) continue;
    entry["op"] = std::string(words[1]);
    entry["value"] = ControlNumber(words[2]);
    list.push_back(std::move(entry));
  }
  return list;
}

// Lines "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 …".
json BlockIoV2(const std::string& path) {
  json bytes = json::array(), operations = json::array();
  for (absl::string_view line : absl::StrSplit(ReadControl(path), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    json entry;
    if (!ParseDevice(words[0], entry)) continue;
    for (absl::string_view word : words) {
      const std::pair<absl::string_view, absl::string_view> pair =
          absl::StrSplit(word, absl::MaxSplits('=', 1));
      if (pair.second.empty()) continue;
      entry["op"] = pair.first[0] == 'r'   ? "Read"
                    : pair.first[0] == 'w' ? "Write"
                                           : "Discard";
      entry["value"] = ControlNumber(pair.second);
      if (absl::EndsWith(pair.first, "bytes")) bytes.push_back(entry);
      if (absl::EndsWith(pair.first, "ios")) operations.push_back(entry);
    }
  }
  return {{"ioServiceBytesRecursive", std::move(bytes)},
          {"ioServicedRecursive", std::move(operations)}};
}

json BlockIo(const CgroupRecord& record) {
  const std::string v1 = V1(record, "blkio");
  if (v1.empty()) return BlockIoV2(record.unified + "/io.stat");
  return {{"ioServiceBytesRecursive",
           BlockIoV1(v1 + "/blkio.throttle.io_service_bytes_recursive")},
          {"ioServicedRecursive",
           BlockIoV1(v1 + "/blkio.throttle.io_serviced_recursive")}};
}

// By page size: the middle of "hugetlb.2MB.current" and of
// "hugetlb.2MB.usage_in_bytes".
json HugePages(const CgroupRecord& record) {
  json pages = json::object();
  const std::string v1 = V1(record, "hugetlb");
  const std::string directory = v1.empty() ? record.unified : v1;
  const char* suffix = v1.empty() ? ".current" : ".usage_in_bytes";
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) return pages;
  while (const dirent* entry = readdir(stream)) {
    absl::string_view size = entry->d_name;
    if (!absl::ConsumePrefix(&size, "hugetlb.") ||
        !absl::ConsumeSuffix(&size, suffix) || absl::EndsWith(size, ".rsvd")) {
      continue;
    }
    const std::string prefix = absl::StrCat(directory, "/hugetlb.", size);
    pages[std::string(size)] = {
        {"usage", Number(prefix + suffix)},
        {"max", v1.empty() ? 0 : Number(prefix + ".max_usage_in_bytes")},
        {"failcnt", v1.empty() ? Field(ReadControl(prefix + ".events"), "max")
                               : Number(prefix + ".failcnt")}};
  }
  closedir(stream);
  return pages;
}

}  // namespace

absl::StatusOr<std::string> CgroupStatsJson(const CgroupRecord& record) {
  std::string any = record.unified;
  if (any.empty() && !record.v1.empty()) any = record.v1.begin()->second;
  if (any.empty() || !PathExists(any)) {
    return absl::NotFoundError(absl::StrCat(
        "read what the container used: no control group ", record.path));
  }
  const json data = {{"cpu", Cpu(record)},
                     {"memory", Memory(record)},
                     {"pids", Pids(record)},
                     {"blkio", BlockIo(record)},
                     {"hugetlb", HugePages(record)}};
  return data.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace bulwark::engine::oci
