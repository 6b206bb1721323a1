// Codes in lists: searches in all or some, lists that are narrowed and grow, blocks that promise most.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "../core/allowed.hpp"
#include "../core/promises.hpp"
#include "fuzz.hpp"

namespace hashgnn {

// The codes begin, begin + step, ... dealt to lists in turn.
void Fuzz::deal(std::int64_t begin, std::int64_t step, std::int64_t n_lists, Lists32& to) {
  for (std::int64_t list = 0; list < n_lists; ++list) {
    for (std::int64_t i = begin + list * step; i < n_codes_; i += n_lists * step) to.slots.push_back(static_cast<std::int32_t>(i));
    while (to.slots.size() % kBlock != 0) to.slots.push_back(-1);
    to.firsts.push_back(static_cast<std::int64_t>(to.slots.size()) / kBlock);
  }
  const auto n_slots = static_cast<std::int64_t>(to.slots.size());
  to.words.assign(static_cast<std::size_t>(words_of(n_slots, n_bits_)), 0);
  to.penalty.assign(to.slots.size(), 0);
  to.alive.assign(to.slots.size() / kBlock, 0);
  for (std::int64_t slot = 0; slot < n_slots; ++slot) {
    std::int32_t& position = to.slots[static_cast<std::size_t>(slot)];
    if (position < 0) {
      position = 0;
      continue;
    }
    pack_blocks(codes_.data() + std::int64_t{position} * (n_bits_ / 8), 1, n_bits_, slot, to.words.data(), n_slots / kBlock);
    to.penalty[static_cast<std::size_t>(slot)] = penalty_[static_cast<std::size_t>(position)];
    if (has_bit(alive_.data(), position)) to.alive[static_cast<std::size_t>(slot / 32)] |= 1u << (slot % 32);
  }
  to.words.reserve(1), to.penalty.reserve(1), to.alive.reserve(1), to.slots.reserve(1);  // data() of an empty vector may be null
  to.view = {n_bits_, n_lists, to.firsts.data(), to.words.data(), to.penalty.data(), to.alive.data(), to.slots.data(), table_.max_penalty, nullptr, 0};
}

// The same codes as inverted lists: where all of them are probed, the answer must not change; else it is of as many hits, each
// with its true value.
void Fuzz::search_lists(const Queries& queries, const SearchPlan& plan, const Done& done) {
  const std::int64_t n_lists = between(1, chance(3) ? 40 : 4);
  const bool splits = chance(2);  // every other code came later
  Lists32 main, later;
  deal(0, splits ? 2 : 1, n_lists, main);
  deal(1, 2, 1, later);
  std::vector<std::uint8_t> centroid_codes(static_cast<std::size_t>(n_lists * n_bits_ / 8));
  for (std::uint8_t& byte : centroid_codes) byte = static_cast<std::uint8_t>(random_());
  std::vector<std::uint16_t> centroid_words(static_cast<std::size_t>(words_of(n_lists, n_bits_)), 0);
  pack_blocks(centroid_codes.data(), n_lists, n_bits_, 0, centroid_words.data(), blocks_of(n_lists));
  const Table centroids = {n_bits_, n_lists, 0, {{centroid_words.data(), nullptr, nullptr, 0, n_lists}}};
  SearchPlan lists_plan = plan;
  lists_plan.ordered = chance(2);
  std::vector<std::int32_t> slots = slots_of(main.view, n_codes_), later_slots = slots_of(later.view, n_codes_);
  const bool is_exact = !chance(4);
  InvertedSearch index{&main.view, splits ? &later.view : nullptr, &centroids, is_exact ? n_lists : between(1, 2), n_codes_, 1.0, {}, {}};
  if (chance(2)) index.slots = [&] { return slots.data(); }, index.extra_slots = [&] { return later_slots.data(); };
  Filters filters = filters_;
  OwnLists own, own_later;
  Grown grown;
  InvertedLists view, view_later;
  if (filters.allowed != nullptr && chance(2)) {  // lists of the allowed codes instead of a filter
    if (chance(2)) {
      own = allowed_lists(main.view, filters.allowed);
      own_later = allowed_lists(later.view, filters.allowed);
    } else if (chance(2)) {  // lists that come to these codes from those of another filter
      grow(main.view, slots, nullptr, filters.allowed, own, grown, view);
      own_later = allowed_lists(later.view, filters.allowed);
    } else if (splits && chance(2)) {  // the same with one list of all
      grow(main.view, slots, &later.view, filters.allowed, own_later, grown, view_later);
      std::vector<std::uint32_t> none(alive_.size(), 0);
      own = allowed_lists(main.view, none.data());
      index.extra = &view_later;
    } else {
      std::vector<const InvertedLists*> parts = {&main.view};
      std::vector<const std::int32_t*> places = {slots.data()};
      if (splits) parts.push_back(&later.view), places.push_back(later_slots.data());
      own_later = allowed_codes(parts, places, filters.allowed, n_codes_);
      std::vector<std::uint32_t> none(alive_.size(), 0);
      own = allowed_lists(main.view, none.data());
      index.extra = &view_later;
    }
    if (view.alive == nullptr) view = own.view();
    if (view_later.alive == nullptr) view_later = own_later.view();
    index.lists = &view;
    if (index.extra != nullptr) index.extra = &view_later;
    index.slots = {};
    filters.allowed = nullptr;
  } else if (filters.allowed != nullptr) {
    index.share = chance(2) ? 0.1 : 0.6;
  }
  std::optional<Centres> means;
  std::vector<std::uint8_t> penalties;
  if (!queries.step.empty() && chance(2)) {  // float queries, which choose blocks; also by what lists held before
    means.emplace(means_of(chance(2) ? main.view : *index.lists));
    penalties = mean_penalties_of(*index.lists);
    index.means = &*means, index.floats = floats_.data();
    index.mean_penalties = chance(9) ? nullptr : penalties.data();
    for (std::int64_t q = 0; q < n_queries_; ++q) choose_promising(*index.lists, *means, index.mean_penalties, floats_.data() + q * n_bits_);
  }
  search_inverted(index, queries, filters, lists_plan, [&](std::int64_t q, const std::vector<Hit>& hits) {
    std::vector<Hit> sorted = hits;
    if (!lists_plan.ordered) std::sort(sorted.begin(), sorted.end(), [](const Hit& a, const Hit& b) {
      return a.value != b.value ? a.value < b.value : a.position < b.position;
    });
    if (is_exact) return done(q, sorted);
    for (const Hit& hit : hits)
      if (hit.value != plain_value(queries, q, hit.position)) fail("a value in lists");
    const auto expected = naive(queries, q);
    if (hits.size() != expected.size()) fail("number of hits in lists");
    done(q, expected);
  });
}

// Blocks of lists that promise most: as many as are asked for, each once, and the same by every instruction set.
void Fuzz::choose_promising(const InvertedLists& lists, const Centres& means, const std::uint8_t* penalties, const float* query) {
  const std::int64_t n = between(1, 60), n_first = between(1, 20);
  const auto chosen_by = [&](const Kernels& kernels) {
    Promising chosen;
    choose_blocks(kernels, lists, means, penalties, query, n, n_first, chosen);
    std::vector<std::int64_t> blocks;
    for (const auto* runs : {&chosen.first, &chosen.others})
      for (const BlockRun& run : *runs)
        for (std::int64_t block = run.first; block < run.first + run.n; ++block) blocks.push_back(block);
    return blocks;
  };
  std::vector<std::int64_t> found = chosen_by(*kernels_);
  if (found != chosen_by(*portable_kernels())) fail("a block that promises most");
  std::sort(found.begin(), found.end());
  if (std::adjacent_find(found.begin(), found.end()) != found.end()) fail("distinct blocks");
  if (!found.empty() && (found.front() < 0 || found.back() >= lists.n_blocks())) fail("blocks of lists");
  if (static_cast<std::int64_t>(found.size()) < std::min(n, lists.n_blocks())) fail("number of blocks");
  for (std::int64_t block = 0; penalties != nullptr && block < lists.n_blocks(); ++block) {
    std::uint32_t least = 255, most = 0;
    for (int lane = 0; lane < kBlock; ++lane)
      if ((lists.alive[block] >> lane & 1u) != 0) {
        least = std::min<std::uint32_t>(least, lists.penalty[block * kBlock + lane]);
        most = std::max<std::uint32_t>(most, lists.penalty[block * kBlock + lane]);
      }
    if (lists.alive[block] != 0 && (penalties[block] < least || penalties[block] > most)) fail("a mean penalty");
  }
  std::vector<float> mean(static_cast<std::size_t>(n_bits_));
  for (std::int64_t list = 0; list < lists.n_lists && means.size() == lists.n_lists; ++list) {
    means.read(list, mean.data());
    for (const float entry : mean)
      if (!(std::abs(entry) <= 1.001f)) fail("a mean of codes");
  }
}

// Lists of the codes that are allowed, which came to be from lists of others in two steps.
void Fuzz::grow(const InvertedLists& lists, const std::vector<std::int32_t>& slots, const InvertedLists* later,
                const std::uint32_t* allowed, OwnLists& own, Grown& grown, InvertedLists& view) {
  std::vector<std::uint32_t> before(alive_.size());
  const auto flip = [&] {
    for (std::size_t word = 0; word < before.size(); ++word) before[word] = allowed[word] ^ static_cast<std::uint32_t>(random_() & random_() & random_());
  };
  flip();
  std::vector<std::int32_t> later_slots;
  const auto holds = [&](std::int32_t position) {
    return slots[static_cast<std::size_t>(position)] >= 0 || (later != nullptr && later_slots[static_cast<std::size_t>(position)] >= 0);
  };
  if (later != nullptr) {
    later_slots = slots_of(*later, n_codes_);
    own = allowed_codes({&lists, later}, {slots.data(), later_slots.data()}, before.data(), n_codes_, 2 * n_codes_ + 2);
  } else {
    own = allowed_lists(lists, before.data(), 2 * (n_codes_ / lists.n_lists + 1) + 2);
  }
  view = own.view();
  for (int step = 0; step < 2; ++step) {
    const std::vector<std::uint32_t> last = before;
    if (step == 0) flip();
    else before.assign(allowed, allowed + before.size());
    Growth growth{&lists, slots.data(), {}, {}, later, {}};
    for (std::int32_t position = 0; position < n_codes_; ++position) {
      const bool was = has_bit(last.data(), position), is = has_bit(before.data(), position);
      const bool again = was && is && chance(9);  // another code since
      if (!holds(position)) continue;
      if (was && (!is || again)) growth.gone.push_back(position);
      if (is && (!was || again)) (slots[static_cast<std::size_t>(position)] >= 0 ? growth.added : growth.added_later).push_back(position);
    }
    grown = own.grown(view, growth);
    if (!grown.left.empty()) fail("room in lists that grow");
    view.alive = grown.alive.data(), view.max_penalty = grown.max_penalty;
  }
}

}  // namespace hashgnn
