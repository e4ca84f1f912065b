// Streams and events. Work runs as it is submitted, unless its stream is captured; the simulator keeps the modelled time
// at which it would have ended. The names in _ptsz are those of code built with a default stream per thread.
#include "work.h"

using namespace standin;

namespace {

int known_stream(const HostTable& host, cudaStream_t stream) {
  std::uint32_t flags = 0;
  return host.stream_check(handle_id(stream), &flags);
}

// Wait for a stream: what its kernels printed becomes visible.
int synchronize(const HostTable& host, cudaStream_t stream) {
  if (const int code = refuse_if_capturing(stream)) return code;
  const int code = known_stream(host, stream);
  return code == cudaSuccess ? host.synchronize() : code;
}

int record_event(const HostTable& host, cudaEvent_t event, cudaStream_t stream) {
  if (const int code = host.event_check(handle_id(event))) return code;
  return capture_record(event, stream) ? cudaSuccess : host.event_record(handle_id(event), handle_id(stream));
}

int wait_for_event(const HostTable& host, cudaStream_t stream, cudaEvent_t event) {
  bool captured = false;
  if (const int code = capture_wait(event, stream, &captured)) return code;
  return captured ? cudaSuccess : host.stream_wait(handle_id(stream), handle_id(event));
}

int wait_on_host(const HostTable& host, cudaEvent_t event) {
  const int code = host.event_check(handle_id(event));
  return code == cudaSuccess ? host.synchronize() : code;
}

int create_stream(const HostTable& host, cudaStream_t* stream, unsigned flags) {
  if (stream == nullptr) return cudaErrorInvalidValue;
  std::uint64_t id = 0;
  const int code = host.stream_create(flags, &id);
  *stream = static_cast<cudaStream_t>(pointer_to(id));
  return code;
}

int create_event(const HostTable& host, cudaEvent_t* event, unsigned flags) {
  if (event == nullptr) return cudaErrorInvalidValue;
  std::uint64_t id = 0;
  const int code = host.event_create(flags, &id);
  *event = static_cast<cudaEvent_t>(pointer_to(id));
  return code;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return enter([&](const HostTable& host) -> int { return create_stream(host, stream, cudaStreamDefault); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return enter([&](const HostTable& host) -> int { return create_stream(host, stream, flags); });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return enter([&](const HostTable& host) -> int { return create_stream(host, stream, flags); });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int { return host.stream_destroy(handle_id(stream)); });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int { return synchronize(host, stream); });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int { return synchronize(host, stream); });
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  return enter([&](const HostTable& host) -> int { return host.stream_check(handle_id(stream), flags); });
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return enter([&](const HostTable& host) -> int {
    *priority = 0;
    return known_stream(host, stream);
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) {
  return enter([&](const HostTable& host) -> int {
    *device = 0;
    return known_stream(host, stream);
  });
}

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  return enter([&](const HostTable& host) -> int {
    *id = handle_id(stream);
    return known_stream(host, stream);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return enter([&](const HostTable& host) -> int { return wait_for_event(host, stream, event); });
}

cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void* user_data, unsigned) {
  return enter([&](const HostTable& host) -> int {
    const int code = synchronize(host, stream);
    if (code == cudaSuccess) callback(stream, cudaSuccess, user_data);
    return code;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* user_data) {
  return enter([&](const HostTable& host) -> int {
    if (function == nullptr) return cudaErrorInvalidValue;
    return submit(host, HostWork{function, user_data}, stream);
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return enter([&](const HostTable& host) -> int { return create_event(host, event, cudaEventDefault); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return enter([&](const HostTable& host) -> int { return create_event(host, event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return enter([&](const HostTable& host) -> int { return host.event_destroy(handle_id(event)); });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int { return record_event(host, event, stream); });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return enter([&](const HostTable& host) -> int { return record_event(host, event, stream); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return enter([&](const HostTable& host) -> int { return wait_on_host(host, event); });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return enter([&](const HostTable& host) -> int { return wait_on_host(host, event); });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return enter([&](const HostTable& host) -> int {
    return host.event_elapsed(handle_id(start), handle_id(end), milliseconds);
  });
}

cudaError_t cudaStreamSynchronize_ptsz(cudaStream_t stream) { return cudaStreamSynchronize(own(stream)); }

cudaError_t cudaStreamQuery_ptsz(cudaStream_t stream) { return cudaStreamQuery(own(stream)); }

cudaError_t cudaStreamGetFlags_ptsz(cudaStream_t stream, unsigned* flags) {
  return cudaStreamGetFlags(own(stream), flags);
}

cudaError_t cudaStreamGetPriority_ptsz(cudaStream_t stream, int* priority) {
  return cudaStreamGetPriority(own(stream), priority);
}

cudaError_t cudaStreamGetDevice_ptsz(cudaStream_t stream, int* device) {
  return cudaStreamGetDevice(own(stream), device);
}

cudaError_t cudaStreamGetId_ptsz(cudaStream_t stream, unsigned long long* id) {
  return cudaStreamGetId(own(stream), id);
}

cudaError_t cudaStreamWaitEvent_ptsz(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return cudaStreamWaitEvent(own(stream), event, flags);
}

cudaError_t cudaStreamAddCallback_ptsz(cudaStream_t stream, cudaStreamCallback_t callback, void* user_data,
                                       unsigned flags) {
  return cudaStreamAddCallback(own(stream), callback, user_data, flags);
}

cudaError_t cudaLaunchHostFunc_ptsz(cudaStream_t stream, cudaHostFn_t function, void* user_data) {
  return cudaLaunchHostFunc(own(stream), function, user_data);
}

cudaError_t cudaEventRecord_ptsz(cudaEvent_t event, cudaStream_t stream) { return cudaEventRecord(event, own(stream)); }

cudaError_t cudaEventRecordWithFlags_ptsz(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  return cudaEventRecordWithFlags(event, own(stream), flags);
}

}  // extern "C"
