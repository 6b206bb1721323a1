// The later steps of a hierarchical search: candidates by code, ranked again by rows of few bits, by floats, or by both in turn.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "keys.hpp"
#include "rows.hpp"
#include "top_k.hpp"

namespace hashgnn {

enum class Entry { f32, f16, i8 };

// Embeddings of the items. Rows of i8 tables have a scale each.
struct Embeddings {
  const void* rows;
  Entry entry;
  std::int64_t width;
  const float* scale;
};

// What ranks candidates; at least one of the two.
struct Stages {
  const QuantisedRows* quantised;  // or null
  const Embeddings* floats;        // or null
  std::int64_t n_refined;          // with both: the best by quantised rows, which floats then rank; k or more
};

// Leaves the best n, in order or in none.
void keep_best(std::vector<Scored>& found, std::int64_t n, bool ordered);

// Sets the scores to inner products with floats.
void score_by_floats(const Kernels& kernels, const Embeddings& table, const float* query, std::vector<Scored>& found);

// The best k of the candidates by the last stage; ties go to the smaller position.
std::vector<Scored> rerank(const Kernels& kernels, const Stages& stages, const float* query,
                           const std::vector<Hit>& candidates, std::int64_t k);

}  // namespace hashgnn
