#include "engine/seccomp/program.h"

#include <algorithm>

namespace bulwark::engine::seccomp {
namespace {

// What a conditional jump reaches, less what Near may have to write for the
// other branch.
constexpr size_t kReach = 254;

}  // namespace

Label Program::Push(uint16_t code, uint32_t value, uint8_t yes, uint8_t no) {
  reversed_.push_back({code, yes, no, value});
  return reversed_.size() - 1;
}

Label Program::Return(uint32_t value) {
  for (Answer& answer : answers_) {
    if (answer.value != value) continue;
    // Another one costs no more than the jump that would be needed.
    if (Distance(answer.label) >= kReach) {
      answer.label = Push(BPF_RET | BPF_K, value, 0, 0);
    }
    return answer.label;
  }
  answers_.push_back({value, Push(BPF_RET | BPF_K, value, 0, 0)});
  return answers_.back().label;
}

void Program::FallThrough(Label next) {
  const size_t distance = Distance(next);
  if (distance == 0) return;
  Push(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance), 0, 0);
}

Label Program::Load(uint32_t offset, Label next) {
  FallThrough(next);
  return Push(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

Label Program::And(uint32_t mask, Label next) {
  FallThrough(next);
  return Push(BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
}

Label Program::Near(Label target) {
  if (Distance(target) < kReach) return target;
  const sock_filter& there = reversed_[target];
  if (there.code == (BPF_RET | BPF_K)) return Return(there.k);
  return Push(BPF_JMP | BPF_JA, static_cast<uint32_t>(Distance(target)), 0, 0);
}

Label Program::If(uint16_t test, uint32_t value, Label yes, Label no) {
  if (yes == no) return yes;
  yes = Near(yes);
  no = Near(no);
  return Push(BPF_JMP | test | BPF_K, value,
              static_cast<uint8_t>(Distance(yes)),
              static_cast<uint8_t>(Distance(no)));
}

std::string Program::Bytes() const {
  std::vector<sock_filter> forward(reversed_.rbegin(), reversed_.rend());
  return std::string(reinterpret_cast<const char*>(forward.data()),
                     forward.size() * sizeof(sock_filter));
}

}  // namespace bulwark::engine::seccomp
