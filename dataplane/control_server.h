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

  // Accepts from another socket from now on; the old one is not touched any
  // more when this returns. Connections stay.
  void ListenOn(int listening_fd);

 private:
  void AcceptLoop();
  void Serve(int fd);
  void Wake();

  int next_fd_ ABSL_GUARDED_BY(mu_);  // what AcceptLoop() is to listen on
  int used_fd_ ABSL_GUARDED_BY(mu_) = -1;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  Clock& clock_;
  Handler handler_;
  UniqueFd wake_;
  absl::Mutex mu_;
  std::set<int> connections_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_CONTROL_SERVER_H_
