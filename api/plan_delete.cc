#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/plan.h"
#include "api/unreadable.h"
#include "api/validate_world.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using store::Key;
using store::MetadataOf;

bool IsDeclaredKind(const std::string& kind) {
  for (const std::string& declared : DeclaredKinds()) {
    if (declared == kind) return true;
  }
  return false;
}

class Planner {
 public:
  Planner(const v1::DeleteRequest& request, const PlanContext& context)
      : request_(request), context_(context) {}

  absl::StatusOr<DeletePlan> Run() {
    Resolve();
    if (report_.ok() && missing_.ok()) CheckUsers();
    RETURN_IF_ERROR(report_.ToStatus("delete"));
    if (!missing_.ok()) {
      absl::Status status = missing_.ToStatus("delete");
      return WithDetail(absl::NotFoundError(status.message()),
                        *DetailOf(status));
    }
    DeletePlan plan;
    plan.batch.Essential();
    for (const v1::Object* object : objects_) {
      *plan.response.add_deleted() = ReferenceTo(*object);
      if (!MetadataOf(*object).has_delete_time()) {
        MarkDeleted(*object, context_, plan.batch);
      }
    }
    return plan;
  }

 private:
  void Resolve() {
    for (int i = 0; i < request_.objects_size(); ++i) {
      const v1::ObjectReference& reference = request_.objects(i);
      report_.SetObject(i);
      missing_.SetObject(i);
      if (!IsDeclaredKind(reference.kind())) {
        report_.Invalid(
            "kind",
            absl::StrCat(Quoted(reference.kind()), " cannot be deleted"),
            "delete what it derives from, e.g. its service");
        continue;
      }
      const Key key = store::ObjectKey(reference.kind(), reference.project(),
                                       reference.name());
      const v1::Object* object = context_.stored.Find(key);
      if (context_.stored.unreadable.count(key) > 0) {
        report_.Refuse("",
                       absl::StrCat("the record of ", NameOf(reference),
                                    " cannot be read"),
                       kUnreadableRemedy);
      } else if (object == nullptr) {
        missing_.Refuse("", absl::StrCat(NameOf(reference), " is not found"));
      } else if (!reference.uid().empty() &&
                 reference.uid() != MetadataOf(*object).uid()) {
        report_.Refuse(
            "uid",
            absl::StrCat(NameOf(*object), " has the uid ",
                         MetadataOf(*object).uid(), ": it is another one now"),
            "leave the uid out to delete it nevertheless");
      } else if (keys_.insert(key).second) {
        objects_.push_back(object);
        indexes_.push_back(i);
      }
    }
  }

  void CheckUsers() {
    World world;
    for (const auto& [key, object] : context_.stored.objects) {
      if (!MetadataOf(object).has_delete_time() && keys_.count(key) == 0) {
        world.entries.push_back({&object, -1});
      }
    }
    for (size_t i = 0; i < objects_.size(); ++i) {
      if (MetadataOf(*objects_[i]).has_delete_time()) continue;
      report_.SetObject(indexes_[i]);
      std::vector<std::string> users = UsersOf(world, *objects_[i]);
      for (std::string& user : PossibleUsers(context_.stored, *objects_[i])) {
        users.push_back(std::move(user));
      }
      RefuseIfNeeded(*objects_[i], users, report_);
    }
  }

  static std::string Quoted(const std::string& text) {
    return absl::StrCat("\"", text, "\"");
  }

  const v1::DeleteRequest& request_;
  const PlanContext& context_;
  Report report_;
  Report missing_;
  std::vector<const v1::Object*> objects_;
  std::vector<int> indexes_;
  std::set<Key> keys_;
};

}  // namespace

void RefuseIfNeeded(const v1::Object& object,
                    const std::vector<std::string>& users, Report& report) {
  if (!users.empty()) {
    report.Refuse("",
                  absl::StrCat(NameOf(object), " is used by ",
                               absl::StrJoin(users, ", ")),
                  "delete or change what uses it first");
  }
  if (object.has_volume() && object.volume().spec().protect()) {
    report.Refuse("spec.protect", absl::StrCat(NameOf(object), " is protected"),
                  "apply it without protect first");
  }
}

absl::StatusOr<DeletePlan> PlanDelete(const v1::DeleteRequest& request,
                                      const PlanContext& context) {
  return Planner(request, context).Run();
}

}  // namespace bulwark::api
