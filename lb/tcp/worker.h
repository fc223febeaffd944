// One thread of the data path: decides for each of its connections.
#ifndef LB_TCP_WORKER_H_
#define LB_TCP_WORKER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "lb/config.h"
#include "lb/tcp/engine.h"

namespace bulwark::lb {

// Post() and the destructor are for other threads; all else runs on its own.
class Worker final : public EngineEvents {
 public:
  // A connect is given up for another endpoint after this long,
  static constexpr int64_t kAttemptNs = 250'000'000;
  // and at most so many others are tried in a round. So many others also get
  // their chance in all after early ends, each once.
  static constexpr int kMaxOthers = 3;
  // If all refuse, another round starts after a pause,
  static constexpr int64_t kRoundPauseNs = 50'000'000;
  // until the whole has taken this long.
  static constexpr int64_t kConnectTotalNs = 3'000'000'000;

  // `index` selects the socket in each listener's group. `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(int index,
                                                       EngineKind kind,
                                                       Clock& clock,
                                                       uint64_t seed);
  // Ends the thread and all its connections.
  ~Worker() override;

  // Makes `config` the one in use; then decrements `done` (borrowed).
  void Post(std::shared_ptr<const Config> config, absl::BlockingCounter* done);

 private:
  struct Accepting {
    SocketKey key;
    std::shared_ptr<const SocketGroup> sockets;
    std::shared_ptr<const Pool> pool;
  };
  struct Mail {
    std::shared_ptr<const Config> config;
    absl::BlockingCounter* done = nullptr;
  };

  Worker(int index, Clock& clock, uint64_t seed);

  void Run();
  void OnAccept(uint64_t token, int fd) override;
  void OnConnect(Session& session, int error) override;
  bool OnEarlyEnd(Session& session, bool reset) override;
  void OnCommitted(Session& session) override;
  void OnClosed(Session& session) override;

  // Switches to the configuration in the mailbox, if any.
  void ReadMail();
  void UseConfig(const Config& config);
  void UseListeners(const Config& config);
  void UseEndpoints(const Config& config);

  // Sends the session on its way: connect, or hold.
  void Dispatch(Session& session);
  void Hold(Session& session);
  void ConnectTo(Session& session, const Backend& backend);
  void ConnectFailed(Session& session, int error);
  // Another round after a pause.
  void PauseRound(Session& session);
  // The endpoint has refused the session, or failed it early.
  void ReportFailure(const Pool& pool, Endpoint& endpoint);
  // `endpoint` ended the session early: it is not asked again. False if no
  // other may be asked either, now or later.
  bool Spend(Session& session, const Endpoint& endpoint) const;
  // The endpoint for the session; null if there is none to be asked now. `turn`
  // as in PickRequest.
  const Backend* Choose(const Session& session, uint64_t turn) const;
  void Fail(Session& session);
  // Undoes what the state has counted: held, active, timer.
  void LeaveState(Session& session);

  void SetTimer(Session& session, int64_t at_ns);
  void ClearTimer(Session& session);
  void FireTimers();

  const int index_;
  Clock& clock_;
  uint64_t random_;
  std::unique_ptr<EventEngine> engine_;
  // Read once a round.
  int64_t now_ns_ = 0;
  uint64_t next_token_ = 1;
  std::map<uint64_t, Accepting> listeners_;
  // Every session is in exactly one of the two; waiting_ holds kHeld in order
  // of arrival.
  Link sessions_;
  Link waiting_;
  std::set<std::pair<int64_t, Session*>> timers_;

  absl::Mutex mu_;
  std::vector<Mail> mail_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace bulwark::lb

#endif  // LB_TCP_WORKER_H_
