// Frames of the shim's protocol: what comes from a socket, and the records that
// a crash can tear.
#include "engine/child/frame.h"
#include "tests/fuzz/input.h"

namespace bulwark::child {
namespace {

// Reads all there is. Returns how many fields.
int ReadAll(FrameReader reader, const uint8_t* data, size_t size) {
  CHECK(reader.frame_size() <= size);
  int fields = 0;
  uint64_t sum = 0;
  while (reader.Next()) {
    ++fields;
    CHECK(reader.value() >= data + kFrameHeader + kFieldHeader);
    CHECK(reader.value_size() <=
          static_cast<size_t>(data + size - reader.value()));
    for (size_t i = 0; i < reader.value_size(); ++i) sum += reader.value()[i];
    sum += reader.tag() + reader.Int();
  }
  CHECK(reader.valid() || fields == 0);
  [[maybe_unused]] volatile uint64_t sink = sum;  // so that it is read
  return fields;
}

// What is written is read back.
void WriteAndRead(fuzz::Input& input) {
  uint8_t buffer[512];
  const size_t capacity = input.Below(sizeof(buffer) + 1);
  const uint16_t type = static_cast<uint16_t>(input.Int(2));
  FrameWriter writer(buffer, capacity, type);
  int written = 0;
  while (!input.empty()) {
    const uint16_t tag = static_cast<uint16_t>(input.Int(2));
    const std::string text = input.Text();
    writer.Bytes(tag, text.data(), text.size());
    ++written;
  }
  const size_t plain = writer.size();
  CHECK(plain <= capacity);
  if (plain == 0) return;
  FrameReader reader(buffer, plain);
  CHECK(reader.valid() && reader.type() == type);
  CHECK(reader.frame_size() == plain);
  CHECK(ReadAll(reader, buffer, plain) == written);
  writer.Seal();
  if (writer.size() == 0) return;
  CHECK(writer.size() == plain + 8);
  CHECK(FrameReader::Sealed(buffer, writer.size()).valid());
  buffer[plain / 2] ^= 1;
  CHECK(!FrameReader::Sealed(buffer, writer.size()).valid());
}

}  // namespace
}  // namespace bulwark::child

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::child;
  ReadAll(FrameReader(data, size), data, size);
  ReadAll(FrameReader::Sealed(data, size), data, size);
  bulwark::fuzz::Input input(data, size);
  WriteAndRead(input);
  return 0;
}
