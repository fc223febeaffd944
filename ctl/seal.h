// Values of secrets on their way to the daemon.
#ifndef CTL_SEAL_H_
#define CTL_SEAL_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/context.h"

namespace bulwark::ctl {

// Where a value comes from; exactly one, or none: then it is asked for on a
// terminal, and read from standard input otherwise.
struct ValueSource {
  std::string file;       // "-": standard input
  int64_t generate = 0;   // so many random letters and digits
  bool password = false;  // one line; its end is no part of it
  bool twice = false;     // on a terminal: typed again, and compared
};

// A value in locked memory, which is wiped. Moves only.
class Value {
 public:
  explicit Value(size_t capacity);
  Value(Value&& other) noexcept;
  Value& operator=(Value&&) = delete;
  ~Value();

  uint8_t* data() { return data_; }
  size_t size() const { return size_; }
  void Shrink(size_t size) { size_ = size; }
  bool EndsWithNewline() const { return size_ > 0 && data_[size_ - 1] == '\n'; }

 private:
  uint8_t* data_;
  size_t size_;
};

// Reads or makes the value. A usage error for a bad source, an empty or a too
// large value.
absl::StatusOr<Value> ReadValue(Context& context, const ValueSource& source);

// The value sealed to the daemon's public key, which is asked for. The daemon's
// own words if it is sealed.
absl::StatusOr<std::string> SealValue(Context& context, Value value);

}  // namespace bulwark::ctl

#endif  // CTL_SEAL_H_
