#include "tests/load/http_answer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace bulwark::load {
namespace {
constexpr size_t kMaxHead = 64 << 10;
constexpr size_t kMaxName = 64;
}  // namespace

void HttpAnswer::Reset() {
  head_.clear();
  head_done_ = false;
  status_ = 0;
  keep_alive_ = true;
  backend_.clear();
  backend_from_body_ = backend_known_ = false;
  body_ = Body::kUntilClose;
  left_ = 0;
  line_.clear();
  chunk_ = Chunk::kSize;
}

bool HttpAnswer::ParseHead() {
  std::vector<absl::string_view> lines = absl::StrSplit(head_, "\r\n");
  const absl::string_view first = lines[0];
  if (!absl::StartsWith(first, "HTTP/1.") || first.size() < 12 ||
      !absl::SimpleAtoi(first.substr(9, 3), &status_)) {
    return false;
  }
  keep_alive_ = first[7] != '0';
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == absl::string_view::npos) continue;
    const absl::string_view name = lines[i].substr(0, colon);
    const absl::string_view value =
        absl::StripAsciiWhitespace(lines[i].substr(colon + 1));
    if (absl::EqualsIgnoreCase(name, "content-length")) {
      if (!absl::SimpleAtoi(value, &left_)) return false;
      body_ = Body::kLength;
    } else if (absl::EqualsIgnoreCase(name, "transfer-encoding")) {
      if (absl::EqualsIgnoreCase(value, "chunked")) body_ = Body::kChunked;
    } else if (absl::EqualsIgnoreCase(name, "connection")) {
      keep_alive_ = !absl::EqualsIgnoreCase(value, "close");
    } else if (absl::EqualsIgnoreCase(name, backend_header_)) {
      backend_ = std::string(value);
      backend_known_ = true;
    }
  }
  if (status_ == 204 || status_ == 304) {
    body_ = Body::kLength;
    left_ = 0;
  }
  return true;
}

void HttpAnswer::NoteBody(absl::string_view data) {
  if (backend_known_) return;
  const size_t end = data.find('\n');
  backend_.append(data.data(), std::min(end, data.size()));
  backend_known_ = end != absl::string_view::npos || backend_.size() > kMaxName;
  if (backend_.size() > kMaxName) backend_.resize(kMaxName);
}

HttpAnswer::State HttpAnswer::FeedChunked(absl::string_view data) {
  while (!data.empty()) {
    if (chunk_ == Chunk::kData) {
      const size_t n = std::min(left_, data.size());
      NoteBody(data.substr(0, n));
      data.remove_prefix(n);
      left_ -= n;
      if (left_ == 0) chunk_ = Chunk::kDataEnd;
      continue;
    }
    const size_t end = data.find('\n');
    line_.append(data.data(), std::min(end, data.size()));
    if (line_.size() > 1024) return State::kMalformed;
    if (end == absl::string_view::npos) return State::kIncomplete;
    data.remove_prefix(end + 1);
    const std::string line(absl::StripAsciiWhitespace(line_));
    line_.clear();
    if (chunk_ == Chunk::kSize) {
      char* stop = nullptr;
      left_ = strtoul(line.c_str(), &stop, 16);
      if (stop == line.c_str()) return State::kMalformed;
      chunk_ = left_ == 0 ? Chunk::kTrailer : Chunk::kData;
    } else if (chunk_ == Chunk::kDataEnd) {
      chunk_ = Chunk::kSize;
    } else if (line.empty()) {
      return State::kComplete;
    }
  }
  return State::kIncomplete;
}

HttpAnswer::State HttpAnswer::FeedBody(absl::string_view data) {
  switch (body_) {
    case Body::kChunked:
      return FeedChunked(data);
    case Body::kLength: {
      const size_t n = std::min(left_, data.size());
      NoteBody(data.substr(0, n));
      left_ -= n;
      return left_ == 0 ? State::kComplete : State::kIncomplete;
    }
    case Body::kUntilClose:
      NoteBody(data);
      return State::kIncomplete;
  }
  return State::kMalformed;
}

HttpAnswer::State HttpAnswer::Feed(absl::string_view data) {
  if (head_done_) return FeedBody(data);
  const size_t before = head_.size();
  head_.append(data.data(), data.size());
  const size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    return head_.size() > kMaxHead ? State::kMalformed : State::kIncomplete;
  }
  const std::string rest = head_.substr(end + 4);
  head_.resize(end);
  head_done_ = true;
  if (!ParseHead()) return State::kMalformed;
  return FeedBody(rest);
}

HttpAnswer::State HttpAnswer::End() const {
  return head_done_ && body_ == Body::kUntilClose ? State::kComplete
                                                  : State::kIncomplete;
}

}  // namespace bulwark::load
