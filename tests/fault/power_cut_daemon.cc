// bulwarkd whose store forgets, on SIGUSR2, every byte that was not synced, and
// which is then killed: a power failure, as far as the store can tell.
//
// Environment: POWER_CUT_ATTIC (a directory beside the store), POWER_CUT_SEED,
// POWER_CUT_NO_SYNC=1 to take the store's fsync away.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "daemon/run.h"
#include "rocksdb/env.h"
#include "store/rocks/unsynced_fs.h"

namespace {

std::string Environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  using bulwark::store::UnsyncedFs;
  sigset_t cut;
  sigemptyset(&cut);
  sigaddset(&cut, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &cut, nullptr);

  auto fs = std::make_shared<UnsyncedFs>(
      Environment("POWER_CUT_ATTIC", "/tmp"),
      std::strtoull(Environment("POWER_CUT_SEED", "1").c_str(), nullptr, 10));
  std::thread([fs, cut] {
    int signal = 0;
    sigwait(&cut, &signal);
    fs->Crash();
    // Calls that passed before the crash end; no later one does anything.
    bulwark::RealClock().Sleep(absl::Milliseconds(2));
    fs->CutPower(UnsyncedFs::Loss::kSome);
    kill(getpid(), SIGKILL);
  }).detach();

  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(fs);
  bulwark::store::RocksOptions options;
  options.env = env.get();
  options.unsafe_no_sync_for_test =
      !Environment("POWER_CUT_NO_SYNC", "").empty();
  return bulwark::daemon::Run(argc, argv, options);
}
