// One HTTP exchange at a time, through libcurl.
#ifndef ENGINE_REGISTRY_HTTP_H_
#define ENGINE_REGISTRY_HTTP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret_text.h"
#include "engine/registry/pace.h"

namespace bulwark::engine::registry {

// What a TLS connection is made with, beside the host's trusted authorities.
struct TlsFiles {
  std::string authorities;  // PEM text of further ones, or empty
  std::string certificate;  // path of our own PEM, or empty
  std::string key;          // path of its key
};

struct HttpRequest {
  std::string url;                   // http:// or https://
  std::string method = "GET";        // HEAD, POST, PUT, PATCH, DELETE
  std::vector<std::string> headers;  // "Name: value"
  SecretText authorization;          // one more of them, or empty
  // What is sent: `body`, which is borrowed, or else `body_size` bytes that
  // `source` gives: at most `size` of those from `offset` on, 0 only at the
  // end. Not for GET and HEAD.
  absl::string_view body;
  std::function<absl::StatusOr<size_t>(int64_t offset, char* buffer,
                                       size_t size)>
      source;
  int64_t body_size = 0;
  PaceLimits pace;
  // How long the answer to a body may take, if that is longer: a registry that
  // has got all of a large layer may want to look through it first.
  absl::Duration answer_patience;
  const TlsFiles* tls = nullptr;  // borrowed
  // Bodies of 200 and 206 go here, if set: called with the status first, in
  // pieces. An error ends the exchange and is returned.
  std::function<absl::Status(int status, absl::string_view data)> sink;
  // Told once before the first piece of such a body.
  std::function<absl::Status(const struct HttpResponse&)> begin;
  int64_t max_body = 64 << 10;      // of bodies that do not go to the sink
  std::function<bool()> cancelled;  // asked about once a second
};

struct HttpResponse {
  int status = 0;
  std::multimap<std::string, std::string> headers;  // names in lower case
  std::string body;

  // The first header of this name, or "".
  std::string Header(absl::string_view lower_case_name) const;
};

// Keeps its connection for the next exchange. Thread-compatible. Never follows
// a redirect, never sends anything but what the request says.
// No copy of what was sent is left in memory once the client is gone.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any HTTP status is a success here. UNAVAILABLE if there was no answer or it
  // was cut short, DEADLINE_EXCEEDED if it stalled or was too slow: the
  // message says why.
  // FAILED_PRECONDITION if the server's certificate is not trusted.
  // RESOURCE_EXHAUSTED if the body is larger than the limit. CANCELLED.
  absl::StatusOr<HttpResponse> Send(const HttpRequest& request);

 private:
  void* curl_;
};

// Parts of an absolute http(s) URL.
struct Url {
  std::string scheme;
  std::string host;  // without brackets
  std::string port;  // filled in by scheme
  bool SameOrigin(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};
absl::StatusOr<Url> ParseUrl(const std::string& url);

// `location` as the server at `base` means it.
absl::StatusOr<std::string> ResolveUrl(const std::string& base,
                                       const std::string& location);

// Percent-encodes for a query value.
std::string UrlEscape(absl::string_view text);

// True for localhost, 127.0.0.0/8 and ::1.
bool IsLoopback(absl::string_view host);

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_HTTP_H_
