#include "promises.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace hashgnn {
namespace {

constexpr std::uint8_t kNoCode = 255;
constexpr float kMost = 1e30f;     // differences of promises are finite
constexpr std::int64_t kFew = 16;  // times the blocks that are wanted: where there are more, lists are chosen first

// The bits of a byte, each in a byte of its own, first the one that comes first in a code.
constexpr std::array<std::uint64_t, 256> kSpread = [] {
  std::array<std::uint64_t, 256> all{};
  for (std::uint64_t byte = 0; byte < 256; ++byte)
    for (int bit = 0; bit < 8; ++bit) all[byte] |= ((byte >> (7 - bit)) & 1) << (8 * bit);
  return all;
}();

// Counts the bits of codes, entry by entry. Bytes hold the counts of up to 255 codes.
class BitCounts {
 public:
  explicit BitCounts(const Run& run) : run_(run), bytes_(static_cast<std::size_t>(2 * run.n_slices)), counts_(8 * bytes_.size()) {}

  void add(std::int64_t slot) {
    for (int s = 0; s < run_.n_slices; ++s) {
      std::uint8_t halves[2];
      std::memcpy(halves, run_.word(slot, s), sizeof halves);
      bytes_[static_cast<std::size_t>(2 * s)] += kSpread[halves[0]];
      bytes_[static_cast<std::size_t>(2 * s + 1)] += kSpread[halves[1]];
    }
    if (++n_in_bytes_ == 255) carry();
  }

  // The counts of the codes since the last call.
  std::vector<std::int64_t> take() {
    carry();
    return std::exchange(counts_, std::vector<std::int64_t>(counts_.size(), 0));
  }

 private:
  void carry() {
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) counts_[8 * i + static_cast<std::size_t>(bit)] += static_cast<std::int64_t>((bytes_[i] >> (8 * bit)) & 255);
      bytes_[i] = 0;
    }
    n_in_bytes_ = 0;
  }

  Run run_;
  std::vector<std::uint64_t> bytes_;
  std::vector<std::int64_t> counts_;
  int n_in_bytes_ = 0;
};

// Numbers by size, as the part of their range that each lies in: they are chosen from by counting.
class Parts {
 public:
  // n finite values, n at least 1.
  void fill(const float* values, std::int64_t n) {
    float least[kLanes], most[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) least[lane] = most[lane] = values[0];
    for (std::int64_t i = 0; i + kLanes <= n; i += kLanes)
      for (int lane = 0; lane < kLanes; ++lane) {
        const float value = values[i + lane];
        least[lane] = value < least[lane] ? value : least[lane];
        most[lane] = value > most[lane] ? value : most[lane];
      }
    for (std::int64_t i = n / kLanes * kLanes; i < n; ++i) least[0] = std::min(least[0], values[i]), most[0] = std::max(most[0], values[i]);
    const float from = *std::min_element(least, least + kLanes), range = *std::max_element(most, most + kLanes) - from;
    const float scale = range > kNarrow ? (kParts - 1) / range : 0.0f;
    parts_.resize(static_cast<std::size_t>(n));
    counts_.fill(0);
    for (std::int64_t i = 0; i < n; ++i) parts_[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(static_cast<std::int32_t>((values[i] - from) * scale));
    for (const std::uint16_t part : parts_) ++counts_[part];
  }

  // The part up to which `wanted` of the smallest lie, and the others of that part.
  std::uint32_t holding(std::int64_t wanted) const {
    std::uint32_t part = 0;
    for (std::int64_t n = counts_[0]; n < wanted && part + 1 < kParts; n += counts_[part]) ++part;
    return part;
  }

  std::uint32_t operator[](std::int64_t i) const { return parts_[static_cast<std::size_t>(i)]; }

 private:
  static constexpr int kLanes = 8;
  static constexpr std::uint32_t kParts = 1024;
  static constexpr float kNarrow = 1e-30f;  // smaller ranges are not divided
  std::vector<std::uint16_t> parts_;
  std::array<std::uint32_t, kParts> counts_;
};

// What choosing keeps from query to query.
struct Scratch {
  std::vector<float> products, costs;
  std::vector<std::int32_t> lists;
  Parts parts;
};

Scratch& scratch() {
  thread_local Scratch mine;
  return mine;
}

}  // namespace

Centres means_of(const InvertedLists& lists) {
  const auto width = static_cast<std::size_t>(lists.n_bits);
  std::vector<float> rows(static_cast<std::size_t>(lists.n_lists) * width, 0.0f), radii(static_cast<std::size_t>(lists.n_lists), 0.0f);
  BitCounts bits(Run(lists.words, lists.n_blocks(), lists.n_bits));
  for (std::int64_t list = 0; list < lists.n_lists; ++list) {
    std::int64_t n = 0;
    for (std::int64_t block = lists.first_blocks[list]; block < lists.first_blocks[list + 1]; ++block)
      for (std::uint32_t left = lists.alive[block]; left != 0; left &= left - 1, ++n) bits.add(block * kBlock + std::countr_zero(left));
    if (n == 0) continue;
    const std::vector<std::int64_t> counts = bits.take();
    float* row = rows.data() + static_cast<std::size_t>(list) * width;
    double square = 0;
    for (std::size_t j = 0; j < width; ++j) {
      const double mean = static_cast<double>(2 * counts[j] - n) / static_cast<double>(n);
      row[j] = static_cast<float>(mean);
      square += mean * mean;
    }
    radii[static_cast<std::size_t>(list)] = static_cast<float>(std::sqrt(std::max(static_cast<double>(width) - square, 0.0)));
  }
  return Centres(rows.data(), lists.n_lists, lists.n_bits, radii.data());
}

std::vector<std::uint8_t> mean_penalties_of(const InvertedLists& lists) {
  std::vector<std::uint8_t> means;
  if (lists.penalty == nullptr) return means;
  for (std::int64_t block = 0; block < lists.n_blocks(); ++block) {
    std::uint32_t sum = 0;
    const auto n = static_cast<std::uint32_t>(std::popcount(lists.alive[block]));
    for (std::uint32_t left = lists.alive[block]; left != 0; left &= left - 1) sum += lists.penalty[block * kBlock + std::countr_zero(left)];
    means.push_back(n == 0 ? kNoCode : static_cast<std::uint8_t>((sum + n / 2) / n));
  }
  return means;
}

void choose_blocks(const Kernels& kernels, const InvertedLists& lists, const Centres& means, const std::uint8_t* penalties,
                   const float* query, std::int64_t n, std::int64_t n_first, Promising& chosen) {
  auto& [products, costs, looked_into, parts] = scratch();
  const Asked asked = means.ask(query);
  means.products(kernels, asked, products);
  add_reach(products.data(), means.radii(), reach_of(asked), lists.n_lists);
  const std::int64_t* const firsts = lists.first_blocks;
  const auto cost_of = [&](std::int64_t list, std::int64_t block) {
    const float penalty = penalties == nullptr ? 0.0f : 2.0f * static_cast<float>(penalties[block]);
    return penalty - std::clamp(products[static_cast<std::size_t>(list)], -kMost, kMost);
  };
  looked_into.clear();
  for (std::int64_t list = 0; list < lists.n_lists; ++list)
    if (firsts[list] < firsts[list + 1]) looked_into.push_back(static_cast<std::int32_t>(list));
  const auto n_filled = static_cast<std::int64_t>(looked_into.size());
  if (n < n_filled && kFew * n < lists.n_blocks()) {  // where lists are sorted, the best blocks are in those with the best first blocks
    costs.clear();
    for (const std::int32_t list : looked_into) costs.push_back(cost_of(list, firsts[list]));
    parts.fill(costs.data(), n_filled);
    const std::uint32_t last = parts.holding(n);
    std::int64_t at = 0;
    std::erase_if(looked_into, [&](std::int32_t) { return parts[at++] > last; });
  }
  costs.resize(static_cast<std::size_t>(lists.n_blocks()));
  std::int64_t n_costs = 0;
  for (const std::int32_t list : looked_into)
    for (std::int64_t block = firsts[list]; block < firsts[list + 1]; ++block) costs[static_cast<std::size_t>(n_costs++)] = cost_of(list, block);
  chosen.first.clear();
  chosen.others.clear();
  if (n_costs == 0) return;
  parts.fill(costs.data(), n_costs);
  const std::uint32_t last = parts.holding(n), last_of_first = parts.holding(std::min(n, n_first));
  std::int64_t at = 0;
  for (const std::int32_t list : looked_into)
    for (std::int64_t block = firsts[list]; block < firsts[list + 1]; ++block) {
      const std::uint32_t part = parts[at++];
      if (part > last) continue;
      std::vector<BlockRun>& runs = part <= last_of_first ? chosen.first : chosen.others;
      if (!runs.empty() && runs.back().first + runs.back().n == block) ++runs.back().n;
      else runs.push_back({block, 1});
    }
}

}  // namespace hashgnn
