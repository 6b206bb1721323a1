#include "listed_rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr std::int64_t kFollowCost = 8;   // following a position costs as much as testing so many in lists
constexpr std::int64_t kSpare = 512;      // kept beyond what is wanted before the worst are dropped
constexpr std::int64_t kBlocksOfScan = 32; // of a list, after which what is worse than enough others is dropped
constexpr std::int64_t kBlocksFetched = 4; // of the next list: the positions
constexpr double kDeviations = 2.0;       // of the errors of rows, by which one that is behind may still be among the best
constexpr std::int64_t kFewest = 16;      // results from which on errors are known well enough
constexpr std::int64_t kQueriesOfTask = 8; // centres are read once for all of them

// What a thread keeps from query to query.
struct Scratch {
  std::vector<float> bases, scores, most, promises;
  std::vector<std::uint32_t> slots, bits, lanes;
  std::vector<std::uint64_t> lists, keys, spare;
};

Scratch& scratch() {
  thread_local Scratch mine;
  return mine;
}

// Whether so many lists are looked for in groups of their centres.
bool in_groups(const ListedSearch& index, std::int64_t n) { return index.groups != nullptr && index.groups->suits(n); }

class ListedQuery {
 public:
  // `bases` are the products of the query with the centres, or null: they are made where they are needed.
  ListedQuery(const ListedSearch& index, const float* query, const float* bases, std::int64_t number, const Filters& filters,
              const ListedPlan& plan)
      : index_(index), query_(query), bases_(bases), number_(number), filters_(filters), plan_(plan), scratch_(scratch()),
        asked_(*plan.kernels, *index.asked, query), wanted_(plan.floats != nullptr ? plan.n_refined : plan.k),
        n_lists_(index.lists->n_blocks() == 0 ? 0 : index.lists->n_lists) {}

  std::vector<Scored> run() {
    share_ = index_.share;
    std::int64_t n_allowed = index_.n_codes;
    if (filters_.allow) n_allowed = filters_.allow.end(number_) - filters_.allow.begin(number_);
    else if (filters_.allowed != nullptr) n_allowed = static_cast<std::int64_t>(std::ceil(share_ * static_cast<double>(index_.n_codes)));
    if ((filters_.allow || filters_.allowed != nullptr) && follows(n_allowed)) follow();
    else read();
    return best();
  }

 private:
  // Items that a query without a filter sees.
  double usual() const {
    const auto n_lists = static_cast<double>(std::max<std::int64_t>(n_lists_, 1));
    return static_cast<double>(index_.n_codes) * std::min(1.0, static_cast<double>(index_.n_probe) / n_lists);
  }

  // Whether to compare so many allowed items one by one is less than to read lists for them.
  bool follows(std::int64_t n_allowed) const {
    if (!index_.slots) return false;
    const auto n = static_cast<double>(std::max<std::int64_t>(n_allowed, 1)), all = static_cast<double>(index_.n_codes);
    return n <= usual() || kFollowCost * n <= std::min(all, usual() * all / n);
  }

  bool is_blocked(std::int32_t position) const {
    return filters_.block && std::binary_search(filters_.block.begin(number_), filters_.block.end(number_), position);
  }

  void follow() {
    const std::int32_t* slots = index_.slots();
    const std::int32_t* later = index_.extra == nullptr ? nullptr : index_.extra_slots();
    std::vector<std::uint32_t> later_slots;
    scratch_.slots.clear();
    std::int64_t last = -1;
    const auto add = [&](std::int64_t position) {
      if (position == last || is_blocked(static_cast<std::int32_t>(position))) return;
      last = position;
      if (slots[position] >= 0) scratch_.slots.push_back(static_cast<std::uint32_t>(slots[position]));
      else if (later != nullptr && later[position] >= 0) later_slots.push_back(static_cast<std::uint32_t>(later[position]));
    };
    if (filters_.allow) {
      for (const std::int32_t* at = filters_.allow.begin(number_); at != filters_.allow.end(number_); ++at)
        if (filters_.allowed == nullptr || has_bit(filters_.allowed, *at)) add(*at);
    } else {
      for (std::int64_t word = 0; word < blocks_of(index_.n_codes); ++word)
        for (std::uint32_t left = filters_.allowed[word]; left != 0; left &= left - 1) {
          const std::int64_t position = word * 32 + std::countr_zero(left);
          if (position < index_.n_codes) add(position);
        }
    }
    const std::int64_t* firsts = index_.lists->first_blocks;
    score(*index_.lists, [&](std::uint32_t slot) {
      const std::int64_t block = slot / kBlock;
      const std::int64_t list = std::upper_bound(firsts, firsts + index_.lists->n_lists + 1, block) - firsts - 1;
      return bases()[list];
    });
    if (later_slots.empty()) return;
    scratch_.slots.swap(later_slots);
    score(*index_.extra, [&](std::uint32_t) { return base_of_extra(); });
  }

  float base_of_extra() {
    const std::int64_t last = index_.lists->n_lists;
    if (bases_ != nullptr) return bases_[last];
    thread_local std::vector<float> products;
    index_.centres->products(*plan_.kernels, in_bytes(), {static_cast<std::int32_t>(last / kCentresOfGroup)}, products);
    return products[static_cast<std::size_t>(last % kCentresOfGroup)];
  }

  const Asked& in_bytes() {
    if (in_bytes_.bytes.empty()) in_bytes_ = index_.centres->ask(query_);
    return in_bytes_;
  }

  const float* bases() {
    if (bases_ == nullptr) {
      index_.centres->products(*plan_.kernels, query_, 1, scratch_.bases);
      bases_ = scratch_.bases.data();
    }
    return bases_;
  }

  // Reads the lists that promise most until enough items were seen that the query may get.
  void read() {
    if (filters_.allow) {
      const auto n_own = static_cast<double>(own_bits(filters_, number_, index_.n_codes, scratch_.bits));
      allowed_ = scratch_.bits.data();
      const auto n = static_cast<double>(std::max<std::int64_t>(index_.n_codes, 1));
      share_ = (filters_.allowed == nullptr ? share_ : 1.0) * n_own / n;
    } else {
      allowed_ = filters_.allowed;
    }
    const double enough = std::max(allowed_ == nullptr ? 0.0 : 0.5 * usual(), static_cast<double>(plan_.k));
    enough_ = static_cast<std::int64_t>(std::ceil(enough));
    if (index_.extra != nullptr) read_list(*index_.extra, 0, base_of_extra(), nullptr);
    const double first = std::ceil(static_cast<double>(index_.n_probe) / std::max(share_, 1e-12));
    std::int64_t n_read = first >= static_cast<double>(n_lists_) ? n_lists_ : static_cast<std::int64_t>(first);
    if (allowed_ == nullptr && in_groups(index_, n_read)) {
      index_.groups->choose(*plan_.kernels, in_bytes(), n_read, scratch_.lists);
      if (static_cast<std::int64_t>(scratch_.lists.size()) == n_read) read_chosen(0, n_read);
      if (n_seen_ >= enough_) return;
      n_keys_ = n_seen_ = 0;  // once more, by all centres
      least_ = -std::numeric_limits<float>::infinity();
      if (index_.extra != nullptr) read_list(*index_.extra, 0, base_of_extra(), nullptr);
    }
    for (std::int64_t from = 0; from < n_lists_; from = n_read, n_read = std::min(n_lists_, 2 * n_read)) {
      choose_lists(n_read, from > 0);
      read_chosen(from, n_read);
      if (n_seen_ >= enough_) return;
    }
  }

  void read_chosen(std::int64_t from, std::int64_t end) {
    for (std::int64_t i = from; i < end; ++i) {
      if (i + 1 < end) prefetch(list_of(i + 1));
      const Scored one = of_key(scratch_.lists[static_cast<std::size_t>(i)]);
      const float base = one.score - reach_of(in_bytes()) * index_.centres->radii()[one.position];
      read_list(*index_.lists, one.position, base, i + 1 < end ? rows_of(list_of(i + 1)) : nullptr);
    }
  }

  // The n lists that promise most, best first; ties to the smaller.
  void choose_lists(std::int64_t n, bool ordered) {
    auto& lists = scratch_.lists;
    lists.clear();
    if (!ordered) {
      scratch_.promises.assign(bases(), bases() + n_lists_);
      add_reach(scratch_.promises.data(), index_.centres->radii(), reach_of(in_bytes()), n_lists_);
    }
    const float* promises = scratch_.promises.data();
    const auto add = [&](std::int64_t list) {
      const auto number = static_cast<std::uint32_t>(list);
      lists.push_back(key_of({number, promises[list]}));
    };
    if (n >= n_lists_ && !ordered) {
      for (std::int64_t list = 0; list < n_lists_; ++list) add(list);
      return;
    }
    float least = -std::numeric_limits<float>::infinity();
    const std::int64_t n_groups = n_lists_ / kCentresOfGroup;
    if (n < n_groups) {  // n groups have a centre that promises as much as the n-th best of their best
      auto& most = scratch_.most;
      most.resize(static_cast<std::size_t>(2 * n_groups));
      for (std::int64_t group = 0; group < n_groups; ++group) most[static_cast<std::size_t>(group)] = largest_of_group(promises + group * kCentresOfGroup);
      const auto ordered_most = std::copy_n(most.begin(), n_groups, most.begin() + n_groups) - n_groups;
      std::nth_element(ordered_most, ordered_most + (n - 1), most.end(), std::greater<>());
      least = ordered_most[n - 1];
    }
    for (std::int64_t first = 0; first < n_lists_; first += kCentresOfGroup) {
      if (n < n_groups && first < n_groups * kCentresOfGroup && scratch_.most[static_cast<std::size_t>(first / kCentresOfGroup)] < least) continue;
      for (std::int64_t list = first; list < std::min(n_lists_, first + kCentresOfGroup); ++list)
        if (promises[list] >= least) add(list);
    }
    if (n < static_cast<std::int64_t>(lists.size())) {
      std::nth_element(lists.begin(), lists.begin() + n, lists.end());
      lists.resize(static_cast<std::size_t>(n));
    }
    std::sort(lists.begin(), lists.end());
  }

  std::int64_t list_of(std::int64_t place) const { return static_cast<std::uint32_t>(scratch_.lists[static_cast<std::size_t>(place)]); }

  void prefetch(std::int64_t list) const {
    const InvertedLists& lists = *index_.lists;
    const std::int64_t first = lists.first_blocks[list], n_blocks = lists.first_blocks[list + 1] - first;
    for (std::int64_t block = first; block < first + std::min(kBlocksFetched, n_blocks); ++block) {
      __builtin_prefetch(lists.positions + block * kBlock);
      __builtin_prefetch(lists.positions + block * kBlock + kBlock / 2);
    }
    __builtin_prefetch(lists.alive + first);
  }

  const std::uint8_t* rows_of(std::int64_t list) const {
    const InvertedLists& lists = *index_.lists;
    return lists.rows + lists.first_blocks[list] * kBlock * lists.row_bytes;
  }

  // Reads a list; `next` are the rows of the one that is read afterwards, or null.
  void read_list(const InvertedLists& lists, std::int64_t list, float base, const std::uint8_t* next) {
    const std::int64_t end = lists.first_blocks[list + 1];
    for (std::int64_t block = lists.first_blocks[list]; block < end; block += kBlocksOfScan) {
      const std::int64_t n = std::min(kBlocksOfScan, end - block);
      const std::uint32_t* lanes = lists.alive + block;
      if (allowed_ != nullptr || filters_.block) lanes = passing(lists, block, n);
      for (std::int64_t i = 0; i < n && n_seen_ < enough_; ++i) n_seen_ += std::popcount(lanes[i]);
      const std::uint8_t* rows = lists.rows + block * kBlock * lists.row_bytes;
      const RowScan scan{rows, lists.positions + block * kBlock, lanes, n, asked_.base() + base, asked_.step(), least_,
                         block + n < end ? rows + n * kBlock * lists.row_bytes : next};
      n_keys_ += plan_.kernels->scan_rows(asked_.query(), scan, room_for(n * kBlock));
      drop_some();
    }
  }

  // The lanes of some blocks that the query may get.
  const std::uint32_t* passing(const InvertedLists& lists, std::int64_t block, std::int64_t n) {
    scratch_.lanes.resize(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      std::uint32_t lanes = lists.alive[block + i];
      const std::int32_t* positions = lists.positions + (block + i) * kBlock;
      if (allowed_ != nullptr && lanes != 0) {
        std::uint32_t passing = 0;
        for (int lane = 0; lane < kBlock; ++lane) passing |= std::uint32_t{has_bit(allowed_, positions[lane])} << lane;
        lanes &= passing;
      }
      if (filters_.block)
        for (std::uint32_t left = lanes; left != 0; left &= left - 1) {
          const int lane = std::countr_zero(left);
          if (is_blocked(positions[lane])) lanes &= ~(1u << lane);
        }
      scratch_.lanes[static_cast<std::size_t>(i)] = lanes;
    }
    return scratch_.lanes.data();
  }

  // Where the next n keys go.
  std::uint64_t* room_for(std::int64_t n) {
    auto& keys = scratch_.keys;
    const auto wanted = static_cast<std::size_t>(n_keys_ + n + kBeyondKeys);
    if (keys.size() < wanted) keys.resize(std::max(wanted, 2 * keys.size()));
    return keys.data() + n_keys_;
  }

  template <class BaseOf>
  void score(const InvertedLists& lists, BaseOf base_of) {
    const auto& slots = scratch_.slots;
    auto& scores = scratch_.scores;
    scores.resize(slots.size());
    asked_.score(lists.rows, slots.data(), static_cast<std::int64_t>(slots.size()), scores.data());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const float found = ranked(scores[i] + base_of(slots[i]));
      if (found < least_) continue;
      *room_for(1) = key_of({static_cast<std::uint32_t>(lists.positions[slots[i]]), found});
      ++n_keys_;
      drop_some();
    }
  }

  void drop_some() {
    if (n_keys_ >= 2 * wanted_ + kSpare) drop();
  }

  // Leaves those that are wanted; what is worse than all of them needs not be written down any more.
  void drop() {
    if (n_keys_ <= wanted_) return;
    auto& spare = scratch_.spare;
    if (spare.size() < static_cast<std::size_t>(n_keys_)) spare.resize(static_cast<std::size_t>(n_keys_));
    std::uint64_t* keys = scratch_.keys.data();
    select_smallest(keys, n_keys_, wanted_, spare.data());
    n_keys_ = wanted_;
    least_ = of_key(*std::max_element(keys, keys + n_keys_)).score;
  }

  std::vector<Scored> best() {
    drop();
    std::vector<Scored> found;
    const std::uint64_t* keys = scratch_.keys.data();
    if (plan_.floats == nullptr) {
      add_keys(keys, n_keys_, found);
    } else {
      found = by_floats();
    }
    keep_best(found, plan_.k, true);
    return found;
  }

  static void add_keys(const std::uint64_t* keys, std::int64_t n, std::vector<Scored>& found) {
    for (std::int64_t i = 0; i < n; ++i) found.push_back(of_key(keys[i]));
  }

  // The rows that may be among the best k, by floats. Those of the best by rows are read first. What they say of the errors of
  // rows tells which of the others are too far behind; where nothing was dropped before, all are read.
  std::vector<Scored> by_floats() {
    std::uint64_t* keys = scratch_.keys.data();
    const std::int64_t n_first = plan_.k + plan_.k / 4;
    std::vector<Scored> found;
    found.reserve(static_cast<std::size_t>(n_keys_));
    const bool stops = least_ > -std::numeric_limits<float>::infinity() && plan_.k >= kFewest && n_first < n_keys_;
    if (!stops) {
      add_keys(keys, n_keys_, found);
      score_by_floats(*plan_.kernels, *plan_.floats, query_, found);
      return found;
    }
    select_smallest(keys, n_keys_, n_first, scratch_.spare.data());
    add_keys(keys, n_first, found);
    score_by_floats(*plan_.kernels, *plan_.floats, query_, found);
    auto& scores = scratch_.scores;
    scores.resize(static_cast<std::size_t>(2 * n_first));
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < n_first; ++i) {
      const float score = found[static_cast<std::size_t>(i)].score;
      const double error = static_cast<double>(score) - of_key(keys[i]).score;
      sum += error, squares += error * error;
      scores[static_cast<std::size_t>(i)] = -score;
    }
    select_smallest(scores.data(), n_first, plan_.k, scores.data() + n_first);
    const float kth = -*std::max_element(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(plan_.k));
    const double mean = sum / static_cast<double>(n_first), deviation = std::sqrt(std::max(0.0, squares / static_cast<double>(n_first) - mean * mean));
    const double least = static_cast<double>(kth) - mean - kDeviations * deviation;
    std::vector<Scored> others;
    for (std::int64_t i = n_first; i < n_keys_; ++i) {
      const Scored one = of_key(keys[i]);
      if (!(static_cast<double>(one.score) < least)) others.push_back(one);
    }
    score_by_floats(*plan_.kernels, *plan_.floats, query_, others);
    found.insert(found.end(), others.begin(), others.end());
    return found;
  }

  const ListedSearch& index_;
  const float* query_;
  const float* bases_;  // see bases()
  Asked in_bytes_;      // see in_bytes()
  std::int64_t number_;
  const Filters& filters_;
  const ListedPlan& plan_;
  Scratch& scratch_;
  AskedRows asked_;
  std::int64_t wanted_, n_lists_, n_keys_ = 0;
  std::int64_t n_seen_ = 0, enough_ = 0;  // those that the query may get are counted up to so many
  double share_ = 1.0;
  float least_ = -std::numeric_limits<float>::infinity();
  const std::uint32_t* allowed_ = nullptr;
};

}  // namespace

void search_listed(const ListedSearch& index, const float* queries, std::int64_t n_queries, const Filters& filters,
                   const ListedPlan& plan, const Ranked& done) {
  const std::int64_t width = index.centres->width();
  run_tasks((n_queries + kQueriesOfTask - 1) / kQueriesOfTask, plan.n_threads, [&](std::int64_t task) {
    const std::int64_t first = task * kQueriesOfTask, n = std::min(kQueriesOfTask, n_queries - first);
    thread_local std::vector<float> bases;
    const bool alone = in_groups(index, index.n_probe) && filters.allowed == nullptr && !filters.allow;
    if (!alone) index.centres->products(*plan.kernels, queries + first * width, n, bases);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t q = first + i;
      const float* of_query = alone ? nullptr : bases.data() + i * index.centres->n_padded();
      done(q, ListedQuery(index, queries + q * width, of_query, q, filters, plan).run());
    }
  });
}

}  // namespace hashgnn
