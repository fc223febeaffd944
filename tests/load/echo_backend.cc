// echo_backend: an HTTP server that answers with its name.
//
//   echo_backend --name NAME --port PORT [--address 127.0.0.1]
//                [--body-bytes N]
//
// Each answer has the header X-Backend, and the name as its first line; N bytes
// follow. Keeps connections alive unless asked not to. On SIGTERM or SIGQUIT it
// takes what waits in its queue, answers what is under way (closing each
// connection after its answer), and exits 0. Prints "ready" when it listens.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

namespace {

struct Options {
  std::string name = "backend";
  std::string address = "127.0.0.1";
  int port = 0;
  size_t body_bytes = 0;
};

struct Connection {
  int fd = -1;
  std::string in;
  std::string out;
  bool close_after = false;
};

// After the stop signal: how long an idle connection may still bring a request.
constexpr int kIdleMs = 300;

class Server {
 public:
  explicit Server(const Options& options) : options_(options) {
    body_ = options.name + "\n" + std::string(options.body_bytes, 'x');
  }

  int Run() {
    if (!Listen()) {
      std::perror("echo_backend: listen");
      return 1;
    }
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGQUIT);
    sigprocmask(SIG_BLOCK, &stop, nullptr);
    signals_ = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    Watch(listener_, EPOLL_CTL_ADD, EPOLLIN);
    Watch(signals_, EPOLL_CTL_ADD, EPOLLIN);
    std::puts("ready");
    std::fflush(stdout);
    while (!stopping_ || !connections_.empty()) {
      epoll_event batch[256];
      const int n = epoll_wait(epoll_, batch, 256, stopping_ ? kIdleMs : -1);
      // Quiet while stopping: the rest are idle connections.
      if (n == 0 && stopping_) break;
      for (int i = 0; i < n; ++i) OnEvent(batch[i].data.fd, batch[i].events);
    }
    return 0;
  }

 private:
  bool Listen() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int one = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(options_.port));
    inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr);
    return bind(listener_, reinterpret_cast<sockaddr*>(&address),
                sizeof(address)) == 0 &&
           listen(listener_, 4096) == 0;
  }

  void Watch(int fd, int op, uint32_t events) {
    epoll_event event = {};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(epoll_, op, fd, &event);
  }

  void OnEvent(int fd, uint32_t events) {
    if (fd == listener_) return Accept();
    if (fd == signals_) {
      Accept();
      close(listener_);
      listener_ = -1;
      stopping_ = true;
      signalfd_siginfo ignored;
      [[maybe_unused]] ssize_t n = read(signals_, &ignored, sizeof(ignored));
      return;
    }
    auto it = connections_.find(fd);
    if (it == connections_.end()) return;
    if (!Serve(it->second)) {
      close(fd);
      connections_.erase(it);
    }
  }

  void Accept() {
    while (true) {
      const int fd =
          accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) return;
      connections_[fd].fd = fd;
      Watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
  }

  // False: the connection is over.
  bool Serve(Connection& c) {
    char buffer[16 << 10];
    bool ended = false;
    while (true) {
      const ssize_t n = recv(c.fd, buffer, sizeof(buffer), 0);
      if (n > 0) {
        c.in.append(buffer, n);
        continue;
      }
      if (n == 0) ended = true;
      if (n < 0 && errno != EAGAIN) return false;
      break;
    }
    size_t end;
    while ((end = c.in.find("\r\n\r\n")) != std::string::npos) {
      const bool close_after =
          stopping_ || c.in.find("Connection: close") < end;
      c.in.erase(0, end + 4);
      c.out +=
          "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body_.size()) +
          "\r\nX-Backend: " + options_.name +
          (close_after ? "\r\nConnection: close" : "") + "\r\n\r\n" + body_;
      c.close_after |= close_after;
    }
    while (!c.out.empty()) {
      const ssize_t n = send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return false;
      c.out.erase(0, n);
    }
    if (c.out.empty() && (c.close_after || ended)) return false;
    Watch(c.fd, EPOLL_CTL_MOD, c.out.empty() ? EPOLLIN : EPOLLOUT);
    return true;
  }

  const Options options_;
  std::string body_;
  int listener_ = -1;
  int signals_ = -1;
  int epoll_ = -1;
  bool stopping_ = false;
  std::map<int, Connection> connections_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--name") {
      options.name = value;
    } else if (name == "--address") {
      options.address = value;
    } else if (name == "--port") {
      options.port = std::atoi(value.c_str());
    } else if (name == "--body-bytes") {
      options.body_bytes = std::strtoul(value.c_str(), nullptr, 10);
    } else {
      std::fprintf(stderr, "echo_backend: no flag %s\n", name.c_str());
      return 2;
    }
  }
  signal(SIGPIPE, SIG_IGN);
  return Server(options).Run();
}
