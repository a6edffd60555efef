// SPDX-License-Identifier: Apache-2.0
//
// Running sums over the packed times of a Window record.
#include "hpc_sink/decode/window_times.hpp"

namespace ff::sink {
namespace {

void unpack(const google::protobuf::RepeatedField<std::int64_t>& packed, std::int64_t FrameTimes::*field,
            std::vector<FrameTimes>& times) {
  std::uint64_t sum = 0;
  for (int i = 0; i < packed.size() && static_cast<std::size_t>(i) < times.size(); ++i) {
    sum += static_cast<std::uint64_t>(packed[i]);
    times[static_cast<std::size_t>(i)].*field = static_cast<std::int64_t>(sum);
  }
}

}  // namespace

std::vector<FrameTimes> unpack_times(const foreframe::wire::Window& window) {
  std::vector<FrameTimes> times(window.frame_count());
  unpack(window.detector_time_ns(), &FrameTimes::detector_ns, times);
  unpack(window.received_utc_ns(), &FrameTimes::received_utc_ns, times);
  unpack(window.received_monotonic_ns(), &FrameTimes::received_monotonic_ns, times);
  return times;
}

}  // namespace ff::sink
