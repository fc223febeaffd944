#include "engine/shim/control.h"

#include <asm/ioctls.h>
#include <asm/termios.h>
#include <linux/errno.h>
#include <linux/un.h>

#include "engine/child/sys.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr int kAfUnix = 1;
constexpr int kSockStream = 1;
constexpr int kNonBlockCloexec = O_NONBLOCK | O_CLOEXEC;

int Resize(int master, uint64_t rows, uint64_t columns) {
  if (master < 0) return -ENOTTY;
  if (rows > 0xffff || columns > 0xffff) return -EINVAL;
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  return Sys(__NR_ioctl, master, TIOCSWINSZ, Arg(&size));
}

}  // namespace

void HandleRequest(int fd, const uint8_t* frame, size_t size,
                   const Target& target) {
  child::FrameReader reader(frame, size);
  const bool other_version =
      child::FrameVersion(frame, size) != child::kWireVersion;
  if (!reader.valid() && !other_version) return;
  uint64_t signal = 0, rows = 0, columns = 0;
  while (reader.Next()) {
    if (reader.tag() == child::kTagSignal) signal = reader.Int();
    if (reader.tag() == child::kTagRows) rows = reader.Int();
    if (reader.tag() == child::kTagColumns) columns = reader.Int();
  }
  // ENOSYS: a request of a later program. In frames of another version nothing
  // can be read, not even which request it is.
  int result = other_version ? -EPROTONOSUPPORT : -ENOSYS;
  switch (other_version ? 0 : reader.type()) {
    case child::kMsgPing:
      result = 0;
      break;
    case child::kMsgSignal:
      result = signal > 64 ? -EINVAL
                           : static_cast<int>(Sys(__NR_pidfd_send_signal,
                                                  target.pidfd, signal, 0, 0));
      break;
    case child::kMsgResize:
      result = Resize(target.pty_master, rows, columns);
      break;
    default:
      break;
  }
  const Value values[] = {
      {child::kTagErrno, static_cast<uint64_t>(-result)},
      {child::kTagInitPid, static_cast<uint64_t>(target.init_pid)}};
  SendFrame(fd, child::kMsgReply, values, 2);
}

int Control::Listen() {
  const int fd = Sys(__NR_socket, kAfUnix, kSockStream | kNonBlockCloexec, 0);
  if (fd < 0) return fd;
  sockaddr_un address = {};
  address.sun_family = kAfUnix;
  child::Append(address.sun_path, address.sun_path + sizeof(address.sun_path),
                "control.sock");
  int result = Sys(__NR_bind, fd, Arg(&address), sizeof(address));
  if (result >= 0) result = Sys(__NR_listen, fd, kConnections);
  if (result < 0) {
    child::Close(fd);
    return result;
  }
  listener_ = fd;
  return 0;
}

int Control::Accept() {
  const int fd = Sys(__NR_accept4, listener_, 0, 0, kNonBlockCloexec);
  if (fd < 0) return -1;
  for (Connection& connection : connections_) {
    if (connection.fd >= 0) continue;
    connection.fd = fd;
    connection.size = 0;
    connection.passed = -1;
    return fd;
  }
  child::Close(fd);
  return -1;
}

void Control::Handle(Connection& c, size_t frame, const Target& target) {
  child::FrameReader reader(c.buffer, frame);
  if (!reader.valid() || reader.type() != child::kMsgAttach ||
      target.attach == nullptr) {
    HandleRequest(c.fd, c.buffer, frame, target);
    return;
  }
  uint64_t flags = 0;
  while (reader.Next()) {
    if (reader.tag() == child::kTagAttachFlags) flags = reader.Int();
  }
  // Before somebody's input is the last.
  const uint64_t streams = target.attach->streams();
  const int result =
      c.passed < 0 ? -EINVAL : target.attach->Add(c.passed, flags);
  c.passed = -1;
  const Value values[] = {{child::kTagErrno, static_cast<uint64_t>(-result)},
                          {child::kTagStreams, streams}};
  SendFrame(c.fd, child::kMsgReply, values, 2);
}

bool Control::Serve(int fd, const Target& target) {
  Connection* c = nullptr;
  for (Connection& connection : connections_) {
    if (connection.fd == fd) c = &connection;
  }
  if (c == nullptr) return false;
  int passed;
  const long n =
      Receive(fd, c->buffer + c->size, sizeof(c->buffer) - c->size, &passed, 1);
  if (passed >= 0) {
    if (c->passed >= 0) child::Close(c->passed);
    c->passed = passed;
  }
  if (n == -EAGAIN) return true;
  bool good = n > 0;
  if (good) c->size += n;
  while (good && c->size >= child::kFrameHeader) {
    const uint64_t frame = child::GetInt(c->buffer, 4) + 4;
    if (frame < child::kFrameHeader || frame > sizeof(c->buffer)) {
      good = false;
      break;
    }
    if (c->size < frame) break;
    Handle(*c, frame, target);
    for (size_t i = frame; i < c->size; ++i)
      c->buffer[i - frame] = c->buffer[i];
    c->size -= frame;
  }
  if (good) return true;
  child::Close(fd);
  if (c->passed >= 0) child::Close(c->passed);
  c->passed = -1;
  c->fd = -1;
  return false;
}

}  // namespace bulwark::shim
