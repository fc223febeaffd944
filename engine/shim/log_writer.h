// Writes a container's output as log records (docs/formats/log-format.md), with
// rotation. Never blocks the container: what cannot be written is dropped,
// counted, and told in a marker once writing works again.
#ifndef ENGINE_SHIM_LOG_WRITER_H_
#define ENGINE_SHIM_LOG_WRITER_H_

#include <stddef.h>
#include <stdint.h>

namespace bulwark::shim {

inline constexpr size_t kMaxLine = 16 << 10;  // longer lines become parts

class LogWriter {
 public:
  // Opens "log" in the directory `dir`, which stays the caller's. 0 or a
  // negative errno.
  int Open(int dir, uint64_t file_bytes, int files);

  // Takes output of a stream ('o' or 'e'), writes its whole lines, and keeps
  // an unfinished one.
  void Write(char stream, const uint8_t* data, size_t size);

  // Writes what is unfinished, as a last line without a newline.
  void Finish();

 private:
  struct Stream {
    // Leaves the line alone: its pages cost memory only once they are used.
    explicit Stream(char n) : name(n) {}
    char name;
    size_t size = 0;
    uint8_t line[kMaxLine];
  };

  Stream* Find(char stream) { return stream == 'e' ? &error_ : &output_; }
  void Record(char stream, bool whole, const uint8_t* data, size_t size);
  // Appends to the batch, writing it out first if it is full.
  void Batch(const uint8_t* header, size_t header_size, const uint8_t* data,
             size_t size, bool newline);
  void Flush();
  bool WriteAll(const uint8_t* data, size_t size);
  void WriteMarker();
  void Rotate();

  int dir_ = -1;
  int fd_ = -1;
  uint64_t limit_ = 0;
  uint64_t written_ = 0;  // in the current file
  int files_ = 1;
  uint64_t dropped_ = 0;  // records not written
  uint64_t now_ = 0;
  uint64_t batch_records_ = 0;
  size_t batch_size_ = 0;
  uint8_t batch_[64 << 10];
  Stream output_{'o'};
  Stream error_{'e'};
};

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_LOG_WRITER_H_
