// A graph whose neighbours are drawn, with every rule checked once.
#pragma once

#include "../core/neighbours.hpp"
#include "arguments.hpp"

namespace hashgnn::python {

class NeighbourTable {
 public:
  NeighbourTable(const Array<std::int64_t, 1>& starts, const Array<std::int32_t, 1>& indices);

  std::int64_t n_nodes() const { return graph_.n_nodes; }
  // Nodes, starts, places, owner_starts, owners: see DrawnHop.
  nb::tuple draw(const Array<std::int64_t, 1>& parents, std::int64_t fan_out, std::uint64_t seed) const;
  nb::object has_edges(const Array<std::int64_t, 1>& from, const Array<std::int64_t, 1>& to) const;

 private:
  void check_nodes(const char* name, const Array<std::int64_t, 1>& nodes) const;

  Array<std::int64_t, 1> starts_;  // kept alive
  Array<std::int32_t, 1> indices_;
  Neighbours graph_;
};

}  // namespace hashgnn::python
