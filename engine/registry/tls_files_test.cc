#include "engine/registry/tls_files.h"

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/files.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::HasSubstr;

const char kPem[] = "-----BEGIN CERTIFICATE-----\nAA==\n";

class TlsFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::string full = dir_ / path;
    ASSERT_OK(os::MakeDirs(full.substr(0, full.rfind('/')), 0700));
    ASSERT_OK(os::WriteFileDurably(full, text));
  }
  absl::StatusOr<TlsFiles> Find(const std::string& registry) {
    return FindTlsFiles({dir_ / "first", dir_ / "second"}, registry);
  }
  TempDir dir_;
};

TEST_F(TlsFilesTest, WhenThereIsNothing_NothingIsUsed) {
  ASSERT_OK_AND_ASSIGN(const TlsFiles files, Find("a.example:5000"));
  EXPECT_EQ(files.authorities, "");
  EXPECT_EQ(files.certificate, "");
}

TEST_F(TlsFilesTest, WhenAuthoritiesAndACertificateAreThere_BothAreUsed) {
  Write("first/a.example:5000/ca.crt", kPem);
  Write("first/a.example:5000/more.crt", kPem);
  Write("first/a.example:5000/client.cert", kPem);
  Write("first/a.example:5000/client.key", "key");
  ASSERT_OK_AND_ASSIGN(const TlsFiles files, Find("a.example:5000"));
  EXPECT_EQ(files.authorities, std::string(kPem) + "\n" + kPem + "\n");
  EXPECT_EQ(files.certificate, dir_ / "first/a.example:5000/client.cert");
  EXPECT_EQ(files.key, dir_ / "first/a.example:5000/client.key");
  ASSERT_OK_AND_ASSIGN(const TlsFiles other, Find("a.example:5001"));
  EXPECT_EQ(other.authorities, "");
}

TEST_F(TlsFilesTest, WhenTheFirstDirectoryHasNone_TheSecondIsAsked) {
  Write("second/a.example:443/ca.crt", kPem);
  ASSERT_OK_AND_ASSIGN(const TlsFiles files, Find("a.example"));
  EXPECT_NE(files.authorities, "");
}

TEST_F(TlsFilesTest, WhenFilesAreWrong_TheErrorNamesThem) {
  Write("first/a/ca.crt", "nonsense");
  EXPECT_THAT(Find("a"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("first/a/ca.crt")));
  Write("first/b/client.cert", kPem);
  EXPECT_THAT(Find("b"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("client.key is missing")));
  Write("first/c/client.key", "key");
  EXPECT_THAT(Find("c"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("NAME.cert")));
}

}  // namespace
}  // namespace bulwark::engine::registry
