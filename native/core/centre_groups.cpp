#include "centre_groups.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr std::int64_t kCentresOfMean = 20;   // in a group
constexpr int kRounds = 5;
constexpr std::int64_t kOpened = 14;          // one in so many groups is looked into
constexpr std::int64_t kChosenOfGroup = 2;    // and one for so many of the centres that are to be found
constexpr std::int64_t kEmbeddingsOfTask = 1024;
constexpr std::int64_t kEmbeddingsOfStep = 8;
constexpr float kReach = 0.4f;                // of the length of a query times the radius of a group, which its best centre may promise more

std::int64_t n_groups_of(std::int64_t n) { return std::max<std::int64_t>(1, n / kCentresOfMean); }

struct Grouping {
  std::vector<float> means;           // (n_groups, width)
  std::vector<std::int32_t> nearest;  // of each centre
};

Grouping grouped(const Kernels& kernels, const std::vector<float>& rows, std::int64_t n, std::int64_t width) {
  const std::int64_t n_groups = n_groups_of(n);
  Grouping found;
  found.means.resize(static_cast<std::size_t>(n_groups * width));
  found.nearest.resize(static_cast<std::size_t>(n));
  for (std::int64_t g = 0; g < n_groups; ++g) std::copy_n(rows.begin() + g * n / n_groups * width, width, found.means.begin() + g * width);
  for (int round = 0;; ++round) {
    Centres(found.means.data(), n_groups, width).nearest(kernels, rows.data(), n, n_groups, found.nearest.data(), 1);
    if (round == kRounds) return found;
    std::vector<double> sums(found.means.size(), 0.0);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(n_groups), 0);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int32_t group = found.nearest[static_cast<std::size_t>(i)];
      ++counts[static_cast<std::size_t>(group)];
      for (std::int64_t j = 0; j < width; ++j) sums[static_cast<std::size_t>(group * width + j)] += rows[static_cast<std::size_t>(i * width + j)];
    }
    for (std::int64_t g = 0; g < n_groups; ++g) {
      const auto count = static_cast<double>(counts[static_cast<std::size_t>(g)]);
      if (count == 0) continue;  // it stays
      for (std::int64_t j = g * width; j < (g + 1) * width; ++j) found.means[static_cast<std::size_t>(j)] = static_cast<float>(sums[static_cast<std::size_t>(j)] / count);
    }
  }
}

}  // namespace

CentreGroups::CentreGroups(const Kernels& kernels, const Centres& centres, std::int64_t n) : n_(n), groups_({}, 0, centres.width()), members_({}, 0, centres.width()) {
  const std::int64_t width = centres.width(), n_groups = n_groups_of(n);
  std::vector<float> rows(static_cast<std::size_t>(n * width));
  for (std::int64_t i = 0; i < n; ++i) centres.read(i, rows.data() + i * width);
  const Grouping found = grouped(kernels, rows, n, width);
  std::vector<std::int32_t> counts(static_cast<std::size_t>(n_groups), 0);
  radii_.assign(static_cast<std::size_t>(n_groups), 0.0f);
  mean_radii_ = radii_;
  std::vector<double> squares(static_cast<std::size_t>(n_groups), 0.0), radii = squares;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto group = static_cast<std::size_t>(found.nearest[static_cast<std::size_t>(i)]);
    ++counts[group];
    radii[group] += centres.radii()[i];
    for (std::int64_t j = 0; j < width; ++j) {
      const double way = static_cast<double>(rows[static_cast<std::size_t>(i * width + j)]) - found.means[group * static_cast<std::size_t>(width) + static_cast<std::size_t>(j)];
      squares[group] += way * way;
    }
  }
  first_blocks_.assign(1, 0);
  for (std::size_t g = 0; g < counts.size(); ++g) {
    if (counts[g] > 0) {
      radii_[g] = static_cast<float>(std::min(std::sqrt(squares[g] / counts[g]), 1e30));
      mean_radii_[g] = static_cast<float>(radii[g] / counts[g]);
    }
    first_blocks_.push_back(first_blocks_.back() + static_cast<std::int32_t>((counts[g] + kCentresOfGroup - 1) / kCentresOfGroup));
  }
  const std::int64_t n_slots = first_blocks_.back() * kCentresOfGroup;
  numbers_.assign(static_cast<std::size_t>(n_slots), -1);
  std::vector<std::int32_t> next(first_blocks_.begin(), first_blocks_.end() - 1);
  for (std::int32_t& slot : next) slot *= static_cast<std::int32_t>(kCentresOfGroup);
  for (std::int64_t i = 0; i < n; ++i) numbers_[static_cast<std::size_t>(next[static_cast<std::size_t>(found.nearest[static_cast<std::size_t>(i)])]++)] = static_cast<std::int32_t>(i);
  members_ = Centres(centres, numbers_);
  groups_ = Centres(found.means.data(), n_groups, width);
}

void CentreGroups::choose(const Kernels& kernels, const Asked& asked, std::int64_t n, std::vector<std::uint64_t>& keys) const {
  thread_local std::vector<float> products, most, ordered, spare;
  thread_local std::vector<std::uint64_t> spare_keys;
  thread_local std::vector<std::int32_t> blocks;
  // What the n-th best promises, -infinity where there are no more than n.
  const auto nth_best = [&](const std::vector<float>& promises, std::int64_t wanted) {
    if (wanted >= static_cast<std::int64_t>(promises.size())) return -std::numeric_limits<float>::infinity();
    ordered.resize(promises.size());
    spare.resize(promises.size());
    for (std::size_t i = 0; i < promises.size(); ++i) ordered[i] = -promises[i];
    select_smallest(ordered.data(), static_cast<std::int64_t>(ordered.size()), wanted, spare.data());
    return -*std::max_element(ordered.begin(), ordered.begin() + static_cast<std::ptrdiff_t>(wanted));
  };
  groups_.products(kernels, asked, products);
  const std::int64_t n_groups = groups_.size();
  const float reach = kReach * asked.length, list_reach = reach_of(asked);
  most.resize(static_cast<std::size_t>(n_groups));
  for (std::size_t g = 0; g < most.size(); ++g) most[g] = ranked(products[g] + reach * radii_[g] + list_reach * mean_radii_[g]);
  const float least_of_groups = nth_best(most, (n_groups + kOpened - 1) / kOpened + n / kChosenOfGroup);
  blocks.clear();
  for (std::size_t group = 0; group < most.size(); ++group)
    if (most[group] >= least_of_groups)
      for (std::int32_t block = first_blocks_[group]; block < first_blocks_[group + 1]; ++block) blocks.push_back(block);
  members_.products(kernels, asked, blocks, products);
  most.resize(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    float* of_block = products.data() + static_cast<std::int64_t>(i) * kCentresOfGroup;
    add_reach(of_block, members_.radii() + blocks[i] * kCentresOfGroup, list_reach, kCentresOfGroup);
    for (std::int64_t j = kCentresOfGroup - 1; numbers_[static_cast<std::size_t>(blocks[i] * kCentresOfGroup + j)] < 0; --j)
      of_block[j] = -std::numeric_limits<float>::infinity();  // there is no centre
    most[i] = largest_of_group(of_block);
  }
  const float least = nth_best(most, n);  // n blocks have a centre that promises as much as the n-th best of their best
  keys.clear();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (most[i] < least) continue;
    const std::int32_t* numbers = numbers_.data() + blocks[i] * kCentresOfGroup;
    const float* of_block = products.data() + static_cast<std::int64_t>(i) * kCentresOfGroup;
    for (std::int64_t j = 0; j < kCentresOfGroup; ++j)
      if (numbers[j] >= 0 && of_block[j] >= least) keys.push_back(key_of({static_cast<std::uint32_t>(numbers[j]), of_block[j]}));
  }
  if (n < static_cast<std::int64_t>(keys.size())) {
    spare_keys.resize(keys.size());
    select_smallest(keys.data(), static_cast<std::int64_t>(keys.size()), n, spare_keys.data());
    keys.resize(static_cast<std::size_t>(n));
  }
  std::sort(keys.begin(), keys.end());
}

void CentreGroups::nearest(const Kernels& kernels, const float* embeddings, std::int64_t n, std::int32_t* nearest, std::int64_t n_looked_into, int n_threads) const {
  const std::int64_t n_groups = groups_.size(), width = groups_.width();
  const auto n_near = static_cast<std::size_t>(std::min(n_looked_into, n_groups));
  run_tasks((n + kEmbeddingsOfTask - 1) / kEmbeddingsOfTask, n_threads, [&](std::int64_t task) {
    const std::int64_t first = task * kEmbeddingsOfTask, count = std::min(kEmbeddingsOfTask, n - first);
    const BytesOf asked = groups_.bytes_of(embeddings + first * width, count);
    std::vector<std::vector<std::int32_t>> looked_into(static_cast<std::size_t>(n_groups));  // by which embeddings
    std::vector<std::pair<float, std::int32_t>> near;
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; i += kEmbeddingsOfStep) {
      const std::int64_t some = std::min(kEmbeddingsOfStep, count - i);
      groups_.nearness(kernels, asked, i, some, 0, groups_.n_padded() / kCentresOfGroup, values);
      for (std::int64_t j = 0; j < some; ++j) {
        near.clear();
        const float* of_one = values.data() + j * groups_.n_padded();
        for (std::int64_t group = 0; group < n_groups; ++group) {
          if (near.size() == n_near && (group % kCentresOfGroup == 0) && !(largest_of_group(of_one + group) > near.back().first)) {
            group += kCentresOfGroup - 1;
            continue;
          }
          if (near.size() == n_near && !(of_one[group] > near.back().first)) continue;
          if (near.size() == n_near) near.pop_back();
          const auto place = std::find_if(near.begin(), near.end(), [&](const auto& other) { return of_one[group] > other.first; });
          near.insert(place, {of_one[group], static_cast<std::int32_t>(group)});
        }
        for (const auto& [value, group] : near) looked_into[static_cast<std::size_t>(group)].push_back(static_cast<std::int32_t>(i + j));
      }
    }
    std::vector<float> best(static_cast<std::size_t>(count), -std::numeric_limits<float>::infinity());
    std::fill_n(nearest + first, count, 0);
    BytesOf some;
    for (std::size_t group = 0; group < looked_into.size(); ++group) {
      const std::vector<std::int32_t>& ones = looked_into[group];
      const std::int64_t block = first_blocks_[group], n_blocks = first_blocks_[group + 1] - block;
      if (ones.empty() || n_blocks == 0) continue;
      asked.take(ones, some);
      members_.nearness(kernels, some, 0, static_cast<std::int64_t>(ones.size()), block, n_blocks, values);
      const float* at = values.data();
      for (const std::int32_t one : ones)
        for (std::int64_t b = 0; b < n_blocks; ++b, at += kCentresOfGroup) {
          float& most = best[static_cast<std::size_t>(one)];
          if (!(largest_of_group(at) > most)) continue;
          const std::int64_t j = std::max_element(at, at + kCentresOfGroup) - at;
          most = at[j];
          nearest[first + one] = numbers_[static_cast<std::size_t>((block + b) * kCentresOfGroup + j)];
        }
    }
  });
}

}  // namespace hashgnn
