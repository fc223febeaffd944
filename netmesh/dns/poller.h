// Descriptors and deadlines of one thread.
#ifndef NETMESH_DNS_POLLER_H_
#define NETMESH_DNS_POLLER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace bulwark::netmesh::dns {

// Thread-compatible, except for Wake().
class Poller {
 public:
  using Token = uint64_t;
  // EPOLL... events; 0: the deadline passed (it is off then).
  using Callback = absl::AnyInvocable<void(uint32_t events)>;

  static absl::StatusOr<std::unique_ptr<Poller>> Make(Clock& clock);

  // `fd` is borrowed until Remove().
  absl::StatusOr<Token> Add(int fd, uint32_t events, Callback callback);
  absl::Status Change(Token token, uint32_t events);
  // On Clock::Steady(); InfiniteDuration: off.
  void SetDeadline(Token token, absl::Duration deadline);
  // No callback follows, not even of events that were already read. Callable
  // in a callback, for itself too. Close the descriptor afterwards.
  void Remove(Token token);

  // Waits for something, and runs the callbacks.
  absl::Status Poll();
  // Makes Poll() return soon. Thread-safe, async-signal-safe.
  void Wake();

 private:
  struct Entry {
    int fd = -1;
    Callback callback;
    absl::Duration deadline = absl::InfiniteDuration();
  };

  explicit Poller(Clock& clock) : clock_(clock) {}
  int TimeoutMillis();
  void RunDeadlines();

  Clock& clock_;
  UniqueFd epoll_;
  UniqueFd wake_;
  Token next_ = 1;
  // Shared with the callback that runs, which may remove its own entry.
  absl::flat_hash_map<Token, std::shared_ptr<Entry>> entries_;
  std::set<std::pair<absl::Duration, Token>> deadlines_;
};

}  // namespace bulwark::netmesh::dns

#endif  // NETMESH_DNS_POLLER_H_
