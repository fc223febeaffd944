// Writes a container's output as log records (docs/formats/log-format.md), with
// rotation. Never blocks the container: what cannot be written is dropped,
// counted, and told in a marker once writing works again.
#ifndef ENGINE_SHIM_LOG_WRITER_H_
#define ENGINE_SHIM_LOG_WRITER_H_

#include <stddef.h>
#include <stdint.h>

#include "engine/shim/log_format.h"
#include "engine/shim/log_journal.h"

namespace bulwark::shim {

struct LogSettings {
  uint64_t file_bytes = 0;  // 0: no limit
  int files = 1;            // with the one that is written
  uint32_t driver = 0;      // child::LogDriver
  const char* fields = "";  // of the journal
  const char* socket = "";
};

class LogWriter {
 public:
  // Opens the first file in the directory `dir`, which stays the caller's, as
  // the settings' texts do. 0 or a negative errno. A journal that is not there
  // is no error.
  int Open(int dir, const LogSettings& settings);

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
  bool HasFiles() const;
  size_t Format(const LogRecord& record, uint8_t* out) const;
  void Record(char stream, bool whole, const uint8_t* data, size_t size);
  // Appends to the batch, writing it out first if it is full.
  void Batch(const LogRecord& record);
  void Flush();
  bool WriteAll(const uint8_t* data, size_t size);
  // False if it could not be written either.
  bool WriteMarker();
  void Rotate();
  int OpenFile(uint64_t number) const;

  int dir_ = -1;
  int fd_ = -1;
  LogSettings settings_;
  Journal journal_;
  uint64_t number_ = 1;   // of the current file
  uint64_t written_ = 0;  // in it
  uint64_t dropped_ = 0;  // records not written
  uint64_t now_ = 0;
  uint64_t batch_records_ = 0;
  size_t batch_size_ = 0;
  uint8_t batch_[kMaxRecord];
  Stream output_{'o'};
  Stream error_{'e'};
};

}  // namespace bulwark::shim

#endif  // ENGINE_SHIM_LOG_WRITER_H_
