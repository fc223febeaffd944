#include "ctl/volume_users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Object Job(const std::string& name, const std::string& volume,
               int active = 1, bool per_replica = false) {
  v1::Object object;
  v1::Job& job = *object.mutable_job();
  job.mutable_metadata()->set_name(name);
  job.mutable_status()->set_active(active);
  v1::VolumeMount& mount = *job.mutable_spec()->add_containers()->add_volumes();
  mount.set_volume(volume);
  mount.set_per_replica(per_replica);
  return object;
}

TEST(VolumeUsersTest, OnlyJobsThatRunAndMountItCount) {
  v1::Object host = Job("host", "");
  host.mutable_job()
      ->mutable_spec()
      ->mutable_containers(0)
      ->mutable_volumes(0)
      ->set_host_path("/data");
  v1::Object prepares = Job("prepares", "other");
  prepares.mutable_job()
      ->mutable_spec()
      ->add_init_containers()
      ->add_volumes()
      ->set_volume("data");
  EXPECT_THAT(JobsThatMount({Job("uses", "data"), Job("rests", "data", 0),
                             Job("other", "database"), host, prepares},
                            "data"),
              ElementsAre("uses", "prepares"));
}

TEST(VolumeUsersTest, SlotsHaveVolumesOfTheirOwn) {
  const std::vector<v1::Object> jobs = {Job("import", "data", 1, true)};
  EXPECT_THAT(JobsThatMount(jobs, "import-data-0"), ElementsAre("import"));
  for (const char* other :
       {"data", "import-data-", "import-data-x", "import-data", "x-data-0"}) {
    EXPECT_THAT(JobsThatMount(jobs, other), IsEmpty()) << other;
  }
}

}  // namespace
}  // namespace bulwark::ctl
