// Pieces that pull, load, build and run share.
#ifndef CTL_PULL_H_
#define CTL_PULL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctl/context.h"
#include "ctl/print/progress.h"

namespace bulwark::ctl {

// Pulls with progress; `images` may be null.
absl::Status PullImage(Context& context, const v1::PullImageRequest& request,
                       bool quiet, std::vector<v1::ImageInfo>* images);

// "NAMES DIGEST" lines.
void PrintImages(Context& context, const std::vector<v1::ImageInfo>& images);

// Reads `fd`, which stays the caller's, to its end. `name` is for errors.
Client::Source FileSource(int fd, std::string name);

}  // namespace bulwark::ctl

#endif  // CTL_PULL_H_
