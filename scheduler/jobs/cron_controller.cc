#include "scheduler/jobs/cron_controller.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/status.h"
#include "scheduler/control/pass.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

constexpr int kMaxTries = 10;

}  // namespace

struct CronController::Pass {
  store::Key key;
  v1::Object cron_job;  // as read; its status becomes the plan's
  uint64_t revision = 0;
  std::vector<v1::Job> orphans;  // of an earlier cron job of this name
  CronView view;
  CronPlan plan;
  store::Batch batch;
  bool durable = false;
};

CronController::CronController(store::MetadataStore& store, Clock& clock,
                               Entropy& entropy, EventRecorder& events)
    : store_(store), clock_(clock), entropy_(entropy), events_(events) {}

absl::StatusOr<Result> CronController::Reconcile(const std::string& key) {
  for (int i = 0; i < kMaxTries; ++i) {
    Pass pass;
    ASSIGN_OR_RETURN(pass.key, ParseQueueKey("cron-job", key));
    const absl::Status status = RunOnce(pass);
    // Somebody else wrote one of the records: plan again.
    if (absl::IsAborted(status)) continue;
    RETURN_IF_ERROR(status);
    Result result;
    if (pass.plan.wake_at != absl::InfiniteFuture()) {
      result.requeue_after =
          std::max(absl::Milliseconds(1), pass.plan.wake_at - clock_.Now());
    }
    return result;
  }
  return Result{absl::Milliseconds(10)};
}

absl::Status CronController::RunOnce(Pass& pass) {
  ASSIGN_OR_RETURN(
      std::optional<v1::Object> cron_job,
      FindObject(store_, "cron-job", pass.key.project, pass.key.name));
  RETURN_IF_ERROR(ReadJobs(
      pass, cron_job.has_value() ? cron_job->cron_job().metadata().uid() : ""));
  pass.view.now = clock_.Now();
  if (!cron_job.has_value()) {
    AddRemovals(pass);
    return pass.batch.empty() ? absl::OkStatus()
                              : store_.Commit(pass.batch.Essential()).status();
  }
  pass.cron_job = *std::move(cron_job);
  pass.revision = store::RevisionOf(pass.cron_job);
  pass.view.cron_job = pass.cron_job.cron_job();
  pass.plan = PlanCronJob(pass.view);
  if (pass.plan.deleted && pass.orphans.empty()) {
    RETURN_IF_ERROR(
        store_
            .Commit(store::Batch().Delete(pass.key, pass.revision).Essential())
            .status());
    events_.Record(ReferenceTo(pass.cron_job), "Deleted",
                   "the cron job and its jobs are gone");
    return absl::OkStatus();
  }
  *pass.cron_job.mutable_cron_job()->mutable_status() = pass.plan.status;
  pass.durable = pass.plan.durable_status;
  AddJob(pass);
  AddRemovals(pass);
  RETURN_IF_ERROR(Commit(pass));
  events_.RecordAll(ReferenceTo(pass.cron_job), pass.plan.events);
  return absl::OkStatus();
}

absl::Status CronController::ReadJobs(Pass& pass, const std::string& uid) {
  ASSIGN_OR_RETURN(auto jobs,
                   store::ListReadable(store_, "job", pass.key.project));
  for (const store::Unreadable& bad : jobs.unreadable) {
    const std::string& name = bad.record.key.name;
    // It may be a run of this one.
    if (absl::StartsWith(name, pass.key.name + "-")) return bad.why;
    pass.view.names.insert(name);
  }
  for (const v1::Object& object : jobs.objects) {
    const v1::Metadata& metadata = object.job().metadata();
    pass.view.names.insert(metadata.name());
    if (metadata.owner().kind() != "cron-job" ||
        metadata.owner().name() != pass.key.name) {
      continue;
    }
    (metadata.owner().uid() == uid ? pass.view.jobs : pass.orphans)
        .push_back(object.job());
  }
  return absl::OkStatus();
}

void CronController::AddJob(Pass& pass) {
  if (!pass.plan.run.has_value()) return;
  const v1::CronJob& cron_job = pass.cron_job.cron_job();
  v1::Object object;
  v1::Job& job = *object.mutable_job();
  v1::Metadata& metadata = *job.mutable_metadata();
  metadata.set_name(CronRunName(pass.key.name, *pass.plan.run));
  metadata.set_project(pass.key.project);
  metadata.set_uid(NewUid(entropy_));
  metadata.set_generation(1);
  *metadata.mutable_labels() = cron_job.metadata().labels();
  *metadata.mutable_actor() = cron_job.metadata().actor();
  SetTime(metadata.mutable_create_time(), pass.view.now);
  *metadata.mutable_owner() = ReferenceTo(pass.cron_job);
  *job.mutable_spec() = cron_job.spec().job();
  pass.batch.Put(store::KeyOf(object), store::Encode(object), 0);
  pass.durable = true;
}

void CronController::AddRemovals(Pass& pass) {
  auto remove = [&](const v1::Job& job) {
    if (job.metadata().has_delete_time()) return;
    v1::Object object;
    *object.mutable_job() = job;
    SetTime(object.mutable_job()->mutable_metadata()->mutable_delete_time(),
            pass.view.now);
    pass.batch.Put(store::KeyOf(object), store::Encode(object),
                   store::RevisionOf(object));
    pass.durable = true;
  };
  for (const v1::Job& job : pass.orphans) remove(job);
  for (const v1::Job& job : pass.view.jobs) {
    if (std::find(pass.plan.remove.begin(), pass.plan.remove.end(),
                  job.metadata().name()) != pass.plan.remove.end()) {
      remove(job);
    }
  }
}

absl::Status CronController::Commit(Pass& pass) {
  v1::Object before;
  *before.mutable_cron_job() = pass.view.cron_job;
  if (!AddChange({pass.key, pass.revision, before, pass.cron_job, pass.durable},
                 pass.batch)) {
    return absl::OkStatus();
  }
  return store_.Commit(pass.batch).status();
}

}  // namespace bulwark::scheduler
