#include "ctl/descriptors.h"

namespace bulwark::ctl {
namespace {

constexpr unsigned char kBytes[] = {
#include "ctl/descriptors.inc"
};

}  // namespace

absl::string_view Descriptors() {
  return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes)};
}

}  // namespace bulwark::ctl
