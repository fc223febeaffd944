// Passive health of one endpoint: what its own connects show.
#ifndef LB_TARGET_STATE_H_
#define LB_TARGET_STATE_H_

#include <atomic>
#include <cstdint>

namespace bulwark::lb {

// Thread-safe and lock-free: every worker reports here. Times are nanoseconds
// of one steady clock. Whether an endpoint *may* be ejected is the BackendSet's
// question (never the last one); this class counts.
class TargetState {
 public:
  // Failures in a row that eject.
  static constexpr int kFailuresToEject = 5;
  // The n-th ejection lasts n times this, at most kMaxFactor times.
  static constexpr int64_t kEjectionNs = 30'000'000'000;
  static constexpr int kMaxFactor = 10;
  // Healthy for so long after an ejection: n starts again at 1.
  static constexpr int64_t kForgiveNs = 300'000'000'000;

  // A connect succeeded.
  void RecordSuccess(int64_t now_ns);

  // A connect was refused or timed out. True if that makes the endpoint due
  // for ejection.
  bool RecordFailure();

  // Ejects: n-th time, n times 30 s. A call while ejected changes nothing.
  void Eject(int64_t now_ns);

  bool Ejected(int64_t now_ns) const {
    return until_ns_.load(std::memory_order_relaxed) > now_ns;
  }

 private:
  std::atomic<int> failures_ = 0;
  std::atomic<int> ejections_ = 0;
  std::atomic<int64_t> until_ns_ = 0;
};

}  // namespace bulwark::lb

#endif  // LB_TARGET_STATE_H_
