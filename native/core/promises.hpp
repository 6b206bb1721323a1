// Which blocks of lists of codes promise most to a float query, before any of their codes is read.
//
// A block promises the product of the query with the mean of the codes of its list, more where they lie wide, and the mean bias of
// its own codes. In lists that are sorted by penalty the first blocks are those of the items with the largest bias.
#pragma once

#include <cstdint>
#include <vector>

#include "centres.hpp"
#include "inverted.hpp"

namespace hashgnn {

// The mean of the codes of each list, as entries from -1 to 1, and the root mean square of their distances to it.
Centres means_of(const InvertedLists& lists);

// The mean penalty of the codes of each block, the largest where it has none; empty where codes have no penalties.
std::vector<std::uint8_t> mean_penalties_of(const InvertedLists& lists);

// Blocks side by side.
struct BlockRun {
  std::int64_t first, n;
};

// Runs in the order of memory: of the blocks that promise most, and of others that promise less.
struct Promising {
  std::vector<BlockRun> first, others;
};

// Leaves about the n blocks that promise most to a query, about the n_first best of them in `first`: some more where the last of them
// promise nearly as much. `penalties` are the mean ones of the blocks, or null where they do not count. 1 <= n_first, n.
void choose_blocks(const Kernels& kernels, const InvertedLists& lists, const Centres& means, const std::uint8_t* penalties,
                   const float* query, std::int64_t n, std::int64_t n_first, Promising& chosen);

}  // namespace hashgnn
