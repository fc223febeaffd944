#include "secrets/secret_bytes.h"

#include <sodium.h>

#include "base/check.h"

namespace bulwark::secrets {

SecretBytes::SecretBytes(size_t size) : size_(size) {
  CHECK(sodium_init() >= 0);
  // Of no bytes too, so that data() is never null.
  data_ = static_cast<uint8_t*>(sodium_malloc(size == 0 ? 1 : size));
  CHECK(data_ != nullptr);
  sodium_memzero(data_, size);
}

SecretBytes::~SecretBytes() { sodium_free(data_); }

SecretBytes SecretBytes::Random(size_t size) {
  SecretBytes bytes(size);
  randombytes_buf(bytes.data(), size);
  return bytes;
}

}  // namespace bulwark::secrets
