#include "api/backup/archive.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

using record::v1::BackupEntry;

constexpr char kMagic[] = "BULWARK-BACKUP\n";
constexpr size_t kMagicSize = sizeof(kMagic) - 1;
constexpr uint32_t kVersion = 1;
constexpr size_t kSalt = crypto_pwhash_SALTBYTES;
constexpr size_t kStream = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
constexpr size_t kOverhead = crypto_secretstream_xchacha20poly1305_ABYTES;
constexpr size_t kKey = crypto_secretstream_xchacha20poly1305_KEYBYTES;
// Magic, version, operations, memory, salt, the stream's header.
constexpr size_t kHeader = kMagicSize + 4 + 8 + 8 + kSalt + kStream;
constexpr size_t kPiece = size_t{64} << 10;
// What a header may make us spend, and an archive hold.
constexpr uint64_t kMostOperations = 20;
constexpr uint64_t kMostMemory = uint64_t{1} << 30;
constexpr size_t kMostBytes = size_t{512} << 20;

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

void PutNumber(uint64_t number, int bytes, std::string& out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift & 0xff));
  }
}

uint64_t TakeNumber(absl::string_view& in, int bytes) {
  uint64_t number = 0;
  for (int i = 0; i < bytes; ++i) {
    number = number << 8 | static_cast<unsigned char>(in[i]);
  }
  in.remove_prefix(bytes);
  return number;
}

// Keys of one archive, wiped with it.
class Keys {
 public:
  Keys() = default;
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;
  ~Keys() {
    sodium_memzero(master_, sizeof(master_));
    sodium_memzero(&state, sizeof(state));
  }

  absl::Status Derive(absl::string_view password, absl::string_view salt,
                      PasswordCost cost) {
    CHECK(sodium_init() >= 0);
    if (crypto_pwhash(master_, sizeof(master_), password.data(),
                      password.size(), Bytes(salt), cost.operations,
                      cost.memory, crypto_pwhash_ALG_ARGON2ID13) != 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("derive the archive's key: ", cost.memory >> 20,
                       " MiB of memory are needed"));
    }
    return absl::OkStatus();
  }

  SecretText Stream() const { return Part("stream", 1); }
  SecretText Wrapping() const { return Part("wrapping", 2); }

  crypto_secretstream_xchacha20poly1305_state state;

 private:
  SecretText Part(const char* context, uint64_t id) const {
    char name[crypto_kdf_CONTEXTBYTES] = {};
    std::strncpy(name, context, sizeof(name));
    unsigned char key[kKey];
    crypto_kdf_derive_from_key(key, sizeof(key), id, name, master_);
    SecretText text({reinterpret_cast<const char*>(key), sizeof(key)});
    sodium_memzero(key, sizeof(key));
    return text;
  }

  unsigned char master_[crypto_kdf_KEYBYTES] = {};
};

class Writer final : public ArchiveWriter {
 public:
  absl::Status Begin(absl::string_view password, Sink sink, PasswordCost cost) {
    CHECK(sodium_init() >= 0);
    std::string salt(kSalt, '\0');
    randombytes_buf(salt.data(), salt.size());
    RETURN_IF_ERROR(keys_.Derive(password, salt, cost));
    header_.append(kMagic, kMagicSize);
    PutNumber(kVersion, 4, header_);
    PutNumber(cost.operations, 8, header_);
    PutNumber(cost.memory, 8, header_);
    header_.append(salt);
    std::string stream(kStream, '\0');
    const SecretText key = keys_.Stream();
    crypto_secretstream_xchacha20poly1305_init_push(&keys_.state, Bytes(stream),
                                                    Bytes(key.Reveal()));
    header_.append(stream);
    return Send(header_, sink);
  }

  absl::Status Add(const BackupEntry& entry, Sink sink) override {
    const std::string bytes = entry.SerializeAsString();
    PutNumber(bytes.size(), 4, plain_);
    plain_.append(bytes);
    while (plain_.size() > kPiece) {
      RETURN_IF_ERROR(Push(plain_.substr(0, kPiece), false, sink));
      plain_.erase(0, kPiece);
    }
    return absl::OkStatus();
  }

  absl::Status Finish(Sink sink) override {
    return Push(std::exchange(plain_, ""), true, sink);
  }

  SecretText WrappingKey() const override { return keys_.Wrapping(); }

 private:
  static absl::Status Send(std::string bytes, Sink sink) {
    return sink(std::move(bytes))
               ? absl::OkStatus()
               : absl::CancelledError("write the archive: the client is gone");
  }

  absl::Status Push(const std::string& plain, bool last, Sink sink) {
    std::string sealed(plain.size() + kOverhead, '\0');
    // The first piece binds the header: its numbers cannot be changed.
    const std::string extra = std::exchange(header_, "");
    crypto_secretstream_xchacha20poly1305_push(
        &keys_.state, Bytes(sealed), nullptr, Bytes(plain), plain.size(),
        Bytes(extra), extra.size(),
        last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
    std::string framed;
    PutNumber(sealed.size(), 4, framed);
    framed.append(sealed);
    return Send(std::move(framed), sink);
  }

  Keys keys_;
  std::string header_;  // until the first piece
  std::string plain_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveWriter>> ArchiveWriter::Start(
    absl::string_view password, Sink sink, PasswordCost cost) {
  if (password.empty()) {
    return absl::InvalidArgumentError("write the archive: no password");
  }
  auto writer = std::make_unique<Writer>();
  RETURN_IF_ERROR(writer->Begin(password, sink, cost));
  return writer;
}

struct ArchiveReader::Impl {
  SecretText password;
  Keys keys;
  std::string header;  // until the first piece
  std::string input;   // not taken yet
  std::string plain;   // not an entry yet
  std::vector<BackupEntry> entries;
  size_t total = 0;
  bool begun = false;
  bool first = true;
  bool ended = false;

  absl::Status TakeHeader();
  absl::StatusOr<bool> TakePiece();
  absl::Status TakeEntries();
};

ArchiveReader::ArchiveReader(SecretText password)
    : impl_(std::make_unique<Impl>()) {
  impl_->password = std::move(password);
}

ArchiveReader::~ArchiveReader() = default;

absl::Status ArchiveReader::Impl::TakeHeader() {
  absl::string_view rest = input;
  const size_t seen = std::min(rest.size(), kMagicSize);
  if (rest.substr(0, seen) != absl::string_view(kMagic, seen)) {
    return absl::InvalidArgumentError(
        "read the archive: this is no backup of bulwarkd");
  }
  if (rest.size() < kHeader) return absl::OkStatus();
  rest.remove_prefix(kMagicSize);
  const uint64_t version = TakeNumber(rest, 4);
  if (version != kVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("read the archive: it has version ", version,
                     ", and this program knows ", kVersion));
  }
  PasswordCost cost;
  cost.operations = TakeNumber(rest, 8);
  cost.memory = TakeNumber(rest, 8);
  if (cost.operations < 1 || cost.operations > kMostOperations ||
      cost.memory < crypto_pwhash_MEMLIMIT_MIN || cost.memory > kMostMemory) {
    return absl::DataLossError("read the archive: its header was changed");
  }
  RETURN_IF_ERROR(keys.Derive(password.Reveal(), rest.substr(0, kSalt), cost));
  password = SecretText();
  rest.remove_prefix(kSalt);
  const SecretText key = keys.Stream();
  const int bad = crypto_secretstream_xchacha20poly1305_init_pull(
      &keys.state, Bytes(rest.substr(0, kStream)), Bytes(key.Reveal()));
  if (bad != 0) {
    return absl::DataLossError("read the archive: its header was changed");
  }
  header = input.substr(0, kHeader);
  input.erase(0, kHeader);
  begun = true;
  return absl::OkStatus();
}

// Whether there was a whole one.
absl::StatusOr<bool> ArchiveReader::Impl::TakePiece() {
  absl::string_view rest = input;
  if (rest.size() < 4) return false;
  const uint64_t size = TakeNumber(rest, 4);
  const absl::Status changed =
      first ? absl::PermissionDeniedError(
                  "open the archive: the password is wrong, or the archive was "
                  "changed")
            : absl::DataLossError(
                  "read the archive: it was changed, or a part is missing");
  if (size < kOverhead || size > kPiece + kOverhead) return changed;
  if (rest.size() < size) return false;
  std::string piece(size - kOverhead, '\0');
  unsigned char tag = 0;
  if (crypto_secretstream_xchacha20poly1305_pull(
          &keys.state, Bytes(piece), nullptr, &tag, Bytes(rest), size,
          Bytes(header), header.size()) != 0) {
    return changed;
  }
  header.clear();
  first = false;
  ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
  plain.append(piece);
  input.erase(0, 4 + size);
  return true;
}

absl::Status ArchiveReader::Impl::TakeEntries() {
  absl::string_view rest = plain;
  while (rest.size() >= 4) {
    absl::string_view body = rest;
    const uint64_t size = TakeNumber(body, 4);
    if (body.size() < size) break;
    BackupEntry entry;
    if (!entry.ParseFromArray(body.data(), static_cast<int>(size))) {
      return absl::DataLossError("read the archive: an entry cannot be read");
    }
    entries.push_back(std::move(entry));
    rest = body.substr(size);
  }
  plain.erase(0, plain.size() - rest.size());
  return absl::OkStatus();
}

absl::Status ArchiveReader::Feed(absl::string_view bytes) {
  Impl& impl = *impl_;
  impl.total += bytes.size();
  if (impl.total > kMostBytes) {
    return absl::ResourceExhaustedError(
        "read the archive: it is larger than 512 MiB");
  }
  impl.input.append(bytes.data(), bytes.size());
  if (!impl.begun) RETURN_IF_ERROR(impl.TakeHeader());
  while (impl.begun && !impl.ended) {
    ASSIGN_OR_RETURN(const bool taken, impl.TakePiece());
    if (!taken) break;
    RETURN_IF_ERROR(impl.TakeEntries());
  }
  if (impl.ended && !impl.input.empty()) {
    return absl::DataLossError("read the archive: something follows its end");
  }
  return absl::OkStatus();
}

absl::Status ArchiveReader::Finish() const {
  if (!impl_->ended || !impl_->plain.empty()) {
    return absl::DataLossError("read the archive: its end is missing");
  }
  return absl::OkStatus();
}

std::vector<BackupEntry>& ArchiveReader::entries() { return impl_->entries; }

SecretText ArchiveReader::WrappingKey() const { return impl_->keys.Wrapping(); }

}  // namespace bulwark::api
