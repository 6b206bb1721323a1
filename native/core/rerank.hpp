// The second step of a hierarchical search: candidates by code, re-ranked by inner product.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
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

struct Scored {
  std::uint32_t position;
  float score;
};

// The best k of the candidates by inner product with the query; ties go to the smaller position.
std::vector<Scored> rerank(const Kernels& kernels, const Embeddings& table, const float* query,
                           const std::vector<Hit>& candidates, std::int64_t k);

}  // namespace hashgnn
