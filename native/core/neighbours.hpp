// Neighbours drawn for the nodes of a batch, each distinct node once.
#pragma once

#include <cstdint>
#include <vector>

namespace hashgnn {

// A graph as the neighbours of each node: those of node i are indices[starts[i]] to indices[starts[i + 1] - 1].
struct Neighbours {
  const std::int64_t* starts;
  const std::int32_t* indices;
  std::int64_t n_nodes;
};

// What is drawn for parents: a CSR matrix of their rows over the distinct nodes drawn, and its transpose.
struct DrawnHop {
  std::vector<std::int64_t> nodes;         // distinct, ascending
  std::vector<std::int32_t> starts;        // of each parent in places, one more at the end
  std::vector<std::int32_t> places;        // in nodes
  std::vector<std::int32_t> owner_starts;  // of each node in owners, one more at the end
  std::vector<std::int32_t> owners;        // positions of parents, ascending
};

// Draws fan_out distinct neighbours of each parent, or takes all where there are no more; every subset is equally
// likely. The same seed draws the same on every machine.
DrawnHop draw_hop(const Neighbours& graph, const std::int64_t* parents, std::int64_t n_parents, std::int64_t fan_out,
                  std::uint64_t seed);

// Says for each pair of a node and another whether they are neighbours; the lists must ascend.
void find_edges(const Neighbours& graph, const std::int64_t* from, const std::int64_t* to, std::int64_t n_pairs,
                bool* found);

}  // namespace hashgnn
