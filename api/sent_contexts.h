// The contexts of one build: what its client sends after the options.
#ifndef API_SENT_CONTEXTS_H_
#define API_SENT_CONTEXTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/kept_contexts.h"
#include "api/uploads.h"

namespace bulwark::api {

// Unpacks the tar that `fd` reads into the empty directory `dir`, and never
// writes outside of it, whatever the tar says.
using UnpackFunction =
    std::function<absl::Status(int fd, const std::string& dir)>;

// Contexts by name: "" is the main one. What it opened goes with this object,
// unless it is kept. Thread-compatible.
class SentContexts {
 public:
  // The references must outlive this object. Of each context no more than
  // `limit` bytes are taken.
  SentContexts(Uploads& uploads, KeptContexts& kept, int64_t limit)
      : uploads_(uploads), kept_(kept), limit_(limit) {}

  // If `place`, of the options, says that the context was offered, takes the
  // offer, and clears it. ABORTED if the offer is not known.
  absl::Status TakeOffer(const std::string& name, int64_t uid,
                         std::string& place);

  // The next piece of a tar.
  absl::Status Append(const std::string& name, absl::string_view data);

  // Whether something came, or nothing has to.
  bool Has(const std::string& name) const;

  // Where it is now; an empty folder if nothing came. The tar is gone. Once for
  // each. INVALID_ARGUMENT if something had to come.
  absl::StatusOr<std::string> Open(const std::string& name,
                                   const UnpackFunction& unpack);

 private:
  Uploads& uploads_;
  KeptContexts& kept_;
  const int64_t limit_;
  std::map<std::string, OfferedContext> offers_;
  std::map<std::string, std::unique_ptr<UploadFile>> files_;
  std::vector<std::unique_ptr<UploadDir>> dirs_;
  std::vector<std::shared_ptr<const KeptContext>> used_;
};

}  // namespace bulwark::api

#endif  // API_SENT_CONTEXTS_H_
