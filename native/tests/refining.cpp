// Refining of codes.
#include "../core/refining.hpp"

#include <algorithm>
#include <cmath>

#include "fuzz.hpp"

namespace hashgnn {

// Repeats go, products are those of a plain loop, and all instruction sets turn the same bits, with any number of threads.
void Fuzz::refine_some() {
  const std::int64_t n_queries = between(1, 30), n_items = between(1, 40), dim = 8 * between(1, 17), width = between(1, 30);
  std::vector<float> queries(static_cast<std::size_t>(n_queries * dim)), table(static_cast<std::size_t>(n_items * dim)),
      wanted(static_cast<std::size_t>(n_queries * width)), weights(static_cast<std::size_t>(n_queries)), bias(static_cast<std::size_t>(n_items));
  for (std::vector<float>* values : {&queries, &table, &bias})
    for (float& value : *values) value = static_cast<float>(between(-100, 100)) / 50.0f;
  for (float& value : wanted) value = static_cast<float>(between(0, 100)) / 100.0f;
  for (float& value : weights) value = static_cast<float>(between(0, 3));
  std::vector<std::int32_t> items(wanted.size());
  for (std::int32_t& item : items) item = chance(9) ? -1 : between(0, static_cast<int>(n_items) - 1);
  std::vector<std::int32_t> distinct = items;
  drop_repeats(distinct.data(), n_queries, width, n_items, n_threads_);
  for (std::int64_t i = 0; i < n_queries * width; ++i) {
    const auto row = items.begin() + i / width * width;
    const bool repeats = std::find(row, items.begin() + i, items[static_cast<std::size_t>(i)]) != items.begin() + i;
    if (distinct[static_cast<std::size_t>(i)] != (repeats ? -1 : items[static_cast<std::size_t>(i)])) fail("a repeated item");
  }
  const QueryPairs pairs{queries.data(), distinct.data(), n_queries, dim, width};
  std::vector<float> scores(wanted.size()), plain(wanted.size());
  score_pairs(*kernels_, pairs, table.data(), scores.data(), n_threads_);
  score_pairs(*portable_kernels(), pairs, table.data(), plain.data(), 1);
  if (scores != plain) fail("a product of a pair");
  const Refining refining{wanted.data(), weights.data(), bias.data(), n_items, between(1, 40), 0.5f, static_cast<float>(between(0, 3)) / 20.0f};
  std::vector<std::int8_t> start(static_cast<std::size_t>(n_items * dim));
  for (std::int8_t& sign : start) sign = chance(2) ? 1 : -1;
  std::vector<std::int8_t> signs = start, other = start;
  const Refined refined = refine_codes(*kernels_, pairs, refining, signs.data(), n_threads_);
  const Refined expected = refine_codes(*portable_kernels(), pairs, refining, other.data(), 1);
  if (signs != other || refined.n_turned != expected.n_turned || refined.loss != expected.loss) fail("a refined code");
  if (!std::isfinite(refined.loss) || refined.loss < 0.0) fail("a loss");
  for (std::int64_t item = 0; item < n_items; ++item) {
    const bool is_wanted = std::find(distinct.begin(), distinct.end(), static_cast<std::int32_t>(item)) != distinct.end();
    for (std::int64_t b = 0; b < dim; ++b) {
      const auto bit = static_cast<std::size_t>(item * dim + b);
      if (signs[bit] != 1 && signs[bit] != -1) fail("a sign");
      if (!is_wanted && signs[bit] != start[bit]) fail("a code that nobody has");
    }
  }
}

}  // namespace hashgnn
