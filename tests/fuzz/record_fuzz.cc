// The records of a container as they are read back after a crash.
#include "engine/child/frame.h"
#include "engine/local/record.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine {
namespace {

// The first byte says whether to set the size and the checksum right: torn
// records are refused for these, and what is behind would stay untried.
std::string Repaired(fuzz::Input& input) {
  const bool repair = input.Int(1) % 2 == 0;
  std::string bytes = input.Rest();
  if (!repair || bytes.size() < child::kFrameHeader + 8) return bytes;
  uint8_t* at = reinterpret_cast<uint8_t*>(bytes.data());
  const size_t frame = bytes.size() - 8;
  child::PutInt(at, frame - 4, 4);
  child::PutInt(at + frame, child::Checksum(at, frame), 8);
  return bytes;
}

// Whether it is refused as damaged, or as of a later version.
bool IsRefusal(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDataLoss ||
         status.code() == absl::StatusCode::kUnimplemented;
}

template <typename T>
void Try(absl::StatusOr<T> (*decode)(absl::string_view),
         const std::string& bytes) {
  const absl::StatusOr<T> record = decode(bytes);
  if (!record.ok()) {
    CHECK(IsRefusal(record.status()));
    return;
  }
  // Written again, it is whole and stays as it is.
  const std::string once = Encode(*record);
  const absl::StatusOr<T> again = decode(once);
  CHECK(again.ok());
  CHECK(Encode(*again) == once);
}

}  // namespace
}  // namespace bulwark::engine

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::engine;
  bulwark::fuzz::Input input(data, size);
  const std::string bytes = Repaired(input);
  Try<ContainerRecord>(&DecodeContainer, bytes);
  Try<ProcessRecord>(&DecodeProcess, bytes);
  Try<ExitRecord>(&DecodeExit, bytes);
  const auto state = DecodeState(bytes);
  CHECK(state.ok() || IsRefusal(state.status()));
  return 0;
}
