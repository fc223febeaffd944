// A random stream of acknowledged changes, and what must be true of it while
// the daemon dies and comes back.
#ifndef TESTS_FAULT_HISTORY_H_
#define TESTS_FAULT_HISTORY_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/entropy.h"
#include "tests/e2e/world.h"

namespace bulwark::fault {

// What a service was declared to be; `exists` false: deleted.
struct Declared {
  bool exists = false;
  int replicas = 0;
  std::string note;

  bool operator==(const Declared&) const = default;
  std::string ToString() const;
};

// Applies, scales and deletes services from a few threads until told to stop.
// Each thread owns some of the services, so that what a service may be is
// known: after a change that was acknowledged, that; after one whose fate is
// unknown (the daemon died), the new or the old. Every look at a service is
// held against this.
class History {
 public:
  // `image` has /bin/sleep. The world must outlive the history.
  History(e2e::World& world, std::string image, uint64_t seed);
  ~History();

  void Start();
  void Stop();

  // Deletes every service that is there; the daemon must be up.
  void DeleteAll();

  // After Stop(), with the daemon up: looks at every service once more.
  void CheckDeclared();
  // Waits until just the declared replicas run, each once; else a violation.
  void CheckRunning();

  // Containers that run twice, right now. Call at any time.
  void CheckNoDoubles();

  // What was wrong, one sentence each.
  std::vector<std::string> violations() const;
  // Changes that the daemon acknowledged, and those whose fate was unknown.
  int acknowledged() const { return acknowledged_; }
  int unknown() const { return unknown_; }
  int looks() const { return looks_; }

 private:
  struct Service {
    std::string name;
    int seconds;  // its containers run `sleep SECONDS`: no other process does
    std::vector<Declared> possible;
  };

  void Run(int thread);
  void Step(Service& service, Entropy& entropy);
  void Change(Service& service, const Declared& next,
              const std::vector<std::string>& ctl, const std::string& input);
  // Whether the daemon could be asked.
  bool Look(Service& service);
  std::string Manifest(const Service& service, const Declared& declared) const;
  void Violate(std::string sentence);

  e2e::World& world_;
  const std::string image_;
  const uint64_t seed_;
  std::vector<Service> services_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> acknowledged_ = 0;
  std::atomic<int> unknown_ = 0;
  std::atomic<int> looks_ = 0;
  std::atomic<int> notes_ = 0;

  mutable absl::Mutex mu_;
  std::vector<std::string> violations_ ABSL_GUARDED_BY(mu_);
};

// Main processes of containers, by the number of seconds they sleep, with the
// container that each belongs to (the last part of its cgroup).
struct Sleeper {
  int pid = 0;
  int seconds = 0;
  std::string container;
};
std::vector<Sleeper> Sleepers(const std::string& instance);

// The command of such a main process that has a child which serves port 80: a
// replica with a port is ready when it accepts connections.
std::string Serving(int seconds);

}  // namespace bulwark::fault

#endif  // TESTS_FAULT_HISTORY_H_
