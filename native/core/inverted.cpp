#include "inverted.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "promises.hpp"
#include "selection.hpp"
#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr double kFewAllowed = 0.25;      // of the codes: then lanes are filtered before they are compared, else what is found
constexpr std::int64_t kFollowCost = 16;  // following a position costs as much as reading so many codes of lists
constexpr std::int64_t kFewSlots = 2048;  // are collected without a sample
constexpr std::int64_t kSampleSlots = 2048;
constexpr std::int64_t kFirstSlots = 320;  // of the blocks that promise most, and as many for each result: they set the limit of the others

// What a thread keeps from query to query.
struct Scratch {
  Gathered found, sample, lists;
  Selection selection;
  std::vector<std::uint32_t> masks, bits;
  Promising promising;
};

Scratch& scratch() {
  thread_local Scratch mine;
  return mine;
}

// Blocks of a list, or of the one of later codes.
struct Part {
  const InvertedLists* lists;
  std::int64_t first, n_blocks;
  std::int64_t first_mask;  // in Scratch::masks, where lanes are filtered first
};

class ListSearch {
 public:
  ListSearch(const InvertedSearch& index, const Queries& queries, std::int64_t query, const Filters& filters, const SearchPlan& plan)
      : index_(index), queries_(queries), query_(query), filters_(filters), plan_(plan), scratch_(scratch()) {
    std::uint32_t max_penalty = plan.biased ? index.lists->max_penalty : 0;
    if (plan.biased && index.extra != nullptr) max_penalty = std::max(max_penalty, index.extra->max_penalty);
    most_ = queries.value_range() + queries.bias_of(max_penalty, query);
  }

  std::vector<Hit> run() {
    const std::int64_t n_lists = index_.lists->n_blocks() == 0 ? 0 : index_.lists->n_lists;
    share_ = index_.share;
    if (filters_.allow) {
      const std::int64_t n_allowed = filters_.allow.end(query_) - filters_.allow.begin(query_);
      if (follows(n_allowed)) return follow();
      const auto n_own = static_cast<double>(own_bits(filters_, query_, index_.n_codes, scratch_.bits));
      allowed_ = scratch_.bits.data();
      share_ = (filters_.allowed == nullptr ? share_ : 1.0) * n_own / static_cast<double>(index_.n_codes);
    } else {
      allowed_ = filters_.allowed;
    }
    for (std::int64_t n_read = lists_to_read(n_lists);; n_read = std::min(n_lists, 2 * n_read)) {
      add_lists(n_read, n_lists);
      if (!sees_enough() && n_read < n_lists) continue;
      gather();
      if (scratch_.found.size() >= plan_.k || n_read >= n_lists) break;
    }
    scratch_.selection.keep_smallest(scratch_.found, plan_.k, most_);
    return scratch_.selection.hits(scratch_.found, most_, plan_.ordered);
  }

 private:
  std::int64_t lists_to_read(std::int64_t n_lists) const {
    const double wanted = std::ceil(static_cast<double>(index_.n_probe) / std::max(share_, 1e-12));
    return wanted >= static_cast<double>(n_lists) ? n_lists : static_cast<std::int64_t>(wanted);
  }

  // Codes that a query without a filter sees.
  double usual() const {
    const auto n_lists = static_cast<double>(std::max<std::int64_t>(index_.lists->n_lists, 1));
    return static_cast<double>(index_.lists->n_blocks() * kBlock) * std::min(1.0, static_cast<double>(index_.n_probe) / n_lists);
  }

  // Whether to compare so many allowed codes one by one is less than to read lists for them.
  bool follows(std::int64_t n_allowed) const {
    const double n = static_cast<double>(std::max<std::int64_t>(n_allowed, 1));
    const double read = std::min(static_cast<double>(index_.n_codes), usual() * static_cast<double>(index_.n_codes) / n);
    return index_.slots && static_cast<double>(kFollowCost) * n <= read;
  }

  bool is_blocked(std::int32_t position) const {
    return filters_.block && std::binary_search(filters_.block.begin(query_), filters_.block.end(query_), position);
  }

  // Compares the allowed codes one by one.
  std::vector<Hit> follow() {
    Gathered& found = scratch_.found;
    found.clear();
    add_followed(*index_.lists, index_.slots());
    if (index_.extra != nullptr) add_followed(*index_.extra, index_.extra_slots());
    scratch_.selection.keep_smallest(found, plan_.k, most_);
    return scratch_.selection.hits(found, most_, plan_.ordered);
  }

  void add_followed(const InvertedLists& lists, const std::int32_t* slots) {
    const std::int32_t* const begin = filters_.allow.begin(query_);
    const std::int32_t* const end = filters_.allow.end(query_);
    const Run run(lists.words, lists.n_blocks(), lists.n_bits);
    auto& where = scratch_.masks;  // slots, and the place in the list of each
    where.clear();
    std::int64_t last = -1;
    for (const std::int32_t* at = begin; at != end; ++at) {
      const std::int32_t position = *at, slot = slots[position];
      if (position == last || slot < 0) continue;
      last = position;
      if ((filters_.allowed != nullptr && !has_bit(filters_.allowed, position)) || is_blocked(position)) continue;
      where.push_back(static_cast<std::uint32_t>(slot));
      where.push_back(static_cast<std::uint32_t>(position));
    }
    Gathered& found = scratch_.found;
    found.reserve(static_cast<std::int64_t>(where.size()) / 2);
    const bool adds = plan_.biased && lists.penalty != nullptr;
    constexpr std::size_t kAhead = 16;
    const std::int64_t first = found.size();
    for (std::size_t i = 0; i < where.size(); i += 2) {
      if (i + kAhead < where.size())
        for (int s = 0; s < run.n_slices; ++s) __builtin_prefetch(run.word(where[i + kAhead], s));
      std::uint32_t value = value_at(run, where[i]);
      if (adds) value += queries_.bias_of(lists.penalty[where[i]], query_);
      const std::int64_t n = first + static_cast<std::int64_t>(i / 2);
      found.ids()[n] = where[i + 1];
      found.values()[n] = static_cast<std::uint16_t>(value);
    }
    found.grow(static_cast<std::int64_t>(where.size()) / 2);
  }

  std::uint32_t value_at(const Run& run, std::int64_t slot) const {
    const std::uint32_t* planes = queries_.words.data() + query_ * queries_.n_planes * run.n_slices;
    std::uint32_t value = 0;
    for (int p = 0; p < queries_.n_planes; ++p) {
      value *= 2;
      for (int s = 0; s < run.n_slices; ++s)
        value += static_cast<std::uint32_t>(std::popcount((planes[p * run.n_slices + s] & 0xFFFFu) ^ *run.word(slot, s)));
    }
    return value;
  }

  // Chooses the n_read nearest lists.
  void add_lists(std::int64_t n_read, std::int64_t n_lists) {
    parts_.clear();
    n_slots_ = 0;
    scratch_.masks.clear();
    n_first_parts_ = 0;
    if (index_.extra != nullptr) add_list(*index_.extra, 0);
    if (n_read >= n_lists) {
      for (std::int64_t list = 0; list < n_lists; ++list) add_list(*index_.lists, list);
      return;
    }
    if (index_.means != nullptr) return add_promising(n_read, n_lists);
    measure_centroids(n_read);
    const Gathered& nearest = scratch_.lists;
    for (std::int64_t i = 0; i < nearest.size(); ++i) add_list(*index_.lists, nearest.ids()[i]);
  }

  // Chooses as many blocks as n_read lists have on average.
  void add_promising(std::int64_t n_read, std::int64_t n_lists) {
    const InvertedLists& lists = *index_.lists;
    const std::int64_t n = (n_read * lists.n_blocks() + n_lists - 1) / n_lists, n_first = blocks_of(std::max(kFirstSlots, 2 * plan_.k));
    choose_blocks(*plan_.kernels, lists, *index_.means, plan_.biased ? index_.mean_penalties : nullptr,
                  index_.floats + query_ * lists.n_bits, n, n_first, scratch_.promising);
    for (const BlockRun& run : scratch_.promising.first) add_part(lists, run.first, run.n);
    n_first_parts_ = parts_.size();
    for (const BlockRun& run : scratch_.promising.others) add_part(lists, run.first, run.n);
  }

  void add_list(const InvertedLists& lists, std::int64_t list) {
    add_part(lists, lists.first_blocks[list], lists.first_blocks[list + 1] - lists.first_blocks[list]);
  }

  void add_part(const InvertedLists& lists, std::int64_t first, std::int64_t n_blocks) {
    if (n_blocks == 0) return;
    parts_.push_back({&lists, first, n_blocks, -1});
    n_slots_ += n_blocks * kBlock;
    if (filters_first()) add_masks(parts_.back());
  }

  bool filters_first() const { return allowed_ != nullptr && share_ < kFewAllowed; }

  // Lanes that hold a code which the query may get.
  void add_masks(Part& part) {
    auto& masks = scratch_.masks;
    part.first_mask = static_cast<std::int64_t>(masks.size());
    for (std::int64_t block = part.first; block < part.first + part.n_blocks; ++block) {
      const std::int32_t* positions = part.lists->positions + block * kBlock;
      std::uint32_t lanes = 0;
      for (std::uint32_t lane = 0; lane < kBlock; ++lane) {
        const auto position = static_cast<std::uint32_t>(positions[lane]);
        lanes |= ((allowed_[position / 32] >> (position % 32)) & 1u) << lane;
      }
      masks.push_back(lanes & part.lists->alive[block]);
    }
  }

  // Whether the lists hold half of the codes, of those that the query may get, that it would see without a filter.
  bool sees_enough() const {
    if (!filters_first()) return true;
    std::int64_t seen = 0;
    for (const std::uint32_t lanes : scratch_.masks) seen += std::popcount(lanes);
    return static_cast<double>(seen) >= std::max(0.5 * usual(), static_cast<double>(plan_.k));
  }

  ScanJob job_of(const Part& part, std::int64_t first, std::int64_t n_blocks, std::uint32_t* limit) const {
    const InvertedLists& lists = *part.lists;
    const Run run(lists.words, lists.n_blocks(), lists.n_bits);
    ScanJob job = scan_job(run, first, n_blocks, queries_, query_, 1);
    job.penalty = plan_.biased && lists.penalty != nullptr ? lists.penalty + first * kBlock : nullptr;
    job.candidates = part.first_mask < 0 ? lists.alive + first : scratch_.masks.data() + part.first_mask + (first - part.first);
    job.last_candidates = job.candidates[n_blocks - 1];
    job.limits = limit;
    return job;
  }

  // Appends the codes of a part below the limit, their positions as ids.
  void collect(const Part& part, std::int64_t first, std::int64_t n_blocks, std::uint32_t limit, Gathered& to) const {
    std::uint32_t twice = limit * 0x00010001u;
    to.reserve(n_blocks * kBlock);
    std::uint32_t* ids = to.ids() + to.size();
    std::uint16_t* values = to.values() + to.size();
    std::int64_t n = plan_.kernels->collect(job_of(part, first, n_blocks, &twice), ids, values);
    const std::int32_t* positions = part.lists->positions;
    const bool filters_later = (allowed_ != nullptr && part.first_mask < 0) || filters_.block;
    if (!filters_later) {
      for (std::int64_t i = 0; i < n; ++i) ids[i] = static_cast<std::uint32_t>(positions[ids[i]]);
    } else {
      std::int64_t kept = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int32_t position = positions[ids[i]];
        const bool passes = (allowed_ == nullptr || part.first_mask >= 0 || has_bit(allowed_, position)) && !is_blocked(position);
        ids[kept] = static_cast<std::uint32_t>(position);
        values[kept] = values[i];
        kept += passes;
      }
      n = kept;
    }
    to.grow(n);
  }

  // At least the k best of all parts, or all that there are.
  void gather() {
    if (n_first_parts_ > 0) return gather_in_order();
    std::uint32_t limit = first_limit();
    for (;; limit = most_ + 1) {
      scratch_.found.clear();
      for (std::size_t i = 0; i < parts_.size(); ++i) {
        if (i + 1 < parts_.size()) prefetch(parts_[i + 1]);
        collect(parts_[i], parts_[i].first, parts_[i].n_blocks, limit, scratch_.found);
      }
      if (scratch_.found.size() >= plan_.k || limit > most_) return;
    }
  }

  // The same where the first parts promise most: what they hold is the limit of the others.
  void gather_in_order() {
    scratch_.found.clear();
    std::uint32_t limit = most_ + 1;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (i == n_first_parts_ && scratch_.found.size() >= plan_.k) limit = scratch_.selection.kth_smallest(scratch_.found, plan_.k, most_) + 1;
      if (i + 1 < parts_.size()) prefetch(parts_[i + 1]);
      collect(parts_[i], parts_[i].first, parts_[i].n_blocks, limit, scratch_.found);
    }
  }

  static void prefetch(const Part& part) {
    const Run run(part.lists->words, part.lists->n_blocks(), part.lists->n_bits);
    constexpr std::int64_t kLines = 16;  // words of a line are a slice of a block
    const std::uint16_t* near = run.near + part.first * run.near_stride();
    for (std::int64_t line = 0; line < std::min(kLines, part.n_blocks * run.n_near); ++line) __builtin_prefetch(near + line * kBlock);
  }

  std::uint32_t first_limit() const {
    if (n_slots_ <= kFewSlots || n_slots_ <= 2 * plan_.k) return most_ + 1;
    Gathered& sample = scratch_.sample;
    sample.clear();
    // Blocks at even distances, so that each list takes part.
    const std::int64_t step = std::max<std::int64_t>(1, n_slots_ / kSampleSlots);
    std::int64_t next = step / 2, before = 0, n_read = 0;
    for (const Part& part : parts_) {
      for (; next < before + part.n_blocks; next += step, ++n_read) collect(part, part.first + next - before, 1, most_ + 1, sample);
      before += part.n_blocks;
    }
    const double n_all = static_cast<double>(sample.size()) * static_cast<double>(before) / static_cast<double>(std::max<std::int64_t>(n_read, 1));
    return scratch_.selection.limit_of_sample(sample.values(), sample.size(), n_all, plan_.k, most_);
  }

  // The nearest lists, ties to the smaller: an exact search of the centroids without their bias.
  void measure_centroids(std::int64_t n_read) {
    Gathered& nearest = scratch_.lists;
    nearest.clear();
    const std::uint32_t most = queries_.value_range();
    std::uint32_t twice = (most + 1) * 0x00010001u;
    for (const Segment& segment : index_.centroids->segments) {
      const std::int64_t n_blocks = blocks_of(segment.n_codes);
      nearest.reserve(n_blocks * kBlock);
      ScanJob job = scan_job(Run(segment.words, n_blocks, index_.centroids->n_bits), 0, n_blocks, queries_, query_, 1);
      job.first_block = segment.first / kBlock;
      job.penalty_scale = nullptr;
      const std::int64_t left = segment.n_codes % kBlock;
      job.last_candidates = left == 0 ? ~0u : (1u << left) - 1u;
      job.limits = &twice;
      nearest.grow(plan_.kernels->collect(job, nearest.ids() + nearest.size(), nearest.values() + nearest.size()));
    }
    scratch_.selection.keep_smallest(nearest, n_read, most);
  }

  const InvertedSearch& index_;
  const Queries& queries_;
  std::int64_t query_;
  const Filters& filters_;
  const SearchPlan& plan_;
  Scratch& scratch_;
  std::uint32_t most_ = 0;
  double share_ = 1.0;
  const std::uint32_t* allowed_ = nullptr;
  std::vector<Part> parts_;
  std::int64_t n_slots_ = 0;
  std::size_t n_first_parts_ = 0;  // which promise most
};

}  // namespace

void search_inverted(const InvertedSearch& index, const Queries& queries, const Filters& filters,
                     const SearchPlan& plan, const Done& done) {
  run_tasks(queries.n_queries, plan.n_threads, [&](std::int64_t q) { done(q, ListSearch(index, queries, q, filters, plan).run()); });
}

}  // namespace hashgnn
