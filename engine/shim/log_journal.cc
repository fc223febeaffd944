#include "engine/shim/log_journal.h"

#include <linux/errno.h>

#include "engine/child/sys.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr int kUnix = 1;
constexpr int kDatagram = 2 | 02000000 | 04000;  // close-on-exec, non-blocking
constexpr int kNoSignal = 0x4000;
constexpr int64_t kWaitNanoseconds = 50000000;
constexpr size_t kMaxPath = 108;

struct Vector {
  const void* base;
  size_t size;
};

struct Header {
  void* name;
  uint32_t name_size;
  Vector* vectors;
  size_t count;
  void* control;
  size_t control_size;
  int flags;
};

}  // namespace

void Journal::Open(const char* socket, const char* fields) {
  socket_ = socket;
  fields_ = fields;
}

// Connected, so that it can be waited for.
int Journal::Connect() {
  if (fd_ >= 0) return fd_;
  struct {
    uint16_t family;
    char path[kMaxPath];
  } address = {kUnix, {}};
  if (child::Append(address.path, address.path + kMaxPath, socket_) ==
      nullptr) {
    return -ENAMETOOLONG;
  }
  const int fd = Sys(__NR_socket, kUnix, kDatagram, 0);
  if (fd < 0) return fd;
  const int result = Sys(__NR_connect, fd, Arg(&address), sizeof(address));
  if (result < 0) {
    child::Close(fd);
    return result;
  }
  fd_ = fd;
  return fd;
}

bool Journal::Send(const LogRecord& record) {
  static constexpr char kError[] = "PRIORITY=3\nMESSAGE\n";
  static constexpr char kInfo[] = "PRIORITY=6\nMESSAGE\n";
  static constexpr char kWhole[] = "\n";
  static constexpr char kPart[] = "\nCONTAINER_PARTIAL_MESSAGE=true\n";
  // A text of any bytes, its size before it.
  const uint64_t size = record.size;
  Vector vectors[] = {
      {fields_, child::Length(fields_)},
      {record.stream == 'o' ? kInfo : kError, sizeof(kInfo) - 1},
      {&size, sizeof(size)},
      {record.data, record.size},
      {record.whole ? kWhole : kPart,
       record.whole ? sizeof(kWhole) - 1 : sizeof(kPart) - 1}};
  Header message = {nullptr, 0, vectors, 5, nullptr, 0, 0};
  // Another socket if the journal was restarted; another try if it was full.
  for (int tries = 0; tries < 3; ++tries) {
    if (Connect() < 0) return false;
    const long n = Sys(__NR_sendmsg, fd_, Arg(&message), kNoSignal);
    if (n >= 0) {
      patient_ = true;
      return true;
    }
    if (n == -EAGAIN) {
      if (!patient_) return false;
      patient_ = false;
      struct {
        int fd;
        short events, revents;
      } poll = {fd_, 4 /* POLLOUT */, 0};
      const int64_t limit[2] = {0, kWaitNanoseconds};
      Sys(__NR_ppoll, Arg(&poll), 1, Arg(limit), 0, 0);
      continue;
    }
    if (n == -EMSGSIZE) return false;
    child::Close(fd_);
    fd_ = -1;
  }
  return false;
}

}  // namespace bulwark::shim
