#include "neighbours.hpp"

#include <limits>
#include <memory>

namespace hashgnn::python {
namespace {

std::string text(std::int64_t value) { return std::to_string(value); }

// Hands a vector over to Python without a copy.
template <class Value>
nb::object as_array(std::vector<Value>&& values) {
  auto kept = std::make_unique<std::vector<Value>>(std::move(values));
  Value* data = kept->data();
  const std::size_t size = kept->size();
  const nb::capsule owner(kept.release(), [](void* held) noexcept { delete static_cast<std::vector<Value>*>(held); });
  return nb::cast(nb::ndarray<nb::numpy, Value>(data, {size}, owner));
}

}  // namespace

NeighbourTable::NeighbourTable(const Array<std::int64_t, 1>& starts, const Array<std::int32_t, 1>& indices)
    : starts_(starts), indices_(indices), graph_{starts.data(), indices.data(), static_cast<std::int64_t>(starts.size()) - 1} {
  const auto n_indices = static_cast<std::int64_t>(indices.size());
  require(graph_.n_nodes >= 0 && graph_.n_nodes <= std::numeric_limits<std::int32_t>::max(),
          "starts must have one entry more than there are nodes");
  require(starts.data()[0] == 0 && starts.data()[graph_.n_nodes] == n_indices, "starts must begin at 0 and end at the number of indices");
  for (std::int64_t i = 0; i < graph_.n_nodes; ++i) {
    const std::int64_t first = starts.data()[i], last = starts.data()[i + 1];
    if (last < first || last > n_indices) fail("starts must never fall");
    for (std::int64_t j = first; j < last; ++j) {
      const std::int32_t found = indices.data()[j];
      if (found < 0 || found >= graph_.n_nodes || (j > first && found <= indices.data()[j - 1]))
        fail("indices of a node must ascend and be below the number of nodes");
    }
  }
}

void NeighbourTable::check_nodes(const char* name, const Array<std::int64_t, 1>& nodes) const {
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes.data()[i] < 0 || nodes.data()[i] >= graph_.n_nodes)
      fail(std::string(name) + " must be in [0, " + text(graph_.n_nodes) + "), got " + text(nodes.data()[i]));
}

nb::tuple NeighbourTable::draw(const Array<std::int64_t, 1>& parents, std::int64_t fan_out, std::uint64_t seed) const {
  check_nodes("nodes", parents);
  require(fan_out >= 1, "fan_out must be at least 1, got " + text(fan_out));
  const auto n_parents = static_cast<std::int64_t>(parents.size());
  std::int64_t n_drawn = 0;
  for (std::int64_t p = 0; p < n_parents; ++p) {
    const std::int64_t node = parents.data()[p];
    n_drawn += std::min(fan_out, graph_.starts[node + 1] - graph_.starts[node]);
  }
  require(n_drawn < std::numeric_limits<std::int32_t>::max(),
          "neighbours drawn at one hop must be fewer than 2 ** 31, got " + text(n_drawn) + "; take smaller batches");
  DrawnHop hop;
  {
    const nb::gil_scoped_release release;
    hop = draw_hop(graph_, parents.data(), n_parents, fan_out, seed);
  }
  return nb::make_tuple(as_array(std::move(hop.nodes)), as_array(std::move(hop.starts)), as_array(std::move(hop.places)),
                        as_array(std::move(hop.owner_starts)), as_array(std::move(hop.owners)));
}

nb::object NeighbourTable::has_edges(const Array<std::int64_t, 1>& from, const Array<std::int64_t, 1>& to) const {
  check_nodes("nodes", from);
  check_nodes("nodes", to);
  require(from.size() == to.size(), "pairs must have two ends");
  std::unique_ptr<bool[]> found(new bool[from.size()]);
  {
    const nb::gil_scoped_release release;
    find_edges(graph_, from.data(), to.data(), static_cast<std::int64_t>(from.size()), found.get());
  }
  bool* raw = found.release();
  const nb::capsule owner(raw, [](void* held) noexcept { delete[] static_cast<bool*>(held); });
  return nb::cast(nb::ndarray<nb::numpy, bool>(raw, {from.size()}, owner));
}

}  // namespace hashgnn::python
