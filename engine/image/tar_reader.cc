#include "engine/image/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

// libarchive converts names to the thread's character set, and drops those
// that do not fit into it: in the C locale that is every name beyond ASCII.
class ScopedUtf8Locale {
 public:
  ScopedUtf8Locale()
      : previous_(Utf8() != nullptr ? uselocale(Utf8()) : nullptr) {}
  ~ScopedUtf8Locale() {
    if (previous_ != nullptr) uselocale(previous_);
  }
  ScopedUtf8Locale(const ScopedUtf8Locale&) = delete;
  ScopedUtf8Locale& operator=(const ScopedUtf8Locale&) = delete;

 private:
  // Made once: it is read from files.
  static locale_t Utf8() {
    static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return utf8;
  }
  const locale_t previous_;
};

TarEntry::Type TypeOf(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) {
    return TarEntry::Type::kHardlink;
  }
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return TarEntry::Type::kFile;
    case AE_IFDIR:
      return TarEntry::Type::kDirectory;
    case AE_IFLNK:
      return TarEntry::Type::kSymlink;
    case AE_IFIFO:
      return TarEntry::Type::kFifo;
    default:
      return TarEntry::Type::kOther;
  }
}

void CopyXattrs(archive_entry* from, TarEntry* to) {
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    to->xattrs.emplace_back(name,
                            std::string(static_cast<const char*>(value), size));
  }
}

}  // namespace

struct TarReader::Stream {
  ByteSource* source;
  std::vector<char> buffer;
  absl::Status status;

  static la_ssize_t Read(archive* a, void* self, const void** data) {
    auto* stream = static_cast<Stream*>(self);
    absl::StatusOr<size_t> n =
        stream->source->Read(stream->buffer.data(), stream->buffer.size());
    if (!n.ok()) {
      stream->status = n.status();
      archive_set_error(a, EIO, "source failed");
      return -1;
    }
    *data = stream->buffer.data();
    return *n;
  }
};

TarReader::TarReader(ByteSource* source, bool xz_or_bzip2)
    : stream_(new Stream{source, std::vector<char>(256 << 10), {}}),
      archive_(archive_read_new()) {
  CHECK(archive_ != nullptr);
  archive_read_support_filter_none(archive_);
  if (xz_or_bzip2) {
    archive_read_support_filter_xz(archive_);
    archive_read_support_filter_bzip2(archive_);
  }
  archive_read_support_format_tar(archive_);
  archive_read_support_format_empty(archive_);
}

TarReader::~TarReader() { archive_read_free(archive_); }

absl::Status TarReader::Error() const {
  if (!stream_->status.ok()) return stream_->status;
  const char* text = archive_error_string(archive_);
  return absl::DataLossError(
      absl::StrCat("read tar: ", text != nullptr ? text : "damaged"));
}

absl::StatusOr<bool> TarReader::Next(TarEntry* entry) {
  ScopedUtf8Locale locale;
  if (!opened_) {
    opened_ = true;
    if (archive_read_open(archive_, stream_.get(), nullptr, &Stream::Read,
                          nullptr) != ARCHIVE_OK) {
      return Error();
    }
  }
  archive_entry* e = nullptr;
  int result = archive_read_next_header(archive_, &e);
  if (result == ARCHIVE_EOF) return false;
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Error();

  const char* path = archive_entry_pathname(e);
  if (path == nullptr) path = archive_entry_pathname_utf8(e);
  if (path == nullptr) {
    return absl::DataLossError("read tar: an entry has an unreadable name");
  }
  *entry = TarEntry();
  entry->path = path;
  entry->type = TypeOf(e);
  const char* link = entry->type == TarEntry::Type::kHardlink
                         ? archive_entry_hardlink(e)
                         : archive_entry_symlink(e);
  if (link != nullptr) entry->link = link;
  entry->mode = archive_entry_mode(e) & 07777;
  entry->uid = archive_entry_uid(e);
  entry->gid = archive_entry_gid(e);
  entry->mtime = {archive_entry_mtime(e), archive_entry_mtime_nsec(e)};
  entry->size = archive_entry_size(e);
  CopyXattrs(e, entry);
  return true;
}

absl::Status TarReader::ReadData(
    const std::function<absl::Status(int64_t, absl::string_view)>& write) {
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    int result = archive_read_data_block(archive_, &data, &size, &offset);
    if (result == ARCHIVE_EOF) return absl::OkStatus();
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Error();
    RETURN_IF_ERROR(
        write(offset, absl::string_view(static_cast<const char*>(data), size)));
  }
}

}  // namespace bulwark::engine::image
