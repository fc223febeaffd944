#include "api/resources_service.h"

#include <string>
#include <utility>
#include <vector>

#include "api/convert.h"
#include "api/fields.h"
#include "api/list_page.h"
#include "api/selection.h"
#include "api/unreadable.h"
#include "api/watch.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

Visible VisibleTo(const Caller& caller) {
  return [caller](const v1::Object& object) { return caller.Sees(object); };
}

}  // namespace

grpc::Status ResourcesService::Apply(grpc::ServerContext* context,
                                     const v1::ApplyRequest* request,
                                     v1::ApplyResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/Apply", *request,
                   [&](const Caller& caller) -> absl::Status {
                     ASSIGN_OR_RETURN(*response,
                                      writer_.Apply(*request, caller));
                     return absl::OkStatus();
                   });
}

grpc::Status ResourcesService::Get(grpc::ServerContext* context,
                                   const v1::GetRequest* request,
                                   v1::Object* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/Get", *request,
                   [&](const v1::Identity&) -> absl::Status {
                     RETURN_IF_ERROR(CheckKind(request->kind()));
                     const store::Key key = store::ObjectKey(
                         request->kind(), request->project(), request->name());
                     absl::StatusOr<v1::Object> object =
                         store::GetObject(store_, key);
                     if (absl::IsDataLoss(object.status())) {
                       return RefuseUnreadable("get", key);
                     }
                     ASSIGN_OR_RETURN(*response, std::move(object));
                     ClearInputOnly(*response);
                     return absl::OkStatus();
                   });
}

grpc::Status ResourcesService::List(grpc::ServerContext* context,
                                    const v1::ListRequest* request,
                                    v1::ListResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/List", *request,
                   [&](const Caller& caller) -> absl::Status {
                     std::vector<store::Key> unreadable;
                     ASSIGN_OR_RETURN(*response,
                                      ListPage(store_, *request,
                                               VisibleTo(caller), unreadable));
                     WarnOfUnreadable(unreadable, *context);
                     return absl::OkStatus();
                   });
}

grpc::Status ResourcesService::Watch(
    grpc::ServerContext* context, const v1::WatchRequest* request,
    grpc::ServerWriter<v1::WatchEvent>* writer) {
  return gate_.Run(
      *context, "/bulwark.v1.Resources/Watch", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(Selection selection, Selection::Of(*request));
        const std::vector<Demand> demands =
            DemandsOf(*FindRule("/bulwark.v1.Resources/Watch"), request);
        WatchStream stream(store_, std::move(selection), VisibleTo(caller));
        RETURN_IF_ERROR(stream.Run(
            request->from_revision(),
            [&](const v1::WatchEvent& event) { return writer->Write(event); },
            [&] {
              return context->IsCancelled() || stopper_.stopping() ||
                     !caller.Require(demands).ok();
            },
            [&](const std::vector<store::Key>& unreadable) {
              WarnOfUnreadable(unreadable, *context);
            }));
        // It may have been taken away meanwhile.
        RETURN_IF_ERROR(caller.Require(demands));
        if (stopper_.stopping()) {
          return absl::UnavailableError("watch: the daemon is stopping");
        }
        return absl::OkStatus();
      });
}

grpc::Status ResourcesService::Delete(grpc::ServerContext* context,
                                      const v1::DeleteRequest* request,
                                      v1::DeleteResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/Delete", *request,
                   [&](const Caller& caller) -> absl::Status {
                     ASSIGN_OR_RETURN(*response,
                                      writer_.Delete(*request, caller));
                     return absl::OkStatus();
                   });
}

}  // namespace bulwark::api
