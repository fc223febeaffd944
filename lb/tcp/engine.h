// What a worker needs of the kernel, whichever event interface serves it.
#ifndef LB_TCP_ENGINE_H_
#define LB_TCP_ENGINE_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "lb/socket_address.h"
#include "lb/tcp/session.h"

namespace bulwark::lb {

enum class EngineKind { kAuto, kEpoll, kIoUring };

enum class CloseMode {
  // What the kernel does for close(2).
  kOrderly,
  // Both sides get a reset.
  kReset,
};

// Told of events, on the thread in EventEngine::Poll.
class EngineEvents {
 public:
  virtual ~EngineEvents() = default;
  // A connection arrived at the listener added with `token`. The handler owns
  // `fd`, which is for NewSession.
  virtual void OnAccept(uint64_t token, int fd) = 0;
  // The connect ended: 0, or its errno. The backend's socket is closed then.
  // ECONNRESET: it was accepted, and reset before anyone could use it.
  virtual void OnConnect(Session& session, int error) = 0;
  // After Relay: the backend ended the connection before anything had passed
  // (session.h), by a reset (`reset`) or by its end of stream. True: the
  // handler has called Disconnect and decided what comes next. False: the end
  // is passed on as any other; not asked again for this connection.
  virtual bool OnEarlyEnd(Session& session, bool reset) = 0;
  // After Relay, once: something has passed. No call back into the engine.
  virtual void OnCommitted(Session& session) = 0;
  // The session ended by itself (both sides closed, a reset, the client left
  // before it was connected). Its memory goes after the call.
  virtual void OnClosed(Session& session) = 0;
};

// Not thread-safe, except Wake(). Calls made from within an event are allowed.
class EventEngine {
 public:
  virtual ~EventEngine() = default;

  // Starts to accept on `fd` (borrowed until RemoveListener), which becomes
  // blocking or not as the engine needs it.
  virtual absl::Status AddListener(uint64_t token, int fd) = 0;
  virtual void RemoveListener(uint64_t token) = 0;

  // Takes over an accepted socket. Little or nothing is read from it yet, but a
  // reset is noticed (OnClosed). Null if the kernel has no room; the socket is
  // closed.
  virtual Session* NewSession(int client_fd) = 0;

  // Starts a connect. Returns 0 if OnConnect follows, else an errno.
  virtual int Connect(Session& session, const SocketAddress& address) = 0;
  // Drops the backend's socket, and keeps what the client has sent: a connect
  // under way, or a connection over which nothing has passed yet. No OnConnect
  // follows any more; another Connect may. False, and nothing happens, if
  // something has passed or may have.
  virtual bool Disconnect(Session& session) = 0;
  // After a successful OnConnect: moves bytes both ways until both are closed.
  // End of stream and reset are passed on as they came. Counts the bytes at
  // session.endpoint.
  virtual void Relay(Session& session) = 0;
  // Ends the session; no event of it follows. Its memory goes at the end of
  // Poll.
  virtual void Close(Session& session, CloseMode mode) = 0;

  // Waits for events, at most `timeout_ns` (-1: for ever), and delivers them.
  virtual void Poll(int64_t timeout_ns) = 0;
  // Makes Poll return. Thread-safe.
  virtual void Wake() = 0;
};

// `events` outlives the engine. UNAVAILABLE or FAILED_PRECONDITION if the
// kernel refuses what the engine needs. kAuto: io_uring, else epoll.
absl::StatusOr<std::unique_ptr<EventEngine>> MakeEngine(EngineKind kind,
                                                        EngineEvents& events);
absl::StatusOr<std::unique_ptr<EventEngine>> MakeEpollEngine(
    EngineEvents& events);
absl::StatusOr<std::unique_ptr<EventEngine>> MakeUringEngine(
    EngineEvents& events);

}  // namespace bulwark::lb

#endif  // LB_TCP_ENGINE_H_
