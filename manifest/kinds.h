// The kinds of objects, as tables over v1::Object.
#ifndef MANIFEST_KINDS_H_
#define MANIFEST_KINDS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::manifest {

struct Kind {
  // The field of v1::Object.
  const google::protobuf::FieldDescriptor* field = nullptr;
  // "CronJob", as in a manifest.
  std::string name;
  // "cron-job", as in the API and in messages.
  std::string api_name;
  // "cron-jobs".
  std::string plural;
  // Can be declared in a manifest.
  bool declared = false;
};

// Every kind, in the order of v1::Object.
const std::vector<Kind>& AllKinds();

// The kind that a person means: any case, with or without dashes, singular,
// plural or one of the usual short names ("svc", "rs", "netpol", …). Null if
// there is none.
const Kind* FindKind(absl::string_view word);

// The kind named exactly so in a manifest, or null.
const Kind* FindManifestKind(absl::string_view name);

// The kind of `object`, null if it is empty.
const Kind* KindOf(const v1::Object& object);

// The message inside `object`, which must have one.
const google::protobuf::Message& Inner(const v1::Object& object);
google::protobuf::Message* MutableInner(const Kind& kind, v1::Object& object);

// The metadata of the message inside.
const v1::Metadata& MetadataOf(const v1::Object& object);
// Of an object that has one.
v1::Metadata& MutableMetadata(v1::Object& object);

// "service web", with the project if it is not "default":
// "service shop/web".
std::string NameOf(const v1::Object& object);

}  // namespace bulwark::manifest

#endif  // MANIFEST_KINDS_H_
