// How far the logs of a service have been read.
#ifndef CTL_LOG_CURSOR_H_
#define CTL_LOG_CURSOR_H_

#include <map>
#include <string>

#include "absl/time/time.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// Lets a stream of log lines that broke go on in another one, with no line lost
// or told twice. Thread-compatible.
class LogCursor {
 public:
  // Another stream begins: `request` asks for what is missing, and somewhat
  // more.
  void Resume(v1::LogsRequest& request);
  // Whether the line is news.
  bool Take(const v1::LogLine& line);

 private:
  struct Position {
    absl::Time time;         // of the last line
    int lines = 0;           // lines of that time
    bool is_behind = false;  // the stream still repeats what was read
    int repeated = 0;        // lines of that time that it has repeated
  };

  // Of each container of each replica.
  std::map<std::string, Position> positions_;
  absl::Time newest_ = absl::InfinitePast();
};

}  // namespace bulwark::ctl

#endif  // CTL_LOG_CURSOR_H_
