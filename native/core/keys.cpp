#include "keys.hpp"

#include <algorithm>
#include <array>

namespace hashgnn {
namespace {

constexpr std::int64_t kShort = 64;   // so many are chosen from by comparisons
constexpr std::size_t kSample = 15;

// One of the keys, below which about `wanted` of n lie.
std::uint64_t pivot_of(const std::uint64_t* keys, std::int64_t n, std::int64_t wanted) {
  std::array<std::uint64_t, kSample> sample;
  const std::int64_t step = n / static_cast<std::int64_t>(kSample);
  for (std::size_t i = 0; i < kSample; ++i) sample[i] = keys[static_cast<std::int64_t>(i) * step];
  std::sort(sample.begin(), sample.end());
  const auto rank = static_cast<std::size_t>(wanted * static_cast<std::int64_t>(kSample) / n);
  return sample[std::min(rank + 1, kSample - 1)];  // rather too many: those are cut next
}

}  // namespace

void select_smallest(std::uint64_t* keys, std::int64_t n, std::int64_t wanted, std::uint64_t* spare) {
  std::int64_t first = 0, end = n;  // those before are among the smallest, those behind are not
  while (end - first > kShort) {
    const std::uint64_t pivot = pivot_of(keys + first, end - first, wanted - first);
    std::int64_t n_less = 0, n_rest = 0;
    for (std::int64_t i = first; i < end; ++i) {  // without a branch
      const std::uint64_t key = keys[i];
      const bool is_less = key < pivot;
      keys[first + n_less] = key;
      spare[n_rest] = key;
      n_less += is_less;
      n_rest += !is_less;
    }
    std::copy_n(spare, n_rest, keys + first + n_less);
    const std::int64_t cut = first + n_less;
    if (cut == wanted) return;
    if (n_less == 0) break;  // the pivot is the smallest
    if (cut < wanted) first = cut;
    else end = cut;
  }
  if (wanted < end) std::nth_element(keys + first, keys + wanted, keys + end);
}

}  // namespace hashgnn
