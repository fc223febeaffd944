// Internal to RegistryClient: more connections for one large blob.
#ifndef ENGINE_REGISTRY_HELPERS_H_
#define ENGINE_REGISTRY_HELPERS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/image/blob_store.h"
#include "engine/image/manifest.h"
#include "engine/registry/client.h"

namespace bulwark::engine::registry {

// While the download itself goes on from the front, helpers fetch parts from
// the back by ranges, for registries that are slow by connection. One that is
// refused, cut off, or gets no ranges, ends: the download takes its part then,
// as it takes that of one that is still at it when it comes there.
//
// Take(), Absorb() and Restart() are of the download's thread.
class RegistryClient::Helpers {
 public:
  Helpers(RegistryClient* client, const image::Descriptor& blob,
          image::Ingest* to, std::function<void(int64_t)> progress)
      : client_(client),
        blob_(blob),
        to_(to),
        progress_(std::move(progress)),
        first_(to->size()),
        front_(to->size()),
        back_(blob.size) {}
  ~Helpers() { End(); }

  // An answer to the download begins.
  void Begin();
  // Appends as much of what came as no helper fetches. ABORTED: what follows is
  // theirs.
  absl::Status Take(absl::string_view data);
  // Appends what they have fetched, as far as it follows. Waits for nobody:
  // what one is at goes on with the download.
  absl::Status Absorb();
  // Ends them and forgets all that has come: the download begins anew.
  absl::Status Restart();

 private:
  struct Part {
    int64_t end = 0;
    int64_t at = 0;  // how far it has come
  };

  void StartIfWorthwhile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run();
  // The beginning of a part of our own, or negative.
  int64_t Claim();
  // Whether it came to its end.
  bool Fetch(int64_t begin, int64_t end);
  // How far the part has come; negative: it is no longer its helper's.
  int64_t At(int64_t begin);
  bool Ended(int64_t begin);
  // What has come for the part from its place on.
  absl::Status Put(int64_t begin, absl::string_view data);
  void End();
  void Report() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  RegistryClient* const client_;
  const image::Descriptor& blob_;
  image::Ingest* const to_;
  const std::function<void(int64_t)> progress_;  // may be null
  const int64_t first_;                          // where the download began
  // Of the download's thread: how long bytes were on their way to it, without
  // log-ins and waits before and between its answers.
  absl::Duration took_;
  absl::Duration last_;  // when some came

  absl::Mutex mu_;
  int64_t front_ ABSL_GUARDED_BY(mu_);  // what the download has taken
  int64_t back_ ABSL_GUARDED_BY(mu_);   // where parts that are claimed begin
  int64_t helped_ ABSL_GUARDED_BY(mu_) = 0;             // bytes beyond `front_`
  std::map<int64_t, Part> parts_ ABSL_GUARDED_BY(mu_);  // by their beginning
  std::atomic<bool> stop_{false};
  bool started_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_HELPERS_H_
