// Compresses the files of logs that are written no more, in the background.
#ifndef ENGINE_LOCAL_LOG_COMPRESSOR_H_
#define ENGINE_LOCAL_LOG_COMPRESSOR_H_

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bulwark::engine {

// All but the newest "log-N" in the container's `directory`; json-file's are
// left to who ships them. `scratch`: a file of the same file system, which is
// overwritten. Whenever it is cut off, each record is in the directory still,
// and the next call goes on. Readers find one form or the other.
absl::Status CompressLogs(const std::string& directory,
                          const std::string& scratch);

// A thread that looks at every container of `containers`. One at a time may
// have the directory.
class LogCompressor {
 public:
  LogCompressor(std::string containers, std::string scratch,
                absl::Duration every);
  // Ends after the file at hand.
  ~LogCompressor();

 private:
  void Run();
  void Pass();
  bool Stopped();

  const std::string containers_;
  const std::string scratch_;
  const absl::Duration every_;
  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace bulwark::engine

#endif  // ENGINE_LOCAL_LOG_COMPRESSOR_H_
