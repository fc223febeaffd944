#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/testing/fake_state.h"
#include "proto/bulwark/v1/api.grpc.pb.h"

namespace bulwark::ctl::testing {
namespace {

using grpc::ServerContext;
using grpc::ServerReaderWriter;
using grpc::ServerWriter;
using grpc::Status;
using grpc::StatusCode;

class Images final : public v1::Images::Service {
 public:
  explicit Images(FakeState& state) : state_(state) {}

  Status Pull(ServerContext*, const v1::PullImageRequest* request,
              ServerWriter<v1::ImageProgress>* writer) override {
    state_.Note(absl::StrCat("Pull ", request->reference(),
                             request->all_platforms() ? " platforms" : "",
                             By(*request)));
    if (Status s = state_.Take("Pull"); !s.ok()) return s;
    WriteProgress(*writer);
    return Status::OK;
  }

  Status Load(ServerContext*,
              ServerReaderWriter<v1::ImageProgress, v1::LoadImageRequest>*
                  stream) override {
    v1::LoadImageRequest request;
    std::string data;
    bool first = true;
    while (stream->Read(&request)) {
      if (first && !request.data().empty()) {
        return Status(StatusCode::INVALID_ARGUMENT, "first message has data");
      }
      first = false;
      data += request.data();
    }
    SetUploaded(std::move(data));
    WriteProgress(*stream);
    return Status::OK;
  }

  Status Build(ServerContext*,
               ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>*
                   stream) override {
    v1::BuildImageRequest request;
    std::string data;
    while (stream->Read(&request)) {
      if (request.has_options()) {
        absl::MutexLock lock(&state_.mu);
        state_.build = request.options();
      }
      data += request.context();
    }
    SetUploaded(std::move(data));
    if (Status s = state_.Take("Build"); !s.ok()) return s;
    WriteProgress(*stream);
    return Status::OK;
  }

  Status Push(ServerContext*, const v1::PushImageRequest* request,
              ServerWriter<v1::ImageProgress>* writer) override {
    state_.Note(absl::StrCat(
        "Push ", request->reference(), " ", request->target(), " ",
        request->format(), request->all_tags() ? " all" : "",
        request->all_platforms() ? " platforms" : "", By(*request)));
    if (Status s = state_.Take("Push"); !s.ok()) return s;
    WriteProgress(*writer);
    return Status::OK;
  }
  Status ListTags(ServerContext*, const v1::ListTagsRequest* request,
                  v1::ListTagsResponse* response) override {
    state_.Note(absl::StrCat("ListTags ", request->repository(), " ",
                             request->limit(), " ", request->last(),
                             By(*request)));
    response->add_tags("1.0");
    response->add_tags("1.1");
    response->set_more(request->limit() == 2);
    return state_.Take("ListTags");
  }
  Status ListReferrers(ServerContext*, const v1::ListReferrersRequest* request,
                       v1::ListReferrersResponse* response) override {
    state_.Note(absl::StrCat("ListReferrers ", request->reference(), " ",
                             request->artifact_type(), By(*request)));
    response->set_digest("sha256:d");
    v1::Referrer& referrer = *response->add_referrers();
    referrer.set_digest("sha256:r");
    referrer.set_artifact_type("a/signature");
    referrer.set_size_bytes(1200);
    return state_.Take("ListReferrers");
  }

  Status MakeIndex(ServerContext*, const v1::MakeIndexRequest* request,
                   v1::MakeIndexResponse* response) override {
    state_.Note(absl::StrCat("MakeIndex ", request->reference(), " ",
                             absl::StrJoin(request->images(), " ")));
    response->set_digest("sha256:i");
    return state_.Take("MakeIndex");
  }
  Status List(ServerContext*, const v1::ListImagesRequest*,
              v1::ListImagesResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    for (const v1::ImageInfo& i : state_.images) *response->add_images() = i;
    return Status::OK;
  }
  Status Remove(ServerContext*, const v1::RemoveImageRequest* request,
                v1::RemoveImageResponse*) override {
    state_.Note(absl::StrCat(request->untag() ? "Untag " : "Remove ",
                             request->reference()));
    return state_.Take("Remove");
  }
  // The archive is what the test set, in two pieces.
  Status Save(ServerContext*, const v1::SaveImagesRequest* request,
              ServerWriter<v1::SaveImagesResponse>* writer) override {
    state_.Note(absl::StrCat("Save ", request->format(), " ",
                             absl::StrJoin(request->references(), " "),
                             request->all_platforms() ? " platforms" : ""));
    absl::MutexLock lock(&state_.mu);
    const size_t half = state_.archive.size() / 2;
    v1::SaveImagesResponse response;
    response.set_data(state_.archive.substr(0, half));
    writer->Write(response);
    if (!state_.failures["Save"].empty()) {
      return state_.failures["Save"].front();
    }
    response.set_data(state_.archive.substr(half));
    writer->Write(response);
    return Status::OK;
  }
  Status Import(ServerContext*,
                ServerReaderWriter<v1::ImageProgress, v1::ImportImageRequest>*
                    stream) override {
    v1::ImportImageRequest request;
    std::string data;
    while (stream->Read(&request)) {
      if (request.has_options()) {
        state_.Note(
            absl::StrCat("Import ", request.options().reference(), " ",
                         request.options().message(), " ",
                         absl::StrJoin(request.options().changes(), ";")));
      }
      data += request.data();
    }
    SetUploaded(std::move(data));
    WriteProgress(*stream);
    return Status::OK;
  }
  Status Inspect(ServerContext*, const v1::InspectImageRequest* request,
                 v1::InspectImageResponse* response) override {
    state_.Note(absl::StrCat("Inspect ", request->reference()));
    response->mutable_image()->add_references(request->reference());
    response->set_manifest("{\"schemaVersion\": 2}");
    response->set_config("{\"os\": \"linux\"}");
    response->add_layers()->set_diff_id("sha256:1");
    return state_.Take("InspectImage");
  }
  Status History(ServerContext*, const v1::ImageHistoryRequest* request,
                 v1::ImageHistoryResponse* response) override {
    state_.Note(absl::StrCat("History ", request->reference()));
    v1::ImageHistoryEntry& newest = *response->add_entries();
    newest.set_created_by("CMD [\"a\"]");
    v1::ImageHistoryEntry& first = *response->add_entries();
    first.set_created_by("COPY\n" + std::string(100, 'x'));
    first.mutable_create_time()->set_seconds(1);
    first.mutable_layer()->set_size_bytes(5'200'000);
    return Status::OK;
  }
  Status Verify(ServerContext*, const v1::VerifyImagesRequest* request,
                ServerWriter<v1::VerifyImagesResponse>* writer) override {
    state_.Note(absl::StrCat(request->repair() ? "Repair " : "Verify ",
                             absl::StrJoin(request->references(), " ")));
    v1::VerifyImagesResponse response;
    response.set_current(10);
    response.set_total(10);
    {
      absl::MutexLock lock(&state_.mu);
      for (const v1::ImageDamage& one : state_.damage) {
        *response.add_damaged() = one;
        response.mutable_damaged()->rbegin()->set_repaired(request->repair());
      }
    }
    response.set_done(true);
    writer->Write(response);
    return Status::OK;
  }
  Status Tag(ServerContext*, const v1::TagImageRequest* request,
             v1::TagImageResponse*) override {
    state_.Note(
        absl::StrCat("Tag ", request->source(), " ", request->target()));
    return state_.Take("Tag");
  }

 private:
  template <typename Request>
  static std::string By(const Request& request) {
    if (!request.has_credentials()) return "";
    return absl::StrCat(" by ", request.credentials().username(), ":",
                        request.credentials().password());
  }
  template <typename Writer>
  void WriteProgress(Writer& writer) {
    absl::MutexLock lock(&state_.mu);
    for (const v1::ImageProgress& p : state_.progress) writer.Write(p);
  }
  void SetUploaded(std::string data) {
    absl::MutexLock lock(&state_.mu);
    state_.uploaded = std::move(data);
  }
  FakeState& state_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFakeImages(FakeState& state) {
  return std::make_unique<Images>(state);
}

}  // namespace bulwark::ctl::testing
