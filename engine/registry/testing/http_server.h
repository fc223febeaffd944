// A small HTTP server for tests, which can lie and break off.
#ifndef ENGINE_REGISTRY_TESTING_HTTP_SERVER_H_
#define ENGINE_REGISTRY_TESTING_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"

namespace bulwark::engine::registry::testing {

struct ServerRequest {
  std::string path;                            // with the query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string method;
  std::string body;  // as much as the server reads
  bool cut = false;  // `body` ends early: the answer is not sent
};

struct ServerResponse {
  int status = 200;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  // What Content-Length says, if not the body's size: less is cut short.
  int64_t promised = -1;
  // After so many bytes of the body the connection is reset; negative: never.
  int64_t reset_after = -1;
  int64_t pace = 0;      // bytes of the body a second; 0: as fast as it goes
  bool endless = false;  // the body is followed by others, with no length
  // After so many bytes it waits until this holds, at most half a minute.
  int64_t pause_at = 0;
  std::function<bool()> go_on;  // null: no pause
};

// How a request's body is read.
struct BodyPlan {
  int64_t limit = -1;  // then its connection is closed; negative: all of it
  int64_t pace = 0;    // bytes a second; 0: as fast as it goes
};

// Serves each connection once, then closes it. The handler is called by one
// thread at a time.
class HttpServer {
 public:
  using Handler = std::function<ServerResponse(const ServerRequest&)>;

  using Planner = std::function<BodyPlan(const ServerRequest&)>;

  // Listens on a free port of 127.0.0.1.
  explicit HttpServer(Handler handler, Planner planner = nullptr);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const { return port_; }
  std::string address() const;
  std::vector<ServerRequest> requests() const;

 private:
  void Run();
  void Serve(UniqueFd connection);
  // Reads the body, which has begun, as `plan` says.
  void ReadBody(int fd, const BodyPlan& plan, std::string begun,
                ServerRequest* request);
  void SendBody(int fd, const ServerResponse& response);
  // Waits; false if the server is to end.
  bool Pause(int milliseconds);

  const Handler handler_;
  const Planner planner_;
  UniqueFd listener_;
  UniqueFd stop_;
  int port_ = 0;
  mutable absl::Mutex mu_;
  std::vector<ServerRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> connections_;
  std::thread thread_;
};

}  // namespace bulwark::engine::registry::testing

#endif  // ENGINE_REGISTRY_TESTING_HTTP_SERVER_H_
