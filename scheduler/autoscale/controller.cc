#include "scheduler/autoscale/controller.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(2);
// Until the first samples after a start of ours.
constexpr absl::Duration kFirstSamples = absl::Milliseconds(500);

bool SamplesAreEnough(const std::vector<UsageSamplePtr>& samples) {
  return samples.size() > 1 &&
         samples.back()->steady - samples.front()->steady >= kLeastLoadWindow;
}

// What all replicas of the service may use; `count`: as the autoscaler has it.
Requests ClaimOf(const v1::Service& service, std::optional<int> count) {
  return RequestsOf(service.spec()) *
         SettingsOf(service, nullptr, count).replicas;
}

}  // namespace

AutoscaleController::AutoscaleController(store::MetadataStore& store,
                                         Clock& clock, Entropy& entropy,
                                         EventRecorder& events, Samples samples,
                                         ChangeHook changed)
    : store_(store),
      clock_(clock),
      entropy_(entropy),
      events_(events),
      samples_(std::move(samples)),
      changed_(std::move(changed)) {}

absl::StatusOr<Result> AutoscaleController::Reconcile(const std::string& key) {
  ASSIGN_OR_RETURN(const store::Key service_key, ParseQueueKey("service", key));
  ASSIGN_OR_RETURN(std::optional<v1::Object> object,
                   FindService(store_, service_key.project, service_key.name));
  if (!object.has_value() || !object->service().spec().has_autoscale()) {
    RETURN_IF_ERROR(Forget(service_key));
    return Result();
  }
  if (object->service().metadata().has_delete_time()) return Result();
  const std::vector<UsageSamplePtr> samples = samples_();
  if (!SamplesAreEnough(samples)) return Result{kFirstSamples};
  AutoscaleView view;
  view.service = object->service();
  view.now = clock_.Now();
  ASSIGN_OR_RETURN(view.scale, FindScale(store_, view.service));
  ASSIGN_OR_RETURN(view.replicas,
                   ListReplicas(store_, service_key.project, service_key.name));
  std::erase_if(view.replicas, [&](const v1::Replica& r) {
    return r.spec().service_uid() != view.service.metadata().uid();
  });
  view.loads = LoadsOf(samples, clock_.Steady());
  RememberReady(key, view.replicas, view.were_ready);
  ASSIGN_OR_RETURN(view.capacity, CapacityOf(view.service, samples.back()));
  ScalePlan plan = PlanScale(view);
  const absl::Status status = Commit(*object, view, plan);
  // Somebody wrote the service meanwhile: what was planned may be wrong.
  if (absl::IsAborted(status)) return Result{absl::Milliseconds(10)};
  RETURN_IF_ERROR(status);
  return Result{kPeriod};
}

void AutoscaleController::RememberReady(
    const std::string& key, const std::vector<v1::Replica>& replicas,
    std::set<std::string>& were_ready) {
  absl::MutexLock lock(&mu_);
  std::set<std::string>& known = ready_[key];
  for (const v1::Replica& r : replicas) {
    const std::string& uid = r.metadata().uid();
    if (r.status().ready() || known.contains(uid)) were_ready.insert(uid);
  }
  known = were_ready;
}

absl::Status AutoscaleController::Forget(const store::Key& key) {
  {
    absl::MutexLock lock(&mu_);
    ready_.erase(QueueKey(key));
  }
  const store::Key scale = store::ObjectKey("scale", key.project, key.name);
  absl::StatusOr<store::Record> record = store_.Get(scale);
  if (absl::IsNotFound(record.status())) return absl::OkStatus();
  RETURN_IF_ERROR(record.status());
  RETURN_IF_ERROR(
      store_.Commit(store::Batch().Delete(scale, record->revision).Essential())
          .status());
  changed_(QueueKey(key));
  return absl::OkStatus();
}

absl::StatusOr<AutoscaleController::Claims> AutoscaleController::ReadClaims(
    const UsageSamplePtr& sample) {
  Claims claims;
  claims.sample = sample;
  ASSIGN_OR_RETURN(auto services, store::ListReadable(store_, "service"));
  for (const v1::Object& object : services.objects) {
    const v1::Service& service = object.service();
    ASSIGN_OR_RETURN(const std::optional<v1::Scale> scale,
                     FindScale(store_, service));
    claims.services[service.metadata().uid()] =
        ClaimOf(service, CountOf(scale));
  }
  ASSIGN_OR_RETURN(auto jobs, store::ListReadable(store_, "job"));
  for (const v1::Object& object : jobs.objects) {
    claims.jobs +=
        RequestsOf(object.job().spec()) * object.job().status().active();
  }
  return claims;
}

absl::StatusOr<Capacity> AutoscaleController::CapacityOf(
    const v1::Service& service, const UsageSamplePtr& last) {
  const Requests each = RequestsOf(service.spec());
  if (!last->node.has_value() ||
      (each.cpu_millicores == 0 && each.memory_bytes == 0)) {
    return Capacity();
  }
  bool known = false;
  {
    absl::MutexLock lock(&mu_);
    known = claims_.sample == last;
  }
  Claims read;
  if (!known) {
    ASSIGN_OR_RETURN(read, ReadClaims(last));
  }
  absl::MutexLock lock(&mu_);
  if (!known) claims_ = std::move(read);
  Requests others = claims_.jobs;
  for (const auto& [uid, claim] : claims_.services) {
    if (uid != service.metadata().uid()) others += claim;
  }
  return CapacityFor(
      each, others,
      {last->node->cpu_millicores, last->node->memory_total_bytes});
}

absl::Status AutoscaleController::Commit(const v1::Object& service,
                                         AutoscaleView& view, ScalePlan& plan) {
  if (plan.write == ScaleWrite::kNone) return absl::OkStatus();
  v1::Object object;
  v1::Scale& scale = *object.mutable_scale();
  scale = std::move(plan.scale);
  uint64_t revision = 0;
  if (view.scale.has_value()) {
    revision = store::RevisionOf(object);
  } else {
    v1::Metadata& metadata = *scale.mutable_metadata();
    metadata.set_name(view.service.metadata().name());
    metadata.set_project(store::KeyOf(service).project);
    metadata.set_uid(NewUid(entropy_));
    metadata.set_generation(1);
    SetTime(metadata.mutable_create_time(), view.now);
    // One of an earlier service of this name is in the way.
    absl::StatusOr<store::Record> stale = store_.Get(store::KeyOf(object));
    if (stale.ok()) revision = stale->revision;
  }
  store::Batch batch;
  batch.Put(store::KeyOf(object), store::Encode(object), revision);
  if (plan.write == ScaleWrite::kDurable) {
    batch.Require(store::KeyOf(service), store::RevisionOf(service));
  } else {
    batch.NotDurable();
  }
  RETURN_IF_ERROR(store_.Commit(batch.Essential()).status());
  if (plan.write == ScaleWrite::kDurable) {
    {
      // Who decides at the same sample must not give it away again.
      absl::MutexLock lock(&mu_);
      claims_.services[view.service.metadata().uid()] =
          ClaimOf(view.service, scale.replicas());
    }
    changed_(QueueKey(scale.metadata()));
  }
  events_.RecordAll(ReferenceTo(view.service), plan.events);
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
