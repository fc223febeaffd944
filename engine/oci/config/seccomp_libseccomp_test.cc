// The filter against libseccomp's for the same profile: every call number on
// every architecture, with arguments around what the profile's conditions
// compare.
#include "engine/oci/config/seccomp.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/testing/status_matchers.h"
#include "engine/seccomp/syscalls.h"
#include "engine/seccomp/testing/interpreter.h"

namespace bulwark::engine::oci {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;

struct Ported {
  uint32_t scmp;
  uint32_t audit;
  uint32_t base;  // of its call numbers
  seccomp::Arch arch;
};
constexpr Ported kArchs[] = {
    {SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0, seccomp::Arch::kX86_64},
    {SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, seccomp::Arch::kI386},
    {SCMP_ARCH_X32, AUDIT_ARCH_X86_64, kX32Bit, seccomp::Arch::kX32},
};

uint32_t ActionOf(const std::string& name, std::optional<uint32_t> number) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_KILL") return SCMP_ACT_KILL;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  EXPECT_EQ(name, "SCMP_ACT_ERRNO");
  return SCMP_ACT_ERRNO(number.value_or(EPERM));
}

scmp_compare OperatorOf(SeccompOperator op) {
  constexpr scmp_compare kOperators[] = {
      SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE,       SCMP_CMP_EQ,
      SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_MASKED_EQ};
  return kOperators[static_cast<int>(op)];
}

using Library = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

void AddRule(scmp_filter_ctx filter, uint32_t action, int number,
             std::vector<scmp_arg_cmp> args) {
  std::vector<bool> used(6);
  bool any = false;
  for (const scmp_arg_cmp& arg : args) {
    any = any || used[arg.arg];
    used[arg.arg] = true;
  }
  if (any) {
    for (const scmp_arg_cmp& arg : args) {
      EXPECT_EQ(seccomp_rule_add_array(filter, action, number, 1, &arg), 0);
    }
    return;
  }
  EXPECT_EQ(
      seccomp_rule_add_array(filter, action, number, args.size(), args.data()),
      0)
      << number;
}

// As the other runtimes call the library.
std::string ByLibrary(const Seccomp& profile) {
  const uint32_t otherwise =
      ActionOf(profile.default_action, profile.default_errno_ret);
  Library filter(seccomp_init(otherwise), &seccomp_release);
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const Ported& arch : kArchs) {
    const int result = seccomp_arch_add(filter.get(), arch.scmp);
    EXPECT_TRUE(result == 0 || result == -EEXIST) << result;
  }
  for (const SeccompSyscall& syscall : profile.syscalls) {
    const uint32_t action = ActionOf(syscall.action, syscall.errno_ret);
    if (action == otherwise) continue;
    std::vector<scmp_arg_cmp> args;
    for (const SeccompArgument& arg : syscall.args) {
      args.push_back({arg.index, OperatorOf(arg.op), arg.value, arg.value_two});
    }
    for (const std::string& name : syscall.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number != __NR_SCMP_ERROR) {
        AddRule(filter.get(), action, number, args);
      }
    }
  }
  const int fd = memfd_create("filter", MFD_CLOEXEC);
  EXPECT_EQ(seccomp_export_bpf(filter.get(), fd), 0);
  std::string program(lseek(fd, 0, SEEK_END), '\0');
  EXPECT_EQ(pread(fd, program.data(), program.size(), 0),
            static_cast<ssize_t>(program.size()));
  close(fd);
  return program;
}

// Whether the library has the call: its names end with Linux 5.17.
bool InLibrary(const std::string& name) {
  return seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR;
}

// The profile that Podman installs, as it hands it to a runtime for a container
// with the capabilities that it drops by default, or without.
Seccomp Podman(bool privileged) {
  std::ifstream file("/usr/share/containers/seccomp.json");
  const nlohmann::json json = nlohmann::json::parse(file);
  Seccomp profile = {
      .default_action = json["defaultAction"],
      .default_errno_ret = json["defaultErrnoRet"],
      .architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}};
  for (const nlohmann::json& entry : json["syscalls"]) {
    const nlohmann::json& includes = entry["includes"];
    const nlohmann::json& excludes = entry["excludes"];
    if (includes.contains("caps") && !privileged) continue;
    if (excludes.contains("caps") && privileged) continue;
    if (includes.contains("arches") &&
        includes["arches"].dump().find("amd64") == std::string::npos) {
      continue;
    }
    SeccompSyscall syscall = {.action = entry["action"]};
    if (entry.contains("errnoRet")) syscall.errno_ret = entry["errnoRet"];
    for (const std::string name : entry["names"]) {
      if (InLibrary(name)) syscall.names.push_back(name);
    }
    if (entry["args"].is_array()) {
      for (const nlohmann::json& arg : entry["args"]) {
        syscall.args.push_back({.index = arg["index"],
                                .value = arg["value"],
                                .value_two = arg["valueTwo"],
                                .op = arg["op"] == "SCMP_CMP_NE"
                                          ? SeccompOperator::kNotEqual
                                          : SeccompOperator::kEqual});
      }
    }
    profile.syscalls.push_back(std::move(syscall));
  }
  return profile;
}

// In the shape of Docker's: refused calls answer EPERM, namespaces need a
// capability, and clone3 looks absent because its flags cannot be seen.
Seccomp Docker() {
  Seccomp profile = Podman(false);
  profile.default_errno_ret = EPERM;
  std::vector<SeccompSyscall> kept;
  for (SeccompSyscall& syscall : profile.syscalls) {
    std::erase(syscall.names, "clone");
    std::erase(syscall.names, "clone3");
    std::erase(syscall.names, "socket");
    if (!syscall.names.empty()) kept.push_back(std::move(syscall));
  }
  kept.push_back(
      {.names = {"socket"},
       .action = "SCMP_ACT_ALLOW",
       .args = {{.index = 0, .value = 40, .op = SeccompOperator::kNotEqual}}});
  kept.push_back({.names = {"clone"},
                  .action = "SCMP_ACT_ALLOW",
                  .args = {{.index = 0,
                            .value = 0x7e020000,
                            .op = SeccompOperator::kMaskedEqual}}});
  kept.push_back(
      {.names = {"clone3"}, .action = "SCMP_ACT_ERRNO", .errno_ret = ENOSYS});
  profile.syscalls = std::move(kept);
  return profile;
}

// All operators, on all arguments, on both sides of 32 bits.
Seccomp Conditions(const std::string& otherwise, const std::string& action) {
  Seccomp profile = {.default_action = otherwise,
                     .architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"}};
  const char* const kNames[] = {"read",  "write", "close", "ioctl", "lseek",
                                "mmap",  "brk",   "dup",   "dup2",  "pause",
                                "fcntl", "flock", "fsync", "chdir", "rename"};
  const uint64_t kValues[] = {0, 5, 0xffffffff, 0x100000005,
                              0x8000000000000000};
  int at = 0;
  for (int op = 0; op < 7; ++op) {
    for (const uint64_t value : kValues) {
      const uint32_t index = at % 6;
      profile.syscalls.push_back(
          {.names = {kNames[at++ % 15]},
           .action = action,
           .args = {{index, value, value & 0xff00ff, SeccompOperator(op)},
                    {(index + 1) % 6, 2, 2, SeccompOperator::kGreater}}});
    }
  }
  return profile;
}

// The highest number that the profile names.
int Highest(const Seccomp& profile, const Ported& arch) {
  int highest = 0;
  for (const SeccompSyscall& syscall : profile.syscalls) {
    for (const std::string& name : syscall.names) {
      const int number =
          seccomp_syscall_resolve_name_arch(arch.scmp, name.c_str());
      highest = std::max(highest, number - static_cast<int>(arch.base));
    }
  }
  return highest;
}

// Arguments where some condition of the profile changes its mind.
std::vector<std::vector<uint64_t>> Arguments(const Seccomp& profile) {
  std::set<uint64_t> values = {0, 1, 2, 3, ~0ull, 1ull << 32, 0x7fffffff};
  for (const SeccompSyscall& syscall : profile.syscalls) {
    for (const SeccompArgument& arg : syscall.args) {
      for (const uint64_t value : {arg.value, arg.value_two}) {
        values.insert({value - 1, value, value + 1, value | 1ull << 40});
      }
    }
  }
  std::vector<std::vector<uint64_t>> arguments;
  for (int index = 0; index < 6; ++index) {
    for (const uint64_t value : values) {
      for (const uint64_t others : {uint64_t{0}, uint64_t{9}, ~uint64_t{0}}) {
        arguments.emplace_back(6, others);
        arguments.back()[index] = value;
      }
    }
  }
  return arguments;
}

struct Depth {
  int sum = 0;
  int most = 0;
  int calls = 0;
};

void ExpectSame(const Seccomp& profile) {
  ASSERT_OK_AND_ASSIGN(const SeccompProgram ours, CompileSeccomp(profile));
  const std::string library = ByLibrary(profile);
  const std::vector<std::vector<uint64_t>> arguments = Arguments(profile);
  const uint32_t otherwise =
      ActionOf(profile.default_action, profile.default_errno_ret);
  const bool hides = otherwise != SCMP_ACT_ALLOW && otherwise != SCMP_ACT_LOG;
  Depth depth;
  Depth depth_library;
  int different = 0;
  for (const Ported& arch : kArchs) {
    const int highest = Highest(profile, arch);
    for (int number = 0; number <= 700 && different < 10; ++number) {
      for (const std::vector<uint64_t>& args : arguments) {
        seccomp_data data = {.nr = static_cast<int>(number | arch.base),
                             .arch = arch.audit};
        std::copy(args.begin(), args.end(), data.args);
        const auto got = seccomp::Run(ours.instructions, data);
        const auto theirs = seccomp::Run(library, data);
        ASSERT_TRUE(got.has_value() && theirs.has_value());
        const uint32_t expected = hides && number > highest && highest > 0
                                      ? SECCOMP_RET_ERRNO | ENOSYS
                                      : theirs->action;
        if (got->action != expected && ++different < 10) {
          ADD_FAILURE() << std::hex << "arch " << arch.scmp << std::dec
                        << " call " << number << " arg0 " << args[0] << std::hex
                        << ": " << got->action << ", not " << expected;
        }
        depth.sum += got->steps;
        depth.most = std::max(depth.most, got->steps);
        depth_library.sum += theirs->steps;
        depth_library.most = std::max(depth_library.most, theirs->steps);
        ++depth.calls;
      }
    }
  }
  std::cout << "instructions " << ours.instructions.size() / sizeof(sock_filter)
            << ", run for a call " << depth.sum / depth.calls << ", at most "
            << depth.most << "; libseccomp's "
            << library.size() / sizeof(sock_filter) << ", "
            << depth_library.sum / depth.calls << ", " << depth_library.most
            << "\n";
}

class LibseccompTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/usr/share/containers/seccomp.json", R_OK) != 0) {
      GTEST_SKIP() << "Podman's profile is not installed";
    }
  }
};

TEST_F(LibseccompTest, WhenProfileIsPodmans_DecidesTheSame) {
  ExpectSame(Podman(false));
}

TEST_F(LibseccompTest, WhenContainerHasAllCapabilities_DecidesTheSame) {
  ExpectSame(Podman(true));
}

TEST_F(LibseccompTest, WhenProfileIsLikeDockers_DecidesTheSame) {
  ExpectSame(Docker());
}

TEST(LibseccompConditionsTest, WhenArgumentsAreCompared_DecidesTheSame) {
  ExpectSame(Conditions("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"));
  ExpectSame(Conditions("SCMP_ACT_ALLOW", "SCMP_ACT_TRAP"));
  ExpectSame(Conditions("SCMP_ACT_LOG", "SCMP_ACT_KILL"));
}

TEST(LibseccompNamesTest, WhenTheLibraryKnowsACall_ItsNumberIsTheSame) {
  int known = 0;
  for (const Ported& arch : kArchs) {
    for (uint32_t number = 0; number < 600; ++number) {
      char* name =
          seccomp_syscall_resolve_num_arch(arch.scmp, number + arch.base);
      if (name == nullptr) continue;
      ++known;
      const seccomp::Syscall* call = seccomp::FindSyscall(name);
      EXPECT_NE(call, nullptr) << name;
      if (call != nullptr) {
        EXPECT_EQ(call->Number(arch.arch), number) << name;
      }
      free(name);
    }
  }
  EXPECT_GT(known, 1000);
}

// Says how long both take; no judgement, machines differ.
TEST_F(LibseccompTest, WhenProfileIsPodmans_TimesAreReported) {
  const Seccomp profile = Podman(false);
  const auto median = [](const auto& compile) {
    std::vector<double> times;
    for (int i = 0; i < 21; ++i) {
      const auto start = std::chrono::steady_clock::now();
      compile();
      times.push_back(std::chrono::duration<double, std::micro>(
                          std::chrono::steady_clock::now() - start)
                          .count());
    }
    std::nth_element(times.begin(), times.begin() + 10, times.end());
    return times[10];
  };
  const double ours = median([&] { EXPECT_OK(CompileSeccomp(profile)); });
  const double library = median([&] { ByLibrary(profile); });
  std::cout << "ours " << ours << " us, libseccomp's " << library
            << " us: " << ours / library << "\n";
}

}  // namespace
}  // namespace bulwark::engine::oci
