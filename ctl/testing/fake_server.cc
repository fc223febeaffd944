#include "ctl/testing/fake_server.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "ctl/testing/fake_state.h"
#include "manifest/kinds.h"

namespace bulwark::ctl::testing {

using grpc::ServerContext;
using grpc::ServerReaderWriter;
using grpc::ServerWriter;
using grpc::Status;
using grpc::StatusCode;

namespace {

std::string ServiceOf(const v1::Object& object) {
  if (object.has_replica()) return object.replica().spec().service();
  if (object.has_revision()) return object.revision().service();
  if (object.has_event()) return object.event().subject().name();
  return "";
}

bool Matches(const v1::Object& object, const std::string& kind,
             const std::string& project, const std::string& service,
             const std::string& name,
             const google::protobuf::Map<std::string, std::string>& labels) {
  const v1::Metadata& m = manifest::MetadataOf(object);
  if (manifest::KindOf(object)->api_name != kind) return false;
  const std::string own = m.project().empty() ? "default" : m.project();
  if (project != "*" && own != (project.empty() ? "default" : project)) {
    return false;
  }
  if (!service.empty() && ServiceOf(object) != service) return false;
  if (!name.empty() && m.name() != name) return false;
  for (const auto& [key, value] : labels) {
    auto it = m.labels().find(key);
    if (it == m.labels().end() || it->second != value) return false;
  }
  return true;
}

}  // namespace

class FakeServer::Resources final : public v1::Resources::Service {
 public:
  explicit Resources(FakeState& state) : state_(state) {}

  Status Apply(ServerContext*, const v1::ApplyRequest* request,
               v1::ApplyResponse* response) override {
    {
      absl::MutexLock lock(&state_.mu);
      state_.apply = *request;
    }
    if (Status s = state_.Take("Apply"); !s.ok()) return s;
    for (const v1::Object& object : request->objects()) {
      v1::ApplyResult& result = *response->add_results();
      bool existed;
      {
        absl::MutexLock lock(&state_.mu);
        existed = state_.objects.count(FakeState::KeyOf(object)) > 0;
        for (const std::string& w : state_.warnings) result.add_warnings(w);
      }
      result.set_action(existed ? v1::ApplyResult::CONFIGURED
                                : v1::ApplyResult::CREATED);
      *result.mutable_object() = object;
      if (request->validate_only()) continue;
      state_.Put(object);
      if (state_.on_apply) state_.on_apply(object);
    }
    return Status::OK;
  }

  Status Get(ServerContext*, const v1::GetRequest* request,
             v1::Object* response) override {
    if (Status s = state_.Take("Get"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    auto it = state_.objects.find(
        {request->kind(), request->project(), request->name()});
    if (it == state_.objects.end()) {
      return Status(StatusCode::NOT_FOUND,
                    absl::StrCat("get ", request->kind(), " ", request->name(),
                                 ": there is none"));
    }
    *response = it->second;
    return Status::OK;
  }

  // Two objects a page, so that paging is used.
  Status List(ServerContext* context, const v1::ListRequest* request,
              v1::ListResponse* response) override {
    if (Status s = state_.Take("List"); !s.ok()) return s;
    Warn(*context);
    absl::MutexLock lock(&state_.mu);
    std::vector<v1::Object> found;
    for (const auto& [key, object] : state_.objects) {
      if (Matches(object, request->kind(), request->project(),
                  request->service(), "", request->labels())) {
        found.push_back(object);
      }
    }
    const size_t start =
        request->page_token().empty() ? 0 : std::stoul(request->page_token());
    for (size_t i = start; i < std::min(found.size(), start + 2); ++i) {
      *response->add_objects() = found[i];
    }
    if (start + 2 < found.size()) {
      response->set_next_page_token(absl::StrCat(start + 2));
    }
    response->set_revision(static_cast<int64_t>(state_.changes.size()));
    return Status::OK;
  }

  Status Watch(ServerContext* context, const v1::WatchRequest* request,
               ServerWriter<v1::WatchEvent>* writer) override {
    if (Status s = state_.Take("Watch"); !s.ok()) return s;
    Warn(*context);
    auto wanted = [&](const v1::Object& object) {
      return Matches(object, request->kind(), request->project(),
                     request->service(), request->name(), request->labels());
    };
    std::vector<v1::WatchEvent> batch;
    const int connection = state_.Connection();
    size_t next = static_cast<size_t>(request->from_revision());
    if (next != 0) state_.Note(absl::StrCat("Watch from ", next));
    if (next == 0) {
      absl::MutexLock lock(&state_.mu);
      for (const auto& [key, object] : state_.objects) {
        if (!wanted(object)) continue;
        v1::WatchEvent event;
        event.set_type(v1::WatchEvent::ADDED);
        *event.mutable_object() = object;
        batch.push_back(event);
      }
      v1::WatchEvent synced;
      synced.set_type(v1::WatchEvent::SYNCED);
      synced.set_revision(static_cast<int64_t>(state_.changes.size()));
      batch.push_back(synced);
      next = state_.changes.size();
    }
    while (!context->IsCancelled()) {
      for (const v1::WatchEvent& event : batch) {
        if (!writer->Write(event)) return Status::OK;
      }
      batch.clear();
      absl::MutexLock lock(&state_.mu);
      auto ready = [&] {
        return state_.stopping || state_.connection != connection ||
               state_.changes.size() > next;
      };
      // Looks up now and then, for a call that was cancelled.
      state_.mu.AwaitWithTimeout(absl::Condition(&ready),
                                 absl::Milliseconds(20));
      if (state_.stopping || state_.connection != connection) {
        return Status(StatusCode::UNAVAILABLE, "stopping");
      }
      for (; next < state_.changes.size(); ++next) {
        if (wanted(state_.changes[next].object())) {
          batch.push_back(state_.changes[next]);
        }
      }
    }
    return Status::OK;
  }

  Status Delete(ServerContext*, const v1::DeleteRequest* request,
                v1::DeleteResponse* response) override {
    if (Status s = state_.Take("Delete"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    for (const v1::ObjectReference& r : request->objects()) {
      auto it = state_.objects.find({r.kind(), r.project(), r.name()});
      if (it == state_.objects.end()) {
        return Status(StatusCode::NOT_FOUND,
                      absl::StrCat("delete ", r.kind(), " ", r.name(),
                                   ": there is none"));
      }
      *response->add_deleted() = r;
      if (request->validate_only()) continue;
      state_.Change(v1::WatchEvent::DELETED, it->second);
      state_.objects.erase(it);
    }
    return Status::OK;
  }

 private:
  void Warn(ServerContext& context) {
    absl::MutexLock lock(&state_.mu);
    if (state_.unreadable.empty()) return;
    context.AddInitialMetadata("bulwark-warning-bin", state_.unreadable);
  }

  FakeState& state_;
};

class FakeServer::Services final : public v1::Services::Service {
 public:
  explicit Services(FakeState& state) : state_(state) {}

  Status Scale(ServerContext*, const v1::ScaleRequest* request,
               v1::ScaleResponse*) override {
    state_.Note(
        absl::StrCat("Scale ", request->service(), " ", request->replicas()));
    return state_.Take("Scale");
  }
  Status Stop(ServerContext*, const v1::StopRequest* request,
              v1::StopResponse*) override {
    state_.Note(absl::StrCat("Stop ", request->service()));
    return state_.Take("Stop");
  }
  Status Start(ServerContext*, const v1::StartRequest* request,
               v1::StartResponse*) override {
    state_.Note(absl::StrCat("Start ", request->service()));
    return state_.Take("Start");
  }
  Status Undo(ServerContext*, const v1::UndoRequest* request,
              v1::UndoResponse*) override {
    state_.Note(absl::StrCat("Undo ", request->service(),
                             request->has_to_revision()
                                 ? absl::StrCat(" ", request->to_revision())
                                 : ""));
    return state_.Take("Undo");
  }

 private:
  FakeState& state_;
};

// Makes the job NAME-1.
class FakeServer::Jobs final : public v1::Jobs::Service {
 public:
  explicit Jobs(FakeState& state) : state_(state) {}

  Status Trigger(ServerContext*, const v1::TriggerRequest* request,
                 v1::TriggerResponse* response) override {
    state_.Note(absl::StrCat("Trigger ", request->cron_job()));
    const Status status = state_.Take("Trigger");
    if (!status.ok()) return status;
    v1::Object object;
    object.mutable_job()->mutable_metadata()->set_name(
        absl::StrCat(request->cron_job(), "-1"));
    state_.Put(object);
    *response->mutable_job() = object.job();
    return status;
  }

 private:
  FakeState& state_;
};

class FakeServer::Containers final : public v1::Containers::Service {
 public:
  explicit Containers(FakeState& state) : state_(state) {}

  Status Logs(ServerContext* context, const v1::LogsRequest* request,
              ServerWriter<v1::LogLine>* writer) override {
    state_.Note(absl::StrCat(
        "Logs ", request->service(), " ", request->replica(),
        request->follow() ? " f" : "",
        request->has_tail() ? absl::StrCat(" ", request->tail()) : "",
        request->has_until()
            ? absl::StrCat(" until ", request->until().seconds(), ".",
                           request->until().nanos())
            : "",
        request->previous() ? " previous" : ""));
    if (Status s = state_.Take("Logs"); !s.ok()) return s;
    std::vector<v1::LogLine> lines;
    const int connection = state_.Connection();
    {
      absl::MutexLock lock(&state_.mu);
      lines = state_.lines;
    }
    // A follower does not see the last line in time.
    if (request->follow() && !lines.empty()) lines.pop_back();
    for (const v1::LogLine& line : lines) writer->Write(line);
    while (request->follow() && !context->IsCancelled()) {
      absl::MutexLock lock(&state_.mu);
      auto broken = [&] {
        return state_.stopping || state_.connection != connection;
      };
      if (state_.mu.AwaitWithTimeout(absl::Condition(&broken),
                                     absl::Milliseconds(20))) {
        return state_.stopping ? Status::OK
                               : Status(StatusCode::UNAVAILABLE, "broken");
      }
    }
    return Status::OK;
  }

  Status Stats(ServerContext* context, const v1::StatsRequest* request,
               ServerWriter<v1::StatsResponse>* writer) override {
    state_.Note(
        absl::StrCat("Stats ", request->project(), " ", request->service()));
    if (Status s = state_.Take("Stats"); !s.ok()) return s;
    for (size_t i = 0; !context->IsCancelled(); ++i) {
      v1::StatsResponse next;
      {
        absl::MutexLock lock(&state_.mu);
        if (state_.stopping || state_.stats.empty()) return Status::OK;
        next = state_.stats[std::min(i, state_.stats.size() - 1)];
      }
      if (!writer->Write(next)) return Status::OK;
    }
    return Status::OK;
  }

  Status Exec(
      ServerContext*,
      ServerReaderWriter<v1::ExecResponse, v1::ExecRequest>* stream) override {
    v1::ExecRequest request;
    if (!stream->Read(&request)) return Status::OK;
    int code;
    {
      absl::MutexLock lock(&state_.mu);
      state_.exec = request.start();
      code = state_.exit_code;
    }
    v1::ExecResponse response;
    if (Status s = state_.Take("Exec"); !s.ok()) {
      response.set_exit_code(code);
      if (code >= 126) stream->Write(response);
      return s;
    }
    response.set_error("started\n");
    stream->Write(response);
    while (stream->Read(&request) && !request.close_input()) {
      if (request.input().empty()) continue;
      response.set_output(absl::AsciiStrToUpper(request.input()));
      stream->Write(response);
    }
    response.set_exit_code(code);
    stream->Write(response);
    return Status::OK;
  }

 private:
  FakeState& state_;
};

FakeServer::FakeServer()
    : socket_(dir_ / "api.sock"), state_(std::make_unique<FakeState>()) {
  services_.push_back(std::make_unique<Resources>(*state_));
  services_.push_back(std::make_unique<Services>(*state_));
  services_.push_back(std::make_unique<Jobs>(*state_));
  services_.push_back(std::make_unique<Containers>(*state_));
  services_.push_back(MakeFakeContexts(*state_));
  services_.push_back(MakeFakeImages(*state_));
  services_.push_back(MakeFakeSystem(*state_));
  services_.push_back(MakeFakeSecrets(*state_));
  services_.push_back(MakeFakeVolumes(*state_));
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", socket_),
                           grpc::InsecureServerCredentials());
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
}

FakeServer::~FakeServer() {
  {
    absl::MutexLock lock(&state_->mu);
    state_->stopping = true;
  }
  RealClock clock;
  server_->Shutdown(absl::ToChronoTime(clock.Now() + absl::Seconds(5)));
}

void FakeServer::Put(const v1::Object& object) { state_->Put(object); }

void FakeServer::Remove(const std::string& kind, const std::string& name) {
  absl::MutexLock lock(&state_->mu);
  auto it = state_->objects.find({kind, "default", name});
  if (it == state_->objects.end()) return;
  state_->Change(v1::WatchEvent::DELETED, it->second);
  state_->objects.erase(it);
}

void FakeServer::BreakStreams() {
  absl::MutexLock lock(&state_->mu);
  ++state_->connection;
}

bool FakeServer::Has(const std::string& kind, const std::string& name) {
  absl::MutexLock lock(&state_->mu);
  return state_->objects.count({kind, "default", name}) > 0;
}

void FakeServer::set_doctor(v1::DoctorResponse doctor) {
  absl::MutexLock lock(&state_->mu);
  state_->doctor = std::move(doctor);
}

void FakeServer::set_damage(std::vector<v1::ImageDamage> damage) {
  absl::MutexLock lock(&state_->mu);
  state_->damage = std::move(damage);
}

void FakeServer::set_disk_usage(v1::DiskUsageResponse usage) {
  absl::MutexLock lock(&state_->mu);
  state_->disk_usage = std::move(usage);
}

void FakeServer::set_restored(std::vector<v1::ApplyResult> results) {
  absl::MutexLock lock(&state_->mu);
  state_->restored = std::move(results);
}

void FakeServer::FailNext(const std::string& method, grpc::Status status) {
  absl::MutexLock lock(&state_->mu);
  state_->failures[method].push_back(std::move(status));
}

#define BULWARK_GET_(Type, name, field) \
  Type FakeServer::name() {             \
    absl::MutexLock lock(&state_->mu);  \
    return state_->field;               \
  }
BULWARK_GET_(std::vector<std::string>, calls, calls)
BULWARK_GET_(v1::ApplyRequest, last_apply, apply)
BULWARK_GET_(v1::ExecStart, last_exec, exec)
BULWARK_GET_(v1::BuildOptions, last_build, build)
BULWARK_GET_(std::string, uploaded, uploaded)
BULWARK_GET_(v1::OfferContextRequest, last_offer, offer)

#define BULWARK_SET_(Type, name, field)     \
  void FakeServer::set_##name(Type value) { \
    absl::MutexLock lock(&state_->mu);      \
    state_->field = std::move(value);       \
  }
BULWARK_SET_(std::vector<v1::LogLine>, log_lines, lines)
BULWARK_SET_(std::optional<std::set<std::string>>, lacks, lacks)
BULWARK_SET_(std::vector<v1::StatsResponse>, stats, stats)
BULWARK_SET_(std::vector<v1::ImageInfo>, images, images)
BULWARK_SET_(std::vector<v1::ImageProgress>, progress, progress)
BULWARK_SET_(std::vector<std::string>, warnings, warnings)
BULWARK_SET_(std::string, archive, archive)
BULWARK_SET_(int, exit_code, exit_code)
BULWARK_SET_(std::string, unreadable, unreadable)
BULWARK_SET_(std::function<void(const v1::Object&)>, on_apply, on_apply)

}  // namespace bulwark::ctl::testing
