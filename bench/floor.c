// What the kernel needs for a container, and nothing else: overlay of N layers,
// clone into namespaces and a control group, proc, sysfs, cgroups, a /dev of
// its own, masks, files of /etc, pivot, and the execution of a static program.
// The least that any engine on the same machine takes.
//
//   floor COUNT LAYERS [NETNS]
//
// NETNS: a network namespace to enter, ready made. Prints the milliseconds of
// each, from the first call to the executed program. Needs root, busybox-static
// and Linux 6.13. The directory for it all is made in the current one.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxLayers = 100 };

static char hierarchies[16][64];
static int hierarchy_count;
static int layers[kMaxLayers];
static int layer_count;
static int netns = -1;
static int overlay;
static const char* volatile failed;

static double Milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void Require(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

// In the child, which shares our memory until it executes.
static void Try(int good, const char* what) {
  if (good) return;
  failed = what;
  _exit(127);
}

static void MountOverlay(int upper, int work) {
  const int fs = syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
  Require(fs >= 0, "fsopen");
  for (int i = 0; i < layer_count; ++i) {
    Require(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "lowerdir+", NULL,
                    layers[i]) == 0,
            "lowerdir");
  }
  Require(
      syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "upperdir", NULL, upper) ==
              0 &&
          syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "workdir", NULL, work) ==
              0 &&
          syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0,
      "overlay");
  overlay = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
  Require(overlay >= 0, "fsmount");
  close(fs);
}

static const struct {
  const char* name;
  int minor;
} kNodes[] = {{"null", 3}, {"zero", 5},   {"full", 7},
              {"tty", 0},  {"random", 8}, {"urandom", 9}};

static void MakeDev(void) {
  Try(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755") == 0, "dev");
  for (size_t i = 0; i < sizeof(kNodes) / sizeof(kNodes[0]); ++i) {
    char path[32];
    snprintf(path, sizeof(path), "dev/%s", kNodes[i].name);
    Try(mknod(path, S_IFCHR | 0666,
              makedev(kNodes[i].minor == 0 ? 5 : 1, kNodes[i].minor)) == 0,
        path);
  }
  Try(mkdir("dev/pts", 0755) == 0 && mkdir("dev/shm", 01777) == 0 &&
          mkdir("dev/mqueue", 0755) == 0 &&
          mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                "newinstance,ptmxmode=0666,mode=620") == 0 &&
          mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                "mode=1777,size=64m") == 0 &&
          mount("mqueue", "dev/mqueue", "mqueue",
                MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0,
      "below dev");
}

// The container's own groups, where the host has them.
static void MountCgroups(void) {
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (hierarchy_count == 0) {
    Try(mount("cgroup2", "sys/fs/cgroup", "cgroup2", flags, NULL) == 0,
        "cgroup2");
    return;
  }
  Try(mount("tmpfs", "sys/fs/cgroup", "tmpfs", MS_NOSUID, "mode=755") == 0,
      "cgroup");
  for (int i = 0; i <= hierarchy_count; ++i) {
    char path[128];
    const char* const name = i < hierarchy_count ? hierarchies[i] : "unified";
    snprintf(path, sizeof(path), "sys/fs/cgroup/%.63s", name);
    Try(mkdir(path, 0755) == 0, path);
    Try(i < hierarchy_count
            ? mount("cgroup", path, "cgroup", flags, name) == 0
            : mount("cgroup2", path, "cgroup2", flags, NULL) == 0,
        path);
  }
}

// What of the kernel a container must not see or change, and its own files.
static void HidePaths(void) {
  static const char* const kMasked[] = {"proc/acpi",       "proc/interrupts",
                                        "proc/kcore",      "proc/keys",
                                        "proc/timer_list", "sys/firmware"};
  static const char* const kProtected[] = {"proc/bus", "proc/fs", "proc/irq",
                                           "proc/sys", "proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof(kMasked) / sizeof(kMasked[0]); ++i) {
    struct stat st;
    if (stat(kMasked[i], &st) != 0) continue;
    Try(S_ISDIR(st.st_mode)
            ? mount("tmpfs", kMasked[i], "tmpfs", MS_RDONLY, "size=0k") == 0
            : mount("dev/null", kMasked[i], NULL, MS_BIND, NULL) == 0,
        kMasked[i]);
  }
  for (size_t i = 0; i < sizeof(kProtected) / sizeof(kProtected[0]); ++i) {
    if (mount(kProtected[i], kProtected[i], NULL, MS_BIND | MS_REC, NULL) !=
        0) {
      Try(errno == ENOENT, kProtected[i]);
      continue;
    }
    Try(mount(
            NULL, kProtected[i], NULL,
            MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            NULL) == 0,
        kProtected[i]);
  }
  for (int i = 0; i < 3; ++i) {
    char from[32], to[32];
    snprintf(from, sizeof(from), "etc/file%d.host", i);
    snprintf(to, sizeof(to), "etc/file%d", i);
    Try(mount(from, to, NULL, MS_BIND, NULL) == 0, to);
  }
}

static __attribute__((noinline, noreturn)) void Child(void) {
  Try(netns < 0 || setns(netns, CLONE_NEWNET) == 0, "setns");
  Try(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
  Try(syscall(SYS_move_mount, overlay, "", AT_FDCWD, "root",
              MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
          chdir("root") == 0,
      "attach");
  Try(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) ==
              0 &&
          mount("sysfs", "sys", "sysfs",
                MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) == 0,
      "proc, sys");
  MakeDev();
  MountCgroups();
  HidePaths();
  Try(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
          chdir("/") == 0,
      "pivot");
  Try(sethostname("floor", 5) == 0, "sethostname");
  char* const argv[] = {"/bin/busybox", "sleep", "1000", NULL};
  char* const envp[] = {"PATH=/bin", NULL};
  execve(argv[0], argv, envp);
  failed = "exec";
  _exit(127);
}

// As vfork: the child runs on our stack, and we once it has executed. Inlined,
// since nobody may return from the frame that both have.
static inline __attribute__((always_inline)) long CloneHere(
    struct clone_args* args) {
  long result = SYS_clone3;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(args), "S"(sizeof(*args))
                   : "rcx", "r11", "memory");
  return result;
}

static double Once(int index, int group) {
  char upper[32], work[32];
  snprintf(upper, sizeof(upper), "upper%d", index);
  snprintf(work, sizeof(work), "work%d", index);
  const double begin = Milliseconds();
  Require(mkdir(upper, 0755) == 0 && mkdir(work, 0755) == 0, "mkdir");
  const int upper_fd = open(upper, O_PATH | O_CLOEXEC);
  const int work_fd = open(work, O_PATH | O_CLOEXEC);
  MountOverlay(upper_fd, work_fd);
  struct clone_args args = {0};
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_NEWPID | CLONE_NEWNS |
               CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
               CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = group;
  const long pid = CloneHere(&args);
  if (pid == 0) Child();
  const double took = Milliseconds() - begin;
  Require(pid > 0, "clone");
  if (failed != NULL) {
    fprintf(stderr, "floor: child: %s: %s\n", failed, strerror(errno));
    exit(1);
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  close(overlay);
  close(upper_fd);
  close(work_fd);
  return took;
}

// The hierarchies of version 1 that have controllers.
static void FindHierarchies(void) {
  FILE* groups = fopen("/proc/self/cgroup", "re");
  Require(groups != NULL, "/proc/self/cgroup");
  char line[4096], names[64];
  while (fgets(line, sizeof(line), groups) != NULL && hierarchy_count < 16) {
    if (sscanf(line, "%*d:%63[^:]:", names) != 1) continue;
    if (strchr(names, '=') != NULL) continue;
    strcpy(hierarchies[hierarchy_count++], names);
  }
  fclose(groups);
}

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: floor COUNT LAYERS [NETNS]\n");
    return 64;
  }
  layer_count = atoi(argv[2]);
  if (layer_count < 1 || layer_count > kMaxLayers) return 64;
  if (argc == 4) {
    netns = open(argv[3], O_RDONLY | O_CLOEXEC);
    Require(netns >= 0, argv[3]);
  }
  FindHierarchies();
  char directory[] = "floor.XXXXXX";
  Require(mkdtemp(directory) != NULL && chdir(directory) == 0, "directory");
  Require(mkdir("root", 0755) == 0, "root");
  for (int i = 0; i < layer_count; ++i) {
    char path[32];
    snprintf(path, sizeof(path), "layer%d", i);
    Require(mkdir(path, 0755) == 0, path);
    layers[i] = open(path, O_PATH | O_CLOEXEC);
    if (i > 0) continue;
    Require(mkdir("layer0/bin", 0755) == 0 && mkdir("layer0/proc", 0755) == 0 &&
                mkdir("layer0/sys", 0755) == 0 &&
                mkdir("layer0/dev", 0755) == 0,
            "layer");
    Require(
        system("mkdir layer0/etc && cd layer0/etc && touch file0 file1 file2 "
               "file0.host file1.host file2.host") == 0,
        "files");
    Require(system("cp /bin/busybox layer0/bin/busybox") == 0, "busybox");
  }
  char group[64];
  const int unified = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0;
  snprintf(group, sizeof(group), "/sys/fs/cgroup%s/%s",
           unified ? "" : "/unified", directory);
  Require(mkdir(group, 0755) == 0, group);
  const int group_fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Require(group_fd >= 0, group);
  for (int i = 0; i < atoi(argv[1]); ++i) printf("%.3f\n", Once(i, group_fd));
  Require(rmdir(group) == 0, group);
  Require(chdir("..") == 0, "leave");
  char command[64];
  snprintf(command, sizeof(command), "rm -rf %s", directory);
  return system(command) == 0 ? 0 : 1;
}
