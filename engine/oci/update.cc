// `update`: what its flags ask for.
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/oci/commands.h"
#include "engine/oci/config/parse.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

// "64m", "1G", "1048576", "-1".
absl::StatusOr<int64_t> ReadBytes(const std::string& name,
                                  const std::string& text) {
  const absl::Status bad = absl::InvalidArgumentError(absl::StrCat(
      "update: --", name, " ", text, " is no size: a number with k, m or g"));
  if (text.empty()) return bad;
  std::string digits = text;
  int shift = 0;
  switch (digits.back() | 0x20) {
    case 'k':
      shift = 10;
      break;
    case 'm':
      shift = 20;
      break;
    case 'g':
      shift = 30;
      break;
  }
  if (shift != 0) digits.pop_back();
  int64_t number = 0;
  if (!absl::SimpleAtoi(digits, &number) || number > INT64_MAX >> shift) {
    return bad;
  }
  return number < 0 ? -1 : number << shift;
}

template <typename T>
absl::Status TakeInt(const Args& args, const std::string& name,
                     std::optional<T>& out) {
  if (!args.Has(name)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t number, args.GetInt(name, 0));
  out = static_cast<T>(number);
  return absl::OkStatus();
}

absl::Status TakeBytes(const Args& args, const std::string& name,
                       std::optional<int64_t>& out) {
  if (!args.Has(name)) return absl::OkStatus();
  ASSIGN_OR_RETURN(out, ReadBytes(name, args.Get(name)));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  if (path != "-") return os::ReadFile(path, kMaxConfigBytes);
  std::string text;
  char buffer[16384];
  ssize_t n;
  while ((n = read(0, buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxConfigBytes) break;
  }
  if (n < 0) return ErrnoStatus("read", "standard input");
  return text;
}

}  // namespace

const std::vector<Flag>* const kUpdateFlags = new std::vector<Flag>{
    {"resources", 'r', true, "file as linux.resources; - is standard input"},
    {"memory", 0, true, "limit"},
    {"memory-reservation", 0, true, "soft limit"},
    {"memory-swap", 0, true, "memory and swap together; -1: no limit"},
    {"cpu-quota", 0, true, "microseconds in each period"},
    {"cpu-period", 0, true, "microseconds"},
    {"cpu-burst", 0, true, "microseconds"},
    {"cpu-share", 0, true, "relative weight"},
    {"cpu-shares", 0, true, "relative weight"},
    {"cpu-rt-runtime", 0, true, "microseconds"},
    {"cpu-rt-period", 0, true, "microseconds"},
    {"cpu-idle", 0, true, "1: only what others leave"},
    {"cpuset-cpus", 0, true, "\"0-2,7\""},
    {"cpuset-mems", 0, true, "\"0\""},
    {"pids-limit", 0, true, "most processes; -1: no limit"},
    {"blkio-weight", 0, true, "10 to 1000"}};

absl::StatusOr<Resources> ReadUpdate(const Args& args) {
  Resources r;
  if (args.Has("resources")) {
    ASSIGN_OR_RETURN(const std::string text, ReadAll(args.Get("resources")));
    absl::StatusOr<Resources> read = ParseResources(text);
    if (!read.ok()) return Annotate(read.status(), args.Get("resources"));
    r = *std::move(read);
  }
  RETURN_IF_ERROR(TakeBytes(args, "memory", r.memory.limit));
  RETURN_IF_ERROR(TakeBytes(args, "memory-reservation", r.memory.reservation));
  RETURN_IF_ERROR(TakeBytes(args, "memory-swap", r.memory.swap));
  RETURN_IF_ERROR(TakeInt(args, "cpu-quota", r.cpu.quota));
  RETURN_IF_ERROR(TakeInt(args, "cpu-period", r.cpu.period));
  RETURN_IF_ERROR(TakeInt(args, "cpu-burst", r.cpu.burst));
  RETURN_IF_ERROR(TakeInt(args, "cpu-share", r.cpu.shares));
  RETURN_IF_ERROR(TakeInt(args, "cpu-shares", r.cpu.shares));
  RETURN_IF_ERROR(TakeInt(args, "cpu-rt-runtime", r.cpu.realtime_runtime));
  RETURN_IF_ERROR(TakeInt(args, "cpu-rt-period", r.cpu.realtime_period));
  RETURN_IF_ERROR(TakeInt(args, "cpu-idle", r.cpu.idle));
  RETURN_IF_ERROR(TakeInt(args, "pids-limit", r.pids_limit));
  RETURN_IF_ERROR(TakeInt(args, "blkio-weight", r.block_io.weight));
  if (args.Has("cpuset-cpus")) r.cpu.cpus = args.Get("cpuset-cpus");
  if (args.Has("cpuset-mems")) r.cpu.mems = args.Get("cpuset-mems");
  return r;
}

}  // namespace bulwark::engine::oci
