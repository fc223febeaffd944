#include "api/ask_images.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "api/convert.h"

namespace bulwark::api {
namespace {

constexpr char kImageRefresh[] = "ImageRefresh";

bool IsAsked(const v1::Container& container) {
  return container.pull() == v1::Container::ALWAYS &&
         !absl::StrContains(container.image(), "@");
}

}  // namespace

bool PullsAlways(const v1::Object& object) {
  const v1::ServiceSpec& spec = object.service().spec();
  for (const auto* list :
       {&spec.containers(), &spec.init_containers(), &spec.sidecars()}) {
    if (std::any_of(list->begin(), list->end(), IsAsked)) return true;
  }
  return false;
}

void AskForImages(v1::Service& service, absl::Time now) {
  v1::ServiceStatus& status = *service.mutable_status();
  v1::Condition* asked = nullptr;
  for (v1::Condition& condition : *status.mutable_conditions()) {
    if (condition.type() == kImageRefresh) asked = &condition;
  }
  if (asked == nullptr) {
    asked = status.add_conditions();
    asked->set_type(kImageRefresh);
    *asked->mutable_last_transition_time() = ToTimestamp(now);
  }
  asked->set_status(v1::Condition::TRUE);
  asked->set_reason("Asked");
  asked->set_message("an apply asks what the images' tags mean now");
}

}  // namespace bulwark::api
