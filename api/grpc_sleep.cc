// gRPC's idle threads, kept awake.
#include <grpc/support/time.h>
#include <pthread.h>
#include <time.h>

#include <cerrno>

#include "absl/strings/string_view.h"

// In place of libgpr's own, which does the same but for the exception. A server
// with calls of the callback interface (ours: Exec, Attach, health) has two
// threads that poll with the others, but sleep for 100 ms after each second in
// which they were given nothing. In gRPC 1.51 the one that polls for all goes
// to sleep without another in its place, and a call that comes then waits.
//
// A program that has libgpr in it (with --wrap=gpr_sleep_until) calls it by the
// first name, one that shares libgpr by the second.
extern "C" void __wrap_gpr_sleep_until(gpr_timespec until) {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof(name));
  if (absl::string_view(name) == "nexting_thread") return;
  until = gpr_convert_clock_type(until, GPR_CLOCK_MONOTONIC);
  const timespec end = {static_cast<time_t>(until.tv_sec), until.tv_nsec};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr) ==
         EINTR) {
  }
}

extern "C" void gpr_sleep_until(gpr_timespec until)
    __attribute__((weak, alias("__wrap_gpr_sleep_until")));
