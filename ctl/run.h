// What ctl run makes of its flags, and how it follows the result.
#ifndef CTL_RUN_H_
#define CTL_RUN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/context.h"
#include "ctl/run_given.h"
#include "ctl/terminal.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::ctl {

// Label of a job: the size of the terminal that its container begins with,
// ROWSxCOLUMNS. scheduler/names.h has it, too.
inline constexpr char kTerminalLabel[] = "bulwark.terminal";

struct RunFlags {
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> ports;
  std::vector<std::string> env;
  std::vector<std::string> env_files;
  std::vector<std::string> volumes;
  std::vector<std::string> labels;
  std::string name;
  std::string entrypoint;
  std::string user;
  std::string working_dir;
  std::string cpus;
  std::string memory;
  std::string network;
  std::string restart;
  std::string pull = "missing";
  GivenFlags given;
  bool detach = false;
  bool remove = false;
  bool keep = false;
  bool read_only = false;
  bool privileged = false;
  bool interactive = false;
  bool terminal = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};

// A service of one replica. In the foreground an ended command is not started
// again; detached it is, unless --restart says otherwise. Usage errors name the
// flag.
absl::StatusOr<v1::Service> ServiceFromFlags(Context& context,
                                             const RunFlags& flags);

// With -i or -t: a job of one execution, which goes by itself some time after
// its end if ctl does not come to that.
absl::StatusOr<v1::Job> JobFromFlags(Context& context, const RunFlags& flags);

// An error of Apply in the words of the command line: "--name" instead of
// "metadata.name".
absl::Status InWordsOfFlags(const absl::Status& status, const RunFlags& flags);

// What a shell would end with: the command of the replica could not be
// executed. Nothing if it could, or did not come so far.
std::optional<int> LaunchCodeOf(const v1::Replica& replica);

// Prints the output of the service's replica until it ends or a signal comes
// (the second signal does not wait for the end any more); removes the service
// unless `keep`. Returns the exit status of the container.
absl::StatusOr<int> FollowRun(Context& context, const v1::Service& service,
                              SignalPoll& signals, bool keep);

// The same for a job: attached to it, or until it runs with -d. What is
// detached from stays; everything else is removed, unless flags.keep.
absl::StatusOr<int> FollowJob(Context& context, const v1::Job& job,
                              SignalPoll& signals, const RunFlags& flags);

}  // namespace bulwark::ctl

#endif  // CTL_RUN_H_
