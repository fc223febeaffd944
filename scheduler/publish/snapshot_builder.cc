#include "scheduler/publish/snapshot_builder.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;
using State = v1::ReplicaStatus;

// Of a service that does not say, and what a start may take.
constexpr int64_t kDefaultStopSeconds = 30;
constexpr int64_t kStartSeconds = 30;

// (project, service) -> its replicas.
using ReplicaIndex = std::map<std::pair<std::string, std::string>,
                              std::vector<const v1::Replica*>>;

std::string Project(const v1::Metadata& metadata) {
  return metadata.project().empty() ? "default" : metadata.project();
}

dp::Endpoint::State EndpointState(const v1::Replica& replica) {
  switch (replica.status().state()) {
    case State::RUNNING:
      if (!replica.status().ready()) return dp::Endpoint::STATE_UNSPECIFIED;
      return replica.spec().goal() == v1::ReplicaSpec::RUN
                 ? dp::Endpoint::READY
                 : dp::Endpoint::DRAINING;
    case State::DRAINING:
    case State::STOPPING:
      return dp::Endpoint::DRAINING;
    default:
      return dp::Endpoint::STATE_UNSPECIFIED;
  }
}

bool IsLive(const v1::Replica& replica) {
  return replica.status().state() == State::RUNNING ||
         replica.status().state() == State::DRAINING;
}

dp::Pool::Algorithm Algorithm(const v1::LoadBalancer& lb) {
  switch (lb.algorithm()) {
    case v1::LoadBalancer::ROUND_ROBIN:
      return dp::Pool::ROUND_ROBIN;
    case v1::LoadBalancer::SOURCE_HASH:
      return dp::Pool::SOURCE_HASH;
    default:
      return dp::Pool::LEAST_CONNECTIONS;
  }
}

void AddListener(dp::Snapshot& out, const dp::Pool& pool, const v1::Port& port,
                 absl::string_view suffix, dp::Listener::Place place,
                 absl::string_view address, int number) {
  dp::Listener& listener = *out.add_listeners();
  listener.set_key(absl::StrCat(pool.id(), "@", suffix));
  listener.set_place(place);
  listener.set_address(std::string(address));
  listener.set_port(number);
  listener.set_protocol(port.protocol() == v1::Port::UDP ? dp::UDP : dp::TCP);
  listener.set_pool(pool.id());
}

void AddListeners(dp::Snapshot& out, const dp::Pool& pool,
                  const v1::Service& service, const v1::Port& port) {
  const int number = port.port() != 0 ? port.port() : port.container_port();
  if (!service.status().virtual_address().empty()) {
    AddListener(out, pool, port, "vip", dp::Listener::DATAPLANE,
                service.status().virtual_address(), number);
  }
  if (port.host_port() == 0 || port.listen() == v1::Port::INTERNAL) return;
  const bool all = port.listen() == v1::Port::ALL;
  AddListener(out, pool, port, "host4", dp::Listener::HOST,
              all ? "0.0.0.0" : "127.0.0.1", port.host_port());
  AddListener(out, pool, port, "host6", dp::Listener::HOST, all ? "::" : "::1",
              port.host_port());
}

// (project, name)
using VolumeNames = std::set<std::pair<std::string, std::string>>;

// A slot's old replica ends before its new one starts.
bool StopsFirst(const v1::Service& service, const VolumeNames& single_writer) {
  for (const auto* group :
       {&service.spec().containers(), &service.spec().init_containers(),
        &service.spec().sidecars()}) {
    for (const v1::Container& container : *group) {
      for (const v1::VolumeMount& mount : container.volumes()) {
        if (mount.per_replica() ||
            single_writer.contains(
                {Project(service.metadata()), mount.volume()})) {
          return true;
        }
      }
    }
  }
  return false;
}

// How long new connections wait, in seconds; 0: as the proxy has it.
int64_t HoldSeconds(const v1::Service& service,
                    const VolumeNames& single_writer) {
  if (!StopsFirst(service, single_writer)) return 0;
  const v1::Stop& stop = service.spec().stop();
  const int64_t timeout =
      stop.has_timeout() ? stop.timeout().seconds() + 1 : kDefaultStopSeconds;
  return timeout + kStartSeconds;
}

void AddPorts(dp::Snapshot& out, const v1::Service& service,
              const std::vector<const v1::Replica*>& replicas,
              const VolumeNames& single_writer) {
  const v1::Metadata& metadata = service.metadata();
  const int64_t hold_seconds = HoldSeconds(service, single_writer);
  for (const v1::Port& port : service.spec().ports()) {
    dp::Pool& pool = *out.add_pools();
    pool.set_id(absl::StrCat(Project(metadata), "/", metadata.name(), "/",
                             port.name()));
    pool.set_algorithm(Algorithm(service.spec().load_balancer()));
    if (service.spec().load_balancer().has_hold_timeout()) {
      *pool.mutable_hold_timeout() =
          service.spec().load_balancer().hold_timeout();
    } else if (hold_seconds > 0) {
      pool.mutable_hold_timeout()->set_seconds(hold_seconds);
    }
    for (const v1::Replica* replica : replicas) {
      const dp::Endpoint::State state = EndpointState(*replica);
      if (state == dp::Endpoint::STATE_UNSPECIFIED ||
          replica->spec().address().empty()) {
        continue;
      }
      dp::Endpoint& endpoint = *pool.add_endpoints();
      endpoint.set_id(replica->metadata().uid());
      endpoint.set_address(replica->spec().address());
      endpoint.set_port(port.container_port());
      endpoint.set_state(state);
    }
    AddListeners(out, pool, service, port);
  }
}

// Adds `name` in its short forms and in full.
void AddName(dp::DnsView& view, absl::string_view name,
             absl::string_view project, absl::string_view ipv4,
             absl::string_view ipv6) {
  for (const std::string& form :
       {std::string(name), absl::StrCat(name, ".", project),
        absl::StrCat(name, ".", project, ".", kDnsDomain)}) {
    dp::DnsRecord& record = *view.add_records();
    record.set_name(form);
    if (!ipv4.empty()) record.add_ipv4(std::string(ipv4));
    if (!ipv6.empty()) record.add_ipv6(std::string(ipv6));
  }
}

void AddService(dp::DnsView& view, const v1::Service& service,
                const std::vector<const v1::Replica*>& replicas) {
  const v1::Metadata& metadata = service.metadata();
  const std::string project = Project(metadata);
  AddName(view, metadata.name(), project, service.status().virtual_address(),
          "");
  const std::string full =
      absl::StrCat(metadata.name(), ".", project, ".", kDnsDomain);
  for (const v1::Port& port : service.spec().ports()) {
    dp::DnsRecord& record = *view.add_records();
    record.set_name(absl::StrCat(
        "_", port.name(),
        port.protocol() == v1::Port::UDP ? "._udp." : "._tcp.", full));
    dp::SrvTarget& target = *record.add_srv();
    target.set_target(full);
    target.set_port(port.port() != 0 ? port.port() : port.container_port());
  }
  std::set<int> slots;  // a slot names one replica, the first that lives
  for (const v1::Replica* replica : replicas) {
    if (!IsLive(*replica) || !slots.insert(replica->spec().slot()).second) {
      continue;
    }
    AddName(view, absl::StrCat(replica->spec().slot(), ".", metadata.name()),
            project, replica->spec().address(), replica->spec().address6());
  }
}

}  // namespace

dp::Snapshot BuildSnapshot(const PublishView& view) {
  dp::Snapshot out;
  ReplicaIndex replicas;
  for (const v1::Replica& replica : view.replicas) {
    replicas[{Project(replica.metadata()), replica.spec().service()}].push_back(
        &replica);
  }
  VolumeNames single_writer;
  for (const v1::Volume& volume : view.single_writer) {
    single_writer.insert(
        {Project(volume.metadata()), volume.metadata().name()});
  }
  for (const v1::Service& service : view.services) {
    if (service.spec().stopped() || service.metadata().has_delete_time()) {
      continue;
    }
    AddPorts(out, service,
             replicas[{Project(service.metadata()), service.metadata().name()}],
             single_writer);
  }
  for (const v1::Network& network : view.networks) {
    if (network.status().gateway().empty()) continue;
    dp::DnsView& dns = *out.add_dns_views();
    dns.set_listen_address(network.status().gateway());
    for (const v1::Service& service : view.services) {
      const std::string& joined = service.spec().network();
      if (Project(service.metadata()) != Project(network.metadata()) ||
          (joined.empty() ? "default" : joined) != network.metadata().name()) {
        continue;
      }
      AddService(
          dns, service,
          replicas[{Project(service.metadata()), service.metadata().name()}]);
    }
  }
  for (const std::string& address : view.dns_addresses) {
    out.add_dns_views()->set_listen_address(address);
  }
  for (const std::string& upstream : view.dns_upstreams) {
    out.add_dns_upstreams(upstream);
  }
  return out;
}

std::string ServiceOfListener(const std::string& key) {
  return key.substr(0, key.rfind('/'));
}

}  // namespace bulwark::scheduler
