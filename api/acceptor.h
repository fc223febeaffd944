// Accepts connections, learns who they are, and gives them to gRPC.
#ifndef API_ACCEPTOR_H_
#define API_ACCEPTOR_H_

#include <functional>
#include <thread>

#include "api/identity.h"
#include "api/listen_socket.h"
#include "base/clock.h"

namespace bulwark::api {

// A thread. Stop() (or the destructor) ends it; connections stay open. A socket
// whose path was removed is made again within some seconds. Thread-compatible.
class Acceptor {
 public:
  // Takes over a connected, non-blocking descriptor.
  using Sink = std::function<void(int fd)>;

  // `table` and `clock` must outlive this object. At most `max_connections` are
  // open at once; more are closed at once.
  Acceptor(ListenSocket socket, IdentityTable& table, Clock& clock,
           size_t max_connections, Sink sink);
  ~Acceptor() { Stop(); }

  // No new connections any more. Idempotent.
  void Stop();

 private:
  void Run();
  void AcceptAll();
  // Makes the socket again if somebody removed it.
  void KeepInPlace();
  void Take(UniqueFd connection);
  // At most one line in ten seconds: clients can cause these at will.
  void Warn(const absl::Status& status);

  ListenSocket socket_;  // of the thread
  IdentityTable& table_;
  Clock& clock_;
  const size_t max_connections_;
  const Sink sink_;
  UserNames names_;
  UniqueFd wake_;
  absl::Duration next_warning_ = absl::ZeroDuration();
  absl::Duration next_look_ = absl::ZeroDuration();
  std::thread thread_;
};

}  // namespace bulwark::api

#endif  // API_ACCEPTOR_H_
