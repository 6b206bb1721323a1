// Codes of items, changed bit by bit until queries rank them as they shall.
#pragma once

#include <cstdint>

#include "kernels.hpp"

namespace hashgnn {

// Queries, each with some items: (n_queries, width). An item that is negative is none.
struct QueryPairs {
  const float* queries;  // (n_queries, dim)
  const std::int32_t* items;
  std::int64_t n_queries, dim, width;
};

// Makes the second and each later occurrence of an item in a row of `items` (n_rows, width) negative.
void drop_repeats(std::int32_t* items, std::int64_t n_rows, std::int64_t width, std::int64_t n_items, int n_threads);

// Writes the inner product of each query with each of its items, rows of `table`; 0 where there is none.
void score_pairs(const Kernels& kernels, const QueryPairs& pairs, const float* table, float* scores, int n_threads);

// What a pair shall have is a probability, σ((s - β) / T), where s = query · signs of the item + bias and β is the query's k-th
// largest s among its items.
struct Refining {
  const float* wanted;   // (n_queries, width): between 0 and 1
  const float* weights;  // (n_queries,)
  const float* bias;     // (n_items,)
  std::int64_t n_items, k;
  float temperature;
  float least_curvature;  // of σ (1 - σ): keeps bits from turning for pairs far from β
};

struct Refined {
  double loss;  // before the change: cross-entropy, the mean over queries
  std::int64_t n_turned;
};

// One round. `signs` (n_items, dim) are 1 and -1. Of each item the bit is turned whose turn lowers the second-order model of its
// cross-entropy most, again and again while one lowers it. Items do not see the turns of others, so threads change nothing.
Refined refine_codes(const Kernels& kernels, const QueryPairs& pairs, const Refining& refining, std::int8_t* signs, int n_threads);

}  // namespace hashgnn
