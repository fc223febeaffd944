// From the request to the executed program, on this machine's kernel.
//
//   engine_start SHIM [COUNT [LAYERS [NETNS]]]
//
// NETNS: a network namespace that is ready; without one each container gets an
// empty one. Its records of this boot are below /run, as the daemon's are.
// Needs root and busybox-static. Prints the median and the 90th percentile of
// Engine::Start, of Kill and of Remove, in milliseconds.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "engine/local/local_engine.h"
#include "os/cgroup.h"
#include "os/files.h"

namespace bulwark {
namespace {

void Print(const char* name, std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  std::printf("%s: median %.2f ms, p90 %.2f ms (n=%zu)\n", name,
              ms[ms.size() / 2], ms[ms.size() * 9 / 10], ms.size());
}

template <typename T>
void Require(const T& result, const char* what) {
  if (result.ok()) return;
  std::fprintf(stderr, "%s failed\n", what);
  std::exit(1);
}

int Run(const std::string& shim, int count, int layers,
        const std::string& network_namespace) {
  RealClock clock;
  char directory[] = "/var/tmp/bulwark-bench.XXXXXX";
  if (mkdtemp(directory) == nullptr) return 1;
  const std::string root = directory;
  engine::ContainerSpec spec;
  for (int i = 0; i < layers; ++i) {
    const std::string layer = absl::StrCat(root, "/layer", i);
    std::filesystem::create_directories(layer + "/bin");
    spec.layers.push_back(layer);
  }
  // What every image has, so that nothing need be made to mount upon.
  for (const char* folder : {"dev", "etc", "proc", "sys"}) {
    std::filesystem::create_directory(absl::StrCat(root, "/layer0/", folder));
  }
  for (const char* file : {"hostname", "hosts", "resolv.conf"}) {
    Require(os::WriteFileDurably(absl::StrCat(root, "/layer0/etc/", file), ""),
            "make layer");
  }
  std::filesystem::copy_file("/bin/busybox", root + "/layer0/bin/busybox");
  spec.network_namespace = network_namespace;
  spec.args = {"/bin/busybox", "sleep", "1000"};
  engine::LocalEngineConfig config;
  config.instance = absl::StrCat("bwbench-", getpid());
  config.runtime_dir = "/run/" + config.instance;
  config.state_dir = root + "/state";
  config.shim_path = shim;
  auto engine = engine::LocalEngine::Create(config, clock);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 1;
  }
  std::vector<double> start, kill, remove;
  const auto timed = [&](std::vector<double>& into, auto call) {
    const absl::Duration begin = clock.Steady();
    call();
    into.push_back(absl::ToDoubleMilliseconds(clock.Steady() - begin));
  };
  for (int i = 0; i < count; ++i) {
    spec.id = absl::StrCat("c", i);
    timed(start, [&] { Require((*engine)->Start(spec), "start"); });
    timed(kill, [&] { Require((*engine)->Kill(spec.id), "kill"); });
    timed(remove, [&] { Require((*engine)->Remove(spec.id), "remove"); });
  }
  Print("start", start);
  Print("kill", kill);
  Print("remove", remove);
  engine->reset();
  const std::string mounts =
      os::ReadFile("/proc/self/mountinfo", 64 << 20).value_or("");
  auto layout = os::ParseCgroupLayout(mounts);
  Require(layout, "find cgroups");
  Require(os::Cgroups(*layout, config.instance, clock).Cleanup(), "clean up");
  std::filesystem::remove_all(root);
  std::filesystem::remove_all(config.runtime_dir);
  return 0;
}

}  // namespace
}  // namespace bulwark

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: engine_start SHIM [COUNT [LAYERS [NETNS]]]\n");
    return 64;
  }
  return bulwark::Run(argv[1], argc > 2 ? std::atoi(argv[2]) : 50,
                      argc > 3 ? std::atoi(argv[3]) : 5,
                      argc > 4 ? argv[4] : "");
}
