#include "refining.hpp"

#include <cmath>

#include "../core/refining.hpp"

namespace hashgnn::python {
namespace {

void check_threads(int n_threads) { require(n_threads >= 1 && n_threads <= 1024, "n_threads must be between 1 and 1024"); }

void check_items(const std::int32_t* items, std::size_t n, std::int64_t n_items) {
  for (std::size_t i = 0; i < n; ++i)
    if (items[i] >= n_items) fail("items must be below n_items");
}

QueryPairs checked_pairs(const Array<float, 2>& queries, const Array<std::int32_t, 2>& items, std::int64_t n_items, std::size_t dim) {
  require(queries.shape(0) == items.shape(0), "queries and items must have one length");
  require(queries.shape(0) <= 0x7FFFFFFF, "queries must be fewer than 2**31");
  require(queries.shape(1) == dim, "queries must be as wide as the items");
  check_items(items.data(), items.size(), n_items);
  return {queries.data(), items.data(), static_cast<std::int64_t>(queries.shape(0)), static_cast<std::int64_t>(dim),
          static_cast<std::int64_t>(items.shape(1))};
}

}  // namespace

void drop_repeated_items(const Changed<std::int32_t>& items, std::int64_t n_items, int n_threads) {
  check_threads(n_threads);
  check_items(items.data(), items.size(), n_items);
  const nb::gil_scoped_release release;
  drop_repeats(items.data(), static_cast<std::int64_t>(items.shape(0)), static_cast<std::int64_t>(items.shape(1)), n_items, n_threads);
}

void score_items(const Array<float, 2>& queries, const Array<float, 2>& table, const Array<std::int32_t, 2>& items,
                 const Changed<float>& scores, int n_threads) {
  check_threads(n_threads);
  require(scores.shape(0) == items.shape(0) && scores.shape(1) == items.shape(1), "scores and items must have one shape");
  const QueryPairs pairs = checked_pairs(queries, items, static_cast<std::int64_t>(table.shape(0)), table.shape(1));
  const nb::gil_scoped_release release;
  score_pairs(kernels(), pairs, table.data(), scores.data(), n_threads);
}

std::pair<double, std::int64_t> refine_signs(const Array<float, 2>& queries, const Array<std::int32_t, 2>& items,
                                             const Array<float, 2>& wanted, const Array<float, 1>& weights, const Array<float, 1>& bias,
                                             std::int64_t k, float temperature, float least_curvature, const Changed<std::int8_t>& signs,
                                             int n_threads) {
  check_threads(n_threads);
  require(k >= 1, "k must be at least 1");
  require(temperature > 0 && std::isfinite(temperature), "temperature must be above 0");
  require(wanted.shape(0) == items.shape(0) && wanted.shape(1) == items.shape(1), "wanted and items must have one shape");
  require(weights.size() == items.shape(0), "weights must have one value a query");
  require(bias.size() == signs.shape(0), "bias must have one value an item");
  const auto n_items = static_cast<std::int64_t>(signs.shape(0));
  const QueryPairs pairs = checked_pairs(queries, items, n_items, signs.shape(1));
  const Refining refining{wanted.data(), weights.data(), bias.data(), n_items, k, temperature, least_curvature};
  const nb::gil_scoped_release release;
  const Refined refined = refine_codes(kernels(), pairs, refining, signs.data(), n_threads);
  return {refined.loss, refined.n_turned};
}

}  // namespace hashgnn::python
