#include "engine/oci/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/child/steps.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::StatusIs;
using child::StepKind;
using ::testing::HasSubstr;

class CompileTest : public ::testing::Test {
 protected:
  CompileTest() {
    spec_.root = "/bundle/rootfs";
    spec_.process.emplace();
    spec_.process->cwd = "/";
    spec_.process->args = {"sh"};
    spec_.linux_.namespaces = {{CLONE_NEWNS, ""}, {CLONE_NEWPID, ""}};
    cgroup_.unified = "/sys/fs/cgroup/x";
  }

  absl::StatusOr<CompiledPlan> Compile() {
    LaunchParts parts = {host_, cgroup_, seccomp_};
    parts.start_fifo = "/run/x/start";
    parts.start_error = "/run/x/error";
    parts.own_capabilities = ~uint64_t{0};
    return CompileCreate(spec_, parts);
  }

  // Where the first step of the kind stands; -1: there is none.
  static int Find(const CompiledPlan& plan, StepKind kind) {
    const auto found =
        std::find_if(plan.steps.begin(), plan.steps.end(),
                     [&](const StepInfo& s) { return s.kind == kind; });
    return found == plan.steps.end()
               ? -1
               : static_cast<int>(found - plan.steps.begin());
  }

  // The interpreter takes it.
  static void ExpectVerifies(const CompiledPlan& plan) {
    child::Context context;
    EXPECT_EQ(
        child::OpenPlan(reinterpret_cast<const uint8_t*>(plan.bytes.data()),
                        plan.bytes.size(), &context),
        0);
  }

  Spec spec_;
  CgroupHost host_{"/sys/fs/cgroup", {}};
  CgroupRecord cgroup_;
  SeccompProgram seccomp_;
};

TEST_F(CompileTest, AMountLabelIsTheContextOfNewFileSystems) {
  Mount tmpfs;
  tmpfs.type = "tmpfs";
  tmpfs.destination = "/tmp";
  Mount proc;
  proc.type = "proc";
  proc.destination = "/proc";
  spec_.mounts = {proc, tmpfs};
  ASSERT_OK_AND_ASSIGN(const CompiledPlan without, Compile());
  EXPECT_THAT(without.bytes, ::testing::Not(HasSubstr("context=")));
  spec_.linux_.mount_label = "system_u:object_r:container_file_t:s0:c1,c2";
  ASSERT_OK_AND_ASSIGN(const CompiledPlan plan, Compile());
  ExpectVerifies(plan);
  const std::string option =
      "context=\"system_u:object_r:container_file_t:s0:c1,c2\"";
  const size_t first = plan.bytes.find(option);
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(plan.bytes.find("context=", first + 1), std::string::npos);
  // As Podman writes it.
  spec_.linux_.mount_label.clear();
  spec_.mounts[1].options = {option, "size=64k"};
  ASSERT_OK_AND_ASSIGN(const CompiledPlan given, Compile());
  EXPECT_THAT(given.bytes, HasSubstr(option + ",size=64k"));
  for (const char* bad : {"a=\"b", "a=b\"c", "a,b=c", "\"a=b\""}) {
    spec_.mounts[1].options = {bad};
    EXPECT_THAT(Compile(), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("mount on /tmp")))
        << bad;
  }
}

TEST_F(CompileTest, StepsThatCannotBeUndoneComeAfterTheStart) {
  spec_.process->capabilities.emplace();
  spec_.process->no_new_privileges = true;
  seccomp_.instructions = std::string(16, '\0');
  ASSERT_OK_AND_ASSIGN(const CompiledPlan plan, Compile());
  ExpectVerifies(plan);
  const int await = Find(plan, StepKind::kAwaitStart);
  ASSERT_GE(await, 0);
  EXPECT_LT(Find(plan, StepKind::kPivot), Find(plan, StepKind::kFindProgram));
  EXPECT_LT(Find(plan, StepKind::kFindProgram), await);
  for (const StepKind kind :
       {StepKind::kBoundingSet, StepKind::kIds, StepKind::kCapabilitySets,
        StepKind::kNoNewPrivs, StepKind::kSeccomp, StepKind::kExec}) {
    EXPECT_GT(Find(plan, kind), await);
  }
  EXPECT_LT(Find(plan, StepKind::kNoNewPrivs), Find(plan, StepKind::kSeccomp));
  // With new privileges allowed it takes a right that is dropped.
  spec_.process->no_new_privileges = false;
  ASSERT_OK_AND_ASSIGN(const CompiledPlan early, Compile());
  EXPECT_LT(Find(early, StepKind::kSeccomp), Find(early, StepKind::kIds));
}

TEST_F(CompileTest, MountsComeInTheirOrderAndBeforeTheHooks) {
  spec_.mounts = {{"/b", "tmpfs", "tmpfs", {}, {}, {}},
                  {"/a", "bind", "/src", {"rbind", "ro"}, {}, {}},
                  {"/b/c", "tmpfs", "tmpfs", {}, {}, {}}};
  LaunchParts parts = {host_, cgroup_, seccomp_};
  parts.has_hooks = true;
  ASSERT_OK_AND_ASSIGN(const CompiledPlan plan, CompileCreate(spec_, parts));
  ExpectVerifies(plan);
  std::vector<std::string> order;
  for (const StepInfo& step : plan.steps) {
    if (step.kind == StepKind::kAttach) order.push_back(step.label);
  }
  EXPECT_THAT(order, ::testing::ElementsAre("mount on /b", "mount on /a",
                                            "mount on /b/c"));
  // What is bound is opened by the shim, with the host's rights.
  EXPECT_LT(Find(plan, StepKind::kCloneTree), Find(plan, StepKind::kBindRoot));
  EXPECT_LT(Find(plan, StepKind::kAttach), Find(plan, StepKind::kSync));
  EXPECT_LT(Find(plan, StepKind::kSync), Find(plan, StepKind::kPivot));
}

TEST_F(CompileTest, WhenTheUserNamespaceIsNew_MapsComeFirst) {
  spec_.linux_.namespaces.push_back({CLONE_NEWUSER, ""});
  ASSERT_OK_AND_ASSIGN(const CompiledPlan plan, Compile());
  ExpectVerifies(plan);
  const int maps = Find(plan, StepKind::kSync);
  EXPECT_EQ(plan.steps[maps].label, "map ids");
  EXPECT_LT(maps, Find(plan, StepKind::kRootIds));
  EXPECT_LT(Find(plan, StepKind::kRootIds), Find(plan, StepKind::kBindRoot));
  // Nodes cannot be made in one.
  EXPECT_EQ(Find(plan, StepKind::kMknod), -1);
  EXPECT_GE(Find(plan, StepKind::kBindHost), 0);
}

TEST_F(CompileTest, WhenAnOptionCannotBe_ItIsNamed) {
  const auto refused = [&](const char* what) {
    EXPECT_THAT(Compile(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
  };
  spec_.process->terminal = true;
  refused("devpts on /dev/pts");
  spec_.process->terminal = false;
  spec_.linux_.rootfs_propagation = "sideways";
  refused("linux.rootfsPropagation: \"sideways\"");
  spec_.linux_.rootfs_propagation.clear();
  spec_.mounts = {{"/x", "tmpfs", "t", {"context=a,b"}, {}, {}}};
  refused("mount on /x");
  spec_.mounts = {{"/x", "bind", "/s", {"bind", "idmap"}, {}, {}}};
  refused("idmap without");
  spec_.mounts.clear();
}

// It can be created; `start` is what refuses it.
TEST_F(CompileTest, WhenThereIsNothingToStart_ThePlanIsWholeYet) {
  spec_.process->args.clear();
  ASSERT_OK_AND_ASSIGN(const CompiledPlan plan, Compile());
  ExpectVerifies(plan);
  EXPECT_EQ(Find(plan, StepKind::kFindProgram), -1);
  const LaunchParts run = {host_, cgroup_, seccomp_};
  EXPECT_THAT(CompileCreate(spec_, run),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("process: is required")));
}

TEST_F(CompileTest, WhenThereIsNoProcess_IsRefused) {
  spec_.process.reset();
  EXPECT_THAT(Compile(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  HasSubstr("process: is required")));
}

TEST_F(CompileTest, WhenThereAreTenThousandMounts_TheyAreRefused) {
  for (int i = 0; i < 10000; ++i) {
    spec_.mounts.push_back(
        {absl::StrCat("/m", i), "tmpfs", "tmpfs", {}, {}, {}});
  }
  EXPECT_THAT(Compile(), StatusIs(absl::StatusCode::kResourceExhausted,
                                  HasSubstr("too many mounts")));
}

}  // namespace
}  // namespace bulwark::engine::oci
