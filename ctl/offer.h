// What need not be sent of a build context, since the daemon has it.
#ifndef CTL_OFFER_H_
#define CTL_OFFER_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ctl/context.h"
#include "ctl/tar.h"
#include "proto/bulwark/v1/contexts.pb.h"

namespace bulwark::ctl {

struct Offer {
  std::string place;      // for the options of the build
  bool complete = false;  // nothing is to be sent
};

// Tells the daemon what `tar` holds, and takes out of it what the daemon has.
// `origin` tells the folder from others. Nothing if all has to be sent: the
// daemon is an older one, or there is too much to tell.
std::optional<Offer> OfferFolder(Context& context, const std::string& origin,
                                 TarFolder& tar);

// The message for one entry, as it is at `now`. A file that was changed just
// before has no version: it could change again and look the same, as file
// systems count time in steps.
v1::ContextEntry EntryOf(const TarFolder::Listed& listed, absl::Time now);

}  // namespace bulwark::ctl

#endif  // CTL_OFFER_H_
