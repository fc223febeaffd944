#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/ask_images.h"
#include "api/changes.h"
#include "api/convert.h"
#include "api/defaulting.h"
#include "api/errors.h"
#include "api/fields.h"
#include "api/plan.h"
#include "api/unreadable.h"
#include "api/unserved.h"
#include "api/validate_world.h"
#include "api/warnings.h"
#include "base/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;
using store::Key;
using store::MetadataOf;
using store::MutableMetadata;

constexpr int kMaxObjects = 1000;

bool IsDeclaredKind(const std::string& kind) {
  for (const std::string& declared : DeclaredKinds()) {
    if (declared == kind) return true;
  }
  return false;
}

const Message& Inner(const v1::Object& object) {
  const auto& reflection = *object.GetReflection();
  return reflection.GetMessage(
      object, reflection.GetOneofFieldDescriptor(
                  object, object.GetDescriptor()->oneof_decl(0)));
}

Message& MutableInner(v1::Object& object) {
  const auto& reflection = *object.GetReflection();
  return *reflection.MutableMessage(
      &object, reflection.GetOneofFieldDescriptor(
                   object, object.GetDescriptor()->oneof_decl(0)));
}

const Message& SpecOf(const v1::Object& object) {
  const Message& inner = Inner(object);
  return inner.GetReflection()->GetMessage(
      inner, inner.GetDescriptor()->FindFieldByName("spec"));
}

bool SameLabels(const v1::Metadata& a, const v1::Metadata& b) {
  if (a.labels_size() != b.labels_size()) return false;
  for (const auto& [key, value] : a.labels()) {
    const auto other = b.labels().find(key);
    if (other == b.labels().end() || other->second != value) return false;
  }
  return true;
}

bool HasLabels(const v1::Metadata& metadata,
               const google::protobuf::Map<std::string, std::string>& labels) {
  for (const auto& [key, value] : labels) {
    const auto found = metadata.labels().find(key);
    if (found == metadata.labels().end() || found->second != value) {
      return false;
    }
  }
  return true;
}

// One object of the request on its way.
struct Candidate {
  v1::Object object;         // defaulted, without what clients may not write
  const v1::Object* before;  // as stored; null: new
  std::optional<NewValue> value;  // of a secret or config, if it changes
};

class Planner {
 public:
  Planner(const v1::ApplyRequest& request, const PlanContext& context)
      : request_(request), context_(context) {}

  absl::StatusOr<ApplyPlan> Run() {
    ReadRequest();
    if (report_.ok()) ChoosePruned();
    if (report_.ok()) CheckWorld();
    if (report_.ok()) CheckValues();
    RETURN_IF_ERROR(report_.ToStatus(Title()));
    RETURN_IF_ERROR(CheckVersions());
    for (Candidate& candidate : candidates_) {
      RETURN_IF_ERROR(TakeValue(candidate));
    }
    for (size_t i = 0; i < candidates_.size(); ++i) {
      Decide(candidates_[i], request_.objects(static_cast<int>(i)));
    }
    for (const v1::Object* object : pruned_) {
      Need(object, nullptr);
      MarkDeleted(*object, context_, plan_.batch);
      v1::ApplyResult& result = *plan_.response.add_results();
      result.set_action(v1::ApplyResult::DELETED);
      *result.mutable_object() = *object;
    }
    if (OnlyNewServices()) plan_.batch.SeenEarlyAndFollowed();
    return std::move(plan_);
  }

 private:
  // Should the machine die before they are on the disk, and so before the
  // client is answered, nothing is left that anybody could take for them.
  bool OnlyNewServices() const {
    return std::all_of(plan_.response.results().begin(),
                       plan_.response.results().end(),
                       [](const v1::ApplyResult& result) {
                         return result.action() == v1::ApplyResult::CREATED &&
                                result.object().has_service();
                       });
  }

  std::string Title() const {
    if (candidates_.size() == 1 && request_.objects_size() == 1) {
      return absl::StrCat("apply ", NameOf(candidates_[0].object));
    }
    return absl::StrCat("apply ", request_.objects_size(), " objects");
  }

  void ReadRequest() {
    if (request_.objects_size() > kMaxObjects) {
      report_.Invalid("", "more than 1000 objects in one apply",
                      "apply them in parts");
      return;
    }
    std::set<Key> seen;
    for (int i = 0; i < request_.objects_size(); ++i) {
      report_.SetObject(i);
      std::optional<v1::Object> object = Read(request_.objects(i));
      if (!object.has_value()) continue;
      const Key key = store::KeyOf(*object);
      if (!seen.insert(key).second) {
        report_.Invalid("metadata.name",
                        absl::StrCat(NameOf(*object), " is declared twice"),
                        "keep one of the two");
      }
      const v1::Object* before = context_.stored.Find(key);
      if (before != nullptr) CheckAgainst(*before, *object);
      if (context_.stored.unreadable.count(key) > 0) {
        report_.Refuse(
            "metadata.name",
            absl::StrCat("the record of ", NameOf(*object), " cannot be read"),
            kUnreadableRemedy);
      }
      keys_.insert(key);
      candidates_.push_back({*std::move(object), before, std::nullopt});
    }
    report_.SetObject(-1);
  }

  std::optional<v1::Object> Read(const v1::Object& given) {
    const std::string kind = store::KindOf(given);
    if (kind.empty()) {
      report_.Invalid("kind", "is required");
      return std::nullopt;
    }
    if (!IsDeclaredKind(kind)) {
      report_.Invalid("kind",
                      absl::StrCat("a ", kind, " is made by bulwarkd alone"),
                      "apply what it derives from, e.g. a service");
      return std::nullopt;
    }
    v1::Object object = given;
    ClearOutputOnly(MutableInner(object));
    SetDefaults(object);
    ValidateObject(object, context_.normalize, report_);
    ValidateServed(object, report_);
    return object;
  }

  void CheckAgainst(const v1::Object& before, const v1::Object& object) {
    if (MetadataOf(before).has_delete_time()) {
      report_.Refuse("metadata.name",
                     absl::StrCat(NameOf(before), " is being deleted"),
                     "apply it again when it is gone");
      return;
    }
    ValidateImmutable(SpecOf(before), SpecOf(object), "spec", report_);
    if (object.has_job()) {
      ValidateJobChange(before.job(), object.job(), report_);
    }
    if (object.has_volume()) {
      ValidateVolumeChange(before.volume().spec(), object.volume().spec(),
                           report_);
    }
  }

  // What carries the labels, and is not in the request.
  void ChoosePruned() {
    if (request_.prune_labels().empty()) return;
    std::set<Key> kept;
    for (const Candidate& candidate : candidates_) {
      kept.insert(store::KeyOf(candidate.object));
    }
    const std::string project = ProjectOr(request_.prune_project());
    for (const auto& [key, object] : context_.stored.objects) {
      if (key.project != project || kept.count(key) > 0) continue;
      if (MetadataOf(object).has_delete_time()) continue;
      if (!HasLabels(MetadataOf(object), request_.prune_labels())) continue;
      // A cron job's job has its labels; it goes by the cron job's rules.
      if (MetadataOf(object).has_owner()) continue;
      pruned_.push_back(&object);
      pruned_keys_.insert(key);
    }
  }

  void CheckWorld() {
    World world;
    std::set<Key> replaced;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      world.entries.push_back(
          {&candidates_[i].object, static_cast<int>(i), candidates_[i].before});
      replaced.insert(store::KeyOf(candidates_[i].object));
    }
    for (const auto& [key, object] : context_.stored.objects) {
      if (replaced.count(key) > 0) continue;
      if (MetadataOf(object).has_delete_time() || pruned_keys_.count(key) > 0) {
        world.leaving.insert(key);
      } else {
        world.entries.push_back({&object, -1});
      }
    }
    ValidateWorld(world, report_);
    for (const v1::Object* object : pruned_) {
      std::vector<std::string> users = UsersOf(world, *object);
      for (std::string& user : PossibleUsers(context_.stored, *object)) {
        users.push_back(std::move(user));
      }
      RefuseIfNeeded(*object, users, report_);
    }
  }

  void CheckValues() {
    for (size_t i = 0; i < candidates_.size(); ++i) {
      const Candidate& candidate = candidates_[i];
      if (candidate.before != nullptr || !candidate.object.has_secret() ||
          !candidate.object.secret().spec().sealed_value().empty()) {
        continue;
      }
      report_.SetObject(static_cast<int>(i));
      report_.Invalid("spec.sealedValue", "is required for a new secret",
                      absl::StrCat("`ctl secret create ",
                                   MetadataOf(candidate.object).name(),
                                   "` seals a value and sends it"));
    }
    report_.SetObject(-1);
  }

  // Opens a secret's new value and encrypts it for the store, before anything
  // is decided: while the vault is sealed nothing of the request happens.
  absl::Status TakeValue(Candidate& candidate) const {
    if (!IsValueKind(candidate.object)) return absl::OkStatus();
    NewValue value;
    const bool is_new = candidate.before == nullptr;
    const int64_t version = is_new ? 0 : HighestVersion(*candidate.before);
    if (candidate.object.has_config()) {
      value.content = candidate.object.config().spec().value();
      value.digest = secrets::PlainDigest(value.content);
      value.size_bytes = static_cast<int64_t>(value.content.size());
    } else {
      std::string sealed;
      v1::SecretSpec& spec = *candidate.object.mutable_secret()->mutable_spec();
      sealed.swap(*spec.mutable_sealed_value());
      if (sealed.empty()) return absl::OkStatus();
      if (context_.vault == nullptr) {
        return absl::FailedPreconditionError("secrets are not available");
      }
      ASSIGN_OR_RETURN(secrets::AcceptedValue accepted,
                       context_.vault->Accept(
                           BindingOf(candidate.object, version + 1), sealed));
      value.rows = std::move(accepted.rows);
      value.digest = std::move(accepted.digest);
      value.size_bytes = accepted.size_bytes;
    }
    if (!is_new && value.digest == DigestOf(*candidate.before)) {
      return absl::OkStatus();
    }
    candidate.value = std::move(value);
    return absl::OkStatus();
  }

  static const std::string& DigestOf(const v1::Object& object) {
    return object.has_secret() ? object.secret().status().digest()
                               : object.config().status().digest();
  }

  void AddValue(const Candidate& candidate, v1::Object& object) {
    if (!candidate.value.has_value()) return;
    AddVersion(object, *candidate.value, context_.caller, context_.now,
               context_.stored.pinned, plan_.batch);
  }

  absl::Status CheckVersions() const {
    for (const Candidate& candidate : candidates_) {
      const std::string& given =
          MetadataOf(candidate.object).resource_version();
      const std::string current =
          candidate.before == nullptr
              ? ""
              : MetadataOf(*candidate.before).resource_version();
      if (given.empty() || given == current) continue;
      return WithRemedy(absl::AbortedError(absl::StrCat(
                            "apply ", NameOf(candidate.object), ": it ",
                            current.empty() ? "is gone" : "has changed",
                            " since resource version ", given)),
                        "read it again, and make the change to that");
    }
    return absl::OkStatus();
  }

  void Decide(Candidate& candidate, const v1::Object& written) {
    v1::ApplyResult& result = *plan_.response.add_results();
    for (std::string& warning :
         WarningsOf(written, candidate.object, context_.host_memory)) {
      result.add_warnings(std::move(warning));
    }
    for (std::string& warning :
         WarningsOfMissing(candidate.object,
                           [this](const Key& key) { return IsThere(key); })) {
      result.add_warnings(std::move(warning));
    }
    if (candidate.before == nullptr) {
      Create(candidate.object);
      Need(nullptr, &candidate.object);
      Tell(nullptr, candidate.object, result);
      AddValue(candidate, candidate.object);
      result.set_action(v1::ApplyResult::CREATED);
      PutWithEvent(candidate.object, Sentence("created", candidate.object),
                   context_, plan_.batch);
      *result.mutable_object() = std::move(candidate.object);
      return;
    }
    const v1::Metadata& before = MetadataOf(*candidate.before);
    const bool same_spec = !candidate.value.has_value() &&
                           MessageDifferencer::Equals(SpecOf(*candidate.before),
                                                      SpecOf(candidate.object));
    if (same_spec && SameLabels(before, MetadataOf(candidate.object))) {
      result.set_action(v1::ApplyResult::UNCHANGED);
      *result.mutable_object() = *candidate.before;
      AskAgain(candidate);
      return;
    }
    Need(candidate.before, &candidate.object);
    Tell(candidate.before, candidate.object, result);
    v1::Object after = Merge(*candidate.before, candidate.object);
    AddValue(candidate, after);
    *MutableMetadata(after).mutable_actor() = context_.caller;
    if (!same_spec) {
      MutableMetadata(after).set_generation(before.generation() + 1);
    }
    result.set_action(v1::ApplyResult::CONFIGURED);
    PutWithEvent(after, Sentence("changed", after), context_, plan_.batch);
    *result.mutable_object() = std::move(after);
  }

  // `pull: always` means at each apply, also at one that changes nothing.
  void AskAgain(const Candidate& candidate) {
    if (context_.reason != kAppliedReason || !PullsAlways(*candidate.before)) {
      return;
    }
    Need(candidate.before, &candidate.object);
    v1::Object after = *candidate.before;
    AskForImages(*after.mutable_service(), context_.now);
    PutWithEvent(after,
                 absl::StrCat("the images of ", NameOf(after),
                              " are looked up again, as ",
                              context_.caller.name(), " applied it again"),
                 context_, plan_.batch);
  }

  static void Tell(const v1::Object* before, const v1::Object& after,
                   v1::ApplyResult& result) {
    for (v1::FieldChange& change : ChangesOf(before, after)) {
      *result.add_changes() = std::move(change);
    }
  }

  void Need(const v1::Object* before, const v1::Object* after) {
    std::vector<Demand> demands = DemandsOfChange(before, after);
    plan_.demands.insert(plan_.demands.end(), demands.begin(), demands.end());
  }

  // After the request.
  bool IsThere(const Key& key) const {
    if (context_.stored.unreadable.count(key) > 0) return true;
    return keys_.count(key) > 0 || (context_.stored.Find(key) != nullptr &&
                                    pruned_keys_.count(key) == 0);
  }

  std::string Sentence(absl::string_view verb, const v1::Object& object) const {
    return absl::StrCat(
        NameOf(object), " was ", verb, " by ", context_.caller.name(),
        IsValueKind(object)
            ? absl::StrCat(" (version ", CurrentVersion(object), ")")
            : "");
  }

  void Create(v1::Object& object) const {
    v1::Metadata& metadata = MutableMetadata(object);
    metadata.set_uid(NewUid(context_.entropy));
    metadata.set_generation(1);
    metadata.clear_resource_version();
    *metadata.mutable_create_time() = ToTimestamp(context_.now);
    *metadata.mutable_actor() = context_.caller;
  }

  // The stored object with the new one's labels and spec.
  static v1::Object Merge(const v1::Object& before, const v1::Object& object) {
    v1::Object after = before;
    *MutableMetadata(after).mutable_labels() = MetadataOf(object).labels();
    google::protobuf::Message& inner = MutableInner(after);
    inner.GetReflection()
        ->MutableMessage(&inner, inner.GetDescriptor()->FindFieldByName("spec"))
        ->CopyFrom(SpecOf(object));
    return after;
  }

  const v1::ApplyRequest& request_;
  const PlanContext& context_;
  Report report_;
  std::vector<Candidate> candidates_;
  std::vector<const v1::Object*> pruned_;
  std::set<Key> pruned_keys_;
  std::set<Key> keys_;  // of the candidates
  ApplyPlan plan_;
};

}  // namespace

absl::StatusOr<ApplyPlan> PlanApply(const v1::ApplyRequest& request,
                                    const PlanContext& context) {
  return Planner(request, context).Run();
}

}  // namespace bulwark::api
