// Pushing, saving, importing, looking into and verifying images, over the
// socket and a scripted engine.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "tests/integration/api/fixture.h"
#include "tests/integration/api/scripted_exchange.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kDigest;
using testing::ScriptedExchange;
using ::testing::SizeIs;

class ImagesExchangeTest : public ApiTest {
 protected:
  void SetUp() override {
    content_ = &scripted_;
    exchange_ = &scripted_;
    options_.max_archive_bytes = 1000;
    StartServer();
    stub_ = v1::Images::NewStub(channel_);
  }

  template <typename Message, typename Stream>
  static absl::StatusOr<std::vector<Message>> Collect(Stream& stream) {
    std::vector<Message> messages;
    Message message;
    while (stream.Read(&message)) messages.push_back(message);
    const absl::Status status = FromGrpc(stream.Finish());
    if (!status.ok()) return status;
    return messages;
  }

  absl::StatusOr<std::vector<v1::ImageProgress>> Pull(
      const v1::PullImageRequest& request) {
    grpc::ClientContext context;
    auto reader = stub_->Pull(&context, request);
    return Collect<v1::ImageProgress>(*reader);
  }
  absl::StatusOr<std::vector<v1::ImageProgress>> Push(
      const v1::PushImageRequest& request) {
    grpc::ClientContext context;
    auto reader = stub_->Push(&context, request);
    return Collect<v1::ImageProgress>(*reader);
  }
  void Have(const std::string& reference) {
    images_.Publish(reference);
    v1::PullImageRequest request;
    request.set_reference(reference);
    ASSERT_OK(Pull(request));
  }

  ScriptedExchange scripted_;
  std::unique_ptr<v1::Images::Stub> stub_;
};

TEST_F(ImagesExchangeTest, WhenPushed_ProgressAndTheDigestThereCome) {
  Have("host/app:1");
  v1::PushImageRequest request;
  request.set_reference("host/app:1");
  request.set_target("other/app:2");
  request.set_format("oci");
  request.mutable_credentials()->set_username("me");
  request.mutable_credentials()->set_password("secret");

  ASSERT_OK_AND_ASSIGN(const auto messages, Push(request));

  ASSERT_THAT(messages, SizeIs(2));
  EXPECT_EQ(messages[0].status(), "uploading");
  ASSERT_THAT(messages[1].images(), SizeIs(1));
  EXPECT_EQ(messages[1].images(0).digest(), kDigest);
  EXPECT_THAT(messages[1].images(0).references(), ElementsAre("other/app:2"));
  ASSERT_THAT(scripted_.pushes, SizeIs(1));
  EXPECT_EQ(scripted_.pushes[0].format, engine::ImageFormat::kOci);
  EXPECT_EQ(scripted_.pushes[0].auth->password.Reveal(), "secret");
}

TEST_F(ImagesExchangeTest, WhenAllPlatformsAreWanted_TheEngineIsToldSo) {
  const std::string index = images_.PublishIndex("host/far:1", false);
  v1::PullImageRequest pull;
  pull.set_reference("host/far:1");
  EXPECT_THAT(Pull(pull), StatusIs(absl::StatusCode::kNotFound));
  pull.set_all_platforms(true);
  ASSERT_OK_AND_ASSIGN(auto messages, Pull(pull));
  EXPECT_TRUE(messages.back().images(0).is_index());
  EXPECT_EQ(messages.back().images(0).index_digests().at("host/far:1"), index);
  // Nothing of it runs here, and still it can go.
  v1::PushImageRequest push;
  push.set_reference("host/far:1");
  push.set_all_platforms(true);
  ASSERT_OK_AND_ASSIGN(messages, Push(push));
  EXPECT_EQ(messages.back().images(0).digest(), kDigest);
  EXPECT_TRUE(scripted_.pushes.back().all_platforms);
  v1::SaveImagesRequest save;
  save.add_references("host/far:1");
  save.set_all_platforms(true);
  {
    grpc::ClientContext context;
    auto reader = stub_->Save(&context, save);
    ASSERT_OK(Collect<v1::SaveImagesResponse>(*reader));
  }
  EXPECT_TRUE(scripted_.save.all_platforms);
}

TEST_F(ImagesExchangeTest, WhenAnIndexIsMade_ItsDigestComes) {
  v1::MakeIndexRequest request;
  request.set_reference("app:1");
  request.add_images("app:1-amd64");
  request.add_images("app:1-arm64");
  v1::MakeIndexResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->MakeIndex(&context, request, &response).ok());
  }
  EXPECT_EQ(response.digest(), kDigest);
  EXPECT_EQ(scripted_.index.reference, "app:1");
  EXPECT_THAT(scripted_.index.images,
              ElementsAre("app:1-amd64", "app:1-arm64"));
  scripted_.result = absl::InvalidArgumentError("two are for one");
  grpc::ClientContext context;
  EXPECT_EQ(stub_->MakeIndex(&context, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ImagesExchangeTest, WhenAllTagsArePushed_EachOfTheRepositoryIs) {
  Have("host/app:1");
  Have("host/app:2");
  Have("host/apple:3");
  v1::PushImageRequest request;
  request.set_reference("host/app");
  request.set_target("other/x");
  request.set_all_tags(true);

  ASSERT_OK_AND_ASSIGN(const auto messages, Push(request));

  EXPECT_THAT(messages.back().images(), SizeIs(2));
  ASSERT_THAT(scripted_.pushes, SizeIs(2));
  std::set<std::string> targets;
  for (const auto& push : scripted_.pushes) targets.insert(push.target);
  EXPECT_THAT(targets, ElementsAre("other/x:1", "other/x:2"));

  request.set_reference("host/app:1");
  EXPECT_THAT(Push(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("without a tag")));
  request.set_reference("host:5000/none");
  EXPECT_THAT(Push(request), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ImagesExchangeTest, WhenATagIsABareIndex_AllTagsGoOnlyWhole) {
  Have("host/app:1");
  images_.PublishIndex("host/app:2", /*for_this_host=*/false);
  v1::PullImageRequest pull;
  pull.set_reference("host/app:2");
  pull.set_all_platforms(true);
  ASSERT_OK(Pull(pull));
  v1::PushImageRequest request;
  request.set_reference("host/app");
  request.set_all_tags(true);
  EXPECT_THAT(Push(request), StatusIs(absl::StatusCode::kFailedPrecondition,
                                      HasSubstr("host/app:2")));
  EXPECT_THAT(scripted_.pushes, SizeIs(0));  // not half of it
  request.set_all_platforms(true);
  EXPECT_OK(Push(request));
  EXPECT_THAT(scripted_.pushes, SizeIs(2));
}

TEST_F(ImagesExchangeTest, WhenPushFails_ItsErrorComes) {
  Have("host/app:1");
  scripted_.result = absl::PermissionDeniedError("read only");
  v1::PushImageRequest request;
  request.set_reference("host/app:1");
  EXPECT_THAT(Push(request), StatusIs(absl::StatusCode::kPermissionDenied,
                                      HasSubstr("read only")));
  request.set_format("zip");
  EXPECT_THAT(Push(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("oci or docker")));
}

TEST_F(ImagesExchangeTest, WhenAllTagsArePulled_EachOfTheRegistryIs) {
  images_.Publish("host/app:a");
  images_.Publish("host/app:b");
  scripted_.tags_page.tags = {"a", "b"};
  v1::PullImageRequest request;
  request.set_reference("host/app");
  request.set_all_tags(true);

  ASSERT_OK_AND_ASSIGN(const auto messages, Pull(request));

  EXPECT_THAT(messages.back().images(), SizeIs(2));
  EXPECT_EQ(scripted_.tags.repository, "host/app");
  EXPECT_THAT(images_.List(), SizeIs(2));
}

TEST_F(ImagesExchangeTest, WhenSaved_TheWholeArchiveComes) {
  scripted_.archive_bytes = 3'000'000;
  v1::SaveImagesRequest request;
  request.add_references("app:1");
  request.add_references("web:1");
  request.set_format("oci");
  grpc::ClientContext context;
  auto reader = stub_->Save(&context, request);

  ASSERT_OK_AND_ASSIGN(const auto messages,
                       Collect<v1::SaveImagesResponse>(*reader));

  int64_t bytes = 0;
  for (const auto& message : messages) bytes += message.data().size();
  EXPECT_EQ(bytes, 3'000'000);
  EXPECT_THAT(scripted_.save.references, ElementsAre("app:1", "web:1"));
  EXPECT_EQ(scripted_.save.format, engine::ImageFormat::kOci);
}

TEST_F(ImagesExchangeTest, WhenSaveFails_ItsErrorComes) {
  scripted_.result = absl::NotFoundError("no such image");
  v1::SaveImagesRequest request;
  {
    grpc::ClientContext context;
    auto reader = stub_->Save(&context, request);
    EXPECT_THAT(
        Collect<v1::SaveImagesResponse>(*reader),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at least")));
  }
  request.add_references("app:1");
  grpc::ClientContext context;
  auto reader = stub_->Save(&context, request);
  EXPECT_THAT(Collect<v1::SaveImagesResponse>(*reader),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ImagesExchangeTest, WhenTheClientOfASaveGoes_TheSaveEnds) {
  scripted_.archive_bytes = int64_t{1} << 40;
  v1::SaveImagesRequest request;
  request.add_references("app:1");
  {
    grpc::ClientContext context;
    auto reader = stub_->Save(&context, request);
    v1::SaveImagesResponse message;
    ASSERT_TRUE(reader->Read(&message));
    context.TryCancel();
    EXPECT_FALSE(reader->Finish().ok());
  }
  EXPECT_TRUE(
      scripted_.save_ended.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST_F(ImagesExchangeTest, WhenImported_OptionsAndDataReachTheEngine) {
  grpc::ClientContext context;
  auto stream = stub_->Import(&context);
  v1::ImportImageRequest request;
  request.mutable_options()->set_reference("app:1");
  request.mutable_options()->add_changes("CMD [\"sh\"]");
  stream->Write(request);
  request.set_data("a tar");
  stream->Write(request);
  stream->WritesDone();

  ASSERT_OK_AND_ASSIGN(const auto messages,
                       Collect<v1::ImageProgress>(*stream));

  EXPECT_EQ(messages.back().images(0).digest(), kDigest);
  EXPECT_EQ(scripted_.import_data, "a tar");
  EXPECT_THAT(scripted_.import.changes, ElementsAre("CMD [\"sh\"]"));
  EXPECT_TRUE(std::filesystem::is_empty(options_.state_dir + "/uploads"));
}

TEST_F(ImagesExchangeTest, WhenAnImportIsNotOne_ItIsRefused) {
  {
    grpc::ClientContext context;
    auto stream = stub_->Import(&context);
    v1::ImportImageRequest request;
    request.set_data("a tar");
    stream->Write(request);
    stream->WritesDone();
    EXPECT_THAT(
        Collect<v1::ImageProgress>(*stream),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("options")));
  }
  grpc::ClientContext context;
  auto stream = stub_->Import(&context);
  v1::ImportImageRequest request;
  request.mutable_options();
  stream->Write(request);
  request.set_data(std::string(1001, 'x'));
  stream->Write(request);
  stream->WritesDone();
  EXPECT_THAT(Collect<v1::ImageProgress>(*stream),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(std::filesystem::is_empty(options_.state_dir + "/uploads"));
}

TEST_F(ImagesExchangeTest, WhenTagsAreListed_TheyComeAsThePortSays) {
  scripted_.tags_page = {{"1", "2"}, true};
  v1::ListTagsRequest request;
  request.set_repository("host/app");
  request.set_limit(2);
  request.set_last("0");
  v1::ListTagsResponse response;
  {
    grpc::ClientContext context;
    ASSERT_OK(FromGrpc(stub_->ListTags(&context, request, &response)));
  }
  EXPECT_THAT(response.tags(), ElementsAre("1", "2"));
  EXPECT_TRUE(response.more());
  EXPECT_EQ(scripted_.tags.limit, 2);
  EXPECT_EQ(scripted_.tags.last, "0");
  request.set_limit(-1);
  grpc::ClientContext context;
  EXPECT_THAT(FromGrpc(stub_->ListTags(&context, request, &response)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ImagesExchangeTest, WhenReferrersAreListed_WhatIsNoUtf8Survives) {
  v1::ListReferrersRequest request;
  request.set_reference("host/app:1");
  request.set_artifact_type("a/signature");
  v1::ListReferrersResponse response;
  grpc::ClientContext context;
  ASSERT_OK(FromGrpc(stub_->ListReferrers(&context, request, &response)));
  EXPECT_EQ(response.digest(), kDigest);
  ASSERT_THAT(response.referrers(), SizeIs(1));
  EXPECT_EQ(response.referrers(0).artifact_type(), "a/signature");
  EXPECT_EQ(response.referrers(0).annotations().at("by"), "me?");
  EXPECT_EQ(scripted_.referrers.artifact_type, "a/signature");
}

TEST_F(ImagesExchangeTest, WhenInspected_DocumentsComeByteForByte) {
  v1::InspectImageRequest request;
  request.set_reference("app:1");
  v1::InspectImageResponse response;
  {
    grpc::ClientContext context;
    ASSERT_OK(FromGrpc(stub_->Inspect(&context, request, &response)));
  }
  EXPECT_EQ(response.manifest(), "{\"m\":\xff}");
  EXPECT_EQ(response.image().digest(), kDigest);
  EXPECT_THAT(response.layers(), SizeIs(1));
  request.set_reference("app:2");
  grpc::ClientContext context;
  EXPECT_THAT(FromGrpc(stub_->Inspect(&context, request, &response)),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ImagesExchangeTest, WhenHistoryIsAsked_TheNewestIsFirst) {
  v1::ImageHistoryRequest request;
  request.set_reference("app:1");
  v1::ImageHistoryResponse response;
  grpc::ClientContext context;
  ASSERT_OK(FromGrpc(stub_->History(&context, request, &response)));
  ASSERT_THAT(response.entries(), SizeIs(2));
  EXPECT_EQ(response.entries(0).created_by(), "CMD ?");
  EXPECT_FALSE(response.entries(0).has_layer());
  EXPECT_EQ(response.entries(1).layer().size_bytes(), 7);
}

TEST_F(ImagesExchangeTest, WhenVerified_ProgressAndDamageCome) {
  v1::VerifyImagesRequest request;
  request.add_references("app:1");
  request.set_repair(true);
  grpc::ClientContext context;
  auto reader = stub_->Verify(&context, request);

  ASSERT_OK_AND_ASSIGN(const auto messages,
                       Collect<v1::VerifyImagesResponse>(*reader));

  EXPECT_EQ(messages.front().current(), 5);
  EXPECT_FALSE(messages.front().done());
  EXPECT_TRUE(messages.back().done());
  ASSERT_THAT(messages.back().damaged(), SizeIs(1));
  EXPECT_EQ(messages.back().damaged(0).kind(), "layer");
  EXPECT_TRUE(scripted_.verify.repair);
}

TEST_F(ImagesExchangeTest, WhenUntagged_TheImageStays) {
  Have("host/app:1");
  v1::RemoveImageRequest request;
  request.set_reference("host/app:1");
  request.set_untag(true);
  v1::RemoveImageResponse response;
  {
    grpc::ClientContext context;
    ASSERT_OK(FromGrpc(stub_->Remove(&context, request, &response)));
  }
  EXPECT_THAT(images_.Get("host/app:1"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(images_.List(), SizeIs(1));
  request.set_reference(images_.List()[0].digest);
  grpc::ClientContext context;
  EXPECT_THAT(
      FromGrpc(stub_->Remove(&context, request, &response)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a name")));
}

TEST_F(ImagesExchangeTest, WhenThereIsNoExchange_CallsAreUnimplemented) {
  server_.reset();
  exchange_ = nullptr;
  content_ = nullptr;
  StartServer();
  stub_ = v1::Images::NewStub(channel_);
  v1::PushImageRequest push;
  push.set_reference("a:1");
  EXPECT_THAT(Push(push), StatusIs(absl::StatusCode::kUnimplemented));
  grpc::ClientContext context;
  v1::InspectImageResponse response;
  EXPECT_THAT(FromGrpc(stub_->Inspect(&context, {}, &response)),
              StatusIs(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace bulwark::api
