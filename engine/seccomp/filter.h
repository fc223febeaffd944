// Compiles what is to happen to each system call into a program for seccomp(2).
//
// The program finds a call's number by halves (calls next to each other with
// the same action are one range) and then looks at arguments, so that its
// depth, not its length, is what a call pays. Pure; any thread.
#ifndef ENGINE_SECCOMP_FILTER_H_
#define ENGINE_SECCOMP_FILTER_H_

#include <linux/seccomp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/seccomp/syscalls.h"

namespace bulwark::engine::seccomp {

// SECCOMP_RET_* with its data.
using Action = uint32_t;

enum class Operator {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual,  // (argument & mask) == (value & mask)
};

struct Condition {
  uint32_t index = 0;  // of the argument, 0 to 5
  Operator op = Operator::kEqual;
  uint64_t value = 0;
  uint64_t mask = 0;  // kMaskedEqual only
  // Compares the low 32 bits of the argument and of the values: what the kernel
  // reads of an int.
  bool low_half = false;
};

// What happens to one architecture's calls. Numbers are those of FindSyscall,
// or near: the table has a place for each number up to the highest.
class CallTable {
 public:
  struct Conditional {
    uint32_t number;
    std::vector<Condition> conditions;
    Action action;
  };
  // What happens to one call: the action of the first rule that holds.
  struct Outcome {
    std::vector<const Conditional*> rules;  // the table's
    Action otherwise = 0;

    bool operator==(const Outcome&) const = default;
  };

  // Calls next to each other with the same outcome.
  struct Range {
    uint32_t first;
    Outcome outcome;
  };

  // `otherwise`: to calls without a rule.
  CallTable(Arch arch, Action otherwise)
      : arch_(arch), otherwise_(otherwise), beyond_(otherwise) {}

  // The first of two for a number counts.
  void Set(uint32_t number, Action action);
  // If all conditions hold. Tried in the order of the calls, before what Set
  // says. On i386 and x32 only low halves are compared.
  void SetIf(uint32_t number, std::vector<Condition> conditions, Action action);
  // To calls with a number above `last`, unless they have a rule.
  void SetBeyond(uint32_t last, Action action);

  Arch arch() const { return arch_; }
  // Whether Set was called for that number.
  bool IsSet(uint32_t number) const;
  // All calls, from 0 on, each range as long as can be.
  std::vector<Range> Ranges() const;

 private:
  struct Slot {
    Action action = 0;
    bool set = false;
    bool conditional = false;  // has rules in conditional_
  };
  Slot& At(uint32_t number);
  Outcome OutcomeOf(uint32_t number) const;

  Arch arch_;
  Action otherwise_;
  Action beyond_;
  uint32_t last_ = UINT32_MAX;
  std::vector<Slot> slots_;  // by number
  std::vector<Conditional> conditional_;
};

struct Filter {
  std::vector<CallTable> tables;  // one for each architecture at most
  // To calls of other architectures.
  Action foreign = SECCOMP_RET_KILL_THREAD;
};

// The instructions (sock_filter). INVALID_ARGUMENT if the kernel would not take
// so many.
absl::StatusOr<std::string> Compile(const Filter& filter);

}  // namespace bulwark::engine::seccomp

#endif  // ENGINE_SECCOMP_FILTER_H_
