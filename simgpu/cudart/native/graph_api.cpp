// The entry points of graphs: building them node by node, asking about them, instantiating, updating, launching.
#include <algorithm>

#include "graph.h"

using namespace standin;

namespace {

int add_node(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies, std::size_t count,
             Work work) {
  if (made == nullptr || !is_live(graph) || (count != 0 && dependencies == nullptr)) return cudaErrorInvalidValue;
  std::vector<Node*> before;
  for (std::size_t index = 0; index < count; ++index) {
    if (node_of(dependencies[index])->graph != graph_of(graph)) return cudaErrorInvalidValue;
    before.push_back(node_of(dependencies[index]));
  }
  *made = handle_of(graph_of(graph)->add(std::move(work), std::move(before)));
  return cudaSuccess;
}

// Replace a node's work by work of the same kind.
int replace_work(Node* node, Work work) {
  if (node == nullptr || node->work.index() != work.index()) return cudaErrorInvalidValue;
  node->work = std::move(work);
  return cudaSuccess;
}

// Pointers to a kernel node's own copies of its arguments, made when they are asked for.
void** pointers_of(Node* node) {
  auto& work = std::get<KernelWork>(node->work);
  work.pointers.clear();
  for (auto& bytes : work.arguments) work.pointers.push_back(bytes.data());
  return work.pointers.data();
}

// Graph launches are not recorded into other graphs.
int submit_graph(const HostTable& host, const Graph& graph, cudaStream_t stream) {
  if (is_capturing(stream)) return host.unsupported("cudaGraphLaunch into a captured stream");
  return run_graph(host, graph, stream);
}

// Whether two graphs have the same nodes, of the same kinds, in the same order with the same dependencies.
cudaGraphExecUpdateResult compare(const Graph& old, const Graph& fresh) {
  if (old.nodes.size() != fresh.nodes.size()) return cudaGraphExecUpdateErrorTopologyChanged;
  const auto index_in = [](const Graph& graph, const Node* node) {
    return std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const auto& one) { return one.get() == node; }) -
           graph.nodes.begin();
  };
  for (size_t at = 0; at < old.nodes.size(); ++at) {
    const Node& before = *old.nodes[at];
    const Node& after = *fresh.nodes[at];
    if (before.work.index() != after.work.index()) return cudaGraphExecUpdateErrorNodeTypeChanged;
    if (before.dependencies.size() != after.dependencies.size()) return cudaGraphExecUpdateErrorTopologyChanged;
    for (size_t edge = 0; edge < before.dependencies.size(); ++edge)
      if (index_in(old, before.dependencies[edge]) != index_in(fresh, after.dependencies[edge]))
        return cudaGraphExecUpdateErrorTopologyChanged;
  }
  return cudaGraphExecUpdateSuccess;
}

// Take over a graph of the same shape: nodes keep their handles' meaning, by the order in which they were added.
cudaGraphExecUpdateResult update_graph(Executable* executable, const Graph& graph) {
  const cudaGraphExecUpdateResult result = compare(*executable->graph, graph);
  if (result != cudaGraphExecUpdateSuccess) return result;
  executable->originals.clear();
  executable->graph = clone(graph, &executable->originals);
  return result;
}

template <class Kind>
const Kind* work_as(cudaGraphNode_t node) {
  return node == nullptr ? nullptr : std::get_if<Kind>(&node_of(node)->work);
}

int kernel_work(const HostTable& host, const cudaKernelNodeParams* asked, Work* work) {
  if (asked == nullptr) return cudaErrorInvalidValue;
  if (asked->extra != nullptr) return host.unsupported("a kernel node with `extra` parameters");
  KernelWork described;
  const int code = describe_launch(host, asked->func, asked->gridDim, asked->blockDim, asked->kernelParams,
                                   asked->sharedMemBytes, false, &described);
  *work = std::move(described);
  return code;
}

int copy_work(const HostTable& host, const cudaMemcpy3DParms* asked, Work* work) {
  if (asked == nullptr) return cudaErrorInvalidValue;
  CopyWork described;
  const int code = describe_copy(*asked, host, &described);
  *work = described;
  return code;
}

int fill_work(const cudaMemsetParams* asked, Work* work) {
  if (asked == nullptr) return cudaErrorInvalidValue;
  *work = FillWork{static_cast<char*>(asked->dst), asked->pitch, asked->value, asked->elementSize, asked->width,
                   asked->height};
  return cudaSuccess;
}

int host_work(const cudaHostNodeParams* asked, Work* work) {
  if (asked == nullptr || asked->fn == nullptr) return cudaErrorInvalidValue;
  *work = HostWork{asked->fn, asked->userData};
  return cudaSuccess;
}

// Hand out a list the way that CUDA does: the count alone, or as many as fit.
int hand_out(const std::vector<Node*>& found, cudaGraphNode_t* nodes, std::size_t* count) {
  if (count == nullptr) return cudaErrorInvalidValue;
  if (nodes != nullptr)
    for (std::size_t index = 0; index < *count; ++index)
      nodes[index] = index < found.size() ? handle_of(found[index]) : nullptr;
  *count = nodes == nullptr ? found.size() : std::min(*count, found.size());
  return cudaSuccess;
}

struct KindOf {
  cudaGraphNodeType operator()(const KernelWork&) const { return cudaGraphNodeTypeKernel; }
  cudaGraphNodeType operator()(const CopyWork&) const { return cudaGraphNodeTypeMemcpy; }
  cudaGraphNodeType operator()(const FillWork&) const { return cudaGraphNodeTypeMemset; }
  cudaGraphNodeType operator()(const HostWork&) const { return cudaGraphNodeTypeHost; }
  cudaGraphNodeType operator()(const RecordWork&) const { return cudaGraphNodeTypeEventRecord; }
  cudaGraphNodeType operator()(const WaitWork&) const { return cudaGraphNodeTypeWaitEvent; }
  cudaGraphNodeType operator()(const ChildWork&) const { return cudaGraphNodeTypeGraph; }
  cudaGraphNodeType operator()(const EmptyWork&) const { return cudaGraphNodeTypeEmpty; }
};

// Run `describe`, then add the node that it describes.
template <class Describe>
cudaError_t add_described(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                          std::size_t count, Describe&& describe) {
  return enter([&](const HostTable& host) -> int {
    Work work = EmptyWork{};
    if (const int code = describe(host, &work)) return code;
    return add_node(made, graph, dependencies, count, std::move(work));
  });
}

// Run `describe`, then give a node the work that it describes.
template <class Describe>
cudaError_t change(Node* node, Describe&& describe) {
  return enter([&](const HostTable& host) -> int {
    Work work = EmptyWork{};
    if (const int code = describe(host, &work)) return code;
    return replace_work(node, std::move(work));
  });
}

}  // namespace

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return enter([&](const HostTable&) -> int {
    if (graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    *graph = handle_of(adopt_graph(std::make_unique<Graph>()));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return enter([&](const HostTable&) -> int {
    if (!is_live(graph)) return cudaErrorInvalidValue;
    destroy_graph(graph_of(graph));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphClone(cudaGraph_t* copied, cudaGraph_t graph) {
  return enter([&](const HostTable&) -> int {
    if (copied == nullptr || !is_live(graph)) return cudaErrorInvalidValue;
    std::vector<std::pair<const Node*, Node*>> originals;
    *copied = handle_of(adopt_graph(clone(*graph_of(graph), &originals)));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                   size_t count, const cudaKernelNodeParams* asked) {
  return add_described(made, graph, dependencies, count,
                       [&](const HostTable& host, Work* work) { return kernel_work(host, asked, work); });
}

cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                   size_t count, const cudaMemcpy3DParms* asked) {
  return add_described(made, graph, dependencies, count,
                       [&](const HostTable& host, Work* work) { return copy_work(host, asked, work); });
}

cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                     size_t count, void* destination, const void* source, size_t bytes,
                                     cudaMemcpyKind kind) {
  return add_described(made, graph, dependencies, count, [&](const HostTable&, Work* work) -> int {
    *work = linear_copy(destination, source, bytes, kind);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                   size_t count, const cudaMemsetParams* asked) {
  return add_described(made, graph, dependencies, count,
                       [&](const HostTable&, Work* work) { return fill_work(asked, work); });
}

cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                 size_t count, const cudaHostNodeParams* asked) {
  return add_described(made, graph, dependencies, count,
                       [&](const HostTable&, Work* work) { return host_work(asked, work); });
}

cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                  size_t count) {
  return add_described(made, graph, dependencies, count, [](const HostTable&, Work*) -> int { return cudaSuccess; });
}

cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                        size_t count, cudaEvent_t event) {
  return add_described(made, graph, dependencies, count, [&](const HostTable& host, Work* work) -> int {
    *work = RecordWork{event};
    return host.event_check(handle_id(event));
  });
}

cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                      size_t count, cudaEvent_t event) {
  return add_described(made, graph, dependencies, count, [&](const HostTable& host, Work* work) -> int {
    *work = WaitWork{event};
    return host.event_check(handle_id(event));
  });
}

cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                       size_t count, cudaGraph_t child) {
  return add_described(made, graph, dependencies, count, [&](const HostTable&, Work* work) -> int {
    if (!is_live(child) || !is_live(graph)) return cudaErrorInvalidValue;
    std::vector<std::pair<const Node*, Node*>> originals;
    auto& children = graph_of(graph)->children;
    children.push_back(clone(*graph_of(child), &originals));
    *work = ChildWork{handle_of(children.back().get())};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                             const cudaGraphEdgeData*, size_t count, cudaGraphNodeParams* asked) {
  return add_described(made, graph, dependencies, count, [&](const HostTable& host, Work* work) -> int {
    if (asked == nullptr) return cudaErrorInvalidValue;
    switch (asked->type) {
      case cudaGraphNodeTypeKernel: {
        const auto& kernel = asked->kernel;
        const cudaKernelNodeParams plain = {kernel.func, kernel.gridDim, kernel.blockDim, kernel.sharedMemBytes,
                                            kernel.kernelParams, kernel.extra};
        return kernel_work(host, &plain, work);
      }
      case cudaGraphNodeTypeMemcpy:
        return copy_work(host, &asked->memcpy.copyParams, work);
      case cudaGraphNodeTypeMemset:
        *work = FillWork{static_cast<char*>(asked->memset.dst), asked->memset.pitch, asked->memset.value,
                         asked->memset.elementSize, asked->memset.width, asked->memset.height};
        return cudaSuccess;
      case cudaGraphNodeTypeHost:
        *work = HostWork{asked->host.fn, asked->host.userData};
        return cudaSuccess;
      case cudaGraphNodeTypeEmpty:
        return cudaSuccess;
      default:
        return host.unsupported("cudaGraphAddNode with this type of node");
    }
  });
}

cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from, const cudaGraphNode_t* to,
                                     const cudaGraphEdgeData*, size_t count) {
  return enter([&](const HostTable&) -> int {
    if (!is_live(graph)) return cudaErrorInvalidValue;
    for (size_t index = 0; index < count; ++index) {
      if (node_of(from[index])->graph != graph_of(graph) || node_of(to[index])->graph != graph_of(graph))
        return cudaErrorInvalidValue;
      node_of(to[index])->dependencies.push_back(node_of(from[index]));
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node) {
  return enter([&](const HostTable&) -> int {
    if (node == nullptr) return cudaErrorInvalidValue;
    auto& nodes = node_of(node)->graph->nodes;
    for (const auto& other : nodes) {
      auto& before = other->dependencies;
      before.erase(std::remove(before.begin(), before.end(), node_of(node)), before.end());
    }
    nodes.erase(std::find_if(nodes.begin(), nodes.end(), [&](const auto& one) { return one.get() == node_of(node); }));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return enter([&](const HostTable&) -> int {
    if (!is_live(graph)) return cudaErrorInvalidValue;
    std::vector<Node*> all;
    for (const auto& node : graph_of(graph)->nodes) all.push_back(node.get());
    return hand_out(all, nodes, count);
  });
}

cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return enter([&](const HostTable&) -> int {
    if (!is_live(graph)) return cudaErrorInvalidValue;
    std::vector<Node*> roots;
    for (const auto& node : graph_of(graph)->nodes)
      if (node->dependencies.empty()) roots.push_back(node.get());
    return hand_out(roots, nodes, count);
  });
}

cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t* nodes, cudaGraphEdgeData*,
                                         size_t* count) {
  return enter([&](const HostTable&) -> int { return hand_out(node_of(node)->dependencies, nodes, count); });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return enter([&](const HostTable&) -> int {
    if (node == nullptr || type == nullptr) return cudaErrorInvalidValue;
    *type = std::visit(KindOf{}, node_of(node)->work);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* params) {
  return enter([&](const HostTable&) -> int {
    const auto* work = work_as<KernelWork>(node);
    if (work == nullptr || params == nullptr) return cudaErrorInvalidValue;
    *params = {const_cast<Kernel*>(work->kernel), work->grid, work->block, static_cast<unsigned>(work->shared),
               pointers_of(node_of(node)), nullptr};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams* asked) {
  return change(node_of(node), [&](const HostTable& host, Work* work) { return kernel_work(host, asked, work); });
}

cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node, const cudaMemcpy3DParms* asked) {
  return change(node_of(node), [&](const HostTable& host, Work* work) { return copy_work(host, asked, work); });
}

cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams* asked) {
  return change(node_of(node), [&](const HostTable&, Work* work) { return fill_work(asked, work); });
}

cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams* asked) {
  return change(node_of(node), [&](const HostTable&, Work* work) { return host_work(asked, work); });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  return enter([&](const HostTable&) { return instantiate_graph(made, graph); });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  return enter([&](const HostTable&) { return instantiate_graph(made, graph); });
}

cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t* made, cudaGraph_t graph,
                                           cudaGraphInstantiateParams* params) {
  return enter([&](const HostTable&) -> int {
    const int code = instantiate_graph(made, graph);
    if (params != nullptr)
      params->result_out = code == cudaSuccess ? cudaGraphInstantiateSuccess : cudaGraphInstantiateError;
    return code;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return enter([&](const HostTable&) -> int {
    return destroy_executable(executable) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return enter([&](const HostTable& host) -> int {
    const Executable* found = executable_of(executable);
    if (found == nullptr) return cudaErrorInvalidValue;
    return submit_graph(host, *found->graph, stream);
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t) {
  return enter([&](const HostTable&) -> int {
    return executable_of(executable) == nullptr ? cudaErrorInvalidValue : cudaSuccess;
  });
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* asked) {
  return change(image_of(executable, node),
                [&](const HostTable& host, Work* work) { return kernel_work(host, asked, work); });
}

cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaMemcpy3DParms* asked) {
  return change(image_of(executable, node),
                [&](const HostTable& host, Work* work) { return copy_work(host, asked, work); });
}

cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t executable, cudaGraphNode_t node, void* destination,
                                               const void* source, size_t bytes, cudaMemcpyKind kind) {
  return change(image_of(executable, node), [&](const HostTable&, Work* work) -> int {
    *work = linear_copy(destination, source, bytes, kind);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaMemsetParams* asked) {
  return change(image_of(executable, node), [&](const HostTable&, Work* work) { return fill_work(asked, work); });
}

cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                           const cudaHostNodeParams* asked) {
  return change(image_of(executable, node), [&](const HostTable&, Work* work) { return host_work(asked, work); });
}

cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t executable, cudaGraphNode_t node, unsigned enabled) {
  return enter([&](const HostTable&) -> int {
    Node* image = image_of(executable, node);
    if (image == nullptr) return cudaErrorInvalidValue;
    image->enabled = enabled != 0;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t executable, cudaGraphNode_t node, unsigned* enabled) {
  return enter([&](const HostTable&) -> int {
    const Node* image = image_of(executable, node);
    if (image == nullptr || enabled == nullptr) return cudaErrorInvalidValue;
    *enabled = image->enabled ? 1 : 0;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* info) {
  return enter([&](const HostTable&) -> int {
    Executable* found = executable_of(executable);
    if (found == nullptr || !is_live(graph)) return cudaErrorInvalidValue;
    const cudaGraphExecUpdateResult result = update_graph(found, *graph_of(graph));
    if (info != nullptr) *info = {result, nullptr, nullptr};
    return result == cudaGraphExecUpdateSuccess ? cudaSuccess : cudaErrorGraphExecUpdateFailure;
  });
}

cudaError_t cudaGraphLaunch_ptsz(cudaGraphExec_t executable, cudaStream_t stream) {
  return cudaGraphLaunch(executable, own(stream));
}

cudaError_t cudaGraphUpload_ptsz(cudaGraphExec_t executable, cudaStream_t stream) {
  return cudaGraphUpload(executable, own(stream));
}

}  // extern "C"
