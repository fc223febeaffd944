// The proxy's control socket: bulwarkd's requests, answered one by one.
#ifndef DATAPLANE_CONTROL_SERVER_H_
#define DATAPLANE_CONTROL_SERVER_H_

#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::dataplane {

// Serves each connection on a thread of its own, at most kMaxConnections at a
// time. Only root and our own user are let in.
class ControlServer {
 public:
  static constexpr int kMaxConnections = 16;
  // Called on many threads at once. Blocks until it has the answer.
  using Handler = absl::AnyInvocable<v1::Response(const v1::Request&)>;

  // `listening_fd` (non-blocking) and `clock` are borrowed.
  ControlServer(int listening_fd, Clock& clock, Handler handler);
  // Ends all connections.
  ~ControlServer();

 private:
  void AcceptLoop();
  void Serve(int fd);

  const int listening_fd_;
  Clock& clock_;
  Handler handler_;
  UniqueFd stop_;
  absl::Mutex mu_;
  std::set<int> connections_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_CONTROL_SERVER_H_
