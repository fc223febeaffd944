#include "api/values.h"

#include <algorithm>
#include <utility>

#include "api/convert.h"
#include "base/check.h"
#include "store/objects.h"
#include "store/values.h"

namespace bulwark::api {
namespace {

using Versions = google::protobuf::RepeatedPtrField<v1::ValueVersion>;

void PutRows(const v1::Object& object, int64_t version, const NewValue& value,
             store::Batch& batch) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  const auto key = [&](const char* kind) {
    return store::ValueKey(kind, metadata.project(), metadata.name(), version);
  };
  if (object.has_config()) {
    batch.Put(key(store::kConfigValueKind), value.content);
    return;
  }
  batch.Put(key(store::kSecretValueKind), value.rows.value);
  batch.Put(key(store::kSecretKeyKind), value.rows.key);
}

void DeleteRows(const v1::Object& object, int64_t version,
                store::Batch& batch) {
  const v1::Metadata& metadata = store::MetadataOf(object);
  const auto drop = [&](const char* kind) {
    batch.Delete(
        store::ValueKey(kind, metadata.project(), metadata.name(), version));
  };
  if (object.has_config()) return drop(store::kConfigValueKind);
  drop(store::kSecretValueKind);
  drop(store::kSecretKeyKind);
}

}  // namespace

bool IsValueKind(const v1::Object& object) {
  return object.has_secret() || object.has_config();
}

secrets::Binding BindingOf(const v1::Object& secret, int64_t version) {
  const v1::Metadata& metadata = store::MetadataOf(secret);
  return {"secret", ProjectOr(metadata.project()), metadata.name(), version};
}

const Versions& VersionsOf(const v1::Object& object) {
  CHECK(IsValueKind(object));
  return object.has_secret() ? object.secret().status().versions()
                             : object.config().status().versions();
}

int64_t CurrentVersion(const v1::Object& object) {
  return object.has_secret() ? object.secret().status().version()
                             : object.config().status().version();
}

int64_t HighestVersion(const v1::Object& object) {
  return std::max(CurrentVersion(object),
                  object.has_secret()
                      ? object.secret().status().highest_version()
                      : object.config().status().highest_version());
}

void KeepHighestVersion(int64_t highest, v1::Object& object) {
  const int64_t above = highest > CurrentVersion(object) ? highest : 0;
  if (object.has_secret()) {
    object.mutable_secret()->mutable_status()->set_highest_version(above);
  } else {
    object.mutable_config()->mutable_status()->set_highest_version(above);
  }
}

void AddVersion(v1::Object& object, const NewValue& value,
                const v1::Identity& actor, absl::Time now,
                const PinnedInputs& pinned, store::Batch& batch) {
  v1::ValueVersion version;
  version.set_version(HighestVersion(object) + 1);
  version.set_digest(value.digest);
  version.set_size_bytes(value.size_bytes);
  version.set_rolled_back_to(value.rolled_back_to);
  *version.mutable_create_time() = ToTimestamp(now);
  *version.mutable_actor() = actor;
  PutRows(object, version.version(), value, batch);

  const v1::Metadata& metadata = store::MetadataOf(object);
  Versions kept;
  const Versions& all = VersionsOf(object);
  for (int i = 0; i < all.size(); ++i) {
    // The new one is the last of those that are kept for themselves.
    const bool recent = i >= all.size() - (kKeptVersions - 1);
    if (recent || pinned.incomplete ||
        pinned.versions.count({store::KindOf(object),
                               ProjectOr(metadata.project()), metadata.name(),
                               all[i].version()}) > 0) {
      *kept.Add() = all[i];
    } else {
      DeleteRows(object, all[i].version(), batch);
    }
  }
  const auto update = [&](auto& status) {
    status.set_version(version.version());
    status.clear_highest_version();
    status.set_digest(version.digest());
    *kept.Add() = std::move(version);
    status.mutable_versions()->Swap(&kept);
  };
  if (object.has_secret()) {
    update(*object.mutable_secret()->mutable_status());
  } else {
    update(*object.mutable_config()->mutable_status());
  }
}

void RemoveVersions(const v1::Object& object, store::Batch& batch) {
  for (const v1::ValueVersion& version : VersionsOf(object)) {
    DeleteRows(object, version.version(), batch);
  }
}

}  // namespace bulwark::api
