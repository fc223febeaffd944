// A container as its runtime's command line shows it.
#ifndef TESTS_CONFORMANCE_CONTAINER_H_
#define TESTS_CONFORMANCE_CONTAINER_H_

#include <gtest/gtest.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/conformance/bundle.h"
#include "tests/conformance/exec.h"
#include "tests/conformance/runtimes.h"

namespace bulwark::conformance {

using Flags = std::vector<std::string>;

class Container {
 public:
  // `root`: the directory where the runtime keeps its states. Makes the bundle
  // at `bundle`.
  Container(const Runtime& runtime, const std::string& root,
            const std::string& bundle, const std::string& id);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  // Deletes what is still there, by force.
  ~Container();

  const std::string& id() const { return id_; }
  Bundle& bundle() { return bundle_; }
  std::string cgroup() const;

  // `RUNTIME --root ROOT ARGS...`.
  Outcome Call(const Flags& args, const ExecOptions& options = {});

  // Writes config.json, then runs the container to its end.
  Outcome Run(const Flags& flags = {});
  // As Run(), of `sh -c script`.
  Outcome RunScript(const std::string& script);
  // Writes config.json. What the container prints goes to Printed().
  Outcome Create(const Flags& flags = {}, std::vector<int> fds = {});
  Outcome Start();
  Outcome Kill(const std::string& signal);
  Outcome Delete(const Flags& flags = {});
  Outcome Exec(const std::vector<std::string>& argv, const Flags& flags = {});
  Outcome QueryState();

  // The state as JSON; an empty object if the runtime has none.
  Json State();
  // Of the state; "" without one.
  std::string Status();
  // Of the state; 0 without one.
  pid_t Pid();
  // Sends a signal to the process of the state; false without one.
  bool SignalProcess(int signal);
  // Whether it comes to that within some seconds.
  bool AwaitStatus(const std::string& status);
  // Waits for the end of the created container's process; its exit status as
  // in Outcome.
  int AwaitExit();
  std::string Printed() const { return ReadFile(printed_); }
  // Whether that is among it within some seconds.
  ::testing::AssertionResult AwaitPrinted(const std::string& text);

 private:
  Runtime runtime_;
  std::string root_;
  std::string id_;
  Bundle bundle_;
  std::string printed_;
  pid_t pid_ = 0;
};

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_CONTAINER_H_
