// Progress of image operations as messages.
#ifndef API_IMAGE_PROGRESS_H_
#define API_IMAGE_PROGRESS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/images.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::api {

// What a build prints, or a document of an image says, is bytes; but a message
// takes only UTF-8: the client would not read another one.
std::string ToUtf8(const std::string& text);

v1::ImageInfo ToImageInfo(const engine::Image& image);

// Turns what an operation says into messages, and drops counters that come
// faster than a person reads: each id at most ten times a second, but every
// change of status and every line of output. Thread-safe.
class ProgressFilter {
 public:
  // Sends a message; false: the client is gone.
  using Send = absl::FunctionRef<bool(const v1::ImageProgress&)>;
  using Done = absl::FunctionRef<bool()>;

  // All must outlive this object.
  ProgressFilter(Clock& clock, Send send, Done done)
      : clock_(clock), send_(send), done_(done) {}

  // False: the operation should end. An engine::ProgressSink.
  bool Report(const engine::Progress& progress);

  // The last message.
  bool Finish(const std::vector<engine::Image>& images);

 private:
  struct Last {
    std::string status;
    absl::Duration time;
  };

  Clock& clock_;
  const Send send_;
  const Done done_;
  absl::Mutex mu_;
  std::map<std::string, Last> last_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::api

#endif  // API_IMAGE_PROGRESS_H_
