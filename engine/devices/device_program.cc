#include "engine/devices/device_program.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "base/status.h"

namespace bulwark::engine {
namespace {

// Registers: the answer, the context, and what is loaded from it.
constexpr uint8_t kAnswer = BPF_REG_0;
constexpr uint8_t kContext = BPF_REG_1;
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kPending = BPF_REG_3;  // bits not decided yet
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;

constexpr const char* kObject = "the device filter (BPF)";

bpf_insn Instruction(uint8_t code, uint8_t to, uint8_t from, int16_t offset,
                     uint32_t value) {
  bpf_insn instruction;
  memset(&instruction, 0, sizeof(instruction));
  instruction.code = code;
  instruction.dst_reg = to & 15;
  instruction.src_reg = from & 15;
  instruction.off = offset;
  instruction.imm = static_cast<int32_t>(value);
  return instruction;
}

bpf_insn Load(uint8_t to, size_t offset) {
  return Instruction(BPF_LDX | BPF_MEM | BPF_W, to, kContext,
                     static_cast<int16_t>(offset), 0);
}

bpf_insn Alu(uint8_t operation, uint8_t to, uint32_t value) {
  return Instruction(BPF_ALU | operation | BPF_K, to, 0, 0, value);
}

// Goes on behind `skip` instructions unless `operation` holds for one of the
// values. The kernel's verifier follows the branch that does not jump first:
// that is the one where nothing has matched, which it knows least about, so
// that whatever it finds later is a case of what it has seen. The other way
// round, its work grows with the square of the number of rules.
void AppendUnless(uint8_t operation, uint8_t a,
                  const std::vector<uint32_t>& values, size_t skip,
                  std::vector<bpf_insn>& program) {
  for (size_t left = values.size(); left > 0; --left) {
    program.push_back(Instruction(BPF_JMP32 | operation | BPF_K, a, 0,
                                  static_cast<int16_t>(left),
                                  values[values.size() - left]));
  }
  program.push_back(
      Instruction(BPF_JMP | BPF_JA, 0, 0, static_cast<int16_t>(skip), 0));
}

bpf_insn Exit() { return Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

void AppendAnswer(bool allow, std::vector<bpf_insn>& program) {
  program.push_back(Alu(BPF_MOV, kAnswer, allow ? 1 : 0));
  program.push_back(Exit());
}

// What happens to an access that the rule is about.
std::vector<bpf_insn> Verdict(const DeviceMatch& rule) {
  constexpr size_t kAnswerSize = 2;
  std::vector<bpf_insn> verdict;
  if (rule.access != kDeviceAll && rule.allow) {
    verdict.push_back(Alu(BPF_AND, kPending, kDeviceAll & ~rule.access));
    AppendUnless(BPF_JEQ, kPending, {0}, kAnswerSize, verdict);
  } else if (rule.access != kDeviceAll) {
    AppendUnless(BPF_JSET, kPending, {rule.access}, kAnswerSize, verdict);
  }
  AppendAnswer(rule.allow, verdict);
  return verdict;
}

// Rules that follow each other and differ in one thing, so that the rest is
// asked once: half the program, and so half the time it takes to load.
struct Group {
  DeviceMatch rule;
  std::vector<uint32_t> minors;  // any of them; empty: all
  bool both_types = false;
};

// Jumps reach 32767 instructions.
constexpr size_t kMaxMinors = 1000;

bool Extend(const DeviceMatch& rule, Group& group) {
  const DeviceMatch& first = group.rule;
  if (rule.allow != first.allow || rule.access != first.access ||
      rule.major != first.major || group.both_types) {
    return false;
  }
  if (rule.block != first.block) {
    if (group.minors.size() > 1 || rule.minor != first.minor) return false;
    group.both_types = true;
    return true;
  }
  if (!rule.minor.has_value() || !first.minor.has_value() ||
      group.minors.size() >= kMaxMinors) {
    return false;
  }
  group.minors.push_back(*rule.minor);
  return true;
}

// The last rule first.
std::vector<Group> Groups(const DevicePolicy& policy) {
  std::vector<Group> groups;
  for (auto rule = policy.rules.rbegin(); rule != policy.rules.rend(); ++rule) {
    if (!groups.empty() && Extend(*rule, groups.back())) continue;
    groups.push_back({.rule = *rule});
    if (rule->minor.has_value()) groups.back().minors = {*rule->minor};
  }
  return groups;
}

void AppendGroup(const Group& group, std::vector<bpf_insn>& program) {
  // From the end, since each part jumps over those behind it.
  const std::vector<bpf_insn> verdict = Verdict(group.rule);
  const size_t minors = group.minors.empty() ? 0 : group.minors.size() + 1;
  const size_t major = group.rule.major.has_value() ? 2 : 0;
  if (!group.both_types) {
    const uint32_t type =
        group.rule.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    AppendUnless(BPF_JEQ, kType, {type}, major + minors + verdict.size(),
                 program);
  }
  if (major != 0) {
    AppendUnless(BPF_JEQ, kMajor, {*group.rule.major}, minors + verdict.size(),
                 program);
  }
  if (minors != 0) {
    AppendUnless(BPF_JEQ, kMinor, group.minors, verdict.size(), program);
  }
  program.insert(program.end(), verdict.begin(), verdict.end());
}

int64_t Bpf(int command, bpf_attr& attr) {
  return syscall(SYS_bpf, command, &attr, sizeof(attr));
}

}  // namespace

std::vector<bpf_insn> CompileDeviceProgram(const DevicePolicy& policy) {
  std::vector<bpf_insn> program;
  program.reserve(8 + policy.rules.size() * 8);
  // access_type is the access in the upper half, the type in the lower one.
  program.push_back(Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  program.push_back(
      Instruction(BPF_ALU | BPF_MOV | BPF_X, kPending, kType, 0, 0));
  program.push_back(Alu(BPF_RSH, kPending, 16));
  program.push_back(Alu(BPF_AND, kType, 0xffff));
  program.push_back(Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  program.push_back(Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  for (const Group& group : Groups(policy)) AppendGroup(group, program);
  AppendAnswer(policy.allow_others, program);
  return program;
}

bool CanFilterDevices(const std::string& unified) {
  const UniqueFd group(
      open(unified.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group.ok()) return false;
  bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.query.target_fd = static_cast<uint32_t>(group.get());
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  return Bpf(BPF_PROG_QUERY, attr) == 0;
}

absl::StatusOr<UniqueFd> LoadDeviceProgram(
    const std::vector<bpf_insn>& program) {
  bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.expected_attach_type = BPF_CGROUP_DEVICE;
  attr.insns = reinterpret_cast<uint64_t>(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = reinterpret_cast<uint64_t>("");
  strncpy(attr.prog_name, "oci_devices", sizeof(attr.prog_name) - 1);
  UniqueFd fd(static_cast<int>(Bpf(BPF_PROG_LOAD, attr)));
  if (!fd.ok()) return ErrnoStatus("load", kObject);
  return fd;
}

absl::Status AttachDeviceProgram(int program, int cgroup) {
  bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.target_fd = static_cast<uint32_t>(cgroup);
  attr.attach_bpf_fd = static_cast<uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (Bpf(BPF_PROG_ATTACH, attr) != 0) return ErrnoStatus("attach", kObject);
  return absl::OkStatus();
}

}  // namespace bulwark::engine
