// Layers and archives: decompression and the tar in it, within limits.
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "engine/image/byte_source.h"
#include "engine/image/tar_reader.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine::image {
namespace {

constexpr int64_t kMaxTarBytes = 8 << 20;  // what one input may grow to
constexpr int kMaxEntries = 2000;

void ExpectBlame(const absl::Status& status) {
  CHECK(!status.message().empty());
  CHECK(status.code() == absl::StatusCode::kDataLoss ||
        status.code() == absl::StatusCode::kResourceExhausted);
}

// Ends what grows too much, as UnpackLayer() does.
class Limited final : public ByteSource {
 public:
  explicit Limited(Decompressor* input) : input_(input) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    absl::StatusOr<size_t> n = input_->Read(buffer, size);
    if (!n.ok()) return n;
    CHECK(*n <= size);
    bytes_ += static_cast<int64_t>(*n);
    if (bytes_ > kMaxTarBytes) return absl::ResourceExhaustedError("large");
    return n;
  }

 private:
  Decompressor* input_;
  int64_t bytes_ = 0;
};

void TryEntry(const TarEntry& entry, TarReader& tar) {
  CHECK(entry.path.find('\0') == std::string::npos);
  CHECK((entry.mode & ~07777u) == 0);
  if (entry.type == TarEntry::Type::kHardlink) CHECK(!entry.link.empty());
  for (const auto& [name, value] : entry.xattrs) {
    CHECK(name.find('\0') == std::string::npos);
  }
  if (entry.type != TarEntry::Type::kFile) return;
  int64_t end = 0;
  const absl::Status status =
      tar.ReadData([&](int64_t offset, absl::string_view data) {
        // Pieces come in order and stay inside of what was announced.
        CHECK(offset >= end);
        end = offset + static_cast<int64_t>(data.size());
        return absl::OkStatus();
      });
  if (!status.ok()) ExpectBlame(status);
}

void Try(const std::string& data) {
  absl::StatusOr<std::unique_ptr<Decompressor>> source =
      NewDecompressor(std::make_unique<StringSource>(data));
  if (!source.ok()) return ExpectBlame(source.status());
  Limited limited(source->get());
  TarReader tar(&limited);
  TarEntry entry;
  for (int i = 0; i < kMaxEntries; ++i) {
    const absl::StatusOr<bool> more = tar.Next(&entry);
    if (!more.ok()) return ExpectBlame(more.status());
    if (!*more) return;
    TryEntry(entry, tar);
  }
}

}  // namespace
}  // namespace bulwark::engine::image

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bulwark::fuzz::Input input(data, size);
  bulwark::engine::image::Try(input.Rest());
  return 0;
}
