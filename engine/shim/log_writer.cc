#include "engine/shim/log_writer.h"

#include <linux/errno.h>

#include "engine/child/sys.h"

namespace bulwark::shim {

using child::Arg;
using child::Sys;

namespace {

constexpr size_t kHeader = 24;  // 19 digits, " o F "

void LogName(char* out, int index) {
  char* end = child::Append(out, out + 16, "log");
  if (index > 0) {
    *end++ = '.';
    child::Decimal(end, index);
  }
}

void Header(uint8_t* out, uint64_t time, char stream, bool whole) {
  for (int i = 18; i >= 0; --i) {
    out[i] = static_cast<uint8_t>('0' + time % 10);
    time /= 10;
  }
  out[19] = ' ';
  out[20] = stream;
  out[21] = ' ';
  out[22] = whole ? 'F' : 'P';
  out[23] = ' ';
}

}  // namespace

int LogWriter::Open(int dir, uint64_t file_bytes, int files) {
  dir_ = dir;
  limit_ = file_bytes;
  files_ = files < 1 ? 1 : files;
  fd_ = child::OpenAt(dir, "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd_ < 0) return fd_;
  const long size = Sys(__NR_lseek, fd_, 0, 2 /* SEEK_END */);
  written_ = size < 0 ? 0 : size;
  return 0;
}

void LogWriter::Write(char stream, const uint8_t* data, size_t size) {
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

void LogWriter::Record(char stream, bool whole, const uint8_t* data,
                       size_t size) {
  const size_t total = kHeader + size + 1;
  if (batch_size_ + total > sizeof(batch_)) Flush();
  if (limit_ > 0 && written_ + batch_size_ > 0 &&
      written_ + batch_size_ + total > limit_) {
    Flush();
    Rotate();
  }
  uint8_t* out = batch_ + batch_size_;
  Header(out, now_, stream, whole);
  for (size_t i = 0; i < size; ++i) out[kHeader + i] = data[i];
  out[kHeader + size] = '\n';
  batch_size_ += total;
  ++batch_records_;
}

void LogWriter::Flush() {
  if (batch_size_ == 0) return;
  if (dropped_ > 0) WriteMarker();
  // While the marker cannot be written, nothing can.
  if (dropped_ > 0 || !WriteAll(batch_, batch_size_)) {
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

void LogWriter::WriteMarker() {
  uint8_t record[kHeader + 80];
  Header(record, now_, 's', true);
  char* text = reinterpret_cast<char*>(record + kHeader);
  char* limit = reinterpret_cast<char*>(record + sizeof(record));
  char* end = child::Append(text, limit, "bulwark: could not write ");
  end = child::Decimal(end, dropped_);
  end = child::Append(end, limit, " log records, they are lost\n");
  if (WriteAll(record, end - reinterpret_cast<char*>(record))) dropped_ = 0;
}

void LogWriter::Rotate() {
  char from[16];
  char to[16];
  if (files_ == 1) {
    Sys(__NR_ftruncate, fd_, 0);
    written_ = 0;
    return;
  }
  for (int i = files_ - 1; i > 0; --i) {
    LogName(from, i - 1);
    LogName(to, i);
    Sys(__NR_renameat, dir_, Arg(from), dir_, Arg(to));
  }
  const int fd =
      child::OpenAt(dir_, "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd < 0) return;  // go on in the old file
  child::Close(fd_);
  fd_ = fd;
  written_ = 0;
}

}  // namespace bulwark::shim
