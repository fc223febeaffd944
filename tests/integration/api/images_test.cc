// Pull, Load, Build, List, Remove and Tag over the socket.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

class ImagesTest : public ApiTest {
 protected:
  void SetUp() override {
    unpack_ = [this](int fd, const std::string& dir) -> absl::Status {
      char buffer[64];
      const ssize_t n = read(fd, buffer, sizeof(buffer));
      context_ = std::string(buffer, n > 0 ? n : 0);
      context_dir_ = dir;
      std::ofstream(dir + "/Dockerfile") << "FROM scratch";
      return unpack_result_;
    };
    options_.max_archive_bytes = 1000;
    options_.max_context_bytes = 1000;
    StartServer();
    stub_ = v1::Images::NewStub(channel_);
  }

  template <typename Stream>
  absl::StatusOr<std::vector<v1::ImageProgress>> Collect(Stream& stream) {
    std::vector<v1::ImageProgress> messages;
    v1::ImageProgress message;
    while (stream.Read(&message)) messages.push_back(message);
    const absl::Status status = FromGrpc(stream.Finish());
    if (!status.ok()) return status;
    return messages;
  }

  absl::StatusOr<std::vector<v1::ImageProgress>> Pull(
      const std::string& reference) {
    v1::PullImageRequest request;
    request.set_reference(reference);
    grpc::ClientContext context;
    auto reader = stub_->Pull(&context, request);
    return Collect(*reader);
  }

  absl::StatusOr<std::vector<v1::ImageProgress>> Build(
      const v1::BuildOptions& options, size_t size) {
    grpc::ClientContext context;
    auto stream = stub_->Build(&context);
    v1::BuildImageRequest request;
    *request.mutable_options() = options;
    stream->Write(request);
    request.set_context(std::string(size, 't'));
    stream->Write(request);
    stream->WritesDone();
    return Collect(*stream);
  }

  bool UploadsAreEmpty() const {
    return std::filesystem::is_empty(options_.state_dir + "/uploads");
  }

  absl::Status unpack_result_;
  std::string context_, context_dir_;
  std::unique_ptr<v1::Images::Stub> stub_;
};

TEST_F(ImagesTest, WhenPulled_ProgressAndTheImageCome) {
  const engine::Image image = images_.Publish("nginx:1.27");

  ASSERT_OK_AND_ASSIGN(const auto messages, Pull("nginx:1.27"));

  ASSERT_EQ(messages.size(), 2);
  EXPECT_EQ(messages[0].status(), "done");
  EXPECT_EQ(messages[0].total(), 1000);
  ASSERT_EQ(messages[1].images_size(), 1);
  EXPECT_EQ(messages[1].images(0).digest(), image.digest);
  EXPECT_THAT(Pull("nobody:1"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ImagesTest, WhenTaggedAndRemoved_TheListFollows) {
  images_.Publish("nginx:1.27");
  ASSERT_OK(Pull("nginx:1.27"));
  {
    v1::TagImageRequest request;
    request.set_source("nginx:1.27");
    request.set_target("mine:1");
    grpc::ClientContext context;
    v1::TagImageResponse response;
    ASSERT_OK(FromGrpc(stub_->Tag(&context, request, &response)));
  }
  {
    v1::RemoveImageRequest request;
    request.set_reference("nginx:1.27");
    grpc::ClientContext context;
    v1::RemoveImageResponse response;
    ASSERT_OK(FromGrpc(stub_->Remove(&context, request, &response)));
    grpc::ClientContext again;
    EXPECT_THAT(FromGrpc(stub_->Remove(&again, request, &response)),
                StatusIs(absl::StatusCode::kNotFound));
  }
  grpc::ClientContext context;
  v1::ListImagesResponse response;
  ASSERT_OK(
      FromGrpc(stub_->List(&context, v1::ListImagesRequest(), &response)));
  ASSERT_EQ(response.images_size(), 1);
  EXPECT_EQ(response.images(0).references(0), "mine:1");
}

TEST_F(ImagesTest, WhenBuilt_TheContextIsUnpackedAndRemoved) {
  v1::BuildOptions options;
  options.add_tags("app:1");

  ASSERT_OK_AND_ASSIGN(const auto messages, Build(options, 10));

  EXPECT_EQ(context_, "tttttttttt");
  EXPECT_THAT(context_dir_, HasSubstr(options_.state_dir + "/uploads/"));
  EXPECT_EQ(messages.front().output(), "built");
  EXPECT_EQ(messages.back().images(0).references(0), "app:1");
  EXPECT_TRUE(UploadsAreEmpty());
}

TEST_F(ImagesTest, WhenTheBuildFails_NothingIsLeft) {
  v1::BuildOptions options;
  EXPECT_THAT(Build(options, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("no tag")));
  EXPECT_TRUE(UploadsAreEmpty());

  unpack_result_ = absl::InvalidArgumentError("entry ../x leaves the root");
  options.add_tags("app:1");
  EXPECT_THAT(Build(options, 10),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unpack the build context: entry ../x")));
  EXPECT_TRUE(UploadsAreEmpty());
}

TEST_F(ImagesTest, WhenTheContextIsTooLarge_ItIsRefused) {
  v1::BuildOptions options;
  options.add_tags("app:1");

  EXPECT_THAT(Build(options, 1001),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("larger than 1k")));
  EXPECT_TRUE(context_dir_.empty());
}

TEST_F(ImagesTest, WhenTheDockerfileIsOutside_ItIsRefused) {
  v1::BuildOptions options;
  options.add_tags("app:1");
  for (const char* path : {"/etc/passwd", "../Dockerfile", "a/../../b"}) {
    options.set_dockerfile(path);
    EXPECT_THAT(Build(options, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("inside the context")));
  }
  EXPECT_TRUE(context_dir_.empty());
}

TEST_F(ImagesTest, WhenBuildOptionsAreWrong_TheyAreRefused) {
  v1::BuildOptions options;
  options.add_tags("app:1");
  (*options.mutable_contexts())["etc"] = "/etc";
  EXPECT_THAT(Build(options, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("\"/etc\" is a path")));
  (*options.mutable_contexts())["etc"] = "";
  EXPECT_THAT(Build(options, 10),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nothing was sent for context etc")));
  options.clear_contexts();
  options.set_compression("lz4");
  EXPECT_THAT(Build(options, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("gzip or zstd")));
  options.clear_compression();
  options.set_output(v1::BuildOptions::FILES);
  options.set_push(true);
  EXPECT_THAT(Build(options, 10), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("can be pushed")));
  EXPECT_TRUE(UploadsAreEmpty());
}

TEST_F(ImagesTest, WhenLoaded_TheArchiveReachesTheStore) {
  grpc::ClientContext context;
  auto stream = stub_->Load(&context);
  stream->Write(v1::LoadImageRequest());
  v1::LoadImageRequest request;
  request.set_data("no archive");
  stream->Write(request);
  stream->WritesDone();

  EXPECT_THAT(Collect(*stream), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("not an image archive")));
}

TEST_F(ImagesTest, WhenTheArchiveIsTooLarge_ItIsRefused) {
  grpc::ClientContext context;
  auto stream = stub_->Load(&context);
  v1::LoadImageRequest request;
  request.set_data(std::string(600, 'x'));
  stream->Write(request);
  stream->Write(request);
  stream->WritesDone();

  EXPECT_THAT(Collect(*stream), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ImagesTest, WhenACrashLeftUploads_TheNextStartRemovesThem) {
  server_.reset();
  std::filesystem::create_directories(options_.state_dir +
                                      "/uploads/dir-x/sub");

  StartServer();

  EXPECT_TRUE(UploadsAreEmpty());
}

}  // namespace
}  // namespace bulwark::api
