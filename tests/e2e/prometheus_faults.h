// The services, jobs and volumes of the Prometheus test, and what befalls them.
#ifndef TESTS_E2E_PROMETHEUS_FAULTS_H_
#define TESTS_E2E_PROMETHEUS_FAULTS_H_

#include <list>
#include <string>

#include "base/unique_fd.h"
#include "tests/e2e/traffic.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Failures to make something fail are failures of the test.
class Faults {
 public:
  // Of the baseline.
  static constexpr int kServices = 14;
  static constexpr char kVolume[] = "store";
  static constexpr char kCronJob[] = "tick";

  // Images in the world's registry.
  Faults(World& world, std::string busybox, std::string nginx);

  // Which service a fault is made to; ".*" if to none or to all.
  static std::string VictimOf(const std::string& fault);

  // Everything, while nothing is wrong.
  void DeclareBaseline();
  // Makes all that can be made side by side; each has a service of its own.
  void MakeAll();
  // Ends those that would stand in the way of others.
  void EndLoad();
  // Images of jobs come from a registry that takes connections and never
  // answers; so do those of all other jobs wait, until it is gone.
  void HoldPulls();
  void ReleasePulls();
  // A change of some size; whether it was taken.
  bool WriteMuch();

 private:
  std::string Service(const std::string& name, const std::string& command,
                      const std::string& more = "") const;
  std::string Job(const std::string& name, const std::string& command,
                  const std::string& more = "") const;
  std::string CronJob(const std::string& name, const std::string& schedule,
                      const std::string& command) const;
  std::string Served() const;
  std::string Burdened() const;

  void FailRollouts();
  void FailServices();
  void FailJobs();
  void FillVolume();
  void FailBackup();
  void LoadDisk();
  void GrowStore();
  void Push();

  void Ctl(const std::vector<std::string>& arguments,
           const std::string& input = "");
  // Runs a command in the first replica.
  void Exec(const std::string& service, const std::string& command);
  void Apply(const std::string& manifest);

  World& world_;
  const std::string busybox_, nginx_;
  std::list<Traffic> traffic_;
  UniqueFd silent_;
  int writes_ = 0;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_PROMETHEUS_FAULTS_H_
