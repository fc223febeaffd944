// A client of redis, and one that writes and remembers what was acknowledged.
#ifndef TESTS_E2E_REDIS_H_
#define TESTS_E2E_REDIS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace bulwark::e2e {

// One connection to a redis on loopback. Thread-compatible.
class Redis {
 public:
  // PERMISSION_DENIED if it refuses the password, UNAVAILABLE if it cannot be
  // reached.
  static absl::StatusOr<Redis> Connect(int port, const std::string& password);

  // One command; the answer as text, elements of lists each on a line ("" for
  // one that does not exist). UNAVAILABLE if the connection broke or the answer
  // did not come, which leaves open whether it was done; INTERNAL for an error
  // of redis.
  absl::StatusOr<std::string> Call(const std::vector<std::string>& words);

 private:
  explicit Redis(UniqueFd fd) : fd_(std::move(fd)) {}
  absl::StatusOr<std::string> Line();
  absl::StatusOr<std::string> Bytes(size_t size);
  absl::StatusOr<std::string> Reply();

  UniqueFd fd_;
  std::string buffer_;
};

// Writes row after row until it is destroyed, and remembers those that redis
// has acknowledged, also in a file, on disk before the next row is written.
// Connects again when its connection breaks; a write of which it is not known
// whether it was done is done again. Thread-safe.
class RowWriter {
 public:
  // The password is what the file holds, read anew for each connection. The
  // rows before `first` are there already.
  RowWriter(int port, std::string password_file, std::string record,
            int64_t first = 0);
  ~RowWriter();

  // How many rows are acknowledged: those numbered 0 to acknowledged() - 1.
  int64_t acknowledged() const { return acknowledged_; }
  // Waits until `more` further rows are.
  bool AwaitMore(int64_t more, absl::Duration timeout = absl::Seconds(30));
  // Between the two no row is written. Pause() waits for the one at hand.
  void Pause();
  void Resume();
  // The connections that it has made, and why the last failed attempt did.
  int connections() const { return connections_; }
  std::string last_error() const;

  // What is wrong with rows 0 to `count` - 1 in the database; "" if nothing.
  static std::string Check(int port, const std::string& password,
                           int64_t count);
  // How many rows the record on disk tells of.
  static int64_t Recorded(const std::string& record);

 private:
  void Run();
  absl::Status Write(Redis& redis, int64_t row);

  const int port_;
  const std::string password_file_;
  UniqueFd record_;
  std::atomic<int64_t> acknowledged_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  mutable absl::Mutex mu_;
  bool paused_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  std::string last_error_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // last: it uses the rest
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_REDIS_H_
