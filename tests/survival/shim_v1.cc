// A shim of version 1 of the shim protocol, as it was when that was written
// down: with constants of its own, so that it stays what it is while the
// programs of today go on. It starts a container in the directories of a
// daemon of its time, and serves it like one of those that run when a daemon
// is upgraded.
//
//   shim_v1 RUNTIME_DIR STATE_DIR ID BOOT_ID CGROUP ROOTFS MODE PROGRAM ARG...
//
// CGROUP: the directories of its group, of version 2, then those of version 1,
// with colons between. MODE: "v1"; "extended", by
// a later version that has added tags and answers; "v2", frames in a version
// that nobody knows yet. Prints the pid of the container's first process once
// it runs; the shim itself goes on in the background.
//
// It launches as simply as can be (no overlay, no limits): what is looked at is
// what it writes and answers.
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// docs/formats/shim-protocol.md, version 1.
enum : uint16_t {
  kContainerRecord = 1,
  kStateRecord = 2,
  kExitRecord = 3,
  kPing = 6,
  kSignal = 7,
  kResize = 8,
  kReply = 9,
  kProcessRecord = 64,
};
enum : uint16_t {
  kTagShimPid = 1,
  kTagShimTicks = 2,
  kTagInitPid = 3,
  kTagInitTicks = 4,
  kTagBootId = 5,
  kTagPhase = 6,
  kTagStartTime = 7,
  kTagCode = 8,
  kTagSignal = 9,
  kTagOomKilled = 10,
  kTagFinishTime = 11,
  kTagErrno = 14,
  kTagId = 64,
  kTagLabel = 65,
  kTagEnv = 67,
  kTagUser = 68,
  kTagCwd = 69,
  kTagProfile = 70,
  kTagUnheardOf = 4000,
};
constexpr uint64_t kLaunching = 1;
constexpr uint64_t kRunning = 2;
constexpr uint64_t kPrivileged = 2;
constexpr size_t kExitSize = 256;
constexpr size_t kMaxRequest = 1024;

std::string mode;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  _exit(1);
}
void Require(bool good, const char* what) {
  if (!good) Die(what);
}

std::string Little(uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i)));
  }
  return bytes;
}
uint64_t Number(const std::string& bytes, size_t at, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  }
  return value;
}

class Frame {
 public:
  explicit Frame(uint16_t type) : type_(type) {
    // Before all that is known: a reader must not stop at it.
    if (mode == "extended") Add(kTagUnheardOf, std::string(40, 'x'));
  }
  void Add(uint16_t tag, const std::string& value) {
    fields_ += Little(tag, 2) + Little(0, 2) + Little(value.size(), 4) + value;
  }
  void Add(uint16_t tag, uint64_t value) { Add(tag, Little(value, 8)); }
  std::string Bytes() const {
    return Little(fields_.size() + 4, 4) + Little(mode == "v2" ? 2 : 1, 2) +
           Little(type_, 2) + fields_;
  }
  std::string Sealed() const {
    const std::string bytes = Bytes();
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : bytes) {
      hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    }
    return bytes + Little(hash, 8);
  }

 private:
  const uint16_t type_;
  std::string fields_;
};

void WriteFile(const std::string& path, const std::string& bytes) {
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  Require(fd >= 0, path.c_str());
  Require(write(fd, bytes.data(), bytes.size()) ==
                  static_cast<ssize_t>(bytes.size()) &&
              fsync(fd) == 0 && rename(temporary.c_str(), path.c_str()) == 0,
          path.c_str());
  close(fd);
}

uint64_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000u + now.tv_nsec;
}

uint64_t StartTicks(int pid) {
  char text[1024];
  std::snprintf(text, sizeof(text), "/proc/%d/stat", pid);
  const int fd = open(text, O_RDONLY);
  const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  const char* p = std::strrchr(text, ')');
  for (int field = 2; p != nullptr && field < 22; ++field) {
    p = std::strchr(p + 1, ' ');
  }
  return p == nullptr ? 0 : std::strtoull(p + 1, nullptr, 10);
}

struct Options {
  std::string runtime, state, id, boot_id, cgroup, root;
  char** program;
};

// What the daemon of that time left for its successors.
void WriteDaemonsRecords(const Options& o) {
  Frame record(kContainerRecord);
  record.Add(kTagId, o.id);
  record.Add(kTagBootId, o.boot_id);
  record.Add(kTagLabel, std::string("age\0old", 7));
  WriteFile(o.state + "/record", record.Sealed());
  Frame process(kProcessRecord);
  process.Add(kTagEnv, "PATH=/bin");
  process.Add(kTagEnv, "COLOR=red");
  process.Add(kTagUser, "");
  process.Add(kTagCwd, "/");
  process.Add(kTagProfile, kPrivileged);
  WriteFile(o.runtime + "/process", process.Sealed());
}

struct Shim {
  Options options;
  int pidfd = -1;
  int pid = -1;
  int outputs[2] = {-1, -1};
  std::string lines[2];
  int log = -1;
  int exit_file = -1;
  int listener = -1;
  uint64_t start_time = 0;
};

void WriteState(const Shim& shim, uint64_t phase) {
  Frame state(kStateRecord);
  state.Add(kTagPhase, phase);
  state.Add(kTagShimPid, static_cast<uint64_t>(getpid()));
  state.Add(kTagShimTicks, StartTicks(getpid()));
  state.Add(kTagBootId, shim.options.boot_id);
  if (phase == kRunning) {
    state.Add(kTagInitPid, static_cast<uint64_t>(shim.pid));
    state.Add(kTagInitTicks, StartTicks(shim.pid));
    state.Add(kTagStartTime, shim.start_time);
  }
  WriteFile(shim.options.runtime + "/state", state.Sealed());
}

// Groups of version 1 are joined by oneself.
void JoinOlderGroups(const std::string& groups) {
  for (size_t at = groups.find(':'); at != std::string::npos;) {
    const size_t next = groups.find(':', ++at);
    const std::string path = groups.substr(at, next - at) + "/cgroup.procs";
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    Require(fd >= 0 && write(fd, "0", 1) == 1, path.c_str());
    close(fd);
    at = next;
  }
}

[[noreturn]] void RunContainer(const Options& o, const int* writers) {
  JoinOlderGroups(o.cgroup);
  Require(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              mount(o.root.c_str(), o.root.c_str(), nullptr, MS_BIND,
                    nullptr) == 0 &&
              chdir(o.root.c_str()) == 0,
          "root");
  mkdir("proc", 0755);
  mkdir("dev", 0755);
  Require(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                nullptr) == 0 &&
              syscall(SYS_pivot_root, ".", ".") == 0 &&
              umount2(".", MNT_DETACH) == 0 && chdir("/") == 0,
          "pivot");
  dup2(writers[0], 1);
  dup2(writers[1], 2);
  close_range(3, ~0u, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  char path[] = "PATH=/bin";
  char* environment[] = {path, nullptr};
  execve(o.program[0], o.program, environment);
  _exit(127);
}

void Launch(Shim& shim) {
  int writers[2];
  for (int i = 0; i < 2; ++i) {
    int fds[2];
    Require(pipe2(fds, O_CLOEXEC) == 0, "pipe");
    shim.outputs[i] = fds[0];
    writers[i] = fds[1];
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
  }
  const int group =
      open(shim.options.cgroup.substr(0, shim.options.cgroup.find(':')).c_str(),
           O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Require(group >= 0, "cgroup");
  clone_args args{};
  args.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
               CLONE_PIDFD | CLONE_INTO_CGROUP;
  args.pidfd = reinterpret_cast<uintptr_t>(&shim.pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = group;
  shim.start_time = Nanoseconds();
  shim.pid = static_cast<int>(syscall(SYS_clone3, &args, sizeof(args)));
  Require(shim.pid >= 0, "clone");
  if (shim.pid == 0) RunContainer(shim.options, writers);
  close(writers[0]);
  close(writers[1]);
  close(group);
}

// One record a line: time, stream, whether the line ends here.
void Log(Shim& shim, int index, bool last) {
  std::string& line = shim.lines[index];
  for (;;) {
    char buffer[4096];
    const ssize_t n = read(shim.outputs[index], buffer, sizeof(buffer));
    if (n <= 0) break;
    line.append(buffer, n);
  }
  while (!line.empty()) {
    const size_t end = line.find('\n');
    if (end == std::string::npos && !last) return;
    char header[32];
    std::snprintf(header, sizeof(header), "%019llu %c F ",
                  static_cast<unsigned long long>(Nanoseconds()),
                  index == 0 ? 'o' : 'e');
    const std::string record = header + line.substr(0, end) + "\n";
    if (write(shim.log, record.data(), record.size()) < 0) Die("log");
    line.erase(0, end == std::string::npos ? end : end + 1);
  }
}

void Listen(Shim& shim) {
  Require(chdir(shim.options.runtime.c_str()) == 0, "chdir");
  shim.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "control.sock");
  Require(bind(shim.listener, reinterpret_cast<sockaddr*>(&address),
               sizeof(address)) == 0 &&
              listen(shim.listener, 8) == 0,
          "listen");
}

// Version 1 knows three requests, none longer than 1024 bytes.
int Handle(const Shim& shim, const std::string& frame) {
  uint64_t signal = 0;
  for (size_t at = 8; at + 8 <= frame.size();) {
    const size_t size = Number(frame, at + 4, 4);
    if (size > frame.size() - at - 8) break;
    if (Number(frame, at, 2) == kTagSignal) {
      signal = Number(frame, at + 8, static_cast<int>(size < 8 ? size : 8));
    }
    at += 8 + size;
  }
  switch (Number(frame, 6, 2)) {
    case kPing:
      return 0;
    case kSignal:
      return syscall(SYS_pidfd_send_signal, shim.pidfd, signal, 0, 0) == 0
                 ? 0
                 : errno;
    case kResize:
      return ENOTTY;
    default:
      return ENOSYS;
  }
}

// One connection at a time is enough here.
void Serve(const Shim& shim) {
  const int fd = accept4(shim.listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  std::string bytes;
  for (;;) {
    char buffer[kMaxRequest];
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) break;
    bytes.append(buffer, n);
    if (bytes.size() < 8) continue;
    const size_t size = Number(bytes, 0, 4) + 4;
    if (size > kMaxRequest) break;
    if (bytes.size() < size) continue;
    Frame reply(kReply);
    reply.Add(kTagErrno,
              static_cast<uint64_t>(Handle(shim, bytes.substr(0, size))));
    reply.Add(kTagInitPid, static_cast<uint64_t>(shim.pid));
    const std::string answer = reply.Bytes();
    if (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
    bytes.erase(0, size);
  }
  close(fd);
}

[[noreturn]] void Finish(Shim& shim) {
  siginfo_t info{};
  waitid(P_PID, shim.pid, &info, WEXITED);
  Log(shim, 0, true);
  Log(shim, 1, true);
  const bool exited = info.si_code == CLD_EXITED;
  Frame record(kExitRecord);
  record.Add(kTagCode,
             static_cast<uint64_t>(info.si_status + (exited ? 0 : 128)));
  record.Add(kTagSignal, static_cast<uint64_t>(exited ? 0 : info.si_status));
  record.Add(kTagOomKilled, uint64_t{0});
  record.Add(kTagFinishTime, Nanoseconds());
  record.Add(kTagStartTime, shim.start_time);
  record.Add(kTagInitPid, static_cast<uint64_t>(shim.pid));
  const std::string bytes = record.Sealed();
  if (pwrite(shim.exit_file, bytes.data(), bytes.size(), 0) < 0) Die("exit");
  fdatasync(shim.exit_file);
  _exit(0);
}

[[noreturn]] void Loop(Shim& shim) {
  for (;;) {
    pollfd fds[] = {{shim.pidfd, POLLIN, 0},
                    {shim.listener, POLLIN, 0},
                    {shim.outputs[0], POLLIN, 0},
                    {shim.outputs[1], POLLIN, 0}};
    poll(fds, 4, -1);
    for (int i = 0; i < 2; ++i) {
      if (fds[2 + i].revents == 0) continue;
      Log(shim, i, false);
      if ((fds[2 + i].revents & POLLIN) == 0) {
        close(shim.outputs[i]);
        shim.outputs[i] = -1;
      }
    }
    if (fds[0].revents != 0) Finish(shim);
    if (fds[1].revents != 0) Serve(shim);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 9) {
    std::fprintf(stderr, "usage: see shim_v1.cc\n");
    return 64;
  }
  Shim shim;
  shim.options = {argv[1], argv[2], argv[3], argv[4],
                  argv[5], argv[6], argv + 8};
  mode = argv[7];
  const Options& o = shim.options;
  int ready[2];
  Require(pipe(ready) == 0, "pipe");
  if (fork() != 0) {
    close(ready[1]);
    char text[64];
    const ssize_t n = read(ready[0], text, sizeof(text));
    if (n <= 0) return 1;
    return write(1, text, n) == n ? 0 : 1;
  }
  // All of it is blocked in a shim, and it leads a session of its own.
  setsid();
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  Require(
      mkdir(o.state.c_str(), 0700) == 0 && mkdir(o.runtime.c_str(), 0700) == 0,
      "mkdir");
  WriteDaemonsRecords(o);
  const int lock =
      open((o.runtime + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  Require(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0, "lock");
  WriteState(shim, kLaunching);
  shim.log = open((o.state + "/log").c_str(),
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  shim.exit_file = open((o.state + "/exit").c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  Require(shim.log >= 0 && shim.exit_file >= 0, "files");
  Require(ftruncate(shim.exit_file, kExitSize) == 0, "exit");
  Listen(shim);
  Launch(shim);
  WriteState(shim, kRunning);
  dprintf(ready[1], "%d\n", shim.pid);
  close_range(0, 2, 0);
  close(ready[0]);
  close(ready[1]);
  Loop(shim);
}
