// The data path over io_uring (Linux 6.1 and later).
#ifndef LB_TCP_URING_ENGINE_H_
#define LB_TCP_URING_ENGINE_H_

#include <liburing.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "lb/tcp/engine.h"
#include "lb/tcp/uring_buffers.h"
#include "lb/tcp/uring_session.h"

namespace bulwark::lb {

// One system call a round: it submits all that the last round's completions
// led to, and waits for the next. Accepts and receives are multishot; bytes are
// sent straight from the buffer that they were received in.
//
// A session's memory lives until the last of its requests has completed, since
// the kernel writes to what they name.
class UringEngine final : public EventEngine {
 public:
  // On the thread that will call Poll.
  static absl::StatusOr<std::unique_ptr<UringEngine>> Create(
      EngineEvents& events);
  ~UringEngine() override;

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
  // Low four bits of a request's user data; the rest is a pointer, and the
  // session's generation in the top sixteen.
  enum class Op : uint64_t {
    kIgnored = 0,
    kWake,
    kAccept,
    kConnect,
    kReceiveClient,
    kReceiveBackend,
    kSendClient,
    kSendBackend,
    kErrorClient,
    kErrorBackend,
    kRearm,
  };
  struct alignas(16) ListenerSource {
    uint64_t token = 0;
    int fd = -1;
    bool removed = false;
    bool pending = false;
  };

  explicit UringEngine(EngineEvents& events) : events_(events) {}

  io_uring_sqe* NextSqe();
  void SetData(io_uring_sqe* sqe, const void* object, Op op,
               uint16_t generation = 0);
  void ArmWake();
  void ArmAccept(ListenerSource& listener);
  void CancelAccept(ListenerSource& listener);
  // For a while after a listener was added its accept is armed anew. A ring of
  // its last owner that was killed lives on for some time; one new connection
  // wakes one waiter (io_uring waits exclusively), and if that is the dead
  // ring's, nobody takes it from the queue. Arming looks into the queue first.
  void ArmRearm();
  void OnRearm();
  void ArmReceive(UringSession& s, UringLeg& leg);
  // Ends the receive; what has arrived meanwhile still comes.
  void PauseReceive(UringSession& s, UringLeg& leg);

  // After the end of its stream a socket is watched for a reset.
  void ArmErrorPoll(UringSession& s, UringLeg& leg);

  void OnCompletion(const io_uring_cqe& cqe);
  void OnAccepted(ListenerSource& listener, const io_uring_cqe& cqe);
  void OnConnected(UringSession& s, int result);
  void OnReceived(UringSession& s, UringLeg& from, UringFlow& flow,
                  const io_uring_cqe& cqe);
  void OnError(UringSession& s, UringLeg& leg, int result);
  void OnSent(UringSession& s, UringLeg& to, UringFlow& flow, int result);

  void Enqueue(UringSession& s, UringFlow& flow, uint32_t buffer,
               uint32_t size);
  void StartSend(UringSession& s, UringLeg& to, UringFlow& flow);
  // Puts all chunks on the heap.
  void Spill(UringFlow& flow);
  void PopFront(UringFlow& flow);
  void Drop(UringFlow& flow);
  // Sends, passes ends on, and closes the session when it is over.
  void Advance(UringSession& s);
  // For a fresh session. True if nothing is to be done with it now: it has
  // another endpoint, is over, or a send shows soon whether it is still fresh.
  bool EndedEarly(UringSession& s);
  // Something has passed.
  void Commit(UringSession& s);
  void AdvanceFlow(UringSession& s, UringLeg& from, UringLeg& to,
                   UringFlow& flow);
  void Finish(UringSession& s, CloseMode mode);

  void CloseLeg(UringLeg& leg, CloseMode mode);
  void Free(UringSession& s, CloseMode mode);
  void Completed(UringSession& s);
  void RetryStarved();

  EngineEvents& events_;
  // Before ring_: the kernel uses them until the ring is gone.
  UringBuffers buffers_;
  UniqueFd wake_;
  uint64_t wake_count_ = 0;
  io_uring ring_ = {};
  bool ring_made_ = false;
  std::map<uint64_t, std::unique_ptr<ListenerSource>> listeners_;
  std::vector<std::unique_ptr<ListenerSource>> dead_listeners_;
  std::vector<ListenerSource*> starved_listeners_;
  size_t rearms_ = 0;  // since the last listener was added
  bool rearm_pending_ = false;
  __kernel_timespec rearm_wait_ = {};
  std::vector<UringSession*> starved_;
  Link sessions_;
  std::vector<std::unique_ptr<UringSession>> graveyard_;
};

}  // namespace bulwark::lb

#endif  // LB_TCP_URING_ENGINE_H_
