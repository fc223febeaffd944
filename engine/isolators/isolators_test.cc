#include "engine/isolators/isolators.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/testing/status_matchers.h"
#include "engine/child/steps.h"
#include "os/bare_mounts.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using child::StepKind;
using ::testing::HasSubstr;

ContainerSpec Spec() {
  ContainerSpec spec;
  spec.id = "web-1";
  spec.args = {"/bin/true"};
  spec.layers = {"/layers/a", "/layers/b"};
  spec.hostname = "web";
  return spec;
}

class IsolatorsTest : public ::testing::Test {
 protected:
  CompiledPlan Compile() {
    LaunchInput in = {spec_, layout_};
    in.cgroup = {"/c/unified/i/web-1", {"/c/memory/i/web-1"}, ""};
    in.overlay_layer_fds = overlay_layer_fds_;
    in.overlay_detached_layers = overlay_layer_fds_ && overlay_detached_layers_;
    in.bare_mounts = bare_mounts_;
    in.upper = "/u";
    in.work = "/w";
    in.shared_root = shared_root_;
    in.stage = "/s";
    in.etc = "/etc";
    in.seccomp = std::string(8, '\6');
    in.own_capabilities = ~uint64_t{0};
    in.nodes = nodes_;
    absl::StatusOr<CompiledPlan> plan = CompileContainer(in);
    EXPECT_OK(plan);
    return *std::move(plan);
  }
  // As the shim reads it; null if it would not.
  static std::unique_ptr<child::Context> Open(const CompiledPlan& plan) {
    auto context = std::make_unique<child::Context>();
    const auto* bytes = reinterpret_cast<const uint8_t*>(plan.bytes.data());
    const int result = child::OpenPlan(bytes, plan.bytes.size(), context.get());
    return result == 0 ? std::move(context) : nullptr;
  }
  // Index of the first step of a kind whose label contains `text`.
  static int Find(const CompiledPlan& plan, StepKind kind,
                  absl::string_view text = "") {
    for (size_t i = 0; i < plan.steps.size(); ++i) {
      if (plan.steps[i].kind == kind &&
          absl::string_view(plan.steps[i].label).find(text) !=
              absl::string_view::npos) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }

  ContainerSpec spec_ = Spec();
  os::CgroupLayout layout_ = {"/c/unified", {{"memory", "/c/memory"}}};
  bool overlay_layer_fds_ = true;
  bool overlay_detached_layers_ = true;
  std::string shared_root_;
  std::string bare_mounts_;
  std::map<std::string, DeviceNode> nodes_;
};

TEST_F(IsolatorsTest, WhenCompiled_RightsAreDroppedInTheOnlySafeOrder) {
  const CompiledPlan plan = Compile();
  const StepKind order[] = {
      StepKind::kJoinCgroup,  StepKind::kUnshare,    StepKind::kPrivateMounts,
      StepKind::kAttachRoot,  StepKind::kPivot,      StepKind::kAccount,
      StepKind::kBoundingSet, StepKind::kIds,        StepKind::kCapabilities,
      StepKind::kNoNewPrivs,  StepKind::kCloseFiles, StepKind::kSeccomp,
      StepKind::kExec};
  int last = -1;
  for (const StepKind kind : order) {
    const int at = Find(plan, kind);
    EXPECT_GT(at, last) << static_cast<int>(kind);
    last = at;
  }
  EXPECT_EQ(last + 1, static_cast<int>(plan.steps.size()));
}

TEST_F(IsolatorsTest, WhenCompiled_ProcAndSysfsComeBeforeThePivot) {
  const CompiledPlan plan = Compile();
  const int pivot = Find(plan, StepKind::kPivot);
  for (const char* path : {"/proc", "/sys", "/dev", "/dev/pts"}) {
    const int at = Find(plan, StepKind::kAttach, path);
    EXPECT_GE(at, 0) << path;
    EXPECT_LT(at, pivot) << path;
  }
  EXPECT_LT(Find(plan, StepKind::kLoopback),
            Find(plan, StepKind::kNewFs, "sysfs"));
  EXPECT_LT(Find(plan, StepKind::kAttach, "/proc"),
            Find(plan, StepKind::kMask, "/proc/kcore"));
}

TEST_F(IsolatorsTest, WhenCompiled_TheInterpreterAcceptsThePlan) {
  spec_.terminal = true;
  spec_.mounts = {{Mount::Kind::kTmpfs, "", "/tmp"}};
  for (const bool fds : {true, false}) {
    overlay_layer_fds_ = fds;
    const CompiledPlan plan = Compile();
    EXPECT_NE(Open(plan), nullptr);
  }
}

TEST_F(IsolatorsTest, WhenThingsAreGiven_EachComesWhereItWorks) {
  spec_.devices = {{"/dev/fuse", "/dev/fuse", "rw"}};
  spec_.sysctls = {{"net.core.somaxconn", "7"}};
  spec_.ulimits = {{RLIMIT_NOFILE, 1, 2}};
  spec_.shm_bytes = 1 << 20;
  const CompiledPlan plan = Compile();
  const int pivot = Find(plan, StepKind::kPivot);
  // The host's node is opened outside of the container.
  const int device = Find(plan, StepKind::kCloneTree, "/dev/fuse");
  ASSERT_GE(device, 0);
  EXPECT_LT(plan.steps[device].stage, Stage::kFirstInChild);
  EXPECT_LT(Find(plan, StepKind::kAttach, "mount tmpfs on /dev"),
            Find(plan, StepKind::kAttach, "device on /dev/fuse"));
  spec_.ids = {100000, 65536};
  nodes_ = {{"/dev/fuse", {S_IFCHR, 2789}}};
  const CompiledPlan own = Compile();
  const int made = Find(own, StepKind::kMknod, "make device /dev/fuse");
  ASSERT_GE(made, 0);
  EXPECT_LT(own.steps[made].stage, Stage::kFirstInChild);
  const int sysctl = Find(plan, StepKind::kWrite, "net.core.somaxconn");
  EXPECT_GT(sysctl, Find(plan, StepKind::kLoopback));
  EXPECT_LT(sysctl, pivot);
  // Raised with the host's rights, set in the container.
  const int raise = Find(plan, StepKind::kRlimit, "nofile to 1:2");
  ASSERT_GE(raise, 0);
  EXPECT_LT(plan.steps[raise].stage, Stage::kFirstInChild);
  EXPECT_EQ(Find(plan, StepKind::kRlimit, "open files"), -1);
  EXPECT_GE(Find(plan, StepKind::kAttach, "/dev/shm"), 0);
}

TEST_F(IsolatorsTest, WhenGivenThingsAreWrong_TheFieldIsNamed) {
  const auto check = [](auto change) {
    ContainerSpec spec = Spec();
    change(spec);
    return ValidateSpec(spec);
  };
  const auto invalid = [](const char* text) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
  };
  EXPECT_THAT(check([](ContainerSpec& s) {
                s.devices = {{"dev/fuse", "/dev/fuse", "rw"}};
              }),
              invalid("devices.host_path"));
  EXPECT_THAT(check([](ContainerSpec& s) {
                s.devices = {{"/dev/fuse", "/dev/../etc", "rw"}};
              }),
              invalid("devices.path"));
  EXPECT_THAT(check([](ContainerSpec& s) {
                s.devices = {{"/dev/fuse", "/dev/fuse", "x"}};
              }),
              invalid("devices.access"));
  EXPECT_THAT(check([](ContainerSpec& s) {
                s.ulimits = {{99, 1, 1}};
              }),
              invalid("ulimits"));
  EXPECT_THAT(check([](ContainerSpec& s) {
                s.ulimits = {{1, 2, 1}};
              }),
              invalid("ulimits.soft"));
  EXPECT_THAT(check([](ContainerSpec& s) {
                s.sysctls = {{"vm.x", "1"}};
              }),
              invalid("not of a namespace"));
  EXPECT_THAT(check([](ContainerSpec& s) { s.shm_bytes = -1; }),
              invalid("shm_bytes"));
}

TEST_F(IsolatorsTest, WhenKernelIsOld_TheChildOpensAndMountsTheLayers) {
  overlay_layer_fds_ = false;
  const CompiledPlan plan = Compile();
  EXPECT_EQ(Find(plan, StepKind::kOverlay), -1);
  const int overlay = Find(plan, StepKind::kLegacyOverlay);
  EXPECT_GT(overlay, Find(plan, StepKind::kPrivateMounts));
  EXPECT_GT(overlay, Find(plan, StepKind::kOpen, "/layers/a"));
  EXPECT_GT(Find(plan, StepKind::kOpen, "/layers/a"),
            Find(plan, StepKind::kPrivateMounts));
  EXPECT_LT(overlay, Find(plan, StepKind::kAttachRoot));
  // The topmost layer comes first.
  EXPECT_LT(Find(plan, StepKind::kOpen, "/layers/b"),
            Find(plan, StepKind::kOpen, "/layers/a"));
}

TEST_F(IsolatorsTest, WhenMountsNest_ParentsComeFirst) {
  spec_.mounts = {{Mount::Kind::kTmpfs, "", "/data/inner"},
                  {Mount::Kind::kBind, "/srv", "/data"}};
  const CompiledPlan plan = Compile();
  EXPECT_LT(Find(plan, StepKind::kAttach, "/data"),
            Find(plan, StepKind::kAttach, "/data/inner"));
  EXPECT_LT(Find(plan, StepKind::kAttach, "/data/inner"),
            Find(plan, StepKind::kMask));
}

TEST_F(IsolatorsTest, WhenAMountIsTheUsers_ItIsGivenAwayByRootAndOnTheHost) {
  spec_.mounts = {{Mount::Kind::kBind, "/srv/secrets", "/run/secrets"}};
  spec_.mounts[0].read_only = true;
  EXPECT_EQ(Find(Compile(), StepKind::kOwn), -1);
  spec_.mounts[0].owned_by_user = true;
  const CompiledPlan plan = Compile();
  const int own = Find(plan, StepKind::kOwn, "/run/secrets");
  EXPECT_GT(own, Find(plan, StepKind::kAccount));
  EXPECT_LT(own, Find(plan, StepKind::kIds));
  // Opened before any path of the host is out of reach.
  EXPECT_LT(Find(plan, StepKind::kOpen, "/srv/secrets"),
            Find(plan, StepKind::kPrivateMounts));
}

TEST_F(IsolatorsTest, WhenRootIsReadOnly_ItIsSealedAfterTheLastMountpoint) {
  spec_.read_only_root = true;
  spec_.mounts = {{Mount::Kind::kTmpfs, "", "/data"}};
  const CompiledPlan plan = Compile();
  const int sealed = Find(plan, StepKind::kRootReadOnly);
  EXPECT_GT(sealed, Find(plan, StepKind::kAttach, "/data"));
  EXPECT_LT(sealed, Find(plan, StepKind::kPivot));
}

TEST_F(IsolatorsTest, WhenBuilding_DevicesAreBoundAndFilterLoadsEarly) {
  spec_.profile = SecurityProfile::kBuild;
  const CompiledPlan plan = Compile();
  EXPECT_EQ(Find(plan, StepKind::kMknod), -1);
  EXPECT_GE(Find(plan, StepKind::kBindHost, "/dev/null"), 0);
  EXPECT_EQ(Find(plan, StepKind::kNoNewPrivs), -1);
  EXPECT_LT(Find(plan, StepKind::kSeccomp), Find(plan, StepKind::kBoundingSet));
}

// Under systemd a process may not be cloned into a group that its cgroup
// namespace does not hold together with its own group.
TEST_F(IsolatorsTest, WhenExecuting_GroupsAreJoinedBeforeTheirNamespace) {
  ProcessInput in;
  in.args = {"/bin/true"};
  ASSERT_OK_AND_ASSIGN(
      const CompiledPlan plan,
      CompileExec(in, {"/c/unified/i/web-1", {"/c/memory/i/web-1"}, ""}));
  const int joined = Find(plan, StepKind::kJoinCgroup);
  const int entered = Find(plan, StepKind::kSetnsPidfd, "control group");
  ASSERT_GE(joined, 0);
  ASSERT_GT(entered, joined);
  EXPECT_GE(plan.steps[entered].stage, Stage::kFirstInChild);
}

TEST_F(IsolatorsTest, WhenItHasUsersOfItsOwn_TheShimMountsAndMapsAllLayers) {
  spec_.ids = {1 << 20, 65536};
  spec_.network_namespace = "/run/netns/a";
  spec_.mounts = {{Mount::Kind::kBind, "/data", "/data"}};
  for (const bool fds : {true, false}) {
    overlay_layer_fds_ = fds;
    const CompiledPlan plan = Compile();
    EXPECT_NE(Open(plan), nullptr);
    const int owner = Find(plan, StepKind::kOwnerOf);
    const int map = Find(plan, StepKind::kIdMap, "/layers");
    const int overlay =
        Find(plan, fds ? StepKind::kOverlay : StepKind::kMappedOverlay);
    EXPECT_GT(owner, Find(plan, StepKind::kOpen, "/run/netns/a"));
    EXPECT_GT(map, owner);
    EXPECT_GT(Find(plan, StepKind::kOpen, "/layers/a"), map);
    EXPECT_GT(overlay, Find(plan, StepKind::kOpen, "/layers/a"));
    EXPECT_LT(plan.steps[overlay].stage, Stage::kFirstInChild);
    EXPECT_GT(Find(plan, StepKind::kIdMap, "/data"),
              Find(plan, StepKind::kCloneTree, "/data"));
    // The stage is out of its reach, /dev's nodes must not be.
    EXPECT_GT(Find(plan, StepKind::kRootIds),
              Find(plan, StepKind::kAttachRoot));
    EXPECT_LT(plan.steps[Find(plan, StepKind::kMknod)].stage,
              Stage::kFirstInChild);
  }
}

TEST_F(IsolatorsTest, WhenItsMountsBeginBare_NoStepInItNamesAPathOfTheHost) {
  spec_.ids = {1 << 20, 65536};
  spec_.network_namespace = "/run/netns/a";
  spec_.mounts = {{Mount::Kind::kBind, "/data", "/data"},
                  {Mount::Kind::kTmpfs, "", "/scratch"}};
  spec_.devices = {{"/dev/sda", "/dev/sda", "rw"}};
  nodes_ = {{"/dev/sda", {S_IFBLK, makedev(8, 0)}}};
  bare_mounts_ = "/proc/1/fd/3";
  const CompiledPlan plan = Compile();
  EXPECT_GE(Find(plan, StepKind::kOpen, "bare"), 0);
  EXPECT_GE(Find(plan, StepKind::kAttachRoot, os::kBareStage), 0);
  const auto context = Open(plan);
  ASSERT_NE(context, nullptr);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].stage < Stage::kFirstInChild) continue;
    const child::Step& step = context->steps[i];
    const bool below = step.slot2 != child::kNoSlot;
    EXPECT_FALSE(step.kind == StepKind::kOpen && !below) << plan.steps[i].label;
    for (const StepKind kind :
         {StepKind::kCloneTree, StepKind::kBindHost, StepKind::kLegacyOverlay,
          StepKind::kMappedOverlay}) {
      EXPECT_NE(step.kind, kind) << plan.steps[i].label;
    }
    if (step.kind == StepKind::kAttachRoot) {
      EXPECT_STREQ(context->String(step.str), os::kBareStage);
    }
  }
}

TEST_F(IsolatorsTest, WhenLayersMayNotBeDetached_ItsMountsBeginAsTheHosts) {
  spec_.ids = {1 << 20, 65536};
  spec_.network_namespace = "/run/netns/a";
  bare_mounts_ = "/proc/1/fd/3";
  for (const bool fds : {true, false}) {
    overlay_layer_fds_ = fds;
    overlay_detached_layers_ = false;
    const CompiledPlan plan = Compile();
    EXPECT_LT(Find(plan, StepKind::kOpen, "bare"), 0);
    EXPECT_LT(Find(plan, StepKind::kAttachRoot, os::kBareStage), 0);
    EXPECT_GE(Find(plan, StepKind::kAttachRoot, "/s"), 0);
  }
}

TEST_F(IsolatorsTest, WhenLayersShareARoot_OneCopyOfItIsMapped) {
  spec_.ids = {1 << 20, 65536};
  spec_.layers = {"/state/points/root", "/state/layers/a", "/state/layers/b",
                  "/stateless/c", "/elsewhere/d"};
  const auto maps = [&] {
    const CompiledPlan plan = Compile();
    for (const std::string& layer : spec_.layers) {
      EXPECT_GE(Find(plan, StepKind::kOpen, layer), 0) << layer;
    }
    return std::count_if(
        plan.steps.begin(), plan.steps.end(),
        [](const StepInfo& step) { return step.kind == StepKind::kIdMap; });
  };
  // Two, those of the others, and the one of `upper` and `work`.
  EXPECT_EQ(maps(), 2 + 2 + 1);
  shared_root_ = "/state";
  EXPECT_EQ(maps(), 1 + 2 + 1);
}

TEST_F(IsolatorsTest, WhenTheProgramIsAwaited_TheGateIsTheLastToBeUndone) {
  EXPECT_EQ(Find(Compile(), StepKind::kGate), -1);
  spec_.await_program = [] { return absl::OkStatus(); };
  const CompiledPlan plan = Compile();
  // The first is the shim's, before it opens a group, and after all else.
  const int groups = Find(plan, StepKind::kGate);
  EXPECT_LT(groups, Find(plan, StepKind::kOpen, "/c/unified/i/web-1"));
  EXPECT_LT(groups, Find(plan, StepKind::kOpen, "/c/memory/i/web-1/tasks"));
  for (int i = 0; i < static_cast<int>(plan.steps.size()); ++i) {
    const Stage stage = plan.steps[i].stage;
    if (stage >= Stage::kFirstInChild) break;
    EXPECT_EQ(i >= groups, stage >= Stage::kCgroupGate) << plan.steps[i].label;
  }
  int gate = -1;
  for (size_t i = groups + 1; i < plan.steps.size(); ++i) {
    if (plan.steps[i].kind == StepKind::kGate) gate = static_cast<int>(i);
  }
  EXPECT_GT(gate, Find(plan, StepKind::kFindProgram));
  EXPECT_GT(gate, Find(plan, StepKind::kNoNewPrivs));
  EXPECT_GT(Find(plan, StepKind::kCloseFiles), gate);
  EXPECT_GT(Find(plan, StepKind::kSeccomp), gate);
}

TEST_F(IsolatorsTest, WhenRestricted_RootIsRefusedBeforeAnythingRuns) {
  EXPECT_EQ(Find(Compile(), StepKind::kNotRoot), -1);
  spec_.profile = SecurityProfile::kRestricted;
  const CompiledPlan plan = Compile();
  EXPECT_GT(Find(plan, StepKind::kNotRoot), Find(plan, StepKind::kAccount));
  EXPECT_GT(Find(plan, StepKind::kRootReadOnly), 0);
  EXPECT_GT(Find(plan, StepKind::kNoNewPrivs), 0);
}

TEST(ProfileTest, WhenBaseline_HasNineCapabilitiesThatTheDaemonHas) {
  const uint64_t all = ~uint64_t{0};
  EXPECT_EQ(__builtin_popcountll(
                ProfileCapabilities(SecurityProfile::kBaseline, all)),
            9);
  EXPECT_EQ(
      __builtin_popcountll(ProfileCapabilities(SecurityProfile::kBuild, all)),
      14);
  EXPECT_EQ(
      ProfileCapabilities(SecurityProfile::kBaseline, uint64_t{1} << CAP_KILL),
      uint64_t{1} << CAP_KILL);
}

TEST(ValidateTest, WhenSpecIsGood_IsOk) { EXPECT_OK(ValidateSpec(Spec())); }

TEST(ValidateTest, WhenAFieldIsBad_NamesIt) {
  const std::string nul(1, '\0');
  const auto check = [](auto change, const char* field) {
    ContainerSpec spec = Spec();
    change(spec);
    EXPECT_THAT(ValidateSpec(spec),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  };
  for (const char* id : {"", "../x", "A", "-a", "a/b", ".", ".."}) {
    check([&](ContainerSpec& s) { s.id = id; }, "id");
  }
  check([](ContainerSpec& s) { s.id = std::string(65, 'a'); }, "id");
  check([](ContainerSpec& s) { s.args.clear(); }, "args");
  check([&](ContainerSpec& s) { s.args = {"a" + nul + "b"}; }, "args");
  check([](ContainerSpec& s) { s.env = {"NOVALUE"}; }, "env");
  check([](ContainerSpec& s) { s.env = {"=x"}; }, "env");
  check([](ContainerSpec& s) { s.cwd = "relative"; }, "cwd");
  check([](ContainerSpec& s) { s.hosts = {{"a\nb", "1.2.3.4"}}; }, "hosts");
  check([](ContainerSpec& s) { s.nameservers = {"1.1.1.1\noptions x"}; },
        "nameservers");
  check(
      [](ContainerSpec& s) {
        s.mounts = {{Mount::Kind::kBind, "/a", "/x/../../etc"}};
      },
      "mounts.destination");
  check(
      [](ContainerSpec& s) {
        s.mounts = {{Mount::Kind::kBind, "a", "/x"}};
      },
      "mounts.source");
  check([](ContainerSpec& s) { s.layers.assign(499, "/l"); }, "layers");
  check([](ContainerSpec& s) { s.resources.pids_limit = -1; }, "resources");
  check([](ContainerSpec& s) { s.ids = {0, 65536}; }, "ids");
  check([](ContainerSpec& s) { s.ids = {0xffffff00, 65536}; }, "ids");
  check(
      [](ContainerSpec& s) {
        s.ids = {1 << 20, 65536};
        s.profile = SecurityProfile::kPrivileged;
      },
      "ids");
  check(
      [](ContainerSpec& s) {
        s.upper_dir = "/upper";
        s.await_program = [] { return absl::OkStatus(); };
      },
      "upper_dir");
  check([](ContainerSpec& s) { s.add_capabilities = {"FLY"}; }, "FLY");
  check([](ContainerSpec& s) { s.drop_capabilities = {""}; }, "capabilities");
}

}  // namespace
}  // namespace bulwark::engine
