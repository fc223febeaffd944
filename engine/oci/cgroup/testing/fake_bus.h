// A message bus with systemd on it, for tests, and the messages that it sends.
#ifndef ENGINE_OCI_CGROUP_TESTING_FAKE_BUS_H_
#define ENGINE_OCI_CGROUP_TESTING_FAKE_BUS_H_

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "engine/oci/cgroup/dbus_message.h"

namespace bulwark::engine::oci {

DbusMessage Reply(const DbusMessage& call);
DbusMessage JobReply(const DbusMessage& call, const char* job);
DbusMessage Error(const DbusMessage& call, const char* name, const char* text);
DbusMessage JobRemoved(const char* job, const char* result);

// Listens in a thread, and is the system's bus for this process until its end.
// Calls to the bus itself get an empty reply. For a call to systemd, `answer`
// says what is sent back, in that thread; nothing at all hangs up.
class FakeBus {
 public:
  using Answer = std::function<std::vector<DbusMessage>(const DbusMessage&)>;

  // `hello` is sent to those who say who they are.
  explicit FakeBus(Answer answer, std::string hello = "OK 1234\r\n");
  ~FakeBus();

  // To be read when no call is under way.
  std::vector<std::string> members;  // of the calls to systemd
  std::string last_bytes;            // the last of them

 private:
  bool Wait(int fd);
  bool Fill(int fd, std::string& buffer);
  bool Write(int fd, const std::string& bytes);
  void Serve();
  bool Greet(int fd, std::string& in);
  void Talk(int fd);

  testing::TempDir dir_;
  const Answer answer_;
  const std::string hello_;
  UniqueFd listener_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_TESTING_FAKE_BUS_H_
