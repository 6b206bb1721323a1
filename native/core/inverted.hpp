// Codes cut into lists by their nearest centroid: a search looks into the lists nearest to the query.
#pragma once

#include <cstdint>

#include "search.hpp"

namespace hashgnn {

// Each list begins on a block; lanes that hold no code have no bit in `alive`.
struct InvertedLists {
  int n_bits = 0;
  std::int64_t n_lists = 0;
  const std::int64_t* first_blocks = nullptr;  // of each list, and one more
  const std::uint16_t* words = nullptr;        // one run over the blocks of all lists
  const std::uint8_t* penalty = nullptr;       // 32 a block, or null
  const std::uint32_t* alive = nullptr;        // a word a block
  const std::int32_t* positions = nullptr;     // 32 a block: the position of each code
  std::uint32_t max_penalty = 0;
};

struct InvertedSearch {
  const InvertedLists* lists;
  const InvertedLists* extra;  // one list that every query looks into, or null
  const Table* centroids;
  std::int64_t n_probe;        // lists a query; more where these hold fewer than k codes for it
};

void search_inverted(const InvertedSearch& index, const Queries& queries, const Filters& filters,
                     const SearchPlan& plan, const Done& done);

}  // namespace hashgnn
