#include "engine/registry/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine::registry {
namespace {

constexpr long kConnectSeconds = 15;
constexpr size_t kMaxHeaderBytes = 64 << 10;

// libcurl copies the headers that it is given, passwords too, and does not wipe
// what it gives back: so its memory is wiped for it.
void WipeAndFree(void* memory) {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
  free(memory);
}

void* WipingRealloc(void* memory, size_t size) {
  void* moved = malloc(size);
  if (moved == nullptr || memory == nullptr) return moved;
  memcpy(moved, memory, std::min(size, malloc_usable_size(memory)));
  WipeAndFree(memory);
  return moved;
}

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    CHECK(curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, WipeAndFree,
                               WipingRealloc, strdup, calloc) == 0);
  });
}

struct Exchange {
  CURL* curl;
  const HttpRequest& request;
  Pace pace;
  HttpResponse response;
  size_t header_bytes = 0;
  int64_t sent = 0;
  bool begun = false;
  absl::Status status;  // of our own, when we end the transfer

  bool ToSink() const {
    return request.sink != nullptr &&
           (response.status == 200 || response.status == 206);
  }

  absl::Status Receive(absl::string_view data) {
    if (ToSink()) {
      if (!begun && request.begin != nullptr) {
        RETURN_IF_ERROR(request.begin(response));
      }
      begun = true;
      return request.sink(response.status, data);
    }
    if (static_cast<int64_t>(response.body.size() + data.size()) >
        request.max_body) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", request.url, ": the answer is larger than ",
                       request.max_body, " bytes"));
    }
    response.body.append(data.data(), data.size());
    return absl::OkStatus();
  }

  void AddHeader(absl::string_view line) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "HTTP/")) {
      response.headers.clear();
      return;
    }
    size_t colon = line.find(':');
    if (colon == absl::string_view::npos) return;
    response.headers.emplace(
        absl::AsciiStrToLower(line.substr(0, colon)),
        absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
};

size_t OnHeader(char* data, size_t size, size_t count, void* self) {
  auto* exchange = static_cast<Exchange*>(self);
  exchange->header_bytes += size * count;
  if (exchange->header_bytes > kMaxHeaderBytes) return 0;
  exchange->AddHeader(absl::string_view(data, size * count));
  return size * count;
}

size_t OnBody(char* data, size_t size, size_t count, void* self) {
  auto* exchange = static_cast<Exchange*>(self);
  long status = 0;
  curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
  exchange->response.status = static_cast<int>(status);
  exchange->status = exchange->Receive(absl::string_view(data, size * count));
  return exchange->status.ok() ? size * count : 0;
}

size_t OnSend(char* buffer, size_t size, size_t count, void* self) {
  auto* exchange = static_cast<Exchange*>(self);
  const int64_t left = exchange->request.body_size - exchange->sent;
  const size_t room = static_cast<size_t>(
      std::min<int64_t>(static_cast<int64_t>(size * count), left));
  if (room == 0) return 0;
  absl::StatusOr<size_t> n =
      exchange->request.source(exchange->sent, buffer, room);
  if (n.ok() && *n == 0) {
    n = absl::DataLossError(absl::StrCat("send to ", exchange->request.url,
                                         ": the data ends early"));
  }
  if (!n.ok()) {
    exchange->status = n.status();
    return CURL_READFUNC_ABORT;
  }
  exchange->sent += static_cast<int64_t>(*n);
  return *n;
}

// The method, and what is sent with it.
void SetUpload(CURL* curl, const HttpRequest& request, Exchange* exchange) {
  if (request.method == "GET") return;
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request.source != nullptr) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(request.body_size));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &OnSend);
    curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
  } else {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                     request.body.data() != nullptr ? request.body.data() : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

void SetTls(CURL* curl, const TlsFiles& tls) {
  if (!tls.authorities.empty()) {
    // The host's own stay trusted: they come by directory, too.
    curl_blob blob = {const_cast<char*>(tls.authorities.data()),
                      tls.authorities.size(), CURL_BLOB_NOCOPY};
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(curl, CURLOPT_CAPATH, "/etc/ssl/certs");
  }
  if (!tls.certificate.empty()) {
    curl_easy_setopt(curl, CURLOPT_SSLCERT, tls.certificate.c_str());
    curl_easy_setopt(curl, CURLOPT_SSLKEY, tls.key.c_str());
  }
}

int OnProgress(void* self, curl_off_t, curl_off_t received, curl_off_t,
               curl_off_t sent) {
  auto* exchange = static_cast<Exchange*>(self);
  if (exchange->request.cancelled != nullptr && exchange->request.cancelled()) {
    exchange->status = absl::CancelledError("cancelled");
    return 1;
  }
  const HttpRequest& request = exchange->request;
  curl_off_t microseconds = 0;  // of this exchange
  curl_easy_getinfo(exchange->curl, CURLINFO_TOTAL_TIME_T, &microseconds);
  const absl::Duration now = absl::Microseconds(microseconds);
  const bool answered = exchange->header_bytes > 0;
  const bool all_sent =
      request.source == nullptr || exchange->sent == request.body_size;
  exchange->pace.Await(
      all_sent && !answered && request.answer_patience > request.pace.patience
          ? request.answer_patience
          : absl::ZeroDuration(),
      now);
  const absl::Status moves = exchange->pace.Check(now, received + sent);
  if (moves.ok()) return 0;
  exchange->status = absl::DeadlineExceededError(absl::StrCat(
      request.source != nullptr && !answered ? "send to " : "read ",
      request.url, ": ", moves.message()));
  return 1;
}

// What mends that a registry's certificate is not believed.
std::string CertificateAdvice(CURL* curl, CURLcode code) {
  if (code == CURLE_SSL_CACERT_BADFILE) {
    return "; look whether the files of /etc/bulwark/certs.d/HOST:PORT are"
           " certificates in PEM";
  }
  long found = X509_V_OK;
  curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &found);
  switch (found) {
    case X509_V_ERR_UNSPECIFIED:  // what libcurl leaves if a name is wrong
      return "; name the registry as its certificate does, or have it made for"
             " this name";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "; renew the registry's certificate, and look whether the clocks"
             " of both hosts are right";
    default:
      return "; put its certificate authority into"
             " /etc/bulwark/certs.d/HOST:PORT/ca.crt or among the host's"
             " trusted ones (/usr/local/share/ca-certificates), or list the"
             " registry as insecure if it speaks plain http";
  }
}

absl::Status TransportError(CURL* curl, CURLcode code, absl::string_view detail,
                            const std::string& url) {
  std::string reason =
      detail.empty() ? std::string(curl_easy_strerror(code))
                     : std::string(absl::StripTrailingAsciiWhitespace(detail));
  long error = 0;  // of connect(2); libcurl's own text leaves it out
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
  if (code == CURLE_COULDNT_CONNECT && error != 0) {
    reason = std::strerror(static_cast<int>(error));
  }
  std::string message = absl::StrCat("connect to ", url, ": ", reason);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::FailedPreconditionError(
          absl::StrCat(message, CertificateAdvice(curl, code)));
    case CURLE_SSL_CERTPROBLEM:
      return absl::FailedPreconditionError(
          absl::StrCat(message, "; check the client certificate and its key"));
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return absl::UnavailableError(absl::StrCat("read ", url, ": ", reason));
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(
          absl::StrCat("read ", url, ": ", reason));
    default:
      return absl::UnavailableError(message);
  }
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, FreeUrl>;

absl::Status BadUrl(const std::string& url) {
  return absl::UnavailableError(
      absl::StrCat("\"", url.substr(0, 200), "\" is not an http(s) address"));
}

std::string UrlPart(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  unsigned flags = part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) {
    return "";
  }
  std::string result = text;
  curl_free(text);
  return result;
}

}  // namespace

std::string HttpResponse::Header(absl::string_view lower_case_name) const {
  auto it = headers.find(std::string(lower_case_name));
  return it == headers.end() ? "" : it->second;
}

HttpClient::HttpClient() {
  InitCurlOnce();
  curl_ = curl_easy_init();
  CHECK(curl_ != nullptr);
}

HttpClient::~HttpClient() { curl_easy_cleanup(curl_); }

absl::StatusOr<HttpResponse> HttpClient::Send(const HttpRequest& request) {
  curl_easy_reset(curl_);
  char error[CURL_ERROR_SIZE] = "";
  Exchange exchange{curl_, request, Pace(request.pace)};
  std::unique_ptr<curl_slist, FreeList> headers;
  // "Expect": whoever sends a body has been let in before; and some servers do
  // not know it.
  headers.reset(curl_slist_append(nullptr, "Expect:"));
  for (const std::string& header : request.headers) {
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  }
  if (!request.authorization.empty()) {
    headers.reset(
        curl_slist_append(headers.release(), request.authorization.c_str()));
  }
  curl_easy_setopt(curl_, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 0L);
  // A connection carries one exchange at a time; and the library for HTTP/2
  // would make copies of the headers in memory of its own.
  curl_easy_setopt(curl_, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl_, CURLOPT_USERAGENT, "bulwark");
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl_, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl_, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(curl_, CURLOPT_XFERINFODATA, &exchange);

  SetUpload(curl_, request, &exchange);
  if (request.tls != nullptr) SetTls(curl_, *request.tls);

  CURLcode code = curl_easy_perform(curl_);
  if (!exchange.status.ok()) return exchange.status;
  if (code != CURLE_OK) return TransportError(curl_, code, error, request.url);
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  exchange.response.status = static_cast<int>(status);
  return std::move(exchange.response);
}

absl::StatusOr<Url> ParseUrl(const std::string& url) {
  UrlHandle handle(curl_url());
  if (curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return BadUrl(url);
  }
  Url result;
  result.scheme =
      absl::AsciiStrToLower(UrlPart(handle.get(), CURLUPART_SCHEME));
  result.host = absl::AsciiStrToLower(UrlPart(handle.get(), CURLUPART_HOST));
  if (absl::StartsWith(result.host, "[")) {
    result.host = result.host.substr(1, result.host.size() - 2);
  }
  result.port = UrlPart(handle.get(), CURLUPART_PORT);
  if (result.scheme != "http" && result.scheme != "https") return BadUrl(url);
  if (!UrlPart(handle.get(), CURLUPART_USER).empty()) return BadUrl(url);
  return result;
}

absl::StatusOr<std::string> ResolveUrl(const std::string& base,
                                       const std::string& location) {
  UrlHandle handle(curl_url());
  if (curl_url_set(handle.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), 0) !=
          CURLUE_OK) {
    return BadUrl(location);
  }
  std::string result = UrlPart(handle.get(), CURLUPART_URL);
  RETURN_IF_ERROR(ParseUrl(result).status());
  return result;
}

std::string UrlEscape(absl::string_view text) {
  std::string result;
  for (unsigned char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' ||
        c == '~') {
      result.push_back(static_cast<char>(c));
    } else {
      constexpr char kHex[] = "0123456789ABCDEF";
      result.append({'%', kHex[c >> 4], kHex[c & 15]});
    }
  }
  return result;
}

bool IsLoopback(absl::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  in_addr address;
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) {
    return false;
  }
  return (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace bulwark::engine::registry
