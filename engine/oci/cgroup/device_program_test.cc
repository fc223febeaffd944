#include "engine/devices/device_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/oci/cgroup/cgroup.h"
#include "engine/oci/cgroup/device_rules.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOk;
using ::bulwark::testing::TempDir;

struct Access {
  bool block;
  uint32_t major;
  uint32_t minor;
  uint32_t bits;
};

// The few instructions that the compiler uses, as the kernel runs them. -1 for
// a program that leaves itself or does not end.
int Execute(const std::vector<bpf_insn>& program, const Access& access) {
  uint64_t r[11] = {};
  const uint32_t context[] = {
      access.bits << 16 |
          (access.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
      access.major, access.minor};
  size_t at = 0;
  for (size_t steps = 0; at < program.size(); ++steps, ++at) {
    const bpf_insn& i = program[at];
    const uint32_t value = static_cast<uint32_t>(i.imm);
    const uint32_t to = static_cast<uint32_t>(r[i.dst_reg]);
    if (steps > 2 * program.size()) return -1;
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        if (i.src_reg != BPF_REG_1 || i.off % 4 != 0 || i.off > 8) return -1;
        r[i.dst_reg] = context[i.off / 4];
        break;
      case BPF_ALU | BPF_MOV | BPF_X:
        r[i.dst_reg] = static_cast<uint32_t>(r[i.src_reg]);
        break;
      case BPF_ALU | BPF_MOV | BPF_K:
        r[i.dst_reg] = value;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        r[i.dst_reg] = to & value;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        r[i.dst_reg] = to >> value;
        break;
      case BPF_JMP32 | BPF_JEQ | BPF_K:
        if (to == value) at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP32 | BPF_JSET | BPF_K:
        if ((to & value) != 0) at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_JA:
        at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return static_cast<int>(r[0]);
      default:
        return -1;
    }
  }
  return -1;
}

// What the header of device_policy.h says, bit by bit.
bool Expected(const DevicePolicy& policy, const Access& access) {
  for (uint32_t bit : {kDeviceMknod, kDeviceRead, kDeviceWrite}) {
    if ((access.bits & bit) == 0) continue;
    bool allow = policy.allow_others;
    for (const DeviceMatch& rule : policy.rules) {
      if (rule.block == access.block && (rule.access & bit) != 0 &&
          rule.major.value_or(access.major) == access.major &&
          rule.minor.value_or(access.minor) == access.minor) {
        allow = rule.allow;
      }
    }
    if (!allow) return false;
  }
  return true;
}

TEST(DeviceProgramTest, WhenARuleDeniesOneBit_ThenBothBitsTogetherAreDenied) {
  const DevicePolicy policy = *CompileDeviceRules(
      {{true, 'c', 10, {}, "rw"}, {false, 'c', 10, 200, "w"}});
  const std::vector<bpf_insn> program = CompileDeviceProgram(policy);
  EXPECT_EQ(Execute(program, {false, 10, 1, kDeviceRead | kDeviceWrite}), 1);
  EXPECT_EQ(Execute(program, {false, 10, 200, kDeviceRead}), 1);
  EXPECT_EQ(Execute(program, {false, 10, 200, kDeviceWrite}), 0);
  EXPECT_EQ(Execute(program, {false, 10, 200, kDeviceRead | kDeviceWrite}), 0);
  EXPECT_EQ(Execute(program, {true, 10, 1, kDeviceRead}), 0);
}

TEST(DeviceProgramTest, WhenRulesAllowBitsOneByOne_ThenTheyAddUp) {
  const DevicePolicy policy =
      *CompileDeviceRules({{true, 'b', 8, {}, "r"}, {true, 'b', {}, 3, "w"}});
  const std::vector<bpf_insn> program = CompileDeviceProgram(policy);
  EXPECT_EQ(Execute(program, {true, 8, 3, kDeviceRead | kDeviceWrite}), 1);
  EXPECT_EQ(Execute(program, {true, 8, 2, kDeviceRead | kDeviceWrite}), 0);
  EXPECT_EQ(Execute(program, {true, 9, 3, kDeviceWrite}), 1);
}

TEST(DeviceProgramTest, WhenRulesAreTheDefault_ThenTheProgramIsSmall) {
  // Every instruction costs some 1.5 us of each start.
  EXPECT_LE(CompileDeviceProgram(*CompileDeviceRules({})).size(), 48u);
}

DevicePolicy RandomPolicy(std::mt19937& random) {
  std::vector<DeviceRule> rules;
  const auto number = [&]() -> std::optional<int64_t> {
    // Few values, so that rules meet; one above 2^31.
    const int64_t values[] = {-1, 0, 1, 3, 0xfffffff0};
    return values[random() % 5];
  };
  for (uint32_t n = random() % 12; n > 0; --n) {
    DeviceRule rule;
    rule.allow = random() % 2 == 0;
    rule.type = "abc"[random() % 3];
    rule.major = number();
    rule.minor = number();
    for (const char letter : {'r', 'w', 'm'}) {
      if (random() % 2 == 0) rule.access += letter;
    }
    rules.push_back(rule);
    // Neighbours that differ in one thing.
    for (uint32_t more = random() % 3; more > 0; --more) {
      rule.minor = number();
      if (random() % 4 == 0) rule.type = "bc"[random() % 2];
      rules.push_back(rule);
    }
  }
  return *CompileDeviceRules(rules);
}

TEST(DeviceProgramTest, WhenRulesAreRandom_ThenProgramAndRulesAgree) {
  std::mt19937 random(4);  // any seed will do, the same each time
  for (int round = 0; round < 1000; ++round) {
    const DevicePolicy policy = RandomPolicy(random);
    const std::vector<bpf_insn> program = CompileDeviceProgram(policy);
    for (const bool block : {false, true}) {
      for (const uint32_t major : {0u, 1u, 2u, 3u, 136u, 0xfffffff0u}) {
        for (const uint32_t minor : {0u, 1u, 3u, 5u, 0xfffffff0u}) {
          for (uint32_t bits = 1; bits <= 7; ++bits) {
            const Access access = {block, major, minor, bits};
            ASSERT_EQ(Execute(program, access),
                      Expected(policy, access) ? 1 : 0)
                << "round " << round << ": " << block << " " << major << ":"
                << minor << " " << bits;
          }
        }
      }
    }
  }
}

// With the kernel, as root.
class DeviceProgramKernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<CgroupHost> host = FindCgroupHost();
    if (!host.ok() || host->unified.empty()) {
      GTEST_SKIP() << "no version 2 hierarchy here";
    }
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    group_ = absl::StrCat(host->unified, "/bulwark-oci-device-test-", getpid());
    ASSERT_EQ(mkdir(group_.c_str(), 0755), 0);
  }
  void TearDown() override {
    if (group_.empty()) return;
    EXPECT_EQ(rmdir(group_.c_str()), 0);
  }

  absl::Status Attach(const DevicePolicy& policy) {
    ASSIGN_OR_RETURN(UniqueFd program,
                     LoadDeviceProgram(CompileDeviceProgram(policy)));
    UniqueFd group(open(group_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return AttachDeviceProgram(program.get(), group.get());
  }

  // The errno of `probe`, run by a process in the group.
  template <typename Probe>
  int InGroup(Probe probe) {
    const int pid = fork();
    if (pid == 0) {
      const int fd =
          open((group_ + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
      if (fd < 0 || write(fd, "0", 1) != 1) _exit(200);
      _exit(probe());
    }
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 201;
  }
  int Open(const std::string& path, int flags) {
    return InGroup([&] {
      const UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK));
      return fd.ok() ? 0 : errno;
    });
  }

  std::string group_;
};

TEST_F(DeviceProgramKernelTest, WhenAttached_ThenOpensAreFiltered) {
  TempDir dir;
  const std::string kmsg = dir / "kmsg";
  const std::string null = dir / "null";
  ASSERT_EQ(mknod(kmsg.c_str(), S_IFCHR | 0600, makedev(1, 11)), 0);
  ASSERT_EQ(mknod(null.c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  ASSERT_EQ(Open(kmsg, O_RDONLY), 0);  // before
  ASSERT_THAT(Attach(*CompileDeviceRules({})), IsOk());
  EXPECT_EQ(Open(kmsg, O_RDONLY), EPERM);
  EXPECT_EQ(Open(null, O_RDWR), 0);
  EXPECT_EQ(InGroup([&] {
              return mknod((dir / "made").c_str(), S_IFBLK | 0600,
                           makedev(8, 0)) == 0
                         ? 0
                         : errno;
            }),
            0);
}

TEST_F(DeviceProgramKernelTest, WhenOneBitIsDenied_ThenOnlyThat) {
  TempDir dir;
  const std::string kmsg = dir / "kmsg";
  ASSERT_EQ(mknod(kmsg.c_str(), S_IFCHR | 0600, makedev(1, 11)), 0);
  ASSERT_THAT(Attach(*CompileDeviceRules(
                  {{true, 'c', 1, {}, "rwm"}, {false, 'c', 1, 11, "w"}})),
              IsOk());
  EXPECT_EQ(Open(kmsg, O_RDONLY), 0);
  EXPECT_EQ(Open(kmsg, O_WRONLY), EPERM);
  EXPECT_EQ(Open(kmsg, O_RDWR), EPERM);
}

TEST_F(DeviceProgramKernelTest, WhenRulesAreMany_ThenTheVerifierTakesThem) {
  std::vector<DeviceRule> rules;
  for (int i = 0; i < 3000; ++i) {
    rules.push_back({i % 3 != 0, i % 2 == 0 ? 'c' : 'b', i % 50, i,
                     i % 5 == 0   ? "r"
                     : i % 5 == 1 ? "wm"
                                  : "rwm"});
  }
  EXPECT_THAT(Attach(*CompileDeviceRules(rules)), IsOk());
}

TEST_F(DeviceProgramKernelTest, WhenTheGroupIsNone_ThenTheErrorSaysSo) {
  const absl::StatusOr<UniqueFd> program =
      LoadDeviceProgram(CompileDeviceProgram(*CompileDeviceRules({})));
  ASSERT_THAT(program, IsOk());
  const UniqueFd other(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(AttachDeviceProgram(program->get(), other.get()).ok());
}

}  // namespace
}  // namespace bulwark::engine::oci
