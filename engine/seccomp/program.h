// Writes a program of the kernel's classic packet filter from its last
// instruction to its first: what an instruction jumps to has always been
// written before.
#ifndef ENGINE_SECCOMP_PROGRAM_H_
#define ENGINE_SECCOMP_PROGRAM_H_

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bulwark::engine::seccomp {

// An instruction, counted from the program's end.
using Label = size_t;

class Program {
 public:
  // `value` is the filter's answer. Reuses such an instruction nearby.
  Label Return(uint32_t value);
  // Loads the 32-bit word of seccomp_data at `offset`, then goes on to `next`.
  Label Load(uint32_t offset, Label next);
  // Keeps the bits of `mask` of what is loaded.
  Label And(uint32_t mask, Label next);
  // Compares what is loaded with `value`; `test` is BPF_JEQ, BPF_JGT or
  // BPF_JGE.
  Label If(uint16_t test, uint32_t value, Label yes, Label no);

  size_t size() const { return reversed_.size(); }
  // In the kernel's order, starting from what was written last.
  std::string Bytes() const;

 private:
  Label Push(uint16_t code, uint32_t value, uint8_t yes, uint8_t no);
  // A label that the instruction after the next can jump to, which is `target`
  // or leads there: a conditional jump reaches 255 instructions.
  Label Near(Label target);
  // Written next, so that it falls through to `next`.
  void FallThrough(Label next);
  size_t Distance(Label target) const { return size() - target - 1; }

  std::vector<sock_filter> reversed_;
  struct Answer {
    uint32_t value;
    Label label;
  };
  std::vector<Answer> answers_;  // the last written of each value
};

}  // namespace bulwark::engine::seccomp

#endif  // ENGINE_SECCOMP_PROGRAM_H_
