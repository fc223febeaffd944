// The stream of changes that a Watch sends.
#ifndef API_WATCH_H_
#define API_WATCH_H_

#include <set>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "api/selection.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// One Watch call. Thread-compatible.
class WatchStream {
 public:
  // Sends an event; false: the client is gone.
  using Send = absl::FunctionRef<bool(const v1::WatchEvent&)>;
  // True: end the stream.
  using Done = absl::FunctionRef<bool()>;
  // Told before the first event: what is left out of what exists already.
  using Warn = absl::FunctionRef<void(const std::vector<store::Key>&)>;

  // The references must outlive this object.
  WatchStream(store::MetadataStore& store, Selection selection, Visible visible)
      : store_(store),
        selection_(std::move(selection)),
        visible_(std::move(visible)) {}

  // Runs until the client is gone or `done` (both OK). An object that a change
  // takes out of the selection (a label is gone) is sent as DELETED, one that
  // comes in as ADDED. Records that cannot be read are left out.
  //   OUT_OF_RANGE  `from_revision` is too old, or the client too slow: list
  //                 again
  absl::Status Run(int64_t from_revision, Send send, Done done, Warn warn);

 private:
  absl::StatusOr<uint64_t> SendExisting(Send send, Warn warn);
  // False: the client is gone.
  absl::StatusOr<bool> SendChange(const store::Change& change, Send send);
  // What a write of `object` is to this client; TYPE_UNSPECIFIED: nothing.
  v1::WatchEvent::Type TypeOfPut(const store::Change& change,
                                 const v1::Object& object);
  // What the client knows is gone; nothing else can be told of it.
  bool SendUnreadable(const store::Change& change, Send send);

  store::MetadataStore& store_;
  const Selection selection_;
  const Visible visible_;
  // Where content decides: the keys that the client has been told of, and those
  // known to be out. A key in neither may be with the client from before it
  // resumed.
  std::set<store::Key> in_, out_;
  bool resumed_ = false;
  bool gone_ = false;
};

}  // namespace bulwark::api

#endif  // API_WATCH_H_
