// The second step of a hierarchical search, over arrays of Python: hits by code become rows of results by floats.
#pragma once

#include "../core/rerank.hpp"
#include "code_table.hpp"
#include "results.hpp"

namespace hashgnn::python {

class Reranking {
 public:
  // Queries (n_queries, width), rows (n_codes, width), and a scale a row where rows are int8.
  Reranking(const Array<float, 2>& queries, const Rows& rows, const std::optional<Array<float, 1>>& scale,
            std::int64_t n_queries, std::int64_t n_codes);

  // The best k of the hits of a query, safe from many threads for different queries.
  void write(Results& results, const Kernels& kernels, std::int64_t query, const std::vector<Hit>& hits, std::int64_t k) const;

 private:
  Embeddings table_;
  const float* queries_;
};

// How many hits to re-rank must be at least the results and at most the codes.
void check_candidates(std::int64_t n_candidates, std::int64_t k, std::int64_t n_codes);

}  // namespace hashgnn::python
