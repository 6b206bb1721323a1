// A choice of results that are good and differ: maximal marginal relevance over codes, under caps per group.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"

namespace hashgnn {

// Candidates in the order that breaks ties. The first n_chosen of them are chosen already, in their order.
struct Choices {
  const std::uint64_t* codes;   // (n, n_words)
  std::int64_t n;
  std::int64_t n_words;
  std::uint32_t n_bits;
  std::int64_t n_chosen;
  const double* relevance;      // (n)
  const double* penalty;        // (n_bits + 2): what a least distance to the chosen takes away; the last one: nothing is chosen
  const std::int32_t* groups;   // (n, n_caps); negative: in no group
  const std::int64_t* caps;     // (n_caps): how many of a group may be chosen
  std::int64_t n_caps;
};

struct Chosen {
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> capped;  // per cap: candidates that would have been chosen but for it
};

// Takes again and again the candidate with the largest relevance minus penalty, up to k. The penalty never rises with the
// distance, so a value only falls while others are chosen, and most candidates need not be compared each time.
Chosen choose(const Kernels& kernels, const Choices& choices, std::int64_t k);

}  // namespace hashgnn
