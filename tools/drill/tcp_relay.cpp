// SPDX-License-Identifier: Apache-2.0
//
// One thread, poll(2), a buffer per direction. A direction is read only while its buffer is empty: who can't be
// written to holds back who writes.
#include "tools/drill/tcp_relay.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/transport/posix_file.hpp"

namespace ff::tools {
namespace {

using transport::FileHandle;

constexpr std::size_t kBufferBytes = 256u << 10;
constexpr int kTurnMs = 20;

/// Bytes under way from one end to the other.
struct Direction {
  std::vector<char> buffer = std::vector<char>(kBufferBytes);
  std::size_t begin = 0, end = 0;
  [[nodiscard]] bool empty() const noexcept { return begin == end; }
};

struct Connection {
  std::array<FileHandle, 2> ends;       // agent, collector
  std::array<Direction, 2> directions;  // directions[i]: read from ends[i], written to the other
  bool over = false;
};

/// False when the connection has ended.
bool read_into(int fd, Direction& direction) {
  const ssize_t got = ::recv(fd, direction.buffer.data(), direction.buffer.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  direction.begin = 0;
  direction.end = static_cast<std::size_t>(got);
  return got > 0;
}

bool write_from(int fd, Direction& direction) {
  const ssize_t put = ::send(fd, direction.buffer.data() + direction.begin, direction.end - direction.begin,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  direction.begin += static_cast<std::size_t>(put);
  return true;
}

Result<std::pair<std::string, std::string>> host_and_port(const std::string& target) {
  const auto colon = target.rfind(':');
  if (!target.starts_with("tcp://") || colon == std::string::npos || colon <= 6 || colon + 1 == target.size())
    return fail(Errc::invalid_argument, target + ": a collector's address looks like tcp://host:5555");
  return std::pair{target.substr(6, colon - 6), target.substr(colon + 1)};
}

/// The target's address, asked for once: a drill must not depend on the name server while it runs.
Result<sockaddr_storage> resolve(const std::string& target, socklen_t& length) {
  FF_ASSIGN(const auto parts, host_and_port(target));
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int error = getaddrinfo(parts.first.c_str(), parts.second.c_str(), &hints, &found); error != 0)
    return fail(Errc::invalid_argument, target + ": " + gai_strerror(error));
  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  length = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

FileHandle listen_on_loopback() {
  FileHandle listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
      ::listen(listener.get(), 8) != 0)
    return {};
  return listener;
}

}  // namespace

struct TcpRelay::Loop {
  FileHandle listener;
  sockaddr_storage target{};
  socklen_t target_length = 0;
  std::list<Connection> connections;

  void turn(bool cut);
  void accept_one(bool cut);
  static void pass_on(Connection& connection, const pollfd* state);
};

void TcpRelay::Loop::accept_one(bool cut) {
  FileHandle agent(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (agent.get() < 0 || cut) return;
  FileHandle collector(::socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(collector.get(), reinterpret_cast<const sockaddr*>(&target), target_length) != 0) return;
  for (const FileHandle* end : {&agent, &collector}) {
    const int on = 1;
    ::setsockopt(end->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  connections.emplace_back();
  connections.back().ends = {std::move(agent), std::move(collector)};
}

void TcpRelay::Loop::pass_on(Connection& connection, const pollfd* state) {
  for (std::size_t from = 0; from < 2 && !connection.over; ++from) {
    Direction& direction = connection.directions[from];
    const int source = connection.ends[from].get(), sink = connection.ends[1 - from].get();
    if (direction.empty() && (state[from].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
      connection.over = !read_into(source, direction);
    if (!connection.over && !direction.empty()) connection.over = !write_from(sink, direction);
  }
}

void TcpRelay::Loop::turn(bool cut) {
  if (cut) connections.clear();
  std::vector<pollfd> polled{{listener.get(), POLLIN, 0}};
  for (const Connection& connection : connections)
    for (std::size_t end = 0; end < 2; ++end) {
      const short reads = connection.directions[end].empty() ? POLLIN : short{0};
      const short writes = connection.directions[1 - end].empty() ? short{0} : POLLOUT;
      polled.push_back({connection.ends[end].get(), static_cast<short>(reads | writes), 0});
    }
  ::poll(polled.data(), polled.size(), kTurnMs);
  const pollfd* state = polled.data() + 1;
  for (Connection& connection : connections) {
    pass_on(connection, state);
    state += 2;
  }
  connections.remove_if([](const Connection& connection) { return connection.over; });
  if ((polled[0].revents & POLLIN) != 0) accept_one(cut);
}

Result<std::unique_ptr<TcpRelay>> TcpRelay::open(const std::string& target) {
  std::unique_ptr<TcpRelay> relay(new TcpRelay);
  relay->loop_ = std::make_unique<Loop>();
  FF_ASSIGN(relay->loop_->target, resolve(target, relay->loop_->target_length));
  relay->loop_->listener = listen_on_loopback();
  if (relay->loop_->listener.get() < 0)
    return fail(Errc::io_error, std::string("no loopback port can be opened: ") + std::strerror(errno));
  relay->thread_ = std::thread([body = relay.get()] {
    while (!body->over_) body->loop_->turn(body->cut_);
  });
  return relay;
}

TcpRelay::~TcpRelay() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

std::string TcpRelay::address() const {
  sockaddr_in own{};
  socklen_t length = sizeof own;
  ::getsockname(loop_->listener.get(), reinterpret_cast<sockaddr*>(&own), &length);
  return "tcp://127.0.0.1:" + std::to_string(ntohs(own.sin_port));
}

}  // namespace ff::tools
