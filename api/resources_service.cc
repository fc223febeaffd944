#include "api/resources_service.h"

#include <utility>

#include "api/convert.h"
#include "api/fields.h"
#include "api/list_page.h"
#include "api/selection.h"
#include "api/watch.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {

grpc::Status ResourcesService::Apply(grpc::ServerContext* context,
                                     const v1::ApplyRequest* request,
                                     v1::ApplyResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/Apply",
                   [&](const v1::Identity& caller) -> absl::Status {
                     ASSIGN_OR_RETURN(*response,
                                      writer_.Apply(*request, caller));
                     return absl::OkStatus();
                   });
}

grpc::Status ResourcesService::Get(grpc::ServerContext* context,
                                   const v1::GetRequest* request,
                                   v1::Object* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Resources/Get",
      [&](const v1::Identity&) -> absl::Status {
        RETURN_IF_ERROR(CheckKind(request->kind()));
        ASSIGN_OR_RETURN(
            *response,
            store::GetObject(
                store_, store::ObjectKey(request->kind(), request->project(),
                                         request->name())));
        ClearInputOnly(*response);
        return absl::OkStatus();
      });
}

grpc::Status ResourcesService::List(grpc::ServerContext* context,
                                    const v1::ListRequest* request,
                                    v1::ListResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/List",
                   [&](const v1::Identity&) -> absl::Status {
                     ASSIGN_OR_RETURN(*response, ListPage(store_, *request));
                     return absl::OkStatus();
                   });
}

grpc::Status ResourcesService::Watch(
    grpc::ServerContext* context, const v1::WatchRequest* request,
    grpc::ServerWriter<v1::WatchEvent>* writer) {
  return gate_.Run(
      *context, "/bulwark.v1.Resources/Watch",
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(Selection selection, Selection::Of(*request));
        WatchStream stream(store_, std::move(selection));
        RETURN_IF_ERROR(stream.Run(
            request->from_revision(),
            [&](const v1::WatchEvent& event) { return writer->Write(event); },
            [&] { return context->IsCancelled() || stopper_.stopping(); }));
        if (stopper_.stopping()) {
          return absl::UnavailableError("watch: the daemon is stopping");
        }
        return absl::OkStatus();
      });
}

grpc::Status ResourcesService::Delete(grpc::ServerContext* context,
                                      const v1::DeleteRequest* request,
                                      v1::DeleteResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Resources/Delete",
                   [&](const v1::Identity& caller) -> absl::Status {
                     ASSIGN_OR_RETURN(*response,
                                      writer_.Delete(*request, caller));
                     return absl::OkStatus();
                   });
}

}  // namespace bulwark::api
