#include "engine/image/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

constexpr int kBlock = 64 << 10;

struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

// The kind of file; 0 for what cannot be written.
mode_t FileType(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kFile:
    case TarEntry::Type::kHardlink:
      return S_IFREG;
    case TarEntry::Type::kDirectory:
      return S_IFDIR;
    case TarEntry::Type::kSymlink:
      return S_IFLNK;
    case TarEntry::Type::kFifo:
      return S_IFIFO;
    case TarEntry::Type::kOther:
      break;
  }
  return 0;
}

}  // namespace

TarWriter::TarWriter(Sink sink)
    : sink_(std::move(sink)), archive_(archive_write_new()) {
  CHECK(archive_ != nullptr);
  archive_write_set_format_pax_restricted(archive_);
  // Names are bytes. Those that are not ASCII are marked as such by themselves,
  // since no program of ours sets a locale (hence ARCHIVE_WARN below).
  archive_write_set_options(archive_, "xattrheader=SCHILY");
  archive_write_add_filter_none(archive_);
  archive_write_set_bytes_per_block(archive_, kBlock);
  archive_write_set_bytes_in_last_block(archive_, 1);
  CHECK(archive_write_open(archive_, this, nullptr, &TarWriter::OnData,
                           nullptr) == ARCHIVE_OK);
}

// Ends an archive that was not finished: what that writes goes nowhere.
TarWriter::~TarWriter() {
  if (status_.ok()) status_ = absl::CancelledError("not finished");
  archive_write_free(archive_);
}

ssize_t TarWriter::OnData(archive* a, void* self, const void* data,
                          size_t size) {
  auto* writer = static_cast<TarWriter*>(self);
  if (writer->status_.ok()) {
    writer->status_ =
        writer->sink_(absl::string_view(static_cast<const char*>(data), size));
  }
  if (writer->status_.ok()) return static_cast<ssize_t>(size);
  archive_set_error(a, EIO, "sink failed");
  return -1;
}

absl::Status TarWriter::Error() const {
  if (!status_.ok()) return status_;
  const char* text = archive_error_string(archive_);
  return absl::InternalError(absl::StrCat(
      "write tar entry \"", path_, "\": ", text != nullptr ? text : "error"));
}

absl::Status TarWriter::Begin(const TarEntry& entry) {
  const mode_t type = FileType(entry.type);
  path_ = entry.path;
  if (type == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "write tar entry \"", path_, "\": an archive cannot hold its kind"));
  }
  std::unique_ptr<archive_entry, FreeEntry> out(archive_entry_new());
  archive_entry_copy_pathname(out.get(), entry.path.c_str());
  archive_entry_set_mode(out.get(), type | (entry.mode & 07777));
  archive_entry_set_uid(out.get(), entry.uid);
  archive_entry_set_gid(out.get(), entry.gid);
  archive_entry_set_mtime(out.get(), entry.mtime.tv_sec, 0);
  archive_entry_set_size(out.get(),
                         entry.type == TarEntry::Type::kFile ? entry.size : 0);
  if (entry.type == TarEntry::Type::kSymlink) {
    archive_entry_copy_symlink(out.get(), entry.link.c_str());
  } else if (entry.type == TarEntry::Type::kHardlink) {
    archive_entry_copy_hardlink(out.get(), entry.link.c_str());
  }
  for (const auto& [name, value] : entry.xattrs) {
    archive_entry_xattr_add_entry(out.get(), name.c_str(), value.data(),
                                  value.size());
  }
  return archive_write_header(archive_, out.get()) >= ARCHIVE_WARN
             ? absl::OkStatus()
             : Error();
}

absl::Status TarWriter::Data(absl::string_view data) {
  while (!data.empty()) {
    const la_ssize_t n = archive_write_data(archive_, data.data(), data.size());
    if (n <= 0) return Error();  // 0: more than was announced
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status TarWriter::Finish() {
  return archive_write_close(archive_) == ARCHIVE_OK ? absl::OkStatus()
                                                     : Error();
}

}  // namespace bulwark::engine::image
