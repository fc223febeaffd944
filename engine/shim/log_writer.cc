#include "engine/shim/log_writer.h"

#include <linux/errno.h>

#include "engine/child/launch_plan.h"
#include "engine/child/sys.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr size_t kMaxName = 48;

// "log-7", "log-7.json", each with ".gz" once the daemon has compressed it.
void LogName(char* out, uint64_t number, uint32_t driver, bool compressed) {
  char* limit = out + kMaxName;
  char* end = child::Append(out, limit, "log-");
  end = child::Decimal(end, number);
  if (driver == child::kLogJsonFile) end = child::Append(end, limit, ".json");
  child::Append(end, limit, compressed ? ".gz" : "");
}

}  // namespace

bool LogWriter::HasFiles() const {
  return settings_.driver == child::kLogLocal ||
         settings_.driver == child::kLogJsonFile;
}

int LogWriter::OpenFile(uint64_t number) const {
  char name[kMaxName];
  LogName(name, number, settings_.driver, false);
  return child::OpenAt(dir_, name, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

int LogWriter::Open(int dir, const LogSettings& settings) {
  dir_ = dir;
  settings_ = settings;
  if (settings_.files < 1) settings_.files = 1;
  journal_.Open(settings_.socket, settings_.fields);
  if (!HasFiles()) return 0;
  fd_ = OpenFile(number_);
  if (fd_ < 0) return fd_;
  const long size = Sys(__NR_lseek, fd_, 0, 2 /* SEEK_END */);
  written_ = size < 0 ? 0 : size;
  return 0;
}

void LogWriter::Write(char stream, const uint8_t* data, size_t size) {
  if (settings_.driver == child::kLogNone) return;
  Stream* s = Find(stream);
  now_ = child::WallNanoseconds();
  while (size > 0) {
    size_t n = 0;
    const size_t room = kMaxLine - s->size;
    const size_t most = size < room ? size : room;
    while (n < most && data[n] != '\n') ++n;
    const bool newline = n < most;
    if (newline && s->size == 0) {
      Record(s->name, true, data, n);  // the usual case: no copy
    } else {
      for (size_t i = 0; i < n; ++i) s->line[s->size + i] = data[i];
      s->size += n;
      if (newline || s->size == kMaxLine) {
        Record(s->name, newline, s->line, s->size);
        s->size = 0;
      }
    }
    data += n + (newline ? 1 : 0);
    size -= n + (newline ? 1 : 0);
  }
  Flush();
}

void LogWriter::Finish() {
  now_ = child::WallNanoseconds();
  Stream* const streams[] = {&output_, &error_};
  for (Stream* s : streams) {
    if (s->size > 0) Record(s->name, true, s->line, s->size);
    s->size = 0;
  }
  Flush();
  if (dropped_ > 0) WriteMarker();
}

size_t LogWriter::Format(const LogRecord& record, uint8_t* out) const {
  return settings_.driver == child::kLogJsonFile ? FormatJson(record, out)
                                                 : FormatLocal(record, out);
}

void LogWriter::Record(char stream, bool whole, const uint8_t* data,
                       size_t size) {
  const LogRecord record = {now_, stream, whole, data, size};
  if (HasFiles()) {
    Batch(record);
    return;
  }
  if ((dropped_ > 0 && !WriteMarker()) || !journal_.Send(record)) ++dropped_;
}

void LogWriter::Batch(const LogRecord& record) {
  // Measured only where there may be too little room: it costs as much as
  // writing.
  if (batch_size_ + MostOf(record.size) > sizeof(batch_) &&
      batch_size_ + Format(record, nullptr) > sizeof(batch_)) {
    Flush();
  }
  const size_t before = batch_size_;
  const size_t total = Format(record, batch_ + before);
  if (settings_.file_bytes > 0 && written_ + before > 0 &&
      written_ + before + total > settings_.file_bytes) {
    Flush();
    Rotate();
    for (size_t i = 0; before > 0 && i < total; ++i) {
      batch_[i] = batch_[before + i];
    }
  }
  batch_size_ += total;
  ++batch_records_;
}

void LogWriter::Flush() {
  if (batch_size_ == 0) return;
  // While the marker cannot be written, nothing can.
  if ((dropped_ > 0 && !WriteMarker()) || !WriteAll(batch_, batch_size_)) {
    dropped_ += batch_records_;
  }
  batch_size_ = 0;
  batch_records_ = 0;
}

// Writes all or, by cutting the file back, nothing.
bool LogWriter::WriteAll(const uint8_t* data, size_t size) {
  size_t done = 0;
  while (done < size) {
    const long n = child::Write(fd_, data + done, size - done);
    if (n <= 0) {
      if (done > 0) Sys(__NR_ftruncate, fd_, written_);
      return false;
    }
    done += n;
  }
  written_ += size;
  return true;
}

bool LogWriter::WriteMarker() {
  char text[80];
  char* limit = text + sizeof(text);
  char* end = child::Append(text, limit, "bulwark: could not write ");
  end = child::Decimal(end, dropped_);
  end = child::Append(end, limit, " log records, they are lost");
  const LogRecord record = {now_, 's', true,
                            reinterpret_cast<const uint8_t*>(text),
                            static_cast<size_t>(end - text)};
  bool done;
  if (HasFiles()) {
    uint8_t bytes[256];
    done = WriteAll(bytes, Format(record, bytes));
  } else {
    done = journal_.Send(record);
  }
  if (done) dropped_ = 0;
  return done;
}

// A file never changes its name, so that readers and who compresses it know
// what they have.
void LogWriter::Rotate() {
  const int fd = OpenFile(number_ + 1);
  if (fd < 0) return;  // go on in the old file
  child::Close(fd_);
  fd_ = fd;
  ++number_;
  written_ = 0;
  const uint64_t kept = static_cast<uint64_t>(settings_.files);
  if (number_ <= kept) return;
  const bool forms[] = {false, true};
  for (const bool compressed : forms) {
    char name[kMaxName];
    LogName(name, number_ - kept, settings_.driver, compressed);
    Sys(__NR_unlinkat, dir_, Arg(name), 0);
  }
}

}  // namespace bulwark::shim
