// What there is to tell about an object, and its form for programs.
#include "ctl/describe.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ctl/objects.h"
#include "ctl/print/columns.h"
#include "ctl/print/text.h"
#include "manifest/codec.h"

namespace bulwark::ctl {
namespace {

using manifest::Node;

constexpr size_t kMaxEvents = 20;

// Objects of the kind, all or of one service or job.
absl::StatusOr<std::vector<v1::Object>> ListOf(Context& context,
                                               absl::string_view kind,
                                               const std::string& service) {
  ListOptions options;
  options.service = service;
  ASSIGN_OR_RETURN(Listing listing,
                   ListObjects(context, *manifest::FindKind(kind), options));
  return std::move(listing.objects);
}

// As calls name a service or a job; empty for everything else.
std::string OwnerOfReplicas(const v1::Object& object) {
  if (object.has_service()) return object.service().metadata().name();
  if (object.has_job()) return JobReference(object.job().metadata().name());
  return "";
}

absl::StatusOr<std::vector<v1::Object>> EventsOf(Context& context,
                                                 const v1::Object& object) {
  const std::string owner = OwnerOfReplicas(object);
  ASSIGN_OR_RETURN(std::vector<v1::Object> events,
                   ListOf(context, "event", owner));
  if (owner.empty()) {
    const auto other = [&](const v1::Object& event) {
      const v1::ObjectReference& subject = event.event().subject();
      return subject.kind() != manifest::KindOf(object)->api_name ||
             subject.name() != manifest::MetadataOf(object).name();
    };
    events.erase(std::remove_if(events.begin(), events.end(), other),
                 events.end());
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const v1::Object& a, const v1::Object& b) {
                     return ToTime(a.event().last_time()) <
                            ToTime(b.event().last_time());
                   });
  if (events.size() > kMaxEvents) {
    events.erase(events.begin(), events.end() - kMaxEvents);
  }
  return events;
}

absl::StatusOr<std::vector<v1::Object>> JobsOf(Context& context,
                                               const v1::CronJob& cron_job) {
  ASSIGN_OR_RETURN(std::vector<v1::Object> jobs, ListOf(context, "job", ""));
  const auto other = [&](const v1::Object& job) {
    return job.job().metadata().owner().uid() != cron_job.metadata().uid();
  };
  jobs.erase(std::remove_if(jobs.begin(), jobs.end(), other), jobs.end());
  return jobs;
}

// What the words of tables say, beside the object's own fields.
Node::Ptr WithWords(const v1::Object& object) {
  Node::Ptr tree = manifest::EncodeObject(object, {});
  const auto set = [&](absl::string_view key, absl::string_view value) {
    tree->Set(key, Node::Scalar(value, /*quoted=*/true));
  };
  if (object.has_service()) {
    set("state", ServiceState(object.service()));
    set("message", ServiceMessage(object.service()));
  } else if (object.has_replica()) {
    set("state", ReplicaState(object.replica()));
    set("message", ReplicaMessage(object.replica()));
    tree->Set("restarts",
              Node::Scalar(absl::StrCat(ReplicaRestarts(object.replica())),
                           /*quoted=*/false));
  } else if (object.has_job()) {
    set("state", JobState(object.job()));
  }
  return tree;
}

Node::Ptr ListTree(const std::vector<v1::Object>& objects) {
  Node::Ptr list = Node::List();
  for (const v1::Object& object : objects) {
    list->items.push_back(WithWords(object));
  }
  return list;
}

}  // namespace

absl::StatusOr<Description> GatherAbout(Context& context,
                                        const v1::Object& object) {
  Description description;
  description.object = object;
  if (object.has_service() && object.service().spec().has_autoscale()) {
    absl::StatusOr<v1::Object> scale =
        GetObject(context, *manifest::FindKind("scale"),
                  object.service().metadata().name());
    if (scale.ok()) {
      description.scale = *std::move(scale);
    } else if (!absl::IsNotFound(scale.status())) {
      return scale.status();
    }
  }
  if (const std::string owner = OwnerOfReplicas(object); !owner.empty()) {
    ASSIGN_OR_RETURN(description.replicas, ListOf(context, "replica", owner));
  } else if (object.has_cron_job()) {
    ASSIGN_OR_RETURN(description.jobs, JobsOf(context, object.cron_job()));
  }
  if (!object.has_event()) {
    ASSIGN_OR_RETURN(description.events, EventsOf(context, object));
  }
  return description;
}

Node::Ptr DescriptionTree(const Description& description) {
  const v1::Object& object = description.object;
  Node::Ptr tree = WithWords(object);
  if (description.scale.has_value()) {
    tree->Set("scale", WithWords(*description.scale));
  }
  if (object.has_service() || object.has_job()) {
    tree->Set("replicas", ListTree(description.replicas));
  } else if (object.has_cron_job()) {
    tree->Set("jobs", ListTree(description.jobs));
  }
  if (!object.has_event()) tree->Set("events", ListTree(description.events));
  return tree;
}

absl::Status DescribeObject(Context& context, const v1::Object& object) {
  ASSIGN_OR_RETURN(const Description description, GatherAbout(context, object));
  context.io.Out(DescriptionText(description, context.clock.Now()));
  return absl::OkStatus();
}

}  // namespace bulwark::ctl
