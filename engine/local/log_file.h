// The files of a container's log: their names, and reading one, compressed or
// not.
#ifndef ENGINE_LOCAL_LOG_FILE_H_
#define ENGINE_LOCAL_LOG_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace bulwark::engine {

// "log-7", "log-7.json", each with ".gz" when compressed. A number is never
// used twice: higher ones are newer.
//
// Shims from before that, which may still run, write "log" and rename it to
// "log.1" and so on: an old name's number counts down from kNewestOld, and a
// file has another one after each rotation.
struct LogFileName {
  static constexpr uint64_t kNewestOld = 1'000'000'000;

  uint64_t number = 0;
  bool json = false;
  bool compressed = false;
  bool old = false;

  std::string ToString() const;
};

// False for what is not the name of a log's file.
bool ParseLogFileName(absl::string_view text, LogFileName* name);

// Those in the directory `dir`, oldest first. Where one is there in both forms,
// since the compression of it has not ended, only the plain one.
absl::StatusOr<std::vector<LogFileName>> ListLogFiles(int dir);

// One of them, from its beginning. Thread-compatible.
class LogFile {
 public:
  // NOT_FOUND if it has gone, in both forms.
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(int dir,
                                                       LogFileName name);
  virtual ~LogFile() = default;

  const LogFileName& name() const { return name_; }
  // Appends up to a block to `*out`, as far as it has been written by now; 0:
  // nothing more for now. DATA_LOSS if it is damaged here, and the rest lost.
  virtual absl::StatusOr<size_t> Read(std::string* out) = 0;
  // Goes on with its last `*lines` lines, and subtracts those that it has.
  virtual absl::Status SkipToLast(int64_t* lines) = 0;
  // When it was last written, and whether it has lost its name: then a newer
  // one exists.
  absl::Time last_write() const;
  bool is_gone() const;
  // Whether it has that name now.
  bool IsAt(int dir, const LogFileName& name) const;

 protected:
  LogFile(LogFileName name, UniqueFd fd) : name_(name), fd_(std::move(fd)) {}

  const LogFileName name_;
  const UniqueFd fd_;
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LOG_FILE_H_
