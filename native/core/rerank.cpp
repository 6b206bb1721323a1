#include "rerank.hpp"

#include <algorithm>

namespace hashgnn {
namespace {

constexpr std::size_t kAhead = 12;  // rows prefetched before they are needed: they lie anywhere in memory

void fetch(const char* row, std::size_t n_bytes) {
  for (std::size_t at = 0; at < n_bytes; at += 64) __builtin_prefetch(row + at);
}

template <class Value, class Dot>
void score_all(const Embeddings& table, const float* query, Dot dot, std::vector<Scored>& found) {
  const auto* rows = static_cast<const Value*>(table.rows);
  const auto row_of = [&](std::size_t i) { return rows + std::int64_t{found[i].position} * table.width; };
  const std::size_t n_bytes = static_cast<std::size_t>(table.width) * sizeof(Value);
  for (std::size_t i = 0; i < std::min(kAhead, found.size()); ++i)
    fetch(reinterpret_cast<const char*>(row_of(i)), n_bytes);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i + kAhead < found.size()) fetch(reinterpret_cast<const char*>(row_of(i + kAhead)), n_bytes);
    const float scale = table.scale == nullptr ? 1.0f : table.scale[found[i].position];
    found[i].score = ranked(dot(query, row_of(i), table.width) * scale);
  }
}

void score_by_rows(const Kernels& kernels, const QuantisedRows& table, const float* query, std::vector<Scored>& found) {
  std::vector<std::uint32_t> positions;
  positions.reserve(found.size());
  for (const Scored& one : found) positions.push_back(one.position);
  std::vector<float> scores(found.size());
  AskedRows(kernels, table, query).score(positions.data(), static_cast<std::int64_t>(positions.size()), scores.data());
  for (std::size_t i = 0; i < found.size(); ++i) found[i].score = ranked(scores[i]);
}

}  // namespace

void score_by_floats(const Kernels& kernels, const Embeddings& table, const float* query, std::vector<Scored>& found) {
  switch (table.entry) {
    case Entry::f32: score_all<float>(table, query, kernels.dot_f32, found); break;
    case Entry::f16: score_all<std::uint16_t>(table, query, kernels.dot_f16, found); break;
    case Entry::i8: score_all<std::int8_t>(table, query, kernels.dot_i8, found); break;
  }
}

void keep_best(std::vector<Scored>& found, std::int64_t n, bool ordered) {
  thread_local std::vector<std::uint64_t> keys, spare;
  keys.clear();
  for (const Scored& one : found) keys.push_back(key_of(one));
  if (n < static_cast<std::int64_t>(keys.size())) {
    spare.resize(keys.size());
    select_smallest(keys.data(), static_cast<std::int64_t>(keys.size()), n, spare.data());
    keys.resize(static_cast<std::size_t>(n));
  }
  if (ordered) std::sort(keys.begin(), keys.end());
  found.clear();
  for (const std::uint64_t key : keys) found.push_back(of_key(key));
}

std::vector<Scored> rerank(const Kernels& kernels, const Stages& stages, const float* query,
                           const std::vector<Hit>& candidates, std::int64_t k) {
  std::vector<Scored> found;
  found.reserve(candidates.size());
  for (const Hit& hit : candidates) found.push_back({hit.position, 0.0f});
  if (stages.quantised != nullptr && !found.empty()) {
    score_by_rows(kernels, *stages.quantised, query, found);
    if (stages.floats != nullptr) keep_best(found, stages.n_refined, false);
  }
  if (stages.floats != nullptr) score_by_floats(kernels, *stages.floats, query, found);
  keep_best(found, k, true);
  return found;
}

}  // namespace hashgnn
