#include "engine/registry/testing/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::engine::registry::testing {
namespace {

// Reads up to the empty line; what follows it goes to `rest`.
bool ReadHead(int fd, ServerRequest* request, std::string* rest) {
  std::string text;
  char buffer[4096];
  size_t end = 0;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0) return false;
    text.append(buffer, n);
  }
  *rest = text.substr(end + 4);
  std::vector<std::string> lines = absl::StrSplit(text.substr(0, end), "\r\n");
  std::vector<std::string> first = absl::StrSplit(lines[0], ' ');
  if (first.size() < 2) return false;
  request->method = first[0];
  request->path = first[1];
  for (size_t i = 1; i < lines.size(); ++i) {
    size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    request->headers[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  return true;
}

// Reads up to `limit` bytes of the body (negative: all), which has begun.
void ReadBody(int fd, int64_t limit, std::string begun,
              ServerRequest* request) {
  int64_t size = 0;
  const auto length = request->headers.find("content-length");
  if (length == request->headers.end() ||
      !absl::SimpleAtoi(length->second, &size)) {
    return;
  }
  const int64_t wanted = limit < 0 ? size : std::min(size, limit);
  request->cut = wanted < size;
  request->body = std::move(begun);
  std::string buffer(256 << 10, '\0');
  while (static_cast<int64_t>(request->body.size()) < wanted) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) {
      request->cut = true;
      return;
    }
    request->body.append(buffer.data(), n);
  }
  if (static_cast<int64_t>(request->body.size()) > wanted) {
    request->body.resize(wanted);
  }
}

void SendAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    data.remove_prefix(n);
  }
}

}  // namespace

HttpServer::HttpServer(Handler handler,
                       std::function<int64_t(const ServerRequest&)> body_limit)
    : handler_(std::move(handler)),
      body_limit_(std::move(body_limit)),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
             sizeof(address)) == 0);
  CHECK(listen(listener_.get(), 64) == 0);
  socklen_t size = sizeof(address);
  CHECK(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                    &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

HttpServer::~HttpServer() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
  for (std::thread& connection : connections_) connection.join();
}

std::string HttpServer::address() const {
  return absl::StrCat("127.0.0.1:", port_);
}

std::vector<ServerRequest> HttpServer::requests() const {
  absl::MutexLock lock(&mu_);
  return requests_;
}

void HttpServer::Run() {
  for (;;) {
    pollfd fds[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    UniqueFd connection(
        accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.ok()) continue;
    connections_.emplace_back(
        [this, fd = connection.Release()] { Serve(UniqueFd(fd)); });
  }
}

void HttpServer::Serve(UniqueFd connection) {
  ServerRequest request;
  std::string begun;
  if (!ReadHead(connection.get(), &request, &begun)) return;
  ReadBody(connection.get(), body_limit_ == nullptr ? -1 : body_limit_(request),
           std::move(begun), &request);
  ServerResponse response;
  {
    absl::MutexLock lock(&mu_);
    requests_.push_back(request);
    response = handler_(request);
  }
  if (request.cut) return;
  std::string head = absl::StrCat(
      "HTTP/1.1 ", response.status, " Status\r\n",
      "Connection: close\r\nContent-Length: ",
      response.promised >= 0 ? response.promised
                             : static_cast<int64_t>(response.body.size()),
      "\r\n");
  for (const std::string& header : response.headers) {
    absl::StrAppend(&head, header, "\r\n");
  }
  SendAll(connection.get(), absl::StrCat(head, "\r\n"));
  if (request.method != "HEAD") SendAll(connection.get(), response.body);
}

}  // namespace bulwark::engine::registry::testing
