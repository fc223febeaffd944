#include "tests/integration/real_registry.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "os/files.h"

extern char** environ;

namespace bulwark::testing {
namespace {

const char kProgram[] = "/usr/bin/docker-registry";

// The password as `htpasswd -B` hashes it.
const char kHtpasswd[] =
    "user:$2b$05$8gDE7.elPrMlEPzHFLpUsup8kiKd9EFTy7qmYN2JqGQzrdNLoA0S2\n";

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int FreePort() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool Connects(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(port);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0;
}

}  // namespace

pid_t Spawn(const std::vector<std::string>& args) {
  std::vector<char*> argv;
  for (const std::string& arg : args) {
    argv.push_back(const_cast<char*>(arg.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  EXPECT_EQ(
      posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0)
      << args[0];
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

int RunToEnd(const std::vector<std::string>& args) {
  int status = -1;
  waitpid(Spawn(args), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool RealRegistry::IsInstalled() { return access(kProgram, X_OK) == 0; }

RealRegistry::RealRegistry(std::string dir, Clock& clock,
                           const Options& options)
    : dir_(std::move(dir)), clock_(clock), port_(FreePort()) {
  address_ = absl::StrCat("127.0.0.1:", port_);
  std::string text = absl::StrCat(
      "version: 0.1\nlog: {level: error}\nstorage: {filesystem: "
      "{rootdirectory: ",
      dir_, "/data}}\nhttp:\n  addr: ", address_, "\n");
  if (options.tls) {
    MakeCertificate(authority(), dir_ + "/server.key",
                    "subjectAltName=" + options.name);
    if (options.expired) {
      const std::string old = dir_ + "/old.crt";
      EXPECT_EQ(RunToEnd({"sh", "-c",
                          absl::StrCat(
                              "openssl x509 -in ", authority(), " -signkey ",
                              dir_, "/server.key -days -1 -out ", old,
                              " 2>/dev/null && mv ", old, " ", authority())}),
                0);
    }
    absl::StrAppend(&text, "  tls:\n    certificate: ", authority(),
                    "\n    key: ", dir_, "/server.key\n");
  }
  if (options.client_certificate) {
    MakeCertificate(client_certificate(), client_key(),
                    "extendedKeyUsage=clientAuth");
    absl::StrAppend(&text, "    clientcas: [", client_certificate(), "]\n");
  }
  if (options.password) {
    EXPECT_OK(os::WriteFileDurably(dir_ + "/htpasswd", kHtpasswd));
    absl::StrAppend(&text, "auth: {htpasswd: {realm: test, path: ", dir_,
                    "/htpasswd}}\n");
  }
  EXPECT_OK(os::WriteFileDurably(dir_ + "/registry.yml", text));
}

void RealRegistry::MakeCertificate(const std::string& certificate,
                                   const std::string& key,
                                   const std::string& extension) {
  EXPECT_EQ(RunToEnd({"sh", "-c",
                      absl::StrCat("openssl req -x509 -newkey ec -pkeyopt "
                                   "ec_paramgen_curve:P-256 -nodes -days 2 "
                                   "-subj /CN=test -addext ",
                                   extension, " -keyout ", key, " -out ",
                                   certificate, " 2>/dev/null")}),
            0);
}

void RealRegistry::Start() {
  pid_ = Spawn({kProgram, "serve", dir_ + "/registry.yml"});
  const absl::Duration deadline = clock_.Steady() + absl::Seconds(20);
  while (!Connects(port_)) {
    ASSERT_LT(clock_.Steady(), deadline) << "docker-registry does not start";
    clock_.Sleep(absl::Milliseconds(20));
  }
}

void RealRegistry::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace bulwark::testing
