#include "neighbours.hpp"

#include <algorithm>
#include <bit>

namespace hashgnn {
namespace {

constexpr std::int64_t kFewest = 32;  // fan-outs up to here are compared one by one

// SplitMix64 (Steele et al., OOPSLA 2014); bounded draws by Lemire's method, without bias.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : state_(seed) {}

  std::uint32_t below(std::uint32_t bound) {
    std::uint64_t product = std::uint64_t{next()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t least = (0u - bound) % bound;
      while (static_cast<std::uint32_t>(product) < least) product = std::uint64_t{next()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

 private:
  std::uint32_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<std::uint32_t>((x ^ (x >> 31)) >> 32);
  }

  std::uint64_t state_;
};

// Appends fan_out of the degree neighbours that start at first: Floyd's algorithm for few, one pass over all for many.
void draw_some(const std::int32_t* first, std::uint32_t degree, std::uint32_t fan_out, Draws& draws,
               std::vector<std::int32_t>& drawn) {
  if (fan_out <= kFewest) {
    const auto begin = static_cast<std::ptrdiff_t>(drawn.size());
    for (std::uint32_t last = degree - fan_out; last < degree; ++last) {
      const std::int32_t candidate = first[draws.below(last + 1)];
      const bool taken = std::find(drawn.begin() + begin, drawn.end(), candidate) != drawn.end();
      drawn.push_back(taken ? first[last] : candidate);
    }
    return;
  }
  std::uint32_t wanted = fan_out;
  for (std::uint32_t i = 0; wanted > 0; ++i)
    if (draws.below(degree - i) < wanted) {
      drawn.push_back(first[i]);
      --wanted;
    }
}

// Distinct nodes as bits, with the number of them before each word.
class NodeSet {
 public:
  NodeSet(std::int64_t n_nodes, const std::vector<std::int32_t>& members)
      : words_(static_cast<std::size_t>((n_nodes + 63) / 64), 0), before_(words_.size() + 1, 0) {
    for (const std::int32_t member : members) words_[word(member)] |= bit(member);
    for (std::size_t w = 0; w < words_.size(); ++w) before_[w + 1] = before_[w] + std::popcount(words_[w]);
  }

  std::int32_t place(std::int32_t member) const {
    return before_[word(member)] + std::popcount(words_[word(member)] & (bit(member) - 1));
  }

  std::vector<std::int64_t> ascending() const {
    std::vector<std::int64_t> nodes;
    nodes.reserve(static_cast<std::size_t>(before_.back()));
    for (std::size_t w = 0; w < words_.size(); ++w)
      for (std::uint64_t rest = words_[w]; rest != 0; rest &= rest - 1)
        nodes.push_back(static_cast<std::int64_t>(64 * w) + std::countr_zero(rest));
    return nodes;
  }

 private:
  static std::size_t word(std::int32_t member) { return static_cast<std::size_t>(member) / 64; }
  static std::uint64_t bit(std::int32_t member) { return std::uint64_t{1} << (static_cast<std::uint32_t>(member) % 64); }

  std::vector<std::uint64_t> words_;
  std::vector<std::int32_t> before_;
};

}  // namespace

DrawnHop draw_hop(const Neighbours& graph, const std::int64_t* parents, std::int64_t n_parents, std::int64_t fan_out,
                  std::uint64_t seed) {
  DrawnHop hop;
  Draws draws(seed);
  std::vector<std::int32_t> drawn;
  drawn.reserve(static_cast<std::size_t>(n_parents * std::min<std::int64_t>(fan_out, 64)));
  hop.starts.reserve(static_cast<std::size_t>(n_parents) + 1);
  hop.starts.push_back(0);
  for (std::int64_t p = 0; p < n_parents; ++p) {
    const std::int64_t start = graph.starts[parents[p]];
    const std::int64_t degree = graph.starts[parents[p] + 1] - start;
    const std::int32_t* first = graph.indices + start;
    if (degree <= fan_out)
      drawn.insert(drawn.end(), first, first + degree);
    else
      draw_some(first, static_cast<std::uint32_t>(degree), static_cast<std::uint32_t>(fan_out), draws, drawn);
    hop.starts.push_back(static_cast<std::int32_t>(drawn.size()));
  }

  const NodeSet set(graph.n_nodes, drawn);
  hop.nodes = set.ascending();
  hop.places.resize(drawn.size());
  hop.owner_starts.assign(hop.nodes.size() + 1, 0);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    hop.places[i] = set.place(drawn[i]);
    ++hop.owner_starts[static_cast<std::size_t>(hop.places[i]) + 1];
  }
  for (std::size_t m = 1; m < hop.owner_starts.size(); ++m) hop.owner_starts[m] += hop.owner_starts[m - 1];
  hop.owners.resize(drawn.size());
  std::vector<std::int32_t> next(hop.owner_starts.begin(), hop.owner_starts.end() - 1);
  for (std::int64_t p = 0; p < n_parents; ++p) {
    const auto row = static_cast<std::size_t>(p);
    for (std::int32_t i = hop.starts[row]; i < hop.starts[row + 1]; ++i) {
      std::int32_t& slot = next[static_cast<std::size_t>(hop.places[static_cast<std::size_t>(i)])];
      hop.owners[static_cast<std::size_t>(slot++)] = static_cast<std::int32_t>(p);
    }
  }
  return hop;
}

void find_edges(const Neighbours& graph, const std::int64_t* from, const std::int64_t* to, std::int64_t n_pairs,
                bool* found) {
  for (std::int64_t i = 0; i < n_pairs; ++i) {
    const std::int32_t* first = graph.indices + graph.starts[from[i]];
    const std::int32_t* last = graph.indices + graph.starts[from[i] + 1];
    found[i] = std::binary_search(first, last, static_cast<std::int32_t>(to[i]));
  }
}

}  // namespace hashgnn
