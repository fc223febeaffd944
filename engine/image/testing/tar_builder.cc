#include "engine/image/testing/tar_builder.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

namespace bulwark::engine::image::testing {
namespace {

la_ssize_t Append(archive*, void* self, const void* data, size_t size) {
  static_cast<std::string*>(self)->append(static_cast<const char*>(data), size);
  return size;
}

}  // namespace

TarBuilder::TarBuilder() : archive_(archive_write_new()) {
  archive_write_set_format_pax_restricted(archive_);
  archive_write_add_filter_none(archive_);
  archive_write_set_options(archive_, "xattrheader=SCHILY");
  CHECK(archive_write_open(archive_, &data_, nullptr, &Append, nullptr) ==
        ARCHIVE_OK);
}

TarBuilder::~TarBuilder() { archive_write_free(archive_); }

void TarBuilder::Add(const std::string& path, mode_t type,
                     const TarOptions& options, absl::string_view contents,
                     const std::string& symlink, const std::string& hardlink,
                     dev_t device) {
  archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, path.c_str());
  archive_entry_set_filetype(entry, type);
  archive_entry_set_perm(entry, options.mode);
  archive_entry_set_uid(entry, options.uid);
  archive_entry_set_gid(entry, options.gid);
  archive_entry_set_mtime(entry, options.mtime, 0);
  archive_entry_set_size(entry, contents.size());
  archive_entry_set_rdev(entry, device);
  if (!symlink.empty()) archive_entry_set_symlink(entry, symlink.c_str());
  if (!hardlink.empty()) archive_entry_set_hardlink(entry, hardlink.c_str());
  for (const auto& [name, value] : options.xattrs) {
    archive_entry_xattr_add_entry(entry, name.c_str(), value.data(),
                                  value.size());
  }
  CHECK(archive_write_header(archive_, entry) >= ARCHIVE_WARN);
  archive_write_data(archive_, contents.data(), contents.size());
  archive_entry_free(entry);
}

TarBuilder& TarBuilder::File(const std::string& path,
                             absl::string_view contents,
                             const TarOptions& options) {
  Add(path, S_IFREG, options, contents, "", "", 0);
  return *this;
}

TarBuilder& TarBuilder::Dir(const std::string& path, TarOptions options) {
  Add(path, S_IFDIR, options, "", "", "", 0);
  return *this;
}

TarBuilder& TarBuilder::Symlink(const std::string& path,
                                const std::string& target) {
  Add(path, S_IFLNK, {0777}, "", target, "", 0);
  return *this;
}

TarBuilder& TarBuilder::Hardlink(const std::string& path,
                                 const std::string& target) {
  Add(path, S_IFREG, {}, "", "", target, 0);
  return *this;
}

TarBuilder& TarBuilder::Device(const std::string& path, mode_t type, int major,
                               int minor) {
  Add(path, type, {0666}, "", "", "", makedev(major, minor));
  return *this;
}

std::string TarBuilder::Build() {
  CHECK(archive_write_close(archive_) == ARCHIVE_OK);
  return std::move(data_);
}

std::string Gzip(absl::string_view data) {
  z_stream stream = {};
  CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) ==
        Z_OK);
  std::string result(deflateBound(&stream, data.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = data.size();
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = result.size();
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

std::string Zstd(absl::string_view data) {
  std::string result(ZSTD_compressBound(data.size()), '\0');
  size_t size =
      ZSTD_compress(result.data(), result.size(), data.data(), data.size(), 3);
  CHECK(!ZSTD_isError(size));
  result.resize(size);
  return result;
}

}  // namespace bulwark::engine::image::testing
