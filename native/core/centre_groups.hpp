// Centres of lists in groups of near ones: a query is compared with the groups, then with the centres of those that promise most.
#pragma once

#include <cstdint>
#include <vector>

#include "centres.hpp"
#include "keys.hpp"

namespace hashgnn {

inline constexpr std::int64_t kGroupedFrom = 1024;  // centres; fewer are compared one by one

class CentreGroups {
 public:
  // Of the first n centres, n at least 1, by k-means in integers: every instruction set makes the same groups.
  CentreGroups(const Kernels& kernels, const Centres& centres, std::int64_t n);

  std::int64_t n_bytes() const { return groups_.n_bytes() + members_.n_bytes() + 4 * static_cast<std::int64_t>(numbers_.size()); }

  // Whether n centres are few enough to be looked for in groups.
  bool suits(std::int64_t n) const { return n <= n_ / kShare; }

  // Leaves the keys of the n centres whose lists promise most to a query, best first; of those that lie in groups which promise
  // little, some are missed. A promise is the product that Centres has, and reach_of times the radius of the list.
  void choose(const Kernels& kernels, const Asked& asked, std::int64_t n, std::vector<std::uint64_t>& keys) const;

  // The nearest centre to each of n embeddings, nearly: it is looked for in so many groups, those with the nearest means.
  void nearest(const Kernels& kernels, const float* embeddings, std::int64_t n, std::int32_t* nearest, std::int64_t n_looked_into, int n_threads) const;

 private:
  static constexpr std::int64_t kShare = 32;  // of the centres that are looked for in groups: one of so many at most

  std::int64_t n_;
  Centres groups_;    // their means
  Centres members_;   // group after group, each from a multiple of 16 on
  std::vector<std::int32_t> numbers_;      // of each member; -1 where there is none
  std::vector<std::int32_t> first_blocks_; // of each group, and one more: blocks of 16 members
  std::vector<float> radii_;               // of each group: root mean square of the distances to its mean
  std::vector<float> mean_radii_;          // of the lists of each
};

}  // namespace hashgnn
