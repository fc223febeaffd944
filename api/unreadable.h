// Telling clients of records that cannot be read, beside those that can.
#ifndef API_UNREADABLE_H_
#define API_UNREADABLE_H_

#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "store/key.h"

namespace bulwark::api {

// Initial metadata with a sentence that clients show as a warning.
inline constexpr char kWarningMetadata[] = "bulwark-warning-bin";

// Names the records, as far as metadata has room. Empty for none.
std::string UnreadableWarning(const std::vector<store::Key>& keys);

// Gives the client that warning, if there is one. Before the first message.
void WarnOfUnreadable(const std::vector<store::Key>& keys,
                      grpc::ServerContext& context);

// DATA_LOSS: `verb` ("apply", "delete") must not touch the record, with what to
// do.
absl::Status RefuseUnreadable(absl::string_view verb, const store::Key& key);

// What mends it, for people.
inline constexpr char kUnreadableRemedy[] =
    "it is left as it is; docs/operation.md says how to get it back";

}  // namespace bulwark::api

#endif  // API_UNREADABLE_H_
