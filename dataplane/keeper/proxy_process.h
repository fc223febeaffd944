// The proxy process as the keeper sees it. Libc only.
#ifndef DATAPLANE_KEEPER_PROXY_PROCESS_H_
#define DATAPLANE_KEEPER_PROXY_PROCESS_H_

#include <stdint.h>
#include <sys/types.h>

namespace bulwark::dataplane {

// Milliseconds of CLOCK_MONOTONIC.
int64_t NowMs();

// Starts the proxy, notices its end, says when to start the next. A proxy that
// dies is replaced at once; if it dies soon after its start for the fourth time
// in a row, after a pause that doubles from 25 ms to 2 s. Never gives up.
class ProxyProcess {
 public:
  // `argv` ends with a null; `netns` is a path, "" for our own. Borrowed.
  ProxyProcess(char* const* argv, const char* netns)
      : argv_(argv), netns_(netns) {}

  // Watches a proxy that an earlier keeper started and that holds the lock on
  // `lock_path`. False if there is none.
  bool FindSurvivor(const char* lock_path);

  // Readable when the proxy has ended; -1 while none runs.
  int pidfd() const { return pidfd_; }
  pid_t pid() const { return pidfd_ < 0 ? 0 : pid_; }

  // Call when pidfd() is readable: reaps it, and schedules the next start.
  void OnExit();
  // How long to wait before StartIfDue() has something to do; -1: for ever.
  int WaitMs() const;
  void StartIfDue();

  // SIGTERM, after three seconds SIGKILL. It has ended on return.
  void Stop();

 private:
  char* const* argv_;
  const char* netns_;
  pid_t pid_ = 0;
  int pidfd_ = -1;
  // A survivor is not our child: another process reaps it.
  bool child_ = false;
  int64_t started_ms_ = 0;
  int64_t start_at_ms_ = 0;
  int quick_deaths_ = 0;
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_KEEPER_PROXY_PROCESS_H_
