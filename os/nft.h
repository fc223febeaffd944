// nftables through libnftables: text in nft's own language, applied as one
// transaction.
#ifndef OS_NFT_H_
#define OS_NFT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct nft_ctx;

namespace bulwark::os {

// Move-only, thread-compatible. It acts in the network namespace that the
// thread was in at Open(); call Run() from a thread in that namespace too (the
// library opens further sockets when it needs them).
class Nft {
 public:
  static absl::StatusOr<Nft> Open();

  // Runs `commands`: all of them take effect, or none. Errors carry nft's own
  // text, with the code of its first complaint: NOT_FOUND (no such table, set
  // or element), ALREADY_EXISTS, PERMISSION_DENIED, else FAILED_PRECONDITION.
  absl::Status Run(absl::string_view commands);
  // What a `list` command prints: nft's text, or JSON (`nft -j`).
  absl::StatusOr<std::string> List(absl::string_view command, bool json);

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  explicit Nft(nft_ctx* context) : context_(context) {}

  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace bulwark::os

#endif  // OS_NFT_H_
