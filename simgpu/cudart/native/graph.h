// Graphs of work. A handle is the address of the object behind it; the registry of live ones tells a stale handle.
#pragma once

#include <memory>
#include <vector>

#include "work.h"

namespace standin {

struct Graph;

struct Node {
  Graph* graph = nullptr;
  Work work;
  std::vector<Node*> dependencies;
  bool enabled = true;
};

struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;  // in the order in which they were added
  std::vector<std::unique_ptr<Graph>> children;

  Node* add(Work work, std::vector<Node*> dependencies);
};

// An instantiated graph keeps a copy, and which of its nodes stands for which of the graph's.
struct Executable {
  std::unique_ptr<Graph> graph;
  std::vector<std::pair<const Node*, Node*>> originals;
};

inline Graph* graph_of(cudaGraph_t handle) { return reinterpret_cast<Graph*>(handle); }
inline cudaGraph_t handle_of(Graph* graph) { return reinterpret_cast<cudaGraph_t>(graph); }
inline Node* node_of(cudaGraphNode_t handle) { return reinterpret_cast<Node*>(handle); }
inline cudaGraphNode_t handle_of(Node* node) { return reinterpret_cast<cudaGraphNode_t>(node); }

// Make a graph known by its handle.
Graph* adopt_graph(std::unique_ptr<Graph> graph);
void destroy_graph(Graph* graph);

bool is_live(cudaGraph_t handle);

int instantiate_graph(cudaGraphExec_t* made, cudaGraph_t graph);
Executable* executable_of(cudaGraphExec_t handle);  // null when it is not alive
bool destroy_executable(cudaGraphExec_t handle);
// The executable's own copy of a node, or null.
Node* image_of(cudaGraphExec_t handle, cudaGraphNode_t node);
std::unique_ptr<Graph> clone(const Graph& graph, std::vector<std::pair<const Node*, Node*>>* originals);

// Nodes with every dependency before its dependents; empty when the dependencies form a ring.
std::vector<Node*> ordered(const Graph& graph);
int run_graph(const HostTable& host, const Graph& graph, cudaStream_t stream);

}  // namespace standin
