// An encrypted stream of messages under a password. Bytes:
// docs/formats/backup.md.
#ifndef API_BACKUP_ARCHIVE_H_
#define API_BACKUP_ARCHIVE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/secret_text.h"
#include "proto/bulwark/record/v1/backup.pb.h"

namespace bulwark::api {

// How much a guess of the password costs.
struct PasswordCost {
  uint64_t operations = 3;               // Argon2id's passes
  uint64_t memory = uint64_t{64} << 20;  // bytes
};

// Encrypts entries. Thread-compatible.
class ArchiveWriter {
 public:
  // Takes the next bytes; false: nobody wants more.
  using Sink = absl::FunctionRef<bool(std::string bytes)>;

  // Writes the header. INVALID_ARGUMENT for an empty password,
  // RESOURCE_EXHAUSTED without the memory that the cost takes.
  static absl::StatusOr<std::unique_ptr<ArchiveWriter>> Start(
      absl::string_view password, Sink sink, PasswordCost cost = {});
  virtual ~ArchiveWriter() = default;

  // CANCELLED if nobody wants more.
  virtual absl::Status Add(const record::v1::BackupEntry& entry, Sink sink) = 0;
  // After the last entry, once.
  virtual absl::Status Finish(Sink sink) = 0;

  // A key for whatever else goes into this archive, 32 bytes, of the password
  // and the archive's salt.
  virtual SecretText WrappingKey() const = 0;
};

// Decrypts them again. Nothing that it gave out is to be used before Finish()
// said OK: only then is it known that the archive is whole. Thread-compatible.
class ArchiveReader {
 public:
  explicit ArchiveReader(SecretText password);
  ~ArchiveReader();

  // The next bytes of the archive, cut anywhere.
  //   INVALID_ARGUMENT     this is no archive, or of a newer version
  //   PERMISSION_DENIED    the password is wrong (or the first part damaged)
  //   DATA_LOSS            it was changed, or something is missing
  //   RESOURCE_EXHAUSTED   it is larger than is allowed
  absl::Status Feed(absl::string_view bytes);

  // OK if the archive has ended, and nothing follows. DATA_LOSS otherwise.
  absl::Status Finish() const;

  // What has been read.
  std::vector<record::v1::BackupEntry>& entries();
  SecretText WrappingKey() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace bulwark::api

#endif  // API_BACKUP_ARCHIVE_H_
