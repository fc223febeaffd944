// bulwarkd's own process, socket and keys.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "daemon/doctor/judge.h"

namespace bulwark::daemon {
namespace {

constexpr int kWantedScore = -900;
// A few descriptors for each container, connection and watch.
constexpr int64_t kEnoughFiles = 65536;

void Oom(const HostFacts& facts, v1::DoctorResponse& response) {
  const std::string score = absl::StrCat("score ", facts.oom_score);
  if (facts.oom_score <= kWantedScore) {
    AddGood(response, "oom",
            absl::StrCat(score, ": containers are killed before bulwarkd"));
    return;
  }
  const bool may = facts.missing_capabilities.count("SYS_RESOURCE") == 0;
  AddLimited(response, "oom",
             absl::StrCat(score,
                          ": when memory ends, the kernel may choose "
                          "bulwarkd (containers run on meanwhile)"),
             may ? "start it by its unit, which sets OOMScoreAdjust=-999"
                 : "give it the capability CAP_SYS_RESOURCE, and "
                   "OOMScoreAdjust=-999 in its unit");
}

void Capabilities(const HostFacts& facts, v1::DoctorResponse& response) {
  std::vector<std::string> needed, useful;
  for (const std::string& name : facts.missing_capabilities) {
    (name == "SYS_RESOURCE" ? useful : needed).push_back("CAP_" + name);
  }
  const std::string remedy =
      "run bulwarkd as root, without CapabilityBoundingSet= in its unit; a "
      "container that it runs in must have them too";
  if (!needed.empty()) {
    AddBad(response, "capabilities",
           absl::StrCat("missing: ", absl::StrJoin(needed, ", "),
                        "; containers do not start, or not with what they ask "
                        "for"),
           remedy);
  } else if (!useful.empty()) {
    AddLimited(response, "capabilities",
               absl::StrCat("missing: ", absl::StrJoin(useful, ", "),
                            "; limits of processes cannot be raised, nor the "
                            "kernel's choice in a shortage of memory steered"),
               remedy);
  } else {
    AddGood(response, "capabilities", "all that are needed");
  }
}

void Files(const HostFacts& facts, v1::DoctorResponse& response) {
  const std::string text =
      absl::StrCat("at most ", facts.max_open_files, " at once");
  if (facts.max_open_files >= kEnoughFiles) {
    AddGood(response, "open-files", text);
  } else {
    AddLimited(response, "open-files",
               absl::StrCat(text,
                            ": some hundred containers, or clients, use "
                            "them up"),
               "LimitNOFILE=1048576 in bulwarkd's unit");
  }
}

void Supervision(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.under_systemd) {
    AddGood(response, "supervision", "systemd starts it again");
  } else {
    AddLimited(response, "supervision",
               "bulwarkd was not started by systemd: nobody starts it again, "
               "nor stops services in order when the host goes down",
               "tools/install sets its unit up");
  }
}

void Socket(const HostFacts& facts, v1::DoctorResponse& response) {
  if ((facts.socket_mode & 07) != 0) {
    AddBad(response, "socket",
           absl::StrFormat("%s has mode %04o: every user of the host may be "
                           "its root",
                           facts.socket, facts.socket_mode),
           absl::StrCat("chmod o= ", facts.socket));
    return;
  }
  if (facts.socket_group.empty() || facts.socket_group == "root") {
    AddGood(response, "socket", "only root may use the API");
    return;
  }
  AddGood(response, "socket",
          absl::StrCat("group ", facts.socket_group, " may use the API: ",
                       facts.socket_group_members.empty()
                           ? "it has no members"
                           : absl::StrJoin(facts.socket_group_members, ", ")));
}

void KeyFile(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.key_file.empty()) {
    AddGood(response, "key-file", "no secrets are kept");
    return;
  }
  if (!facts.key_file_error.empty()) {
    AddBad(response, "key-file",
           absl::StrCat(
               facts.key_file_error, ": ",
               facts.secrets == 0
                   ? "no secret can be kept"
                   : absl::StrCat(facts.secrets, " secrets cannot be opened"),
               " after the next start"),
           absl::StrCat("put ", facts.key_file,
                        " back from where it is kept safe"));
  } else if ((facts.key_file_mode & 077) != 0 || facts.key_file_owner != 0) {
    AddBad(response, "key-file",
           absl::StrFormat("%s has mode %04o and owner %d: others than root "
                           "can open every secret",
                           facts.key_file, facts.key_file_mode,
                           facts.key_file_owner),
           absl::StrCat("chown root: ", facts.key_file, " && chmod 0400 ",
                        facts.key_file,
                        "; then change the secrets, if others may have read "
                        "it"));
  } else if (!facts.key_file_folder.empty()) {
    AddBad(response, "key-file",
           absl::StrCat(facts.key_file, " lies in ", facts.key_file_folder,
                        ": whoever has a copy of that can open every secret"),
           "move the file elsewhere, name it with key-file in the settings, "
           "and restart bulwarkd");
  } else {
    AddGood(response, "key-file",
            absl::StrCat(facts.key_file,
                         " is root's alone; keep a copy of it "
                         "elsewhere"));
  }
}

}  // namespace

void JudgeDaemon(const HostFacts& facts, v1::DoctorResponse& response) {
  Oom(facts, response);
  Capabilities(facts, response);
  Files(facts, response);
  Supervision(facts, response);
  Socket(facts, response);
  KeyFile(facts, response);
}

}  // namespace bulwark::daemon
