// Building images.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "api/archive_pipe.h"
#include "api/audit/describe.h"
#include "api/images_progress.h"
#include "api/sent_contexts.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

using BuildStream =
    grpc::ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>;

constexpr int kMostSecrets = 100;
constexpr int kMostContexts = 100;
constexpr int64_t kMaxShm = int64_t{64} << 30;

// A path inside the context: relative, without ".." parts.
bool IsInside(const std::string& path) {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string::npos) {
    return false;
  }
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("build image: ", what));
}

// The registry that a tag names; empty: Docker Hub.
std::string RegistryOf(const std::string& tag) {
  const std::string first = tag.substr(0, tag.find('/'));
  const bool names_host =
      first.size() < tag.size() &&
      (first == "localhost" || first.find_first_of(".:") != std::string::npos);
  return names_host ? first : "";
}

absl::StatusOr<engine::BuildRequest::Output> OutputOf(
    const v1::BuildOptions& options) {
  using Output = engine::BuildRequest::Output;
  if (options.check()) return Output::kCheckOnly;
  switch (options.output()) {
    case v1::BuildOptions::OUTPUT_UNSPECIFIED:
      return Output::kImage;
    case v1::BuildOptions::FILES:
      return Output::kFiles;
    case v1::BuildOptions::OCI:
      return Output::kOci;
    case v1::BuildOptions::DOCKER:
      return Output::kDocker;
    default:
      return Wrong("this daemon does not know that output");
  }
}

bool IsArchive(engine::BuildRequest::Output output) {
  using Output = engine::BuildRequest::Output;
  return output == Output::kFiles || output == Output::kOci ||
         output == Output::kDocker;
}

// What of an OCI layout that the client sends is meant may stand behind it.
constexpr char kLayout[] = "oci-layout:";
bool IsLayout(absl::string_view place) {
  return absl::StartsWith(place, kLayout);
}
bool IsSent(absl::string_view place) {
  return place.empty() || IsLayout(place);
}

// What was given of the further contexts: a place, or nothing for those that
// the client sends.
absl::Status SetContexts(const v1::BuildOptions& options,
                         engine::BuildRequest& request) {
  if (options.contexts_size() > kMostContexts) {
    return Wrong(absl::StrCat("more than ", kMostContexts, " contexts"));
  }
  for (const auto& [name, value] : options.contexts()) {
    // A path would be one of the daemon's own host.
    if (absl::StartsWith(value, "/")) {
      return Wrong(absl::StrCat("context ", name, ": \"", value,
                                "\" is a path; the client sends folders"));
    }
    if (IsLayout(value) && absl::StrContains(value, "/")) {
      return Wrong(absl::StrCat("context ", name, ": \"", value,
                                "\" holds a path; the client sends layouts"));
    }
    request.contexts[name] = value;
  }
  return absl::OkStatus();
}

// What the audit log says of a build: what it makes, and what it may. The URL
// of a context may hold a password.
std::string DetailOf(v1::BuildOptions options, const Caller& caller) {
  options.clear_remote_context();
  return Describe("", caller, &options).detail();
}

// Both sides of the stream are used at once.
class LockedStream {
 public:
  explicit LockedStream(BuildStream& stream) : stream_(stream) {}
  bool Write(const v1::ImageProgress& message) {
    absl::MutexLock lock(&mu_);
    return stream_.Write(message);
  }

 private:
  absl::Mutex mu_;
  BuildStream& stream_;
};

absl::Status Receive(BuildStream& stream, const engine::BuildRequest& request,
                     SentContexts& contexts) {
  v1::BuildImageRequest message;
  while (stream.Read(&message)) {
    if (!message.has_named_context()) {
      RETURN_IF_ERROR(contexts.Append("", message.context()));
      continue;
    }
    const std::string& name = message.named_context().name();
    auto it = request.contexts.find(name);
    if (it == request.contexts.end() || !IsSent(it->second)) {
      return Wrong(absl::StrCat("the options name no context \"", name,
                                "\" that is sent"));
    }
    RETURN_IF_ERROR(contexts.Append(name, message.named_context().data()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<engine::BuildRequest> ImagesService::ToBuildRequest(
    const v1::BuildOptions& options, const Caller& caller) {
  engine::BuildRequest request;
  if (!options.dockerfile().empty()) {
    if (!IsInside(options.dockerfile())) {
      return Wrong(absl::StrCat("\"", options.dockerfile(),
                                "\" is not a path inside the context"));
    }
    request.dockerfile = options.dockerfile();
  }
  request.dockerfile_text = options.dockerfile_text();
  request.tags.assign(options.tags().begin(), options.tags().end());
  request.args.insert(options.args().begin(), options.args().end());
  request.target = options.target();
  request.no_cache = options.no_cache();
  request.no_cache_stages.insert(options.no_cache_filter().begin(),
                                 options.no_cache_filter().end());
  request.labels.insert(options.labels().begin(), options.labels().end());
  request.pull = options.pull();
  request.platform = options.platform();
  request.remote_context = options.remote_context();
  request.network = options.network();
  request.extra_hosts.insert(options.extra_hosts().begin(),
                             options.extra_hosts().end());
  request.shm_size_bytes = options.shm_size_bytes();
  if (request.shm_size_bytes < 0 || request.shm_size_bytes > kMaxShm) {
    return Wrong("the size of /dev/shm is 0 to 64 GiB");
  }
  request.zstd = options.compression() == "zstd";
  if (!request.zstd && !options.compression().empty() &&
      options.compression() != "gzip") {
    return Wrong("the compression is gzip or zstd");
  }
  if (!request.network.empty() && request.network != "default" &&
      request.network != "none" && request.network != "host") {
    return Wrong("the network is default, none or host");
  }
  request.allow_insecure = options.allow_insecure();
  request.allow_host_network = options.allow_host_network();
  // As for a privileged container, of whatever project.
  const std::string any(kAnyProject);
  if (request.allow_insecure) {
    RETURN_IF_ERROR(caller.Require(Right::kPrivileged, any,
                                   "build with security.insecure"));
  }
  if (request.allow_host_network) {
    RETURN_IF_ERROR(
        caller.Require(Right::kPrivileged, any, "build in the host's network"));
  }
  RETURN_IF_ERROR(SetContexts(options, request));
  ASSIGN_OR_RETURN(request.output, OutputOf(options));
  if (options.push() &&
      (request.tags.empty() || options.check() || IsArchive(request.output))) {
    return Wrong("only an image with a tag can be pushed");
  }
  for (const auto& [registry, credentials] : options.credentials()) {
    ASSIGN_OR_RETURN(const std::string name, env_.registries.name(registry));
    request.auth[name] = engine::RegistryAuth{
        credentials.username(), SecretText(credentials.password())};
  }
  if (options.sealed_secrets_size() > kMostSecrets) {
    return Wrong(absl::StrCat("more than ", kMostSecrets, " secrets"));
  }
  for (const auto& [id, sealed] : options.sealed_secrets()) {
    if (env_.vault == nullptr) {
      return absl::FailedPreconditionError(
          "build image: this daemon takes no secrets");
    }
    const secrets::Binding binding = {"build", "", id, 1};
    absl::StatusOr<secrets::AcceptedValue> accepted =
        env_.vault->Accept(binding, sealed);
    if (!accepted.ok()) {
      return Annotate(accepted.status(),
                      absl::StrCat("build image: secret ", id));
    }
    ASSIGN_OR_RETURN(const secrets::SecretBytes value,
                     env_.vault->Open(binding, accepted->rows));
    request.secrets[id] = SecretText(value.Reveal());
  }
  return request;
}

absl::StatusOr<std::vector<engine::Image>> ImagesService::BuildAndPush(
    const engine::BuildRequest& request, bool push,
    const engine::ProgressSink& sink) {
  ASSIGN_OR_RETURN(engine::Image image, env_.images.Build(request, sink));
  if (image.digest.empty()) return std::vector<engine::Image>();
  if (push) {
    ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
    for (const std::string& tag : request.tags) {
      engine::PushRequest target;
      target.reference = tag;
      ASSIGN_OR_RETURN(const std::string registry,
                       env_.registries.name(RegistryOf(tag)));
      auto auth = request.auth.find(registry);
      if (auth != request.auth.end()) target.auth = auth->second;
      RETURN_IF_ERROR(exchange->Push(target, sink).status());
    }
  }
  return std::vector<engine::Image>{std::move(image)};
}

absl::Status ImagesService::BuildChecked(const grpc::ServerContext& context,
                                         const Caller& caller,
                                         BuildStream& stream) {
  v1::BuildImageRequest message;
  if (!stream.Read(&message) || !message.has_options()) {
    return Wrong("the first message must hold the options");
  }
  const bool push = message.options().push();
  caller.record()->record().set_detail(DetailOf(message.options(), caller));
  ASSIGN_OR_RETURN(engine::BuildRequest request,
                   ToBuildRequest(message.options(), caller));
  message.Clear();
  SentContexts sent(env_.uploads, env_.kept, limits_.context_bytes);
  const int64_t uid = caller.identity().uid();
  RETURN_IF_ERROR(sent.TakeOffer("", uid, request.remote_context));
  for (auto& [name, place] : request.contexts) {
    RETURN_IF_ERROR(sent.TakeOffer(name, uid, place));
  }
  RETURN_IF_ERROR(Receive(stream, request, sent));
  if (context.IsCancelled()) {
    return absl::CancelledError("build image: the client is gone");
  }
  ASSIGN_OR_RETURN(request.context_dir, sent.Open("", unpack_));
  for (auto& [name, place] : request.contexts) {
    if (!IsSent(place)) continue;
    if (!sent.Has(name)) {
      return Wrong(absl::StrCat("nothing was sent for context ", name));
    }
    ASSIGN_OR_RETURN(const std::string path, sent.Open(name, unpack_));
    place = IsLayout(place)
                ? absl::StrCat(kLayout, path, absl::StripPrefix(place, kLayout))
                : path;
  }
  LockedStream locked(stream);
  if (!IsArchive(request.output)) {
    return WithProgress(context, locked, [&](const engine::ProgressSink& sink) {
      return BuildAndPush(request, push, sink);
    });
  }
  const auto produce = [&](int fd, const std::function<bool()>& wanted) {
    request.output_fd = fd;
    return WithProgress(context, locked, [&](const engine::ProgressSink& sink) {
      return BuildAndPush(request, false,
                          [&](const engine::Progress& progress) {
                            return wanted() && sink(progress);
                          });
    });
  };
  return PipeArchive(context, env_.stopper, produce, [&](std::string data) {
    v1::ImageProgress piece;
    piece.set_data(std::move(data));
    return locked.Write(piece);
  });
}

grpc::Status ImagesService::Build(grpc::ServerContext* context,
                                  BuildStream* stream) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Build", [&](const Caller& caller) {
        const absl::Status status = BuildChecked(*context, caller, *stream);
        // The next one needs the room.
        if (absl::IsResourceExhausted(status)) {
          env_.kept.Clear();
        }
        return status;
      });
}

}  // namespace bulwark::api
