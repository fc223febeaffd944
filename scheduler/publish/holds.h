// When new connections to a service have nobody to go to. Pure.
#ifndef SCHEDULER_PUBLISH_HOLDS_H_
#define SCHEDULER_PUBLISH_HOLDS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::scheduler {

// Compares each snapshot that is in force with the one before. A service that
// was never ready is not told of: it is starting. Thread-compatible.
class HoldTracker {
 public:
  struct News {
    std::string service;  // "PROJECT/NAME"
    bool held = false;    // else: released
  };
  std::vector<News> Take(const dataplane::v1::Snapshot& snapshot);

 private:
  // Services that have been ready; whether they are held now.
  std::map<std::string, bool> held_;
};

// Connections to the service since the proxy started.
struct HoldCounts {
  uint64_t held = 0;    // waited
  uint64_t failed = 0;  // were closed unserved
};
HoldCounts CountsOf(const dataplane::v1::Stats& stats,
                    const std::string& service);

// "a replica is ready again; 2 connections waited, 1 was closed unserved". A
// proxy that was started in between counts from 0.
std::string ReleaseSentence(const HoldCounts& before, const HoldCounts& after);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PUBLISH_HOLDS_H_
