// Lines of logs as people read them.
#ifndef CTL_LOG_PRINTER_H_
#define CTL_LOG_PRINTER_H_

#include <algorithm>
#include <map>
#include <string>

#include "ctl/io.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// Standard output goes to standard output, errors to standard error. With
// `prefix` each line names its replica, in a colour of its own on a terminal.
// Thread-compatible.
class LogPrinter {
 public:
  LogPrinter(Io& io, bool prefix, bool timestamps)
      : io_(io), prefix_(prefix), timestamps_(timestamps) {}

  void Print(const v1::LogLine& line);

 private:
  static std::string Timestamp(const v1::LogLine& line);
  std::string Prefix(const v1::LogLine& line);

  Io& io_;
  const bool prefix_;
  const bool timestamps_;
  // Streams in the middle of a line.
  std::map<std::string, bool> open_;
  std::map<std::string, int> colors_;
  // The first container seen of each replica.
  std::map<std::string, std::string> containers_;
  size_t width_ = 0;
};

}  // namespace bulwark::ctl

#endif  // CTL_LOG_PRINTER_H_
