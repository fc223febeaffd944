#include "engine/seccomp/filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/testing/status_matchers.h"
#include "engine/seccomp/testing/interpreter.h"

namespace bulwark::engine::seccomp {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr Action kAllow = SECCOMP_RET_ALLOW;
constexpr Action kRefuse = SECCOMP_RET_ERRNO | EPERM;
constexpr Action kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t kX32 = 0x40000000;

seccomp_data Call(uint32_t number, std::vector<uint64_t> args = {},
                  uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data = {};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
  return data;
}

Action Answered(const std::string& program, const seccomp_data& data) {
  const std::optional<Answer> answer = Run(program, data);
  EXPECT_TRUE(answer.has_value()) << "not a program";
  return answer.has_value() ? answer->action : 0;
}

std::string Compiled(std::vector<CallTable> tables) {
  Filter filter;
  filter.tables = std::move(tables);
  filter.foreign = kKill;
  absl::StatusOr<std::string> program = Compile(filter);
  EXPECT_OK(program);
  return program.ok() ? *program : "";
}

// What one condition on argument 2 makes of `argument`.
bool Holds(Condition condition, uint64_t argument, Arch arch = Arch::kX86_64) {
  condition.index = 2;
  CallTable table(arch, kRefuse);
  table.SetIf(7, {condition}, kAllow);
  const uint32_t audit =
      arch == Arch::kI386 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
  const Action action = Answered(
      Compiled({table}),
      Call(arch == Arch::kX32 ? 7 | kX32 : 7, {~0ull, ~0ull, argument}, audit));
  EXPECT_TRUE(action == kAllow || action == kRefuse) << action;
  return action == kAllow;
}

bool Expected(const Condition& c, uint64_t argument) {
  switch (c.op) {
    case Operator::kNotEqual:
      return argument != c.value;
    case Operator::kLess:
      return argument < c.value;
    case Operator::kLessOrEqual:
      return argument <= c.value;
    case Operator::kEqual:
      return argument == c.value;
    case Operator::kGreaterOrEqual:
      return argument >= c.value;
    case Operator::kGreater:
      return argument > c.value;
    case Operator::kMaskedEqual:
      return (argument & c.mask) == (c.value & c.mask);
  }
  return false;
}

constexpr Operator kOperators[] = {
    Operator::kNotEqual,    Operator::kLess,    Operator::kLessOrEqual,
    Operator::kEqual,       Operator::kGreater, Operator::kGreaterOrEqual,
    Operator::kMaskedEqual,
};
// Around what a half can hold.
constexpr uint64_t kValues[] = {
    0,          1,           2,           0x7fffffff,  0xfffffffe,
    0xffffffff, 0x100000000, 0x100000001, 0x1ffffffff, 0x200000000,
    0x80000000, ~0ull - 1,   ~0ull,       0x5000000ff, 0xff00000005};

TEST(FilterTest, WhenArgumentIsCompared_All64BitsCount) {
  for (const Operator op : kOperators) {
    for (const uint64_t value : kValues) {
      for (const uint64_t argument : kValues) {
        for (const uint64_t mask : kValues) {
          const Condition condition = {.op = op, .value = value, .mask = mask};
          EXPECT_EQ(Holds(condition, argument), Expected(condition, argument))
              << static_cast<int>(op) << " " << std::hex << value << " "
              << argument << " mask " << mask;
          if (op != Operator::kMaskedEqual) break;
        }
      }
    }
  }
}

TEST(FilterTest, WhenArgumentHas32Bits_OnlyTheLowHalfCounts) {
  for (const Operator op : kOperators) {
    for (const uint64_t value : kValues) {
      for (const uint64_t argument : kValues) {
        const Condition condition = {.op = op, .value = value, .mask = 0xf0f0f};
        const Condition low = {
            .op = op, .value = value & 0xffffffff, .mask = 0xf0f0f};
        const bool expected = Expected(low, argument & 0xffffffff);
        EXPECT_EQ(Holds(condition, argument, Arch::kI386), expected);
        EXPECT_EQ(Holds(condition, argument, Arch::kX32), expected);
        Condition half = condition;
        half.low_half = true;
        EXPECT_EQ(Holds(half, argument), expected);
      }
    }
  }
}

TEST(FilterTest, WhenRulesHaveConditions_TheFirstThatHoldsWins) {
  CallTable table(Arch::kX86_64, kKill);
  table.SetIf(3, {{.index = 0, .value = 1}, {.index = 5, .value = 2}}, kAllow);
  table.SetIf(3, {{.index = 0, .value = 1}}, SECCOMP_RET_TRAP);
  table.SetIf(3, {}, SECCOMP_RET_LOG);
  table.Set(3, kRefuse);
  const std::string program = Compiled({table});
  EXPECT_EQ(Answered(program, Call(3, {1, 0, 0, 0, 0, 2})), kAllow);
  EXPECT_EQ(Answered(program, Call(3, {1, 0, 0, 0, 0, 3})), SECCOMP_RET_TRAP);
  EXPECT_EQ(Answered(program, Call(3, {2})), SECCOMP_RET_LOG);
  EXPECT_EQ(Answered(program, Call(4, {1})), kKill);
}

TEST(FilterTest, WhenACallIsSetTwice_TheFirstCounts) {
  CallTable table(Arch::kX86_64, kKill);
  EXPECT_FALSE(table.IsSet(9));
  table.Set(9, kAllow);
  table.Set(9, kRefuse);
  EXPECT_TRUE(table.IsSet(9));
  EXPECT_EQ(Answered(Compiled({table}), Call(9)), kAllow);
}

TEST(FilterTest, WhenArchitectureHasNoTable_IsForeign) {
  CallTable table(Arch::kX86_64, kAllow);
  std::string program = Compiled({table});
  EXPECT_EQ(Answered(program, Call(1)), kAllow);
  EXPECT_EQ(Answered(program, Call(kX32 - 1)), kAllow);
  EXPECT_EQ(Answered(program, Call(kX32)), kKill);
  EXPECT_EQ(Answered(program, Call(~1u)), kKill);
  EXPECT_EQ(Answered(program, Call(~0u)), kAllow);  // skipped by a tracer
  EXPECT_EQ(Answered(program, Call(1, {}, AUDIT_ARCH_I386)), kKill);
  EXPECT_EQ(Answered(program, Call(1, {}, AUDIT_ARCH_AARCH64)), kKill);

  program = Compiled({CallTable(Arch::kI386, kAllow)});
  EXPECT_EQ(Answered(program, Call(1)), kKill);
  EXPECT_EQ(Answered(program, Call(1, {}, AUDIT_ARCH_I386)), kAllow);
  EXPECT_EQ(Answered(Compiled({}), Call(1)), kKill);
}

TEST(FilterTest, WhenCallIsBeyondTheLast_HasThatAction) {
  CallTable table(Arch::kX86_64, kRefuse);
  table.Set(10, kAllow);
  table.Set(20, kAllow);
  table.SetBeyond(15, kKill);
  std::string program = Compiled({table});
  EXPECT_EQ(Answered(program, Call(15)), kRefuse);
  EXPECT_EQ(Answered(program, Call(16)), kKill);
  EXPECT_EQ(Answered(program, Call(20)), kAllow);
  EXPECT_EQ(Answered(program, Call(21)), kKill);
  table.SetBeyond(30, kKill);
  program = Compiled({table});
  EXPECT_EQ(Answered(program, Call(30)), kRefuse);
  EXPECT_EQ(Answered(program, Call(31)), kKill);
}

// Tables of any shape, against what was put in. Long programs need jumps that
// one instruction cannot make.
TEST(FilterTest, WhenTablesAreRandom_AnswersWhatTheyHold) {
  std::mt19937 random(20);
  const Action actions[] = {kAllow, kRefuse, kKill, SECCOMP_RET_LOG,
                            SECCOMP_RET_TRACE | 7};
  for (int round = 0; round < 60; ++round) {
    std::vector<CallTable> tables;
    std::vector<std::function<Action(uint32_t, uint64_t)>> models;
    const uint32_t size = 1 + random() % 300;
    for (const Arch arch : {Arch::kX86_64, Arch::kI386, Arch::kX32}) {
      CallTable table(arch, kRefuse);
      std::vector<Action> plain(size, kRefuse);
      std::vector<Action> special(size);
      for (uint32_t n = 0; n < size; ++n) {
        if (random() % 3 == 0) {
          plain[n] = actions[random() % 5];
          table.Set(n, plain[n]);
        }
        special[n] = plain[n];
        if (random() % 8 == 0) {
          special[n] = actions[random() % 5];
          table.SetIf(n, {{.index = 1, .value = n}}, special[n]);
        }
      }
      tables.push_back(table);
      models.push_back([=](uint32_t n, uint64_t argument) {
        if (n >= size) return kRefuse;
        return argument == n ? special[n] : plain[n];
      });
    }
    const std::string program = Compiled(tables);
    for (uint32_t n = 0; n < size + 3; ++n) {
      for (const uint64_t argument : {uint64_t{n}, uint64_t{n} + 1}) {
        EXPECT_EQ(Answered(program, Call(n, {0, argument})),
                  models[0](n, argument));
        EXPECT_EQ(Answered(program, Call(n, {0, argument}, AUDIT_ARCH_I386)),
                  models[1](n, argument));
        EXPECT_EQ(Answered(program, Call(n | kX32, {0, argument})),
                  models[2](n, argument));
      }
    }
  }
}

TEST(FilterTest, WhenProgramIsTooLong_IsRefused) {
  CallTable table(Arch::kX86_64, kAllow);
  for (uint64_t value = 0; value < 900; ++value) {
    table.SetIf(1, {{.value = value}}, kRefuse);
  }
  const std::string program = Compiled({table});
  EXPECT_LE(program.size() / sizeof(sock_filter), BPF_MAXINSNS);
  EXPECT_EQ(Answered(program, Call(1, {899})), kRefuse);
  EXPECT_EQ(Answered(program, Call(1, {900})), kAllow);
  for (uint64_t value = 0; value < 900; ++value) {
    table.SetIf(2, {{.value = value}}, kRefuse);
  }
  Filter filter;
  filter.tables.push_back(table);
  EXPECT_THAT(Compile(filter),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4096")));
}

TEST(SyscallsTest, WhenNameIsKnown_HasItsNumbers) {
  const Syscall* call = FindSyscall("readv");
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(call->Number(Arch::kX86_64), 19);
  EXPECT_EQ(call->Number(Arch::kI386), 145);
  EXPECT_EQ(call->Number(Arch::kX32), 515);
  ASSERT_NE(FindSyscall("file_setattr"), nullptr);
  EXPECT_EQ(FindSyscall("file_setattr")->Number(Arch::kI386), 469);
  EXPECT_EQ(FindSyscall("recv")->socketcall, 10);
}

TEST(SyscallsTest, WhenNameIsUnknown_FindsNothing) {
  EXPECT_EQ(FindSyscall(""), nullptr);
  EXPECT_EQ(FindSyscall("rea"), nullptr);
  EXPECT_EQ(FindSyscall("readvx"), nullptr);
  EXPECT_EQ(FindSyscall(std::string(1 << 20, 'x')), nullptr);
}

}  // namespace
}  // namespace bulwark::engine::seccomp
