// One call of a search: its arguments in the form of the kernels, and hits turned into rows of results.
#pragma once

#include "../core/layout.hpp"
#include "code_table.hpp"
#include "results.hpp"

namespace hashgnn::python {

inline std::string text(std::int64_t value) { return std::to_string(value); }

struct Call {
  Call(std::int64_t n_codes, const SearchArguments& arguments, std::int64_t n_queries, std::int64_t k)
      : block("block_per_query", arguments.block_per_query, n_queries, n_codes),
        allow("allow_per_query", arguments.allow_per_query, n_queries, n_codes),
        filters{block.view(), allow.view(), checked_mask(arguments.allow_all, n_codes)},
        plan{&kernels(), k, arguments.biased, arguments.n_threads} {}
  Call(const Call&) = delete;

  CheckedLists block, allow;
  Filters filters;
  SearchPlan plan;
};

// For searches that run elsewhere: the rules of a filter, in the same words.
inline void check_filter(const SearchArguments& arguments, std::int64_t n_queries, std::int64_t n_codes) {
  CheckedLists("block_per_query", arguments.block_per_query, n_queries, n_codes);
  CheckedLists("allow_per_query", arguments.allow_per_query, n_queries, n_codes);
  checked_mask(arguments.allow_all, n_codes);
}

inline void check_arguments(const SearchArguments& arguments, std::int64_t n_codes) {
  if (arguments.k < 1 || arguments.k > std::max<std::int64_t>(n_codes, 1))
    fail("k must be between 1 and the number of codes, " + text(n_codes) + ", got " + text(arguments.k));
  if (arguments.n_threads < 1 || arguments.n_threads > 1024)
    fail("n_threads must be between 1 and 1024, got " + text(arguments.n_threads));
}

template <class Queries>
void check_width(const Queries& queries, int n_bits, std::int64_t per_column) {
  require(static_cast<std::int64_t>(queries.shape(1)) * per_column == n_bits,
          "queries must have " + text(n_bits) + " bits like the index, got " +
              text(static_cast<std::int64_t>(queries.shape(1)) * per_column));
}

inline void check_planes(int n_planes, int n_bits) {
  require(n_planes >= 2 && n_planes <= 10 && ((1 << n_planes) - 1) * n_bits < 16384,
          "query_bits must be at least 2 and (2 ** query_bits - 1) * n_bits below 16384, got " + text(n_planes));
}

inline Queries checked_planes(const Array<float, 2>& queries, int n_bits, int n_planes, bool biased) {
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  const float* values = queries.data();
  for (std::int64_t i = 0; i < n_queries * n_bits; ++i)
    if (!(std::abs(values[i]) <= std::numeric_limits<float>::max())) fail("queries must be finite, got NaN or infinity");
  return float_queries(values, n_queries, n_bits, n_planes, biased);
}

inline void write_floats(Results& results, const Queries& planes, const SearchArguments& arguments, std::int64_t q,
                         const std::vector<Hit>& hits) {
  std::int64_t* positions = results.positions.row(q);
  float* scores = results.scores.row(q);
  const float step = planes.step[static_cast<std::size_t>(q)];
  const auto range = static_cast<float>(planes.value_range());
  for (std::size_t i = 0; i < hits.size(); ++i) {
    positions[i] = hits[i].position;
    scores[i] = step * (range - 2.0f * static_cast<float>(hits[i].value)) + (arguments.biased ? arguments.top : 0.0f);
  }
  *results.counts.row(q) = static_cast<std::int64_t>(hits.size());
}

inline void write_codes(Results& results, const Table& table, const SearchArguments& arguments, std::int64_t q,
                        const std::vector<Hit>& hits) {
  const float best = static_cast<float>(table.n_bits) + (arguments.biased ? arguments.top : 0.0f);
  std::int64_t* positions = results.positions.row(q);
  float* scores = results.scores.row(q);
  std::int32_t* distances = results.distances.row(q);
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const auto position = std::int64_t{hits[i].position};
    const Segment& segment = table.segment_of(position);
    const bool adds = arguments.biased && segment.penalty != nullptr;
    const std::uint32_t penalty = adds ? segment.penalty[position - segment.first] : 0;
    positions[i] = position;
    scores[i] = best - 2.0f * static_cast<float>(hits[i].value);
    distances[i] = static_cast<std::int32_t>(hits[i].value - penalty);
  }
  *results.counts.row(q) = static_cast<std::int64_t>(hits.size());
}

}  // namespace hashgnn::python
