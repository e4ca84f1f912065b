// Stream capture: what is submitted to a captured stream becomes nodes of a graph. A node depends on the last ones of its
// stream; an event that was recorded in a captured stream carries its place to the stream that waits for it.
#include <algorithm>
#include <map>
#include <mutex>

#include "graph.h"

using namespace standin;

namespace {

struct Capture {
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();
  cudaStream_t origin = nullptr;
  unsigned long long id = 0;
  bool invalid = false;
};

// Where a captured stream, or an event recorded in one, stands.
struct Place {
  std::shared_ptr<Capture> capture;
  std::vector<Node*> last;
};

struct Captures {
  std::recursive_mutex mutex;
  std::map<cudaStream_t, Place> streams;
  std::map<cudaEvent_t, Place> events;
  unsigned long long count = 0;
};

Captures& captures() {
  static auto* instance = new Captures;
  return *instance;
}

using Lock = std::lock_guard<std::recursive_mutex>;

thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

Place* place_of(cudaStream_t stream) {
  const auto found = captures().streams.find(stream);
  return found == captures().streams.end() ? nullptr : &found->second;
}

bool is_legacy(cudaStream_t stream) { return stream == nullptr || stream == cudaStreamLegacy; }

int begin(const HostTable& host, cudaStream_t stream) {
  std::uint32_t flags = 0;
  if (is_legacy(stream)) return cudaErrorStreamCaptureUnsupported;
  if (const int code = host.stream_check(handle_id(stream), &flags)) return code;
  const Lock lock(captures().mutex);
  if (place_of(stream) != nullptr) return cudaErrorIllegalState;
  auto capture = std::make_shared<Capture>();
  capture->origin = stream;
  capture->id = ++captures().count;
  captures().streams[stream] = {capture, {}};
  return cudaSuccess;
}

// Whether all work of the capture leads to the end of the stream that began it.
bool joined(const Capture& capture, const std::vector<Node*>& end) {
  std::vector<const Node*> reached(end.begin(), end.end());
  for (std::size_t at = 0; at < reached.size(); ++at)
    for (const Node* before : reached[at]->dependencies)
      if (std::find(reached.begin(), reached.end(), before) == reached.end()) reached.push_back(before);
  return reached.size() == capture.graph->nodes.size();
}

template <class Places>
void forget(Places& places, const Capture& capture) {
  for (auto entry = places.begin(); entry != places.end();)
    entry = entry->second.capture.get() == &capture ? places.erase(entry) : std::next(entry);
}

int end(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(captures().mutex);
  Place* place = place_of(stream);
  if (graph == nullptr || place == nullptr) return place == nullptr ? cudaErrorIllegalState : cudaErrorInvalidValue;
  *graph = nullptr;
  const Place ended = *place;
  if (ended.capture->origin != stream) return cudaErrorStreamCaptureUnmatched;
  forget(captures().streams, *ended.capture);
  forget(captures().events, *ended.capture);
  if (ended.capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (!joined(*ended.capture, ended.last)) return cudaErrorStreamCaptureUnjoined;
  *graph = handle_of(adopt_graph(std::move(ended.capture->graph)));
  return cudaSuccess;
}

}  // namespace

namespace standin {

bool is_capturing(cudaStream_t stream) {
  const Lock lock(captures().mutex);
  return place_of(stream) != nullptr;
}

bool runs_at_once(cudaStream_t stream) {
  const Lock lock(captures().mutex);
  return place_of(stream) == nullptr && (captures().streams.empty() || !is_legacy(stream));
}

int refuse_if_capturing(cudaStream_t stream) {
  const Lock lock(captures().mutex);
  if (Place* place = place_of(stream)) {
    place->capture->invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return is_legacy(stream) ? refuse_if_any_capturing() : cudaSuccess;
}

// The legacy stream would wait for every stream that is being captured.
int refuse_if_any_capturing() {
  const Lock lock(captures().mutex);
  if (captures().streams.empty() || thread_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (auto& entry : captures().streams) entry.second.capture->invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

int submit(const HostTable& host, const Work& work, cudaStream_t stream) {
  {
    const Lock lock(captures().mutex);
    if (Place* place = place_of(stream)) {
      if (place->capture->invalid) return cudaErrorStreamCaptureInvalidated;
      place->last = {place->capture->graph->add(work, place->last)};
      return cudaSuccess;
    }
    if (is_legacy(stream) && !captures().streams.empty()) {
      for (auto& entry : captures().streams) entry.second.capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
  }
  return perform(host, work, stream);
}

bool capture_record(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(captures().mutex);
  captures().events.erase(event);
  const Place* place = place_of(stream);
  if (place == nullptr) return false;
  captures().events[event] = *place;
  return true;
}

int capture_wait(cudaEvent_t event, cudaStream_t stream, bool* captured) {
  const Lock lock(captures().mutex);
  const auto found = captures().events.find(event);
  *captured = found != captures().events.end();
  if (!*captured) {
    // An event from outside cannot hold a captured stream.
    Place* place = place_of(stream);
    if (place != nullptr) place->capture->invalid = true;
    return place != nullptr ? cudaErrorStreamCaptureIsolation : cudaSuccess;
  }
  Place& waiting = captures().streams[stream];
  if (waiting.capture != nullptr && waiting.capture != found->second.capture) return cudaErrorStreamCaptureMerge;
  waiting.capture = found->second.capture;
  for (Node* node : found->second.last)
    if (std::find(waiting.last.begin(), waiting.last.end(), node) == waiting.last.end()) waiting.last.push_back(node);
  return cudaSuccess;
}

}  // namespace standin

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  return enter([&](const HostTable& host) -> int { return begin(host, stream); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return enter([&](const HostTable&) -> int { return end(stream, graph); });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return enter([&](const HostTable& host) -> int {
    if (status == nullptr) return cudaErrorInvalidValue;
    const Lock lock(captures().mutex);
    const Place* place = place_of(stream);
    *status = place == nullptr          ? cudaStreamCaptureStatusNone
              : place->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                        : cudaStreamCaptureStatusActive;
    std::uint32_t flags = 0;
    return host.stream_check(handle_id(stream), &flags);
  });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  return enter([&](const HostTable& host) -> int {
    if (status == nullptr) return cudaErrorInvalidValue;
    const Lock lock(captures().mutex);
    const Place* place = place_of(stream);
    *status = place == nullptr ? cudaStreamCaptureStatusNone : cudaStreamCaptureStatusActive;
    if (place == nullptr) return cudaSuccess;
    if (place->capture->invalid) *status = cudaStreamCaptureStatusInvalidated;
    if (id != nullptr) *id = place->capture->id;
    if (graph != nullptr || dependencies != nullptr || edges != nullptr || count != nullptr)
      return host.unsupported("cudaStreamGetCaptureInfo with the graph");
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return enter([&](const HostTable&) -> int {
    if (mode == nullptr) return cudaErrorInvalidValue;
    std::swap(*mode, thread_mode);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return cudaStreamBeginCapture(own(stream), mode);
}

cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t stream, cudaGraph_t* graph) {
  return cudaStreamEndCapture(own(stream), graph);
}

cudaError_t cudaStreamIsCapturing_ptsz(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return cudaStreamIsCapturing(own(stream), status);
}

}  // extern "C"
