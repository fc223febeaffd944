#include "os/nft.h"

#include <nftables/libnftables.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"

namespace bulwark::os {
namespace {

// libnftables reports errors as text only, ending in strerror's words.
absl::StatusCode CodeOf(absl::string_view text) {
  for (int error : {ENOENT, EEXIST, EPERM, EACCES, ENOMEM, EINTR, EBUSY}) {
    if (absl::StrContains(text, std::strerror(error))) {
      return absl::ErrnoToStatusCode(error);
    }
  }
  return absl::StatusCode::kFailedPrecondition;
}

}  // namespace

void Nft::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

absl::StatusOr<Nft> Nft::Open() {
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) return ErrnoStatus("open", "nftables");
  Nft nft(context);
  if (nft_ctx_buffer_output(context) != 0 ||
      nft_ctx_buffer_error(context) != 0) {
    return absl::ResourceExhaustedError("open nftables: no memory");
  }
  return nft;
}

absl::Status Nft::Run(absl::string_view commands) {
  return List(commands, false).status();
}

absl::StatusOr<std::string> Nft::List(absl::string_view command, bool json) {
  nft_ctx_output_set_flags(context_.get(), json ? NFT_CTX_OUTPUT_JSON : 0);
  // Reading the buffers empties them.
  nft_ctx_get_output_buffer(context_.get());
  nft_ctx_get_error_buffer(context_.get());
  int rc =
      nft_run_cmd_from_buffer(context_.get(), std::string(command).c_str());
  std::string output = nft_ctx_get_output_buffer(context_.get());
  if (rc == 0) return output;
  std::string error = nft_ctx_get_error_buffer(context_.get());
  absl::StripAsciiWhitespace(&error);
  absl::StatusCode code = CodeOf(error);
  return absl::Status(
      code,
      absl::StrCat("run nft: ", absl::StrReplaceAll(error, {{"\n", "; "}})));
}

}  // namespace bulwark::os
