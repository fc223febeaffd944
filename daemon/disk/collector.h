// Makes room on the disk by itself, before it is full.
#ifndef DAEMON_DISK_COLLECTOR_H_
#define DAEMON_DISK_COLLECTOR_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "daemon/disk/disk.h"

namespace bulwark::daemon {

struct CollectorOptions {
  Watermarks marks;
  absl::Duration period = absl::Minutes(1);  // between two looks at the disk
};

// Looks at the disk now and then, and when it is too full removes images that
// nothing needs (Disk::Collect()). Thread-safe; Start() and Stop() once each.
class ImageCollector {
 public:
  // Told of each time that something was removed, or that nothing could be;
  // may be null.
  using Tell = std::function<void(bool enough, const std::string& message)>;

  // The references must outlive this object.
  ImageCollector(Disk& disk, Clock& clock, CollectorOptions options, Tell tell)
      : disk_(disk), clock_(clock), options_(options), tell_(std::move(tell)) {}
  ~ImageCollector() { Stop(); }

  // Does nothing for a start mark of 100: that is never passed.
  void Start();
  void Stop();

  // One look. Errors are the store's and the image store's.
  absl::Status RunOnce();

 private:
  void Loop();

  Disk& disk_;
  Clock& clock_;
  const CollectorOptions options_;
  const Tell tell_;
  bool complained_ = false;  // that it is too full; of the thread only
  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_DISK_COLLECTOR_H_
