// Records for the host's journal, by its native protocol: one datagram each.
// No libc.
#ifndef ENGINE_SHIM_LOG_JOURNAL_H_
#define ENGINE_SHIM_LOG_JOURNAL_H_

#include <stddef.h>
#include <stdint.h>

#include "engine/shim/log_format.h"

namespace bulwark::shim {

class Journal {
 public:
  // Both stay the caller's: the path of the socket, and the fields of every
  // record, each with its newline.
  void Open(const char* socket, const char* fields);

  // False if the journal did not take it. A journal that falls behind is waited
  // for, a short time once; one that does not answer never again until it has
  // taken something.
  bool Send(const LogRecord& record);

 private:
  int Connect();

  const char* socket_ = nullptr;
  const char* fields_ = nullptr;
  int fd_ = -1;
  bool patient_ = true;
};

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_LOG_JOURNAL_H_
