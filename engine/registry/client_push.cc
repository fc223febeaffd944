// How a RegistryClient sends blobs and manifests.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/registry/answers.h"
#include "engine/registry/client.h"

namespace bulwark::engine::registry {
namespace {

// Where a proxy takes no more.
constexpr int64_t kSmallestPiece = int64_t{512} << 10;
// That a registry may insist on.
constexpr int64_t kLargestMinimum = int64_t{1} << 30;
// A registry may look through a whole layer before it takes it.
constexpr absl::Duration kCommitPatience = absl::Minutes(5);

// Worth another try: with what the registry knows of the upload.
bool CanGoOn(const absl::StatusOr<HttpResponse>& answer) {
  if (!answer.ok()) {
    return absl::IsUnavailable(answer.status()) ||
           absl::IsDeadlineExceeded(answer.status());
  }
  return IsTransient(answer->status) || answer->status == 404 ||
         answer->status == 416;
}

}  // namespace

// An upload that the registry has begun.
struct RegistryClient::Upload {
  std::string url;
  int64_t offset = 0;     // what it has
  int64_t min_piece = 0;  // that it takes, but for the last one
};

absl::StatusOr<bool> RegistryClient::HasBlob(const image::Descriptor& blob,
                                             int* attempts) {
  const auto make = [](const std::string& url) {
    HttpRequest request;
    request.method = "HEAD";
    request.url = url;
    return request;
  };
  ASSIGN_OR_RETURN(const HttpResponse answer,
                   WithRetries(
                       absl::StrCat(repository_, "/blobs/", blob.digest), make,
                       [] { return false; }, attempts));
  if (answer.status == 200) return true;
  if (answer.status == 404) return false;
  return StatusOf(answer, absl::StrCat("look for ", blob.digest));
}

absl::StatusOr<HttpResponse> RegistryClient::BeginUpload(
    const std::string& query) {
  const auto make = [](const std::string& url) {
    HttpRequest request;
    request.method = "POST";
    request.url = url;
    return request;
  };
  return WithRetries(absl::StrCat(repository_, "/blobs/uploads/", query), make,
                     [] { return false; });
}

// Where to go on, as the answer says: registries move uploads along.
absl::Status RegistryClient::TakeLocation(const HttpResponse& answer,
                                          Upload& upload) {
  const std::string location = answer.Header("location");
  if (location.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string base, BaseUrl());
  ASSIGN_OR_RETURN(
      upload.url,
      ResolveUrl(upload.url.empty() ? absl::StrCat(base, "/") : upload.url,
                 location));
  int64_t bytes = 0;
  if (absl::SimpleAtoi(answer.Header("oci-chunk-min-length"), &bytes)) {
    upload.min_piece = std::clamp<int64_t>(bytes, 0, kLargestMinimum);
  }
  return absl::OkStatus();
}

absl::StatusOr<BlobOutcome> RegistryClient::PushBlob(
    const OutgoingBlob& blob, const std::function<void(int64_t)>& progress) {
  const std::string what = absl::StrCat("push ", blob.descriptor.digest);
  ASSIGN_OR_RETURN(const bool present, HasBlob(blob.descriptor));
  if (present) return BlobOutcome::kPresent;
  Upload upload;
  if (!blob.mount_from.empty() && !no_mounts_) {
    ASSIGN_OR_RETURN(
        const HttpResponse answer,
        BeginUpload(absl::StrCat("?mount=", UrlEscape(blob.descriptor.digest),
                                 "&from=", UrlEscape(blob.mount_from))));
    if (answer.status == 201) return BlobOutcome::kMounted;
    // What it cannot mount it lets us send. Others refuse: we send it, too.
    if (answer.status == 202) RETURN_IF_ERROR(TakeLocation(answer, upload));
  }
  RETURN_IF_ERROR_CTX(Send(blob, std::move(upload), progress), what);
  return BlobOutcome::kUploaded;
}

absl::StatusOr<HttpResponse> RegistryClient::SendPiece(
    const OutgoingBlob& blob, const Upload& upload, int64_t size,
    const std::function<void(int64_t)>& progress) {
  const int64_t end = upload.offset + size;
  const bool last = end == blob.descriptor.size;
  HttpRequest request;
  request.url = upload.url;
  request.cancelled = options_.cancelled;
  request.headers = {"Content-Type: application/octet-stream"};
  // The first is the last, or there is nothing left: that ends it.
  if (last && (upload.offset == 0 || size == 0)) {
    request.method = "PUT";
    absl::StrAppend(&request.url,
                    absl::StrContains(upload.url, "?") ? "&" : "?",
                    "digest=", UrlEscape(blob.descriptor.digest));
    request.answer_patience = kCommitPatience;
  } else {
    request.method = "PATCH";
    request.headers.push_back(
        absl::StrCat("Content-Range: ", upload.offset, "-", end - 1));
  }
  if (size > 0) {
    request.body_size = size;
    request.source = [&](int64_t offset, char* buffer,
                         size_t room) -> absl::StatusOr<size_t> {
      ssize_t n = 0;
      do {
        n = pread(blob.fd, buffer, room, upload.offset + offset);
      } while (n < 0 && errno == EINTR);
      if (n < 0) return ErrnoStatus("read", blob.descriptor.digest);
      if (progress != nullptr) progress(upload.offset + offset + n);
      return static_cast<size_t>(n);
    };
  }
  return Exchange(request);
}

// Asks how much of a cut upload has arrived. NOT_FOUND if it is gone.
absl::Status RegistryClient::Seek(Upload& upload, int* attempts) {
  const auto make = [&upload](const std::string&) {
    HttpRequest request;
    request.url = upload.url;
    return request;
  };
  ASSIGN_OR_RETURN(const HttpResponse answer,
                   WithRetries(
                       "", make, [] { return false; }, attempts));
  if (answer.status != 204 && answer.status != 202 && answer.status != 200) {
    if (IsTransient(answer.status)) return StatusOf(answer, "go on");
    return absl::NotFoundError("the upload is gone");
  }
  RETURN_IF_ERROR(TakeLocation(answer, upload));
  // "0-1023"; "0-0" is what an empty one has.
  const std::string range = answer.Header("range");
  int64_t last = 0;
  const size_t dash = range.find('-');
  if (dash == std::string::npos ||
      !absl::SimpleAtoi(range.substr(dash + 1), &last) || last < 0) {
    upload.offset = 0;
    return absl::OkStatus();
  }
  upload.offset = last == 0 ? 0 : last + 1;
  return absl::OkStatus();
}

absl::Status RegistryClient::Send(
    const OutgoingBlob& blob, Upload upload,
    const std::function<void(int64_t)>& progress) {
  const int64_t total = blob.descriptor.size;
  int64_t piece = options_.largest_piece;
  int64_t most = 0;  // that ever was there: what attempts are counted by
  bool resumed = false;
  for (int attempt = 0;;) {
    if (upload.url.empty()) {
      ASSIGN_OR_RETURN(const HttpResponse answer, BeginUpload(""));
      if (answer.status != 202) return StatusOf(answer, "begin an upload");
      upload = Upload();
      RETURN_IF_ERROR(TakeLocation(answer, upload));
      if (upload.url.empty()) {
        return absl::UnavailableError(absl::StrCat(
            "registry ", registry_, " does not say where to send it"));
      }
    }
    const int64_t size =
        std::min(total - upload.offset, std::max(piece, upload.min_piece));
    const absl::StatusOr<HttpResponse> answer =
        SendPiece(blob, upload, size, progress);
    const int status = answer.ok() ? answer->status : 0;
    if (status == 201 || status == 204) return absl::OkStatus();
    if (status == 202) {
      upload.offset += size;
      RETURN_IF_ERROR(TakeLocation(*answer, upload));
      if (upload.offset >= most + kProgressBytes) attempt = 0;
      most = std::max(most, upload.offset);
      if (size > 0) continue;
      // It was told that this is all, and wants more: that is no registry.
      return absl::UnavailableError(
          absl::StrCat("registry ", registry_, " does not end the upload"));
    }
    if (status == 413 && piece > kSmallestPiece) {
      piece = std::max(kSmallestPiece, piece / 8);
      upload = Upload();
      continue;
    }
    const bool mixed_up =
        status == 400 && ErrorCode(*answer) == "DIGEST_INVALID";
    if (mixed_up && !resumed) {
      return absl::DataLossError(
          absl::StrCat(registry_, " got other content than the digest says",
                       Explanation(*answer)));
    }
    if (!mixed_up && !CanGoOn(answer)) {
      if (!answer.ok()) return answer.status();
      return StatusOf(*answer, "upload");
    }
    if (++attempt >= options_.max_attempts) {
      absl::Status why =
          answer.ok() ? StatusOf(*answer, "upload") : answer.status();
      return absl::UnavailableError(absl::StrCat(
          why.message(), " (tried ", options_.max_attempts, " times)"));
    }
    RETURN_IF_ERROR(Wait(attempt - 1, answer.ok() ? &*answer : nullptr));
    // The end may have been reached, and only its answer lost.
    // What fails meanwhile counts, too: else there are attempts of attempts.
    ASSIGN_OR_RETURN(const bool present, HasBlob(blob.descriptor, &attempt));
    if (present) return absl::OkStatus();
    const absl::Status found =
        mixed_up ? absl::NotFoundError("") : Seek(upload, &attempt);
    if (absl::IsCancelled(found)) return found;
    if (absl::IsUnavailable(found) && attempt + 1 >= options_.max_attempts) {
      return found;
    }
    if (!found.ok() || upload.offset > total) upload = Upload();
    resumed = !mixed_up && upload.offset > 0;
    const bool progress = upload.offset >= most + kProgressBytes;
    if (absl::IsDeadlineExceeded(answer.status()) && !progress) {
      return GiveUp(answer.status());
    }
    if (progress) attempt = 0;
    most = std::max(most, upload.offset);
  }
}

absl::Status RegistryClient::PushManifest(const std::string& version,
                                          const std::string& media_type,
                                          const std::string& text) {
  const auto make = [&](const std::string& url) {
    HttpRequest request;
    request.method = "PUT";
    request.url = url;
    request.headers = {absl::StrCat("Content-Type: ", media_type)};
    request.body = text;
    request.answer_patience = kCommitPatience;
    return request;
  };
  ASSIGN_OR_RETURN(
      const HttpResponse answer,
      WithRetries(absl::StrCat(repository_, "/manifests/", version), make,
                  [] { return false; }));
  if (answer.status / 100 != 2) {
    const std::string code = ErrorCode(answer);
    if (code == "MANIFEST_BLOB_UNKNOWN" || code == "BLOB_UNKNOWN") {
      return absl::AbortedError(absl::StrCat(
          "push manifest: ", registry_, " lacks a layer that it had just now",
          Explanation(answer)));
    }
    if (code == "MANIFEST_INVALID" || answer.status == 415) {
      return absl::FailedPreconditionError(absl::StrCat(
          "push manifest: ", registry_, " refuses the manifest",
          Explanation(answer), "; does it know ", media_type,
          "? `--format docker` or `--format oci` writes another one"));
    }
    return StatusOf(answer, "push manifest");
  }
  const std::string digest = answer.Header("docker-content-digest");
  if (image::IsDigest(digest) && digest != image::DigestOf(text)) {
    return absl::DataLossError(absl::StrCat(
        "push manifest: ", registry_, " has stored another one: expected ",
        image::DigestOf(text), ", got ", digest));
  }
  return absl::OkStatus();
}

}  // namespace bulwark::engine::registry
