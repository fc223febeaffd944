// The calls of the service Containers.
#include "ctl/client_impl.h"

namespace bulwark::ctl {
namespace {

template <typename Impl>
class ExecStreamImpl final : public ExecStream {
 public:
  explicit ExecStreamImpl(Impl& impl)
      : impl_(impl),
        stream_(impl),
        call_(impl.containers->Exec(&stream_.context)) {}

  bool Send(const v1::ExecRequest& request) override {
    return call_->Write(request);
  }
  bool Read(v1::ExecResponse& response) override {
    return call_->Read(&response);
  }
  absl::Status Finish() override { return impl_.ToStatus(call_->Finish()); }

 private:
  Impl& impl_;
  Stream<Impl> stream_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ExecRequest, v1::ExecResponse>>
      call_;
};

}  // namespace

absl::Status Client::Logs(
    const v1::LogsRequest& request,
    const std::function<void(const v1::LogLine&)>& on_line,
    absl::Time deadline) {
  Stream stream(*impl_);
  if (deadline != absl::InfiniteFuture()) {
    stream.context.set_deadline(absl::ToChronoTime(deadline));
  }
  auto reader = impl_->containers->Logs(&stream.context, request);
  v1::LogLine line;
  while (reader->Read(&line)) on_line(line);
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::Stats(
    const v1::StatsRequest& request,
    const std::function<bool(const v1::StatsResponse&)>& on_stats) {
  Stream stream(*impl_);
  auto reader = impl_->containers->Stats(&stream.context, request);
  v1::StatsResponse stats;
  while (reader->Read(&stats)) {
    if (on_stats(stats)) continue;
    stream.context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return impl_->ToStatus(reader->Finish());
}

std::unique_ptr<ExecStream> Client::Exec() {
  return std::make_unique<ExecStreamImpl<Impl>>(*impl_);
}

}  // namespace bulwark::ctl
