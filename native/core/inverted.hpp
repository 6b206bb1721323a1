// Codes cut into lists by their nearest centroid: a search looks into the lists nearest to the query.
#pragma once

#include <cstdint>
#include <functional>

#include "search.hpp"

namespace hashgnn {

class Centres;

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
  const std::uint8_t* rows = nullptr;          // row_bytes a slot, or null: embeddings less the centre of their list, in few bits
  std::int64_t row_bytes = 0;

  std::int64_t n_blocks() const { return first_blocks[n_lists]; }
};

// Slot of each position in lists, -1 where they do not hold it: made when it is first needed.
using SlotsOf = std::function<const std::int32_t*()>;

struct InvertedSearch {
  const InvertedLists* lists;
  const InvertedLists* extra;  // one list that every query looks into, or null
  const Table* centroids;
  std::int64_t n_probe;        // lists a query where it may get every code; more where it may not, see below
  std::int64_t n_codes;        // positions
  double share = 1.0;          // of the codes that any query may get
  SlotsOf slots, extra_slots;
  // For float queries, or null: the means of the codes of lists, and of the penalties of blocks. A query then reads as many
  // blocks as n_probe lists have on average, those that promise most to it; see promises.hpp.
  const Centres* means = nullptr;
  const std::uint8_t* mean_penalties = nullptr;
  const float* floats = nullptr;  // the queries, (n_queries, n_bits)
};

// A query reads so many of the nearest lists that it sees as many codes that it may get as it would see without filters, and
// more where these hold fewer than k. Where a query has a short list of codes that it may get, these are compared and no list is
// read.
void search_inverted(const InvertedSearch& index, const Queries& queries, const Filters& filters,
                     const SearchPlan& plan, const Done& done);

}  // namespace hashgnn
