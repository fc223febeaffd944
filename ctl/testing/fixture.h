// ctl in one process with a fake server.
#ifndef CTL_TESTING_FIXTURE_H_
#define CTL_TESTING_FIXTURE_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "ctl/cli.h"
#include "ctl/errors.h"
#include "ctl/testing/fake_server.h"

namespace bulwark::ctl::testing {

// Keeps what is written; reads what the test gives. Thread-safe.
class StringIo final : public Io {
 public:
  void Out(absl::string_view text) override { Append(out_, text); }
  void Err(absl::string_view text) override { Append(err_, text); }
  int in_fd() const override { return in_.get(); }
  bool in_tty() const override { return in_tty_; }
  bool out_tty() const override { return tty; }
  bool err_tty() const override { return tty; }
  bool color() const override { return tty; }

  // Everything so far, which it forgets.
  std::string TakeOut() { return Take(out_); }
  std::string TakeErr() { return Take(err_); }

  // Everything so far, which it keeps.
  std::string PeekOut() {
    absl::MutexLock lock(&mu_);
    return out_;
  }
  std::string PeekErr() {
    absl::MutexLock lock(&mu_);
    return err_;
  }

  // What standard input gives, and then its end.
  void SetInput(absl::string_view text) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return;
    in_.Reset(fds[0]);
    UniqueFd write_end(fds[1]);
    if (write(fds[1], text.data(), text.size()) < 0) return;
  }

  // Standard input is this terminal.
  void SetTerminal(UniqueFd terminal) {
    in_ = std::move(terminal);
    in_tty_ = true;
  }

  bool tty = false;

 private:
  void Append(std::string& to, absl::string_view text) {
    absl::MutexLock lock(&mu_);
    absl::StrAppend(&to, text);
  }
  std::string Take(std::string& from) {
    absl::MutexLock lock(&mu_);
    return std::exchange(from, "");
  }

  absl::Mutex mu_;
  std::string out_, err_;
  UniqueFd in_;
  bool in_tty_ = false;
};

class CtlTest : public ::testing::Test {
 protected:
  CtlTest() { io_.SetInput(""); }

  // Runs ctl against the fake server; out_ and err_ hold what it printed.
  int Ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--socket", server_.socket()});
    return CtlAnywhere(arguments);
  }

  int CtlAnywhere(const std::vector<std::string>& arguments) {
    Context context(io_, clock_, [this](absl::string_view name) {
      auto it = environment_.find(std::string(name));
      return it == environment_.end() ? std::optional<std::string>()
                                      : std::optional<std::string>(it->second);
    });
    const int code = RunCtl(arguments, context);
    out_ = io_.TakeOut();
    err_ = io_.TakeErr();
    return code;
  }

  // A file in the test's own folder; its path.
  std::string File(const std::string& name, absl::string_view text) {
    const std::string path = dir_ / name;
    std::ofstream(path) << text;
    return path;
  }

  static v1::Object MakeService(const std::string& name, int ready,
                                int desired) {
    v1::Object object;
    v1::Service& service = *object.mutable_service();
    service.mutable_metadata()->set_name(name);
    service.mutable_metadata()->set_project("default");
    service.mutable_metadata()->set_generation(1);
    service.mutable_spec()->set_replicas(desired);
    service.mutable_spec()->add_containers()->set_image("nginx:1.27");
    v1::ServiceStatus& status = *service.mutable_status();
    status.set_observed_generation(1);
    status.set_replicas(desired);
    status.set_updated_replicas(desired);
    status.set_ready_replicas(ready);
    status.set_available_replicas(ready);
    status.set_desired_replicas(desired);
    status.set_revision(3);
    status.add_published("127.0.0.1:8080");
    return object;
  }

  static v1::Object MakeReplica(const std::string& service, int slot) {
    v1::Object object;
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name(
        absl::StrCat(service, "-", slot, "-abcde"));
    replica.mutable_metadata()->set_project("default");
    replica.mutable_spec()->set_service(service);
    replica.mutable_spec()->set_slot(slot);
    replica.mutable_spec()->set_revision(3);
    replica.mutable_spec()->set_address(absl::StrCat("10.1.0.", slot + 2));
    replica.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
    replica.mutable_status()->set_ready(true);
    return object;
  }

  static v1::LogLine Line(const std::string& replica, const std::string& text) {
    v1::LogLine line;
    line.set_replica(replica);
    line.set_container("web");
    line.set_line(text);
    line.mutable_time()->set_seconds(1893456000);
    return line;
  }

  FakeServer server_;
  StringIo io_;
  RealClock clock_;
  bulwark::testing::TempDir dir_;
  std::map<std::string, std::string> environment_;
  std::string out_, err_;
};

}  // namespace bulwark::ctl::testing

#endif  // CTL_TESTING_FIXTURE_H_
