// A good service beside the bad things of a test: `anchor` keeps its processes
// and answers all the while.
#ifndef TESTS_E2E_ANCHOR_H_
#define TESTS_E2E_ANCHOR_H_

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {

// The body of an HTTP answer from 127.0.0.1, or "" and why there is none.
std::string Fetch(int port, const std::string& path, std::string& why);
bool Answers(int port);

// What describe says of the service: its conditions and its events.
std::string Describe(World& world, const std::string& service);

// Waits until the condition of the service has this status ("TRUE", "FALSE")
// and its reason and message contain all of `parts`. What is missing, with the
// condition as it is; "" if nothing.
std::string AwaitCondition(World& world, const std::string& service,
                           const std::string& type, const std::string& status,
                           const std::vector<std::string>& parts,
                           absl::Duration timeout = absl::Seconds(60));

// A busybox web server on a host port, asked again and again by a thread from
// the start on.
class Anchor {
 public:
  static constexpr int kPort = 8080;

  // Applies the service and waits until it answers. `image`: a busybox.
  Anchor(World& world, const std::string& image);
  ~Anchor();

  // "" if every request so far was answered, and the processes are those of the
  // beginning; else what was wrong. Takes the whole next request in.
  std::string Check();
  // The same without the daemon: the processes live.
  std::string CheckWithoutDaemon();

 private:
  void Watch();
  std::string Failures();

  World& world_;
  int pid_ = 0;
  std::atomic<bool> stop_ = false;
  absl::Mutex mu_;
  int requests_ ABSL_GUARDED_BY(mu_) = 0;
  int failed_ ABSL_GUARDED_BY(mu_) = 0;
  std::string first_failure_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_ANCHOR_H_
