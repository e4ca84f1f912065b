// What can be submitted to a stream, as a value: it runs at once, or becomes a node when the stream is being captured.
#pragma once

#include <variant>

#include "standin.h"

namespace standin {

struct KernelWork {
  const Kernel* kernel = nullptr;
  dim3 grid;
  dim3 block;
  std::size_t shared = 0;
  bool cooperative = false;
  std::vector<std::vector<char>> arguments;  // a copy of each parameter's bytes
  std::vector<void*> pointers;               // to those copies, as `cudaGraphKernelNodeGetParams` hands them out
};

// Rows of planes of bytes; a linear copy is one row of one plane.
struct CopyWork {
  char* destination = nullptr;
  const char* source = nullptr;
  std::size_t destination_pitch = 0;
  std::size_t source_pitch = 0;
  std::size_t destination_rows = 0;  // rows from one plane to the next
  std::size_t source_rows = 0;
  std::size_t width = 0;
  std::size_t height = 0;
  std::size_t depth = 0;
  cudaMemcpyKind kind = cudaMemcpyDefault;
};

struct FillWork {
  char* destination = nullptr;
  std::size_t pitch = 0;
  unsigned value = 0;
  unsigned element = 1;  // bytes of one element: 1, 2 or 4
  std::size_t width = 0;  // elements
  std::size_t height = 0;
};

struct HostWork {
  cudaHostFn_t function = nullptr;
  void* data = nullptr;
};

struct RecordWork {
  cudaEvent_t event = nullptr;
};

struct WaitWork {
  cudaEvent_t event = nullptr;
};

struct ChildWork {
  cudaGraph_t graph = nullptr;  // owned by the node's graph
};

struct EmptyWork {};

using Work = std::variant<KernelWork, CopyWork, FillWork, HostWork, RecordWork, WaitWork, ChildWork, EmptyWork>;

// Copy a kernel's arguments, whose sizes its PTX declares.
int describe_launch(const HostTable& host, const void* function, dim3 grid, dim3 block, void** arguments,
                    std::size_t shared, bool cooperative, KernelWork* work);

CopyWork linear_copy(void* destination, const void* source, std::size_t bytes, cudaMemcpyKind kind);
int describe_copy(const cudaMemcpy3DParms& asked, const HostTable& host, CopyWork* work);

// Run work now; a fault of a kernel becomes sticky, as a launch is asynchronous.
int perform(const HostTable& host, const Work& work, cudaStream_t stream);
int launch_now(const HostTable& host, const Kernel* kernel, dim3 grid, dim3 block, void** arguments,
               std::size_t shared, bool cooperative, cudaStream_t stream);

// Run work, or append it to the graph that the stream is captured into.
int submit(const HostTable& host, const Work& work, cudaStream_t stream);

// Whether a stream is being captured.
bool is_capturing(cudaStream_t stream);
// Whether what is submitted to a stream neither is recorded nor would break a capture.
bool runs_at_once(cudaStream_t stream);
// A call that would wait for a stream, or for the whole device, is refused while that is captured, and breaks the capture.
int refuse_if_capturing(cudaStream_t stream);
int refuse_if_any_capturing();

// The stream that handle 0 means in code built with a default stream per thread.
inline cudaStream_t own(cudaStream_t stream) { return stream == nullptr ? cudaStreamPerThread : stream; }

// Events during capture: recording one marks the place, waiting for one joins a stream to the capture.
bool capture_record(cudaEvent_t event, cudaStream_t stream);
int capture_wait(cudaEvent_t event, cudaStream_t stream, bool* captured);

}  // namespace standin
