#include "api/backup/restore_plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/values.h"
#include "base/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using google::protobuf::Message;
using record::v1::BackupEntry;
using store::Key;
using store::MetadataOf;
using store::MutableMetadata;

constexpr absl::string_view kHistory[] = {"revision", "scale"};
constexpr absl::string_view kVerbatim[] = {
    "secret-value", "secret-key", "config-value", "registry-credential"};
constexpr char kKeyring[] = "keyring";
constexpr size_t kNamed = 5;

template <size_t N>
bool IsIn(const absl::string_view (&list)[N], absl::string_view kind) {
  return std::find(std::begin(list), std::end(list), kind) != std::end(list);
}

absl::Status Broken(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("read the backup: ", what));
}

Message& MutableInner(v1::Object& object) {
  const auto& reflection = *object.GetReflection();
  return *reflection.MutableMessage(
      &object, reflection.GetOneofFieldDescriptor(
                   object, object.GetDescriptor()->oneof_decl(0)));
}

// The status of `from`, or none.
void SetStatus(v1::Object& object, v1::Object* from) {
  Message& inner = MutableInner(object);
  const auto* field = inner.GetDescriptor()->FindFieldByName("status");
  if (field == nullptr) return;
  inner.GetReflection()->ClearField(&inner, field);
  if (from == nullptr) return;
  Message& other = MutableInner(*from);
  if (!other.GetReflection()->HasField(other, field)) return;
  inner.GetReflection()
      ->MutableMessage(&inner, field)
      ->CopyFrom(other.GetReflection()->GetMessage(other, field));
}

bool SameSpec(v1::Object a, v1::Object b) {
  for (v1::Object* object : {&a, &b}) {
    Message& inner = MutableInner(*object);
    inner.GetReflection()->ClearField(
        &inner, inner.GetDescriptor()->FindFieldByName("metadata"));
    SetStatus(*object, nullptr);
  }
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// Nobody declared it: bulwarkd makes a network "default" by itself.
bool IsOwn(const store::Record& record) {
  if (record.key.kind != "network") return false;
  const absl::StatusOr<v1::Object> object = store::Decode(record);
  return object.ok() && !object->network().metadata().has_actor();
}

// `spec` aside, what users declare of an object.
bool SameLabels(const v1::Object& a, const v1::Object& b) {
  const auto& one = MetadataOf(a).labels();
  const auto& other = MetadataOf(b).labels();
  return one.size() == other.size() &&
         std::all_of(one.begin(), one.end(), [&](const auto& label) {
           const auto found = other.find(label.first);
           return found != other.end() && found->second == label.second;
         });
}

// Versions of a secret or config, with their values' digests.
bool SameVersions(const v1::Object& a, const v1::Object& b) {
  const auto versions = [](const v1::Object& object) {
    return object.has_secret() ? object.secret().status().versions()
                               : object.config().status().versions();
  };
  const auto one = versions(a), other = versions(b);
  return CurrentVersion(a) == CurrentVersion(b) &&
         std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const v1::ValueVersion& x, const v1::ValueVersion& y) {
                      return x.version() == y.version() &&
                             x.digest() == y.digest();
                    });
}

class Planner {
 public:
  Planner(const Backup& backup, const store::Listing& here,
          const RestoreOptions& options, const PlanContext& context)
      : backup_(backup), options_(options), context_(context) {
    for (const store::Record& record : here.records) {
      here_.emplace(record.key, &record);
    }
  }

  absl::StatusOr<RestorePlan> Run() {
    RETURN_IF_ERROR(CheckEmpty());
    for (const auto& [key, value] : backup_.rows) {
      if (UseOf(key.kind) == BackupUse::kDeclared) {
        RETURN_IF_ERROR(Restore(key, value));
      }
    }
    if (!leaving_.empty()) {
      return WithRemedy(
          absl::FailedPreconditionError(absl::StrCat(
              "restore: ", Some(leaving_), " is being deleted here")),
          "try again when it is gone");
    }
    for (const auto& [key, value] : backup_.rows) {
      if (UseOf(key.kind) == BackupUse::kHistory) {
        RETURN_IF_ERROR(RestoreHistory(key, value));
      } else if (UseOf(key.kind) == BackupUse::kVerbatim) {
        Put(key, value);
      }
    }
    for (const auto& [key, record] : here_) {
      if (backup_.rows.count(key) == 0) RETURN_IF_ERROR(Leave(*record));
    }
    for (const auto& [key, action] : actions_) Tell(key, action);
    if (options_.keyring.has_value()) {
      Put({kKeyring, "", "secrets"}, *options_.keyring);
    }
    return std::move(plan_);
  }

 private:
  using Action = v1::ApplyResult;

  void Tell(const Key& key, Action::Action action) {
    std::optional<v1::Object> object = store::NewObject(key.kind);
    if (!object.has_value()) return;
    MutableMetadata(*object).set_name(key.name);
    MutableMetadata(*object).set_project(key.project);
    v1::ApplyResult& result = plan_.results.emplace_back();
    result.set_action(action);
    *result.mutable_object() = *std::move(object);
  }

  static std::string Some(const std::vector<std::string>& names) {
    if (names.size() <= kNamed) return absl::StrJoin(names, ", ");
    const std::vector<std::string> first(names.begin(), names.begin() + kNamed);
    return absl::StrCat(absl::StrJoin(first, ", "), " and ",
                        names.size() - kNamed, " more");
  }

  absl::Status CheckEmpty() const {
    if (options_.replace) return absl::OkStatus();
    std::vector<std::string> names;
    for (const auto& [key, record] : here_) {
      if (UseOf(key.kind) != BackupUse::kDeclared || IsOwn(*record)) continue;
      names.push_back(absl::StrCat(
          key.kind, " ", key.project == "default" ? "" : key.project + "/",
          key.name));
    }
    if (names.empty()) return absl::OkStatus();
    return WithRemedy(
        absl::FailedPreconditionError(
            absl::StrCat("restore: ", Some(names), " ",
                         names.size() == 1 ? "is" : "are", " declared here")),
        "with --replace everything is made as it was in the backup: what is "
        "not in it is deleted, but for volumes");
  }

  const store::Record* Find(const Key& key) const {
    const auto found = here_.find(key);
    return found == here_.end() ? nullptr : found->second;
  }

  // With the revision that was seen: another's write in between is noticed.
  void Put(const Key& key, const std::string& value) {
    const store::Record* current = Find(key);
    if (current != nullptr && current->value == value) return;
    plan_.batch.Put(key, value, current == nullptr ? 0 : current->revision);
  }

  absl::Status Restore(const Key& key, const std::string& value) {
    ASSIGN_OR_RETURN(v1::Object object, store::Decode(key, value, 0));
    const store::Record* current = Find(key);
    // It was on its way out.
    if (MetadataOf(object).has_delete_time()) {
      if (current != nullptr) actions_[key] = Action::UNCHANGED;
      return absl::OkStatus();
    }
    ++plan_.objects;
    if (current == nullptr) {
      new_.insert(key);
      actions_[key] = Action::CREATED;
      // Controllers find out what they are on this host.
      if (object.has_volume() || object.has_network()) {
        SetStatus(object, nullptr);
      }
      Put(key, store::Encode(object));
      return absl::OkStatus();
    }
    absl::StatusOr<v1::Object> decoded = store::Decode(*current);
    if (!decoded.ok()) {
      // What cannot be read is what a restore is for.
      actions_[key] = Action::CONFIGURED;
      Put(key, store::Encode(object));
      return absl::OkStatus();
    }
    v1::Object& before = *decoded;
    if (MetadataOf(before).has_delete_time()) {
      leaving_.push_back(NameOf(before));
      return absl::OkStatus();
    }
    const v1::Metadata& old = MetadataOf(before);
    v1::Metadata& metadata = MutableMetadata(object);
    metadata.set_uid(old.uid());
    *metadata.mutable_create_time() = old.create_time();
    const bool same = SameSpec(before, object);
    const bool all_same =
        same && SameLabels(before, object) &&
        (!IsValueKind(object) || SameVersions(before, object));
    actions_[key] = all_same ? Action::UNCHANGED : Action::CONFIGURED;
    metadata.set_generation(old.generation() + (same ? 0 : 1));
    metadata.clear_actor();
    if (!same) {
      *metadata.mutable_actor() = context_.caller;
    } else if (old.has_actor()) {
      *metadata.mutable_actor() = old.actor();
    }
    if (IsValueKind(object)) {
      // A revision that failed here with a version must not be taken for one
      // with a later value.
      KeepHighestVersion(
          std::max(HighestVersion(before), HighestVersion(object)), object);
    } else {
      SetStatus(object, &before);
    }
    Put(key, store::Encode(object));
    return absl::OkStatus();
  }

  absl::Status RestoreHistory(const Key& key, const std::string& value) {
    ASSIGN_OR_RETURN(const v1::Object object, store::Decode(key, value, 0));
    Key owner = store::ObjectKey("service", key.project, key.name);
    if (object.has_revision()) {
      const v1::Revision& revision = object.revision();
      owner = revision.job().empty()
                  ? store::ObjectKey("service", key.project, revision.service())
                  : store::ObjectKey("job", key.project, revision.job());
    }
    // One that is here has a history of its own.
    if (new_.count(owner) > 0 && Find(key) == nullptr) Put(key, value);
    return absl::OkStatus();
  }

  // What becomes of a row that is not in the backup.
  absl::Status Leave(const store::Record& record) {
    const BackupUse use = UseOf(record.key.kind);
    if (use == BackupUse::kVerbatim) {
      plan_.batch.Delete(record.key, record.revision);
      return absl::OkStatus();
    }
    if (use != BackupUse::kDeclared) return absl::OkStatus();
    absl::StatusOr<v1::Object> decoded = store::Decode(record);
    actions_[record.key] = Action::UNCHANGED;
    // How to take down what it stands for is not known.
    if (!decoded.ok()) return absl::OkStatus();
    v1::Object& object = *decoded;
    if (MetadataOf(object).has_delete_time()) {
      actions_.erase(record.key);
      return absl::OkStatus();
    }
    if (object.has_volume()) return absl::OkStatus();
    actions_[record.key] = Action::DELETED;
    if (IsValueKind(object)) {
      plan_.batch.Delete(record.key, record.revision);
    } else {
      MarkDeleted(std::move(object), context_, plan_.batch);
    }
    return absl::OkStatus();
  }

  const Backup& backup_;
  const RestoreOptions& options_;
  const PlanContext& context_;
  std::map<Key, const store::Record*> here_;
  std::set<Key> new_;
  std::vector<std::string> leaving_;
  std::map<Key, Action::Action> actions_;
  RestorePlan plan_;
};

}  // namespace

BackupUse UseOf(absl::string_view kind) {
  for (const std::string& declared : DeclaredKinds()) {
    if (kind == declared) return BackupUse::kDeclared;
  }
  if (IsIn(kHistory, kind)) return BackupUse::kHistory;
  return IsIn(kVerbatim, kind) ? BackupUse::kVerbatim : BackupUse::kLeftOut;
}

std::vector<BackupEntry> EntriesOf(const store::Listing& listing,
                                   record::v1::BackupHead head) {
  std::vector<BackupEntry> entries(1);
  *entries[0].mutable_head() = std::move(head);
  for (const store::Record& record : listing.records) {
    if (UseOf(record.key.kind) == BackupUse::kLeftOut) continue;
    BackupEntry entry;
    entry.mutable_row()->set_key(record.key.ToString());
    entry.mutable_row()->set_value(record.value);
    entries.push_back(std::move(entry));
  }
  const auto rows = static_cast<int64_t>(entries.size()) - 1;
  entries.emplace_back().mutable_end()->set_rows(rows);
  return entries;
}

absl::StatusOr<Backup> ReadBackup(const std::vector<BackupEntry>& entries) {
  if (entries.size() < 2 || !entries.front().has_head() ||
      !entries.back().has_end() ||
      entries.back().end().rows() != static_cast<int64_t>(entries.size()) - 2) {
    return Broken("its rows are not complete");
  }
  Backup backup;
  backup.head = entries.front().head();
  for (size_t i = 1; i + 1 < entries.size(); ++i) {
    if (!entries[i].has_row()) return Broken("an entry is no row");
    const record::v1::BackupRow& row = entries[i].row();
    const absl::StatusOr<Key> key = Key::Parse(row.key());
    if (!key.ok()) return Broken(key.status().message());
    // Of a newer version: what it means is not known here.
    if (UseOf(key->kind) == BackupUse::kLeftOut) {
      return absl::FailedPreconditionError(absl::StrCat(
          "read the backup: this version of bulwarkd does not know rows of the "
          "kind ",
          key->kind, "; restore it with version ", backup.head.version()));
    }
    if (!backup.rows.emplace(*key, row.value()).second) {
      return Broken(absl::StrCat(row.key(), " is in it twice"));
    }
  }
  return backup;
}

absl::StatusOr<RestorePlan> PlanRestore(const Backup& backup,
                                        const store::Listing& here,
                                        const RestoreOptions& options,
                                        const PlanContext& context) {
  return Planner(backup, here, options, context).Run();
}

}  // namespace bulwark::api
