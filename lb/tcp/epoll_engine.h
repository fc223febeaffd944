// The data path over epoll.
#ifndef LB_TCP_EPOLL_ENGINE_H_
#define LB_TCP_EPOLL_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "lb/tcp/engine.h"
#include "lb/tcp/epoll_session.h"

namespace bulwark::lb {

// Edge-triggered; each socket is added once. Bytes are copied through one
// buffer of the engine: only what a slow reader leaves over is kept with its
// session, which is then not read from any further.
class EpollEngine final : public EventEngine {
 public:
  static absl::StatusOr<std::unique_ptr<EpollEngine>> Create(
      EngineEvents& events);
  ~EpollEngine() override;

  absl::Status AddListener(uint64_t token, int fd) override;
  void RemoveListener(uint64_t token) override;
  Session* NewSession(int client_fd) override;
  int Connect(Session& session, const SocketAddress& address) override;
  bool Disconnect(Session& session) override;
  void Relay(Session& session) override;
  void Close(Session& session, CloseMode mode) override;
  void Poll(int64_t timeout_ns) override;
  void Wake() override;

 private:
  struct ListenerSource : EpollSource {
    uint64_t token = 0;
    int fd = -1;
    bool removed = false;
    // In unready_: the kernel had no descriptors for its connections.
    bool starved = false;
  };

  explicit EpollEngine(EngineEvents& events);

  bool Add(int fd, EpollSource* source, uint32_t events);
  void OnListener(ListenerSource& listener);
  void OnLeg(EpollLeg& leg, uint32_t events);
  void ConnectDone(EpollSession& session);
  // For a fresh session: finds out whether the backend has ended. True if the
  // session has another endpoint now, or is over.
  bool EndedEarly(EpollSession& session);
  // Moves what can be moved, and ends the session when it is over.
  void Pump(EpollSession& session);
  void Finish(EpollSession& session, CloseMode mode);
  void Free(EpollSession& session, CloseMode mode);
  void RunReady();

  EngineEvents& events_;
  UniqueFd epoll_;
  UniqueFd wake_;
  EpollSource wake_source_;
  std::vector<char> scratch_;
  std::map<uint64_t, std::unique_ptr<ListenerSource>> listeners_;
  // Have more to do, without a further event.
  Link ready_;
  std::vector<ListenerSource*> ready_listeners_;
  bool starved_ = false;
  // Gone, but events of the current batch may still name them.
  std::vector<std::unique_ptr<EpollSession>> graveyard_;
  std::vector<std::unique_ptr<ListenerSource>> dead_listeners_;
};

}  // namespace bulwark::lb

#endif  // LB_TCP_EPOLL_ENGINE_H_
