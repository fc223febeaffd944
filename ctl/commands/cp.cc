// ctl cp, export, changes: files of a container.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ctl/commands/commands.h"
#include "ctl/container_calls.h"
#include "ctl/errors.h"
#include "ctl/output_file.h"
#include "ctl/tar.h"
#include "ctl/untar.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::string source;
  std::string target;
  std::string container;
  bool follow = false;
  bool archive = false;
};

// "web:/etc/nginx"; a local path has a "/" before its first ":".
struct Place {
  std::string container;  // empty: local
  std::string path;

  static Place Parse(const std::string& text) {
    const size_t colon = text.find(':');
    const size_t slash = text.find('/');
    if (colon == std::string::npos || colon == 0 || text[0] == '.' ||
        (slash != std::string::npos && slash < colon &&
         !absl::StartsWith(text, "replica/") &&
         !absl::StartsWith(text, "service/") &&
         !absl::StartsWith(text, "svc/") && !absl::StartsWith(text, "job/"))) {
      return {"", text};
    }
    Place place{text.substr(0, colon), text.substr(colon + 1)};
    for (absl::string_view kind : {"service/", "svc/", "replica/"}) {
      absl::string_view name = place.container;
      if (absl::ConsumePrefix(&name, kind)) {
        place.container = std::string(name);
        break;
      }
    }
    return place;
  }
};

// The last part of a path; empty for "/", "." and what ends so.
std::string BaseOf(absl::string_view path) {
  while (path.size() > 1 && absl::ConsumeSuffix(&path, "/")) {
  }
  const size_t slash = path.rfind('/');
  if (slash != absl::string_view::npos) path.remove_prefix(slash + 1);
  return path == "." || path == ".." ? "" : std::string(path);
}

// Docker's rule: "folder/." is what is in it.
bool IsContents(absl::string_view path) {
  return path == "." || absl::EndsWith(path, "/.");
}

// The first entry of an archive.
class FirstEntry final : public UntarParser {
 public:
  std::optional<UntarEntry> entry;

 private:
  absl::Status OnEntry(const UntarEntry& e) override {
    if (!entry.has_value()) entry = e;
    return absl::CancelledError("that is enough");
  }
  absl::Status OnData(absl::string_view) override { return absl::OkStatus(); }
  absl::Status OnEntryEnd() override { return absl::OkStatus(); }
};

template <typename Request>
Request For(Context& context, const Flags& flags, const Place& place) {
  Request request;
  request.set_project(context.ProjectOrDefault());
  request.set_target(place.container);
  request.set_container(flags.container);
  return request;
}

v1::CopyFromRequest FromRequest(Context& context, const Flags& flags,
                                const Place& place, const std::string& path) {
  auto request = For<v1::CopyFromRequest>(context, flags, place);
  request.set_path(path);
  request.set_follow_link(flags.follow || IsContents(place.path) ||
                          absl::EndsWith(place.path, "/"));
  return request;
}

enum class Kind { kNothing, kFolder, kOther };

absl::StatusOr<Kind> KindInside(Context& context, const Flags& flags,
                                const Place& place) {
  const std::string name = BaseOf(place.path);
  if (name.empty()) return Kind::kFolder;
  FirstEntry first;
  v1::CopyFromRequest request = FromRequest(context, flags, place, place.path);
  request.set_follow_link(true);
  const absl::Status status =
      CopyFrom(context.client(), request,
               [&](absl::string_view data) { return first.Add(data); });
  if (first.entry.has_value()) {
    return first.entry->type == '5' ? Kind::kFolder : Kind::kOther;
  }
  if (absl::IsNotFound(status) &&
      absl::StrContains(status.message(), "No such file")) {
    return Kind::kNothing;
  }
  return status.ok() ? absl::StatusOr<Kind>(Kind::kOther) : status;
}

absl::StatusOr<int> CopyOut(Context& context, const Flags& flags,
                            const Place& from, const std::string& target) {
  std::string path = from.path;
  if (IsContents(path)) path.resize(path.size() - 1);
  v1::CopyFromRequest request = FromRequest(context, flags, from, path);
  if (target == "-") {
    RETURN_IF_ERROR(
        CopyFrom(context.client(), request, [&](absl::string_view data) {
          context.io.Out(data);
          return context.io.out_error() == 0
                     ? absl::OkStatus()
                     : absl::CancelledError("no reader");
        }));
    return kExitOk;
  }
  struct stat st;
  const bool exists = stat(target.c_str(), &st) == 0;
  const bool is_folder = exists && S_ISDIR(st.st_mode);
  const std::string name = BaseOf(path);
  // The folder that things are unpacked in, and the name there.
  std::string folder = target;
  UntarOptions options;
  options.keep_owners = flags.archive;
  if (is_folder && !IsContents(from.path)) {
    options.first = name;
  } else if (!is_folder) {
    if (exists && (IsContents(from.path) || name.empty())) {
      return absl::FailedPreconditionError(
          absl::StrCat("copy to ", target, ": it is a file"));
    }
    options.first = BaseOf(target);
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    const size_t slash = folder.rfind('/');
    folder = slash == std::string::npos ? "."
             : slash == 0               ? "/"
                                        : folder.substr(0, slash);
    if (IsContents(from.path) || name.empty()) {
      if (mkdir(target.c_str(), 0755) != 0) {
        return ErrnoStatus("make folder", target);
      }
      folder = target;
      options.first = "";
    } else if (absl::EndsWith(target, "/")) {
      ASSIGN_OR_RETURN(const Kind kind, KindInside(context, flags, from));
      if (kind != Kind::kFolder) {
        return absl::NotFoundError(
            absl::StrCat("copy to ", target, ": there is no such folder"));
      }
    }
  }
  const UniqueFd dir(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok()) return ErrnoStatus("open folder", folder);
  // Of "/" the entries have no common first part to drop.
  options.has_first = !name.empty();
  Untar untar(dir.get(), options);
  RETURN_IF_ERROR(
      CopyFrom(context.client(), request,
               [&](absl::string_view data) { return untar.Add(data); }));
  RETURN_IF_ERROR(untar.Finish());
  return kExitOk;
}

// Gives standard input, piece by piece.
absl::StatusOr<std::string> ReadInput(int fd) {
  std::string piece(256 << 10, '\0');
  while (true) {
    const ssize_t n = read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", "standard input");
    piece.resize(static_cast<size_t>(n));
    return piece;
  }
}

absl::StatusOr<int> CopyIn(Context& context, const Flags& flags,
                           const std::string& source, const Place& to) {
  v1::CopyToRequest first;
  v1::CopyToStart& start = *first.mutable_start();
  start = For<v1::CopyToStart>(context, flags, to);
  start.set_keep_ids(flags.archive);
  start.set_path(to.path);
  if (source == "-") {
    start.set_keep_ids(true);
    const int fd = context.io.in_fd();
    RETURN_IF_ERROR(CopyTo(context.client(), first, [fd] {
                      return ReadInput(fd);
                    }).status());
    return kExitOk;
  }
  std::string path = source;
  struct stat st;
  const bool through =
      flags.follow || IsContents(source) || absl::EndsWith(source, "/");
  if ((through ? stat(path.c_str(), &st) : lstat(path.c_str(), &st)) != 0) {
    return ErrnoStatus("copy", source);
  }
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("copy ", source, ": it is no file, folder or link"));
  }
  std::string name = BaseOf(source);
  if (through) {
    char* resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return ErrnoStatus("copy", source);
    path = resolved;
    free(resolved);
    if (name.empty()) name = BaseOf(path);
  }
  ASSIGN_OR_RETURN(const Kind kind, KindInside(context, flags, to));
  const bool is_folder = S_ISDIR(st.st_mode);
  if (kind == Kind::kOther && (is_folder || absl::EndsWith(to.path, "/"))) {
    return absl::FailedPreconditionError(
        absl::StrCat("copy to ", to.path, ": it is a file in the container"));
  }
  if (kind == Kind::kNothing && !is_folder && absl::EndsWith(to.path, "/")) {
    return absl::NotFoundError(absl::StrCat(
        "copy to ", to.path, ": there is no such folder in the container"));
  }
  // A new name, or the name of a file that is replaced.
  const bool renamed = kind != Kind::kFolder;
  if (renamed) {
    name = BaseOf(to.path);
    absl::string_view parent = to.path;
    while (parent.size() > 1 && absl::ConsumeSuffix(&parent, "/")) {
    }
    const size_t slash = parent.rfind('/');
    start.set_path(slash == absl::string_view::npos ? "."
                   : slash == 0                     ? "/"
                                : std::string(parent.substr(0, slash)));
  }
  std::unique_ptr<TarFolder> tar;
  if (is_folder && IsContents(source) && !renamed) {
    ASSIGN_OR_RETURN(tar, TarFolder::Open(path));
  } else {
    tar = TarFolder::Of(path, name);
  }
  if (flags.archive) tar->KeepOwners();
  RETURN_IF_ERROR(
      CopyTo(context.client(), first, [&] { return tar->Next(); }).status());
  return kExitOk;
}

absl::StatusOr<int> Copy(Context& context, const Flags& flags) {
  const Place from = Place::Parse(flags.source);
  const Place to = Place::Parse(flags.target);
  if (from.container.empty() == to.container.empty()) {
    return UsageError(
        "cp: one of the two is in a container: NAME:/PATH. A local path with "
        "a \":\" is written ./PATH");
  }
  const Place& inside = from.container.empty() ? to : from;
  if (inside.path.empty()) return UsageError("cp: give a path after NAME:");
  return from.container.empty() ? CopyIn(context, flags, flags.source, to)
                                : CopyOut(context, flags, from, flags.target);
}

absl::StatusOr<int> ExportRoot(Context& context, const Flags& flags) {
  v1::ExportRequest request =
      For<v1::ExportRequest>(context, flags, Place{flags.source, ""});
  if (flags.target.empty() || flags.target == "-") {
    if (context.io.out_tty()) {
      return UsageError("export: -o FILE, or send it to a file or program");
    }
    RETURN_IF_ERROR(
        Export(context.client(), request, [&](absl::string_view data) {
          context.io.Out(data);
          return context.io.out_error() == 0
                     ? absl::OkStatus()
                     : absl::CancelledError("no reader");
        }));
    return kExitOk;
  }
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(flags.target, true));
  RETURN_IF_ERROR(
      Export(context.client(), request,
             [&](absl::string_view data) { return file.Write(data); }));
  RETURN_IF_ERROR(file.Commit());
  return kExitOk;
}

absl::StatusOr<int> Changes(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(
      const v1::DiffResponse response,
      Diff(context.client(),
           For<v1::DiffRequest>(context, flags, Place{flags.source, ""})));
  for (const v1::FileChange& change : response.changes()) {
    const char* sign = change.type() == v1::FileChange::ADDED     ? "A "
                       : change.type() == v1::FileChange::DELETED ? "D "
                                                                  : "C ";
    context.io.Out(absl::StrCat(sign, change.path(), "\n"));
  }
  return kExitOk;
}

absl::StatusOr<int> CommitImage(Context& context, const Flags& flags,
                                const v1::CommitRequest& more) {
  auto request =
      For<v1::CommitRequest>(context, flags, Place::Parse(flags.source + ":"));
  request.MergeFrom(more);
  request.set_reference(flags.target);
  ASSIGN_OR_RETURN(const v1::CommitResponse response,
                   Commit(context.client(), request));
  context.io.Out(absl::StrCat(response.image().digest(), "\n"));
  return kExitOk;
}

struct CommitFlags {
  std::string author, message;
  std::vector<std::string> changes;
  bool no_pause = false;
};

constexpr char kContainer[] = "Default: the first main container";

}  // namespace

void AddCp(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "cp",
          "Copy files to or from a container: cp NAME:/PATH PATH, or cp PATH "
          "NAME:/PATH.\nPATH/. is what is in the folder; - is a tar archive on "
          "standard input or output")
      .Word("SOURCE", flags->source, "NAME:/PATH, a local path, or -",
            Command::kRequired)
      .Word("TARGET", flags->target, "A local path, NAME:/PATH, or -",
            Command::kRequired)
      .Option("-c,--container", flags->container, kContainer)
      .Flag("-L,--follow-link", flags->follow,
            "Copy what SOURCE leads to, if it is a symbolic link")
      .Flag("-a,--archive", flags->archive, "Keep users and groups")
      .Action([flags](Context& c) { return Copy(c, *flags); });
  flags = std::make_shared<Flags>();
  Command(app, context, "export",
          "Write the whole root file system of a container as a tar archive")
      .Word("TARGET", flags->source,
            "A replica, or a service or job of which one replica runs",
            Command::kRequired)
      .Option("-o,--output", flags->target, "File; default: standard output")
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) { return ExportRoot(c, *flags); });
  flags = std::make_shared<Flags>();
  auto commit = std::make_shared<CommitFlags>();
  Command(app, context, "commit",
          "Make an image of what a container is now, volumes left out. It is "
          "paused meanwhile")
      .Word("TARGET", flags->source,
            "A replica, or a service or job of which one replica runs",
            Command::kRequired)
      .Word("REFERENCE", flags->target, "The image's name; default: none")
      .Option("-c,--container", flags->container, kContainer)
      .Option(
          "--change", commit->changes,
          "An instruction of a Dockerfile, e.g. 'CMD [\"sh\"]' (repeatable)")
      .Option("-a,--author", commit->author, "Kept in the image's history")
      .Option("-m,--message", commit->message, "Kept in the image's history")
      .Flag("--no-pause", commit->no_pause, "Let it go on while it is copied")
      .Action([flags, commit](Context& c) {
        v1::CommitRequest more;
        more.set_author(commit->author);
        more.set_message(commit->message);
        more.set_no_pause(commit->no_pause);
        for (const std::string& change : commit->changes) {
          more.add_changes(change);
        }
        return CommitImage(c, *flags, more);
      });
  flags = std::make_shared<Flags>();
  Command(app, context, "changes",
          "List the files that a container has added (A), changed (C) or "
          "deleted (D)")
      .Word("TARGET", flags->source,
            "A replica, or a service or job of which one replica runs",
            Command::kRequired)
      .Option("-c,--container", flags->container, kContainer)
      .Action([flags](Context& c) { return Changes(c, *flags); });
}

}  // namespace bulwark::ctl
