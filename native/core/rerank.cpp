#include "rerank.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hashgnn {
namespace {

constexpr std::size_t kAhead = 12;  // rows prefetched before they are needed: they lie anywhere in memory

void fetch(const char* row, std::size_t n_bytes) {
  for (std::size_t at = 0; at < n_bytes; at += 64) __builtin_prefetch(row + at);
}

template <class Value, class Dot>
void score_all(const Embeddings& table, const float* query, const std::vector<Hit>& candidates, Dot dot,
               std::vector<Scored>& scored) {
  const auto* rows = static_cast<const Value*>(table.rows);
  const auto row_of = [&](std::size_t i) { return rows + std::int64_t{candidates[i].position} * table.width; };
  const std::size_t n_bytes = static_cast<std::size_t>(table.width) * sizeof(Value);
  for (std::size_t i = 0; i < std::min(kAhead, candidates.size()); ++i)
    fetch(reinterpret_cast<const char*>(row_of(i)), n_bytes);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i + kAhead < candidates.size()) fetch(reinterpret_cast<const char*>(row_of(i + kAhead)), n_bytes);
    const std::uint32_t position = candidates[i].position;
    const float scale = table.scale == nullptr ? 1.0f : table.scale[position];
    const float score = dot(query, row_of(i), table.width) * scale;
    // A NaN has no place in an order; it goes last.
    scored.push_back({position, std::isnan(score) ? -std::numeric_limits<float>::infinity() : score});
  }
}

}  // namespace

std::vector<Scored> rerank(const Kernels& kernels, const Embeddings& table, const float* query,
                           const std::vector<Hit>& candidates, std::int64_t k) {
  std::vector<Scored> scored;
  scored.reserve(candidates.size());
  switch (table.entry) {
    case Entry::f32: score_all<float>(table, query, candidates, kernels.dot_f32, scored); break;
    case Entry::f16: score_all<std::uint16_t>(table, query, candidates, kernels.dot_f16, scored); break;
    case Entry::i8: score_all<std::int8_t>(table, query, candidates, kernels.dot_i8, scored); break;
  }
  const auto better = [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score > b.score : a.position < b.position;
  };
  const auto middle = scored.begin() + std::min<std::ptrdiff_t>(k, static_cast<std::ptrdiff_t>(scored.size()));
  std::nth_element(scored.begin(), middle, scored.end(), better);
  std::sort(scored.begin(), middle, better);
  scored.erase(middle, scored.end());
  return scored;
}

}  // namespace hashgnn
