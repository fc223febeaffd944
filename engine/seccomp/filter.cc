#include "engine/seccomp/filter.h"

#include <linux/audit.h>
#include <linux/filter.h>

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/seccomp/program.h"

namespace bulwark::engine::seccomp {
namespace {

// Tells a call of x32 from one of x86_64, whose architecture it has.
constexpr uint32_t kX32Bit = 0x40000000;

constexpr uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }
constexpr uint32_t High(uint64_t value) {
  return static_cast<uint32_t>(value >> 32);
}

// The offsets of an argument's halves: x86 stores the low one first.
uint32_t LowHalf(uint32_t argument) {
  return offsetof(seccomp_data, args) + argument * sizeof(uint64_t);
}
uint32_t HighHalf(uint32_t argument) { return LowHalf(argument) + 4; }

class FilterCompiler {
 public:
  explicit FilterCompiler(const Filter& filter) : filter_(filter) {}

  absl::StatusOr<std::string> Run();

 private:
  const CallTable* Find(Arch arch) const;
  // Each writes a part and returns where it starts. Calls with the number that
  // is loaded, of one architecture.
  Label Table(const CallTable& table, uint32_t base);
  // The ranges [begin, end).
  Label Tree(const std::vector<CallTable::Range>& ranges, size_t begin,
             size_t end, uint32_t base, bool low_half);
  Label Decide(const CallTable::Outcome& outcome, bool low_half);
  Label Check(const Condition& condition, bool low_half, Label yes, Label no);
  Label CheckLow(const Condition& condition, Label yes, Label no);
  Label CheckWhole(const Condition& condition, Label yes, Label no);
  Label CheckMasked(const Condition& condition, bool low_half, Label yes,
                    Label no);
  // Of x86_64 and x32.
  Label Calls64(Label foreign);

  bool Full() const { return program_.size() > BPF_MAXINSNS; }

  const Filter& filter_;
  Program program_;
};

const CallTable* FilterCompiler::Find(Arch arch) const {
  for (const CallTable& table : filter_.tables) {
    if (table.arch() == arch) return &table;
  }
  return nullptr;
}

Label FilterCompiler::CheckLow(const Condition& condition, Label yes,
                               Label no) {
  const uint32_t value = Low(condition.value);
  Label test = no;
  switch (condition.op) {
    case Operator::kEqual:
      test = program_.If(BPF_JEQ, value, yes, no);
      break;
    case Operator::kNotEqual:
      test = program_.If(BPF_JEQ, value, no, yes);
      break;
    case Operator::kGreater:
      test = program_.If(BPF_JGT, value, yes, no);
      break;
    case Operator::kLessOrEqual:
      test = program_.If(BPF_JGT, value, no, yes);
      break;
    case Operator::kGreaterOrEqual:
      test = program_.If(BPF_JGE, value, yes, no);
      break;
    case Operator::kLess:
      test = program_.If(BPF_JGE, value, no, yes);
      break;
    case Operator::kMaskedEqual:
      return CheckMasked(condition, true, yes, no);
  }
  return program_.Load(LowHalf(condition.index), test);
}

// The high halves decide, unless they are equal.
Label FilterCompiler::CheckWhole(const Condition& condition, Label yes,
                                 Label no) {
  const uint32_t high = High(condition.value);
  const Label low = CheckLow(condition, yes, no);
  Label test = low;
  switch (condition.op) {
    case Operator::kEqual:
      test = program_.If(BPF_JEQ, high, low, no);
      break;
    case Operator::kNotEqual:
      test = program_.If(BPF_JEQ, high, low, yes);
      break;
    case Operator::kGreater:
    case Operator::kGreaterOrEqual:
      test =
          program_.If(BPF_JGT, high, yes, program_.If(BPF_JEQ, high, low, no));
      break;
    case Operator::kLess:
    case Operator::kLessOrEqual:
      test =
          program_.If(BPF_JGT, high, no, program_.If(BPF_JEQ, high, low, yes));
      break;
    case Operator::kMaskedEqual:
      return CheckMasked(condition, false, yes, no);
  }
  return program_.Load(HighHalf(condition.index), test);
}

Label FilterCompiler::CheckMasked(const Condition& condition, bool low_half,
                                  Label yes, Label no) {
  const auto half = [&](uint32_t mask, uint32_t value, uint32_t offset,
                        Label equal) {
    if (mask == 0) return equal;
    Label test = program_.If(BPF_JEQ, value & mask, equal, no);
    if (mask != UINT32_MAX) test = program_.And(mask, test);
    return program_.Load(offset, test);
  };
  const Label low = half(Low(condition.mask), Low(condition.value),
                         LowHalf(condition.index), yes);
  if (low_half) return low;
  return half(High(condition.mask), High(condition.value),
              HighHalf(condition.index), low);
}

Label FilterCompiler::Check(const Condition& condition, bool low_half,
                            Label yes, Label no) {
  if (yes == no) return yes;
  return low_half || condition.low_half ? CheckLow(condition, yes, no)
                                        : CheckWhole(condition, yes, no);
}

Label FilterCompiler::Decide(const CallTable::Outcome& outcome, bool low_half) {
  Label next = program_.Return(outcome.otherwise);
  for (auto rule = outcome.rules.rbegin();
       rule != outcome.rules.rend() && !Full(); ++rule) {
    Label yes = program_.Return((*rule)->action);
    const std::vector<Condition>& conditions = (*rule)->conditions;
    for (auto c = conditions.rbegin(); c != conditions.rend(); ++c) {
      yes = Check(*c, low_half, yes, next);
    }
    next = yes;
  }
  return next;
}

Label FilterCompiler::Tree(const std::vector<CallTable::Range>& ranges,
                           size_t begin, size_t end, uint32_t base,
                           bool low_half) {
  if (end - begin == 1) return Decide(ranges[begin].outcome, low_half);
  const size_t middle = begin + (end - begin) / 2;
  const Label upper = Tree(ranges, middle, end, base, low_half);
  const Label lower = Tree(ranges, begin, middle, base, low_half);
  return program_.If(BPF_JGE, base + ranges[middle].first, upper, lower);
}

Label FilterCompiler::Table(const CallTable& table, uint32_t base) {
  const std::vector<CallTable::Range> ranges = table.Ranges();
  return Tree(ranges, 0, ranges.size(), base, table.arch() != Arch::kX86_64);
}

Label FilterCompiler::Calls64(Label foreign) {
  const CallTable* x86_64 = Find(Arch::kX86_64);
  const CallTable* x32 = Find(Arch::kX32);
  if (x86_64 == nullptr && x32 == nullptr) return foreign;
  Label upper = foreign;
  if (x32 != nullptr) upper = Table(*x32, kX32Bit);
  Label lower = foreign;
  if (x86_64 != nullptr) lower = Table(*x86_64, 0);
  // A tracer that skips a call makes its number -1.
  if (x32 == nullptr) upper = program_.If(BPF_JEQ, UINT32_MAX, lower, upper);
  return program_.Load(offsetof(seccomp_data, nr),
                       program_.If(BPF_JGE, kX32Bit, upper, lower));
}

absl::StatusOr<std::string> FilterCompiler::Run() {
  const Label foreign = program_.Return(filter_.foreign);
  Label others = foreign;
  if (const CallTable* i386 = Find(Arch::kI386)) {
    const Label calls =
        program_.Load(offsetof(seccomp_data, nr), Table(*i386, 0));
    others = program_.If(BPF_JEQ, AUDIT_ARCH_I386, calls, foreign);
  }
  const Label calls64 = Calls64(foreign);
  program_.Load(offsetof(seccomp_data, arch),
                program_.If(BPF_JEQ, AUDIT_ARCH_X86_64, calls64, others));
  if (Full()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "compile system call filter: more than ", BPF_MAXINSNS,
        " instructions, which is what the kernel takes: remove conditions on "
        "arguments"));
  }
  return program_.Bytes();
}

}  // namespace

CallTable::Slot& CallTable::At(uint32_t number) {
  if (number >= slots_.size()) slots_.resize(number + 1);
  return slots_[number];
}

void CallTable::Set(uint32_t number, Action action) {
  Slot& slot = At(number);
  if (slot.set) return;
  slot.set = true;
  slot.action = action;
}

void CallTable::SetIf(uint32_t number, std::vector<Condition> conditions,
                      Action action) {
  At(number).conditional = true;
  conditional_.push_back({number, std::move(conditions), action});
}

void CallTable::SetBeyond(uint32_t last, Action action) {
  last_ = last;
  beyond_ = action;
}

bool CallTable::IsSet(uint32_t number) const {
  return number < slots_.size() && slots_[number].set;
}

CallTable::Outcome CallTable::OutcomeOf(uint32_t number) const {
  Outcome outcome;
  outcome.otherwise = number > last_ ? beyond_ : otherwise_;
  if (number >= slots_.size()) return outcome;
  const Slot& slot = slots_[number];
  if (slot.set) outcome.otherwise = slot.action;
  if (!slot.conditional) return outcome;
  for (const Conditional& rule : conditional_) {
    if (rule.number == number) outcome.rules.push_back(&rule);
  }
  return outcome;
}

std::vector<CallTable::Range> CallTable::Ranges() const {
  std::vector<Range> ranges = {{0, OutcomeOf(0)}};
  const auto look = [&](uint32_t number) {
    Outcome outcome = OutcomeOf(number);
    if (outcome == ranges.back().outcome) return;
    ranges.push_back({number, std::move(outcome)});
  };
  const uint32_t end = static_cast<uint32_t>(slots_.size());
  for (uint32_t number = 1; number <= end; ++number) look(number);
  if (last_ != UINT32_MAX && last_ >= end) look(last_ + 1);
  return ranges;
}

absl::StatusOr<std::string> Compile(const Filter& filter) {
  return FilterCompiler(filter).Run();
}

}  // namespace bulwark::engine::seccomp
