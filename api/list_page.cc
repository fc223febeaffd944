#include "api/list_page.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {
namespace {

constexpr int kDefaultPage = 500;
constexpr int kMaxPage = 1000;
// Clients take 4 MiB at most unless told otherwise.
constexpr size_t kMaxBytes = size_t{3} << 20;

}  // namespace

std::string PageToken::Encode() const {
  return absl::WebSafeBase64Escape(absl::StrCat(revision, ":", after));
}

absl::StatusOr<PageToken> PageToken::Decode(absl::string_view text) {
  PageToken token;
  if (text.empty()) return token;
  std::string plain;
  const auto bad = absl::InvalidArgumentError(
      "list: the page token is not one that this server gave");
  if (!absl::WebSafeBase64Unescape(text, &plain)) return bad;
  const size_t colon = plain.find(':');
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(plain.substr(0, colon), &token.revision)) {
    return bad;
  }
  token.after = plain.substr(colon + 1);
  return token;
}

absl::StatusOr<v1::ListResponse> ListPage(store::MetadataStore& store,
                                          const v1::ListRequest& request,
                                          const Visible& visible,
                                          std::vector<store::Key>& unreadable) {
  ASSIGN_OR_RETURN(const Selection selection, Selection::Of(request));
  ASSIGN_OR_RETURN(PageToken token, PageToken::Decode(request.page_token()));
  if (request.page_size() < 0) {
    return absl::InvalidArgumentError("list: page_size is negative");
  }
  const int most = request.page_size() == 0
                       ? kDefaultPage
                       : std::min(request.page_size(), kMaxPage);
  ASSIGN_OR_RETURN(const store::Listing listing,
                   store.List(selection.filter()));
  if (token.revision == 0) token.revision = listing.revision;
  v1::ListResponse response;
  response.set_revision(static_cast<int64_t>(token.revision));
  size_t bytes = 0;
  for (const store::Record& record : listing.records) {
    std::string key = record.key.ToString();
    if (key <= token.after) continue;
    absl::StatusOr<v1::Object> decoded = store::Decode(record);
    if (!decoded.ok()) {
      if (visible(store::Nameplate(record.key))) {
        unreadable.push_back(record.key);
      }
      continue;
    }
    v1::Object& object = *decoded;
    if (!selection.Matches(object) || !visible(object)) continue;
    bytes += record.value.size() + 16;
    const bool full = response.objects_size() == most ||
                      (response.objects_size() > 0 && bytes > kMaxBytes);
    if (full) {
      response.set_next_page_token(token.Encode());
      break;
    }
    ClearInputOnly(object);
    *response.add_objects() = std::move(object);
    token.after = std::move(key);
  }
  return response;
}

}  // namespace bulwark::api
