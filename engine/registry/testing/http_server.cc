#include "engine/registry/testing/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::engine::registry::testing {
namespace {

// Reads up to the empty line; bodies are not expected.
bool ReadRequest(int fd, ServerRequest* request) {
  std::string text;
  char buffer[4096];
  while (text.find("\r\n\r\n") == std::string::npos) {
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0) return false;
    text.append(buffer, n);
  }
  std::vector<std::string> lines = absl::StrSplit(text, "\r\n");
  std::vector<std::string> first = absl::StrSplit(lines[0], ' ');
  if (first.size() < 2) return false;
  request->path = first[1];
  for (size_t i = 1; i < lines.size(); ++i) {
    size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    request->headers[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  return true;
}

void SendAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    data.remove_prefix(n);
  }
}

}  // namespace

HttpServer::HttpServer(Handler handler)
    : handler_(std::move(handler)),
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
  if (!ReadRequest(connection.get(), &request)) return;
  ServerResponse response;
  {
    absl::MutexLock lock(&mu_);
    requests_.push_back(request);
    response = handler_(request);
  }
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
  SendAll(connection.get(), response.body);
}

}  // namespace bulwark::engine::registry::testing
