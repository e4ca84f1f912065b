// Graphs as data: which are alive, their copies, and how one runs. The nodes of a launched graph run one after the other
// in an order that their dependencies allow; their modelled times add up.
#include "graph.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

using namespace standin;

namespace standin {
namespace {

std::mutex graphs_mutex;
std::map<Graph*, std::unique_ptr<Graph>>& live_graphs() {
  static auto* instance = new std::map<Graph*, std::unique_ptr<Graph>>;
  return *instance;
}
std::map<Executable*, std::unique_ptr<Executable>>& live_executables() {
  static auto* instance = new std::map<Executable*, std::unique_ptr<Executable>>;
  return *instance;
}

}  // namespace

std::unique_ptr<Graph> clone(const Graph& graph, std::vector<std::pair<const Node*, Node*>>* originals) {
  auto copied = std::make_unique<Graph>();
  std::map<const Node*, Node*> images;
  for (const auto& node : graph.nodes) {
    Work work = node->work;
    if (auto* child = std::get_if<ChildWork>(&work)) {
      copied->children.push_back(clone(*graph_of(child->graph), originals));
      child->graph = handle_of(copied->children.back().get());
    }
    images[node.get()] = copied->add(std::move(work), {});
    images[node.get()]->enabled = node->enabled;
    originals->emplace_back(node.get(), images[node.get()]);
  }
  for (const auto& node : graph.nodes)
    for (const Node* dependency : node->dependencies) images[node.get()]->dependencies.push_back(images[dependency]);
  return copied;
}

Executable* executable_of(cudaGraphExec_t handle) {
  const std::lock_guard<std::mutex> lock(graphs_mutex);
  const auto found = live_executables().find(reinterpret_cast<Executable*>(handle));
  return found == live_executables().end() ? nullptr : found->first;
}

bool is_live(cudaGraph_t handle) {
  const std::lock_guard<std::mutex> lock(graphs_mutex);
  for (const auto& entry : live_graphs()) {
    if (entry.first == graph_of(handle)) return true;
    for (const auto& child : entry.first->children)
      if (child.get() == graph_of(handle)) return true;
  }
  return false;
}

int instantiate_graph(cudaGraphExec_t* made, cudaGraph_t graph) {
  if (made == nullptr || !is_live(graph)) return cudaErrorInvalidValue;
  if (ordered(*graph_of(graph)).size() != graph_of(graph)->nodes.size()) return cudaErrorInvalidValue;
  auto executable = std::make_unique<Executable>();
  executable->graph = clone(*graph_of(graph), &executable->originals);
  const std::lock_guard<std::mutex> lock(graphs_mutex);
  Executable* key = executable.get();
  live_executables()[key] = std::move(executable);
  *made = reinterpret_cast<cudaGraphExec_t>(key);
  return cudaSuccess;
}

// The executable's own copy of a node, or null.
Node* image_of(cudaGraphExec_t handle, cudaGraphNode_t node) {
  const Executable* executable = executable_of(handle);
  if (executable == nullptr) return nullptr;
  for (const auto& pair : executable->originals)
    if (pair.first == node_of(node)) return pair.second;
  return nullptr;
}

Node* Graph::add(Work work, std::vector<Node*> dependencies) {
  nodes.push_back(std::make_unique<Node>(Node{this, std::move(work), std::move(dependencies), true}));
  return nodes.back().get();
}

Graph* adopt_graph(std::unique_ptr<Graph> graph) {
  const std::lock_guard<std::mutex> lock(graphs_mutex);
  Graph* key = graph.get();
  live_graphs()[key] = std::move(graph);
  return key;
}

bool destroy_executable(cudaGraphExec_t handle) {
  const std::lock_guard<std::mutex> lock(graphs_mutex);
  return live_executables().erase(reinterpret_cast<Executable*>(handle)) != 0;
}

void destroy_graph(Graph* graph) {
  const std::lock_guard<std::mutex> lock(graphs_mutex);
  live_graphs().erase(graph);
}

std::vector<Node*> ordered(const Graph& graph) {
  std::vector<Node*> result;
  std::set<const Node*> done;
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& node : graph.nodes) {
      const auto& before = node->dependencies;
      if (done.count(node.get()) != 0) continue;
      if (!std::all_of(before.begin(), before.end(), [&](const Node* one) { return done.count(one) != 0; })) continue;
      result.push_back(node.get());
      done.insert(node.get());
      grew = true;
    }
  }
  return result;
}

int run_graph(const HostTable& host, const Graph& graph, cudaStream_t stream) {
  for (const Node* node : ordered(graph)) {
    if (!node->enabled) continue;
    if (const int code = perform(host, node->work, stream)) return code;
    if (sticky_error() != cudaSuccess) break;
  }
  return cudaSuccess;
}

}  // namespace standin
