#include "keys.hpp"

#include <algorithm>
#include <array>

namespace hashgnn {
namespace {

constexpr std::int64_t kShort = 64;   // so many are chosen from by comparisons
constexpr std::size_t kSample = 15;

// One of the values, below which about `wanted` of n lie.
template <class Value>
Value pivot_of(const Value* values, std::int64_t n, std::int64_t wanted) {
  std::array<Value, kSample> sample;
  const std::int64_t step = n / static_cast<std::int64_t>(kSample);
  for (std::size_t i = 0; i < kSample; ++i) sample[i] = values[static_cast<std::int64_t>(i) * step];
  std::sort(sample.begin(), sample.end());
  const auto rank = static_cast<std::size_t>(wanted * static_cast<std::int64_t>(kSample) / n);
  return sample[std::min(rank + 1, kSample - 1)];  // rather too many: those are cut next
}

template <class Value>
void select(Value* values, std::int64_t n, std::int64_t wanted, Value* spare) {
  std::int64_t first = 0, end = n;  // those before are among the smallest, those behind are not
  while (end - first > kShort) {
    const Value pivot = pivot_of(values + first, end - first, wanted - first);
    std::int64_t n_less = 0, n_rest = 0;
    for (std::int64_t i = first; i < end; ++i) {  // without a branch
      const Value value = values[i];
      const bool is_less = value < pivot;
      values[first + n_less] = value;
      spare[n_rest] = value;
      n_less += is_less;
      n_rest += !is_less;
    }
    std::copy_n(spare, n_rest, values + first + n_less);
    const std::int64_t cut = first + n_less;
    if (cut == wanted) return;
    if (n_less == 0) break;  // the pivot is the smallest
    if (cut < wanted) first = cut;
    else end = cut;
  }
  if (wanted < end) std::nth_element(values + first, values + wanted, values + end);
}

}  // namespace

void select_smallest(std::uint64_t* keys, std::int64_t n, std::int64_t wanted, std::uint64_t* spare) { select(keys, n, wanted, spare); }
void select_smallest(float* values, std::int64_t n, std::int64_t wanted, float* spare) { select(values, n, wanted, spare); }

}  // namespace hashgnn
