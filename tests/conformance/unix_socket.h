// The listening end of what a runtime is told to connect to.
#ifndef TESTS_CONFORMANCE_UNIX_SOCKET_H_
#define TESTS_CONFORMANCE_UNIX_SOCKET_H_

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace bulwark::conformance {

class UnixListener {
 public:
  explicit UnixListener(const std::string& path);

  const std::string& path() const { return path_; }
  // Accepts one connection and reads it to its end; descriptors that came with
  // it are appended to `fds`. Empty if nobody connects within ten seconds.
  std::string ReceiveAll(std::vector<UniqueFd>* fds);

 private:
  std::string path_;
  UniqueFd listener_;
};

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_UNIX_SOCKET_H_
