// A call whose messages go both ways, with a thread of its own.
#ifndef API_STREAM_CALL_H_
#define API_STREAM_CALL_H_

#include <grpcpp/support/server_callback.h>
#include <sys/eventfd.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "api/errors.h"
#include "api/stopper.h"
#include "api/stream_calls.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/unique_fd.h"

namespace bulwark::api {

// gRPC's synchronous streams cannot end while a read waits for the client, so
// this one is asynchronous towards gRPC. A thread of its own moves the bytes;
// one message of the client and one of ours are in flight at most. Deletes
// itself when gRPC and the thread are both done.
template <typename Request, typename Response>
class StreamCall : public grpc::ServerBidiReactor<Request, Response> {
 public:
  // For the thread.

  // The client's next message; none: its input has ended, or there is none yet.
  struct Inbox {
    std::optional<Request> request;
    bool input_ended = false;
    bool cancelled = false;
  };
  Inbox Receive() {
    Inbox inbox;
    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);
    const bool allowed = Allowed().ok();
    {
      absl::MutexLock lock(&mu_);
      inbox.input_ended = input_ended_;
      inbox.cancelled = cancelled_ || !allowed || stopper_.stopping();
      if (!has_request_) return inbox;
      has_request_ = false;
    }
    inbox.request = std::move(incoming_);
    this->StartRead(&incoming_);
    return inbox;
  }
  // Waits for the first message. None: the client is gone or too slow.
  std::optional<Request> ReceiveFirst() {
    constexpr absl::Duration kFirstMessage = absl::Seconds(10);
    const auto news = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return has_request_ || input_ended_ || cancelled_;
    };
    {
      absl::MutexLock lock(&mu_);
      clock_.AwaitUntil(mu_, absl::Condition(&news),
                        clock_.Steady() + kFirstMessage);
    }
    return Receive().request;
  }
  // Sends and waits until gRPC took it; false: the client is gone.
  bool Send(const Response& response) {
    {
      absl::MutexLock lock(&mu_);
      if (cancelled_ || write_failed_) return false;
      writing_ = true;
    }
    outgoing_ = response;
    this->StartWrite(&outgoing_);
    // A client that is gone fails the write, one that is slow is waited for.
    const auto written = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return !writing_;
    };
    absl::MutexLock lock(&mu_, absl::Condition(&written));
    return !write_failed_;
  }
  // Becomes readable when Receive() has news.
  int wake_fd() const { return wake_.get(); }
  bool Cancelled() {
    absl::MutexLock lock(&mu_);
    return cancelled_ || stopper_.stopping();
  }
  Clock& clock() { return clock_; }
  bool stopping() const { return stopper_.stopping(); }
  // Ends the call for the client while the thread works on; what Process()
  // returns is then of no account. Nothing may be sent or received after it.
  void Release(const absl::Status& status) {
    released_ = true;
    Note(status);
    this->Finish(ToGrpc(status));
  }

 protected:
  // The caller has entered `calls`, which this leaves. All must outlive it.
  StreamCall(Clock& clock, const Stopper& stopper, StreamCalls& calls)
      : clock_(clock),
        stopper_(stopper),
        calls_(calls),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CHECK(wake_.ok());
  }

  // Of the most derived class, when it is complete.
  void Begin() {
    this->StartRead(&incoming_);
    std::thread([this] { Run(); }).detach();
  }

  // The work, on the thread.
  virtual absl::Status Process() = 0;
  // Whether the caller may (still) do that.
  virtual absl::Status Allowed() const = 0;
  // Keeps how it ended.
  virtual void Note(const absl::Status& status) = 0;

 private:
  void Run() {
    // A write to a process that reads no more is an error here, not the end of
    // the daemon.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    const absl::Status status = Process();
    if (!released_) Release(status);
    Unref();
  }

  void Unref() {
    if (--references_ > 0) return;
    StreamCalls& calls = calls_;
    delete this;
    calls.Leave();
  }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mu_);
    (ok ? has_request_ : input_ended_) = true;
    eventfd_write(wake_.get(), 1);
  }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) write_failed_ = true;
  }
  void OnCancel() override {
    absl::MutexLock lock(&mu_);
    cancelled_ = true;
    eventfd_write(wake_.get(), 1);
  }
  void OnDone() override { Unref(); }

  Clock& clock_;
  const Stopper& stopper_;
  StreamCalls& calls_;
  UniqueFd wake_;
  Request incoming_;   // gRPC's while a read is on
  Response outgoing_;  // gRPC's while a write is on

  bool released_ = false;           // the thread's
  std::atomic<int> references_{2};  // gRPC's and the thread's

  absl::Mutex mu_;
  bool has_request_ ABSL_GUARDED_BY(mu_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool write_failed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace bulwark::api

#endif  // API_STREAM_CALL_H_
