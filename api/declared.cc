#include "api/declared.h"

#include <utility>

#include "api/convert.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

constexpr char kRevision[] = "revision";

std::vector<std::string> Kinds() {
  std::vector<std::string> kinds = DeclaredKinds();
  kinds.push_back(kRevision);
  return kinds;
}

}  // namespace

Declared::Declared(store::MetadataStore& store) : catch_up_(store, Kinds()) {}

absl::StatusOr<const StoredObjects*> Declared::Read() {
  ASSIGN_OR_RETURN(
      stored_.revision,
      catch_up_.Run([this] { Reset(); },
                    [this](const store::Key& key, absl::string_view value,
                           uint64_t revision) { Put(key, value, revision); },
                    [this](const store::Key& key) { Remove(key); }));
  if (!std::exchange(pins_changed_, false)) return &stored_;
  stored_.pinned = PinnedInputs();
  stored_.pinned.incomplete = !unreadable_revisions_.empty();
  for (const auto& [key, inputs] : inputs_) {
    for (const v1::InputVersion& input : inputs) {
      stored_.pinned.versions.insert({input.kind(), ProjectOr(key.project),
                                      input.name(), input.version()});
    }
  }
  return &stored_;
}

void Declared::Reset() {
  stored_ = StoredObjects();
  inputs_.clear();
  unreadable_revisions_.clear();
  pins_changed_ = true;
}

void Declared::Put(const store::Key& key, absl::string_view value,
                   uint64_t revision) {
  absl::StatusOr<v1::Object> object = store::Decode(key, value, revision);
  Remove(key);
  if (key.kind != kRevision) {
    if (object.ok()) {
      stored_.objects.insert_or_assign(key, *std::move(object));
    } else {
      stored_.unreadable.insert(key);
    }
    return;
  }
  if (!object.ok()) {
    unreadable_revisions_.insert(key);
    pins_changed_ = true;
    return;
  }
  const auto& inputs = object->revision().template_().inputs();
  if (inputs.empty()) return;
  inputs_[key] = {inputs.begin(), inputs.end()};
  pins_changed_ = true;
}

void Declared::Remove(const store::Key& key) {
  if (key.kind == kRevision) {
    if (inputs_.erase(key) + unreadable_revisions_.erase(key) > 0) {
      pins_changed_ = true;
    }
    return;
  }
  stored_.objects.erase(key);
  stored_.unreadable.erase(key);
}

}  // namespace bulwark::api
