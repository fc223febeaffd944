// Reads the answer to an HTTP/1.1 GET as it arrives.
#ifndef TESTS_LOAD_HTTP_ANSWER_H_
#define TESTS_LOAD_HTTP_ANSWER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::load {

class HttpAnswer {
 public:
  enum class State { kIncomplete, kComplete, kMalformed };

  // `backend_header` names the header that says who answers.
  explicit HttpAnswer(std::string backend_header)
      : backend_header_(std::move(backend_header)) {}

  // Takes the next bytes. After kComplete or kMalformed: Reset first.
  State Feed(absl::string_view data);
  // The connection ended: kComplete if the body was to end so.
  State End() const;
  void Reset();

  bool started() const { return !head_.empty() || head_done_; }
  int status() const { return status_; }
  bool keep_alive() const { return keep_alive_; }
  // Who answered: that header, else the first line of the body (at most 64
  // characters), else "".
  const std::string& backend() const { return backend_; }

 private:
  bool ParseHead();
  State FeedBody(absl::string_view data);
  State FeedChunked(absl::string_view data);
  void NoteBody(absl::string_view data);

  const std::string backend_header_;
  std::string head_;
  bool head_done_ = false;
  int status_ = 0;
  bool keep_alive_ = true;
  std::string backend_;
  bool backend_from_body_ = false;
  bool backend_known_ = false;

  enum class Body { kLength, kChunked, kUntilClose } body_ = Body::kUntilClose;
  size_t left_ = 0;
  // Of the chunked form: a size line that is not complete yet.
  std::string line_;
  enum class Chunk { kSize, kData, kDataEnd, kTrailer } chunk_ = Chunk::kSize;
};

}  // namespace bulwark::load

#endif  // TESTS_LOAD_HTTP_ANSWER_H_
