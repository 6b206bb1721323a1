// Drawn neighbours and edges of a graph.
#include <algorithm>
#include <utility>

#include "../core/neighbours.hpp"
#include "fuzz.hpp"

namespace hashgnn {

// Every row holds distinct neighbours, all where they fit, and the transpose holds the same pairs.
void Fuzz::draw_neighbours() {
  const std::int64_t n_nodes = between(1, 200), fan_out = chance(2) ? between(1, 5) : between(30, 60);
  std::vector<std::int64_t> starts{0}, parents(static_cast<std::size_t>(between(0, 20)));
  std::vector<std::int32_t> indices;
  for (std::int64_t node = 0; node < n_nodes; ++node) {
    const int sparse = between(1, 6);
    for (std::int32_t other = 0; other < n_nodes; ++other)
      if (chance(sparse)) indices.push_back(other);
    starts.push_back(static_cast<std::int64_t>(indices.size()));
  }
  for (std::int64_t& parent : parents) parent = between(0, static_cast<int>(n_nodes) - 1);
  const Neighbours graph{starts.data(), indices.data(), n_nodes};
  const auto n_parents = static_cast<std::int64_t>(parents.size());
  const DrawnHop hop = draw_hop(graph, parents.data(), n_parents, fan_out, random_());
  if (!std::is_sorted(hop.nodes.begin(), hop.nodes.end())) fail("the order of drawn nodes");
  std::vector<std::pair<std::int32_t, std::int32_t>> drew, owned;
  for (std::int32_t row = 0; row < n_parents; ++row) {
    const std::int64_t node = parents[static_cast<std::size_t>(row)];
    const auto first = indices.begin() + starts[static_cast<std::size_t>(node)];
    const auto last = indices.begin() + starts[static_cast<std::size_t>(node) + 1];
    std::vector<std::int64_t> found;
    for (std::int32_t i = hop.starts[static_cast<std::size_t>(row)]; i < hop.starts[static_cast<std::size_t>(row) + 1]; ++i) {
      drew.emplace_back(row, hop.places[static_cast<std::size_t>(i)]);
      found.push_back(hop.nodes[static_cast<std::size_t>(drew.back().second)]);
      if (!std::binary_search(first, last, static_cast<std::int32_t>(found.back()))) fail("a drawn neighbour");
    }
    std::sort(found.begin(), found.end());
    if (std::adjacent_find(found.begin(), found.end()) != found.end()) fail("distinct neighbours");
    if (static_cast<std::int64_t>(found.size()) != std::min<std::int64_t>(fan_out, last - first)) fail("number of neighbours");
  }
  for (std::int32_t place = 0; place < static_cast<std::int32_t>(hop.nodes.size()); ++place)
    for (std::int32_t i = hop.owner_starts[static_cast<std::size_t>(place)]; i < hop.owner_starts[static_cast<std::size_t>(place) + 1]; ++i)
      owned.emplace_back(hop.owners[static_cast<std::size_t>(i)], place);
  std::sort(drew.begin(), drew.end());
  std::sort(owned.begin(), owned.end());
  if (drew != owned) fail("the transpose of what was drawn");
  bool found[4];
  const std::int64_t from[4] = {0, n_nodes - 1, n_nodes / 2, n_nodes / 3}, to[4] = {0, 0, n_nodes - 1, n_nodes / 2};
  find_edges(graph, from, to, 4, found);
  for (int i = 0; i < 4; ++i) {
    const auto first = indices.begin() + starts[static_cast<std::size_t>(from[i])];
    const auto last = indices.begin() + starts[static_cast<std::size_t>(from[i]) + 1];
    if (found[i] != (std::find(first, last, static_cast<std::int32_t>(to[i])) != last)) fail("an edge");
  }
}

}  // namespace hashgnn
