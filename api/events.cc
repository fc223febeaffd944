#include "api/events.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/convert.h"
#include "store/objects.h"

namespace bulwark::api {

v1::Object NewEvent(const v1::Object& subject, absl::string_view reason,
                    absl::string_view message, const v1::Identity& actor,
                    absl::Time now, Entropy& entropy) {
  v1::Object object;
  v1::Event& event = *object.mutable_event();
  v1::Metadata& metadata = *event.mutable_metadata();
  metadata.set_uid(NewUid(entropy));
  metadata.set_name(absl::StrFormat("%016x-%s", absl::ToUnixMicros(now),
                                    metadata.uid().substr(0, 8)));
  metadata.set_project(ProjectOr(store::MetadataOf(subject).project()));
  *metadata.mutable_create_time() = ToTimestamp(now);
  *event.mutable_subject() = ReferenceTo(subject);
  event.set_reason(std::string(reason));
  event.set_message(std::string(message));
  event.set_severity(v1::Event::NORMAL);
  *event.mutable_actor() = actor;
  *event.mutable_first_time() = ToTimestamp(now);
  *event.mutable_last_time() = ToTimestamp(now);
  event.set_count(1);
  return object;
}

}  // namespace bulwark::api
