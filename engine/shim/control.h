// The control socket of a container's shim: "control.sock" in its runtime
// directory (mode 0700), read with bounded buffers, never blocking the loop.
#ifndef ENGINE_SHIM_CONTROL_H_
#define ENGINE_SHIM_CONTROL_H_

#include <stddef.h>
#include <stdint.h>

#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "engine/shim/attach.h"
#include "engine/shim/shim.h"

namespace bulwark::shim {

// What a request may act on.
struct Target {
  int pidfd = -1;       // of the container's init
  int pty_master = -1;  // -1: no terminal
  int init_pid = 0;
  Attach* attach = nullptr;  // null: nobody can attach
};

// Handles one whole frame and writes the reply to `fd`.
void HandleRequest(int fd, const uint8_t* frame, size_t size,
                   const Target& target);

class Control {
 public:
  static constexpr int kConnections = 8;  // more are refused

  // Listens in the current directory. 0 or a negative errno.
  int Listen();
  int listener() const { return listener_; }

  // Accepts one connection; returns its descriptor or -1.
  int Accept();
  // Reads what came on `fd`; false once the connection is closed.
  bool Serve(int fd, const Target& target);

 private:
  struct Connection {
    int fd = -1;
    size_t size = 0;
    int passed = -1;  // the descriptor that came along last
    uint8_t buffer[child::kMaxMessage];
  };

  static void Handle(Connection& connection, size_t frame,
                     const Target& target);

  int listener_ = -1;
  Connection connections_[kConnections];
};

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_CONTROL_H_
