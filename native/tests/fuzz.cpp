// Random calls of the kernels against plain loops; run with sanitizers by native/check.sh.
// Usage: fuzz [calls] [seed]
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "../core/allowed.hpp"
#include "../core/choice.hpp"
#include "../core/inverted.hpp"
#include "../core/layout.hpp"
#include "../core/listed_rows.hpp"
#include "../core/neighbours.hpp"
#include "../core/promises.hpp"
#include "../core/rerank.hpp"
#include "../core/search.hpp"

using namespace hashgnn;

namespace {

class Fuzz {
 public:
  explicit Fuzz(std::uint64_t seed) : random_(seed) {}

  void call() {
    make_codes();
    make_filters();
    const bool floats = chance(3);
    const Queries queries = floats ? float_queries(floats_.data(), n_queries_, n_bits_, between(2, 4), biased_)
                                   : code_queries(query_codes_.data(), n_queries_, n_bits_);
    const SearchPlan plan{kernels_, k_, biased_, n_threads_};
    std::vector<std::vector<Hit>> found(static_cast<std::size_t>(n_queries_));
    const Done keep = [&](std::int64_t q, const std::vector<Hit>& hits) { found[static_cast<std::size_t>(q)] = hits; };
    if (chance(4)) search_lists(queries, plan, keep);
    else search(table_, queries, filters_, plan, keep);
    for (std::int64_t q = 0; q < n_queries_; ++q) {
      const auto expected = naive(queries, q);
      const auto& hits = found[static_cast<std::size_t>(q)];
      if (hits.size() != expected.size()) fail("number of hits");
      for (std::size_t i = 0; i < hits.size(); ++i)
        if (hits[i].position != expected[i].position || hits[i].value != expected[i].value) fail("a hit");
      rank_again(hits);
    }
    choose_some();
    draw_neighbours();
    if (n_codes_ <= 400) search_rows_in_lists();
  }

  void use(const Kernels* kernels) { kernels_ = kernels; }

 private:
  int between(int low, int high) { return low + static_cast<int>(random_() % static_cast<std::uint64_t>(high - low + 1)); }
  bool chance(int one_in) { return random_() % static_cast<std::uint64_t>(one_in) == 0; }

  [[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s differs: %s, %d bits, %lld codes, %lld queries, k=%lld, %d threads\n", what, kernels_->name,
                 n_bits_, static_cast<long long>(n_codes_), static_cast<long long>(n_queries_),
                 static_cast<long long>(k_), n_threads_);
    std::exit(1);
  }

  void make_codes() {
    n_bits_ = 8 * (chance(8) ? between(1, 128) : between(1, 17));
    n_codes_ = chance(50) ? between(1, 40000) : chance(8) ? between(150, 3000) : between(1, 150);
    n_queries_ = n_codes_ > 3000 ? between(1, 5) : between(0, 9);
    k_ = between(1, static_cast<int>(chance(2) ? n_codes_ : std::min<std::int64_t>(n_codes_, 20)));
    n_threads_ = chance(20) ? between(2, 3) : 1;
    biased_ = chance(2);
    const std::size_t n_bytes = static_cast<std::size_t>(n_bits_ / 8);
    codes_.resize(static_cast<std::size_t>(n_codes_) * n_bytes);
    const auto mask = static_cast<std::uint8_t>(random_());  // few distinct codes: many ties
    for (std::uint8_t& byte : codes_) byte = static_cast<std::uint8_t>(random_() & mask);
    query_codes_.resize(static_cast<std::size_t>(n_queries_) * n_bytes);
    for (std::uint8_t& byte : query_codes_) byte = static_cast<std::uint8_t>(random_());
    if (chance(3) && n_queries_ > 0) {  // codes near the queries: blocks side by side move the limits of each other
      for (std::size_t i = 0; i < codes_.size(); ++i) {
        const std::size_t query = (i / n_bytes) % static_cast<std::size_t>(n_queries_);
        const bool flipped = chance(4);
        codes_[i] = static_cast<std::uint8_t>(query_codes_[query * n_bytes + i % n_bytes] ^ (flipped ? 1u << between(0, 7) : 0u));
      }
    }
    floats_.resize(static_cast<std::size_t>(n_queries_ * n_bits_));
    const float scale = chance(5) ? 0.0f : chance(3) ? 1e-4f : 1.0f;
    for (float& value : floats_) value = scale * static_cast<float>(between(-1000, 1000)) / 500.0f;
    const std::size_t n_blocks = static_cast<std::size_t>(blocks_of(n_codes_));
    penalty_.assign(n_blocks * kBlock, 0);
    for (std::int64_t i = 0; i < n_codes_; ++i) penalty_[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(random_() & mask);
    alive_.assign(n_blocks, ~0u);
    if (chance(3)) for (std::uint32_t& word : alive_) word = static_cast<std::uint32_t>(random_());
    words_.assign(static_cast<std::size_t>(words_of(n_codes_, n_bits_)), 0);
    table_ = {n_bits_, n_codes_, *std::max_element(penalty_.begin(), penalty_.end()), {}};
    const std::int64_t size = chance(2) ? n_codes_ : kBlock * between(1, 8);
    std::vector<std::uint8_t> back(codes_.size());
    for (std::int64_t first = 0; first < n_codes_; first += size) {
      const std::size_t block = static_cast<std::size_t>(first / kBlock);
      std::uint16_t* words = words_.data() + words_of(first, n_bits_);
      const std::int64_t n = std::min(size, n_codes_ - first);
      pack_blocks(codes_.data() + first * (n_bits_ / 8), n, n_bits_, 0, words, blocks_of(n));
      unpack_blocks(words, blocks_of(n), 0, n, n_bits_, back.data() + first * (n_bits_ / 8));
      table_.segments.push_back({words, penalty_.data() + first, alive_.data() + block, first, n});
    }
    if (back != codes_) fail("unpacking");
  }

  void make_filters() {
    filters_ = {};
    allowed_.assign(alive_.size(), ~0u);
    for (std::uint32_t& word : allowed_) word = static_cast<std::uint32_t>(random_() | random_());
    if (chance(2)) filters_.allowed = allowed_.data();
    if (chance(2)) filters_.block = make_lists(block_starts_, block_);
    if (chance(3)) filters_.allow = make_lists(allow_starts_, allow_);
  }

  Lists make_lists(std::vector<std::int64_t>& starts, std::vector<std::int32_t>& entries) {
    starts.assign(1, 0);
    entries.clear();
    for (std::int64_t q = 0; q < n_queries_; ++q) {
      const int length = chance(3) ? between(0, static_cast<int>(std::min<std::int64_t>(n_codes_, 2000))) : between(0, 5);
      for (int i = 0; i < length; ++i) entries.push_back(between(0, static_cast<int>(n_codes_) - 1));
      std::sort(entries.begin() + starts.back(), entries.end());
      starts.push_back(static_cast<std::int64_t>(entries.size()));
    }
    entries.reserve(1);  // data() of an empty vector may be null
    return {starts.data(), entries.data()};
  }

  // Some codes in lists, with memory of their own.
  struct Lists32 {
    std::vector<std::int64_t> firsts = {0};
    std::vector<std::int32_t> slots;
    std::vector<std::uint16_t> words;
    std::vector<std::uint8_t> penalty;
    std::vector<std::uint32_t> alive;
    InvertedLists view;
  };

  // The codes begin, begin + step, ... dealt to lists in turn.
  void deal(std::int64_t begin, std::int64_t step, std::int64_t n_lists, Lists32& to) {
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
  void search_lists(const Queries& queries, const SearchPlan& plan, const Done& done) {
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
  void choose_promising(const InvertedLists& lists, const Centres& means, const std::uint8_t* penalties, const float* query) {
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
  void grow(const InvertedLists& lists, const std::vector<std::int32_t>& slots, const InvertedLists* later,
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

  std::vector<Hit> naive(const Queries& queries, std::int64_t q) const {
    std::vector<Hit> hits;
    for (const Segment& segment : table_.segments)
      for (std::int64_t i = segment.first; i < segment.first + segment.n_codes; ++i) {
        const auto position = static_cast<std::int32_t>(i);
        if (!has_bit(alive_.data(), i)) continue;
        if (filters_.allowed != nullptr && !has_bit(allowed_.data(), i)) continue;
        if (filters_.block && std::binary_search(filters_.block.begin(q), filters_.block.end(q), position)) continue;
        if (filters_.allow && !std::binary_search(filters_.allow.begin(q), filters_.allow.end(q), position)) continue;
        hits.push_back({static_cast<std::uint32_t>(i), plain_value(queries, q, i)});
      }
    std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.value < b.value; });
    if (hits.size() > static_cast<std::size_t>(k_)) hits.resize(static_cast<std::size_t>(k_));
    return hits;
  }

  // From the packed codes, not from their blocks.
  std::uint32_t plain_value(const Queries& queries, std::int64_t q, std::int64_t i) const {
    const int n_slices = slices_of(n_bits_), n_bytes = n_bits_ / 8;
    std::uint32_t value = 0;
    for (int p = 0; p < queries.n_planes; ++p) {
      value *= 2;
      for (int s = 0; s < n_slices; ++s) {
        const std::uint32_t word = queries.words[static_cast<std::size_t>((q * queries.n_planes + p) * n_slices + s)];
        value += static_cast<std::uint32_t>(std::popcount((word ^ slice_at(codes_.data() + i * n_bytes, n_bytes, s)) & 0xFFFFu));
      }
    }
    if (!biased_) return value;
    const std::uint32_t penalty = penalty_[static_cast<std::size_t>(i)];
    return value + (queries.penalty_scale.empty() ? penalty : (penalty * queries.penalty_scale[static_cast<std::size_t>(q)]) >> 8);
  }

  // Inner products agree with the portable ones to the last bit.
  void rank_again(const std::vector<Hit>& hits) {
    const int width = between(1, 40);
    std::vector<std::int8_t> rows(static_cast<std::size_t>(n_codes_ * width));
    if (rows.size() > 10000) return;
    std::vector<float> query(static_cast<std::size_t>(width)), scale(static_cast<std::size_t>(n_codes_), 0.5f);
    for (std::int8_t& value : rows) value = static_cast<std::int8_t>(random_());
    for (float& value : query) value = static_cast<float>(between(-99, 99)) / 7.0f;
    const Embeddings embeddings = {rows.data(), Entry::i8, width, scale.data()};
    compare({nullptr, &embeddings, 0}, query.data(), hits);
    if (n_codes_ <= 150) rank_by_rows(embeddings, hits);
  }

  void compare(const Stages& stages, const float* query, const std::vector<Hit>& hits) {
    const auto found = rerank(*kernels_, stages, query, hits, k_), expected = rerank(*portable_kernels(), stages, query, hits, k_);
    if (found.size() != expected.size()) fail("number of ranked hits");
    for (std::size_t i = 0; i < found.size(); ++i)
      if (found[i].position != expected[i].position || found[i].score != expected[i].score) fail("a re-ranked score");
  }

  // Rows of few bits: written and asked alike by every instruction set, and their integers multiplied as a plain loop does.
  void rank_by_rows(const Embeddings& embeddings, const std::vector<Hit>& hits) {
    static constexpr int kBits[] = {2, 3, 4, 8};
    const int bits = kBits[between(0, 3)];
    const std::int64_t n_bytes = row_step(bits) * between(1, 20), width = embeddings.width;
    const std::int64_t n_entries = between(1, static_cast<int>(std::min<std::int64_t>(entries_of(n_bytes, bits), 300)));
    const std::int64_t n_columns = (n_entries + 15) / 16 * 16;
    std::vector<float> matrix(static_cast<std::size_t>(width * n_columns)), centre(static_cast<std::size_t>(width)),
        items(static_cast<std::size_t>(n_codes_ * width)), query(static_cast<std::size_t>(width));
    const float size = chance(20) ? 1e38f : chance(20) ? 1e-38f : chance(9) ? 0.0f : 0.01f;
    for (std::vector<float>* values : {&matrix, &centre, &items, &query})
      for (float& value : *values) value = static_cast<float>(between(-99, 99)) * size;
    const Turning turning{width, n_entries, n_columns, matrix.data(), matrix.data(), centre.data()};
    std::vector<std::uint8_t> rows(static_cast<std::size_t>(n_codes_ * n_bytes), 1), plain = rows;
    quantise_rows(*kernels_, turning, bits, items.data(), n_codes_, n_bytes, rows.data(), 1);
    quantise_rows(*portable_kernels(), turning, bits, items.data(), n_codes_, n_bytes, plain.data(), 1);
    if (rows != plain) fail("a row of few bits");
    const QuantisedRows table{rows.data(), n_codes_, n_bytes, bits, turning};
    compare({&table, nullptr, 0}, query.data(), hits);
    compare({&table, &embeddings, between(static_cast<int>(k_), 200)}, query.data(), hits);

    for (std::uint8_t& byte : rows) byte = static_cast<std::uint8_t>(random_());
    const Sections sections(n_bytes, bits);
    const int n_planes = sections.n_planes();
    const std::int64_t stride = (n_bytes + 63) / 64 * 64, n_all = entries_of(n_bytes, bits);
    std::vector<std::int8_t> planes(static_cast<std::size_t>(2 * n_planes * stride), 0);
    RowQuery asked{bits, between(1, 2), n_bytes, stride, planes.data(), {0, 0}};
    std::vector<std::int64_t> values(static_cast<std::size_t>(n_all), 0);
    for (int t = 0; t < asked.n_terms; ++t)
      for (std::int64_t j = 0; j < n_all; ++j) {
        const int value = chance(3) ? (chance(2) ? 127 : -127) : between(-127, 127);
        std::int64_t plane = t * n_planes;
        for (int s = 0; s < sections.n; ++s) {
          const std::int64_t n = sections.at[s].n_bytes;
          planes[static_cast<std::size_t>((plane + j / n) * stride + j % n)] = static_cast<std::int8_t>(value);
          plane += 8 / sections.at[s].bits;
        }
        asked.sums[t] += value;
        values[static_cast<std::size_t>(j)] = 128 * values[static_cast<std::size_t>(j)] + value;
      }
    std::vector<std::uint32_t> positions;
    for (const Hit& hit : hits) positions.push_back(hit.position);
    std::vector<std::int64_t> products(positions.size());
    kernels_->row_products(asked, rows.data(), positions.data(), static_cast<std::int64_t>(positions.size()), products.data());
    for (std::size_t i = 0; i < positions.size(); ++i) {
      std::int64_t expected = 0;
      for (std::int64_t j = 0; j < n_all; ++j) {
        int entry = 0;
        for (int s = 0; s < sections.n; ++s) {
          const Section& section = sections.at[s];
          const int byte = rows[static_cast<std::size_t>(std::int64_t{positions[i]} * n_bytes + section.first + j % section.n_bytes)];
          entry |= ((byte >> (section.bits * static_cast<int>(j / section.n_bytes))) & ((1 << section.bits) - 1)) << section.shift;
        }
        expected += entry * values[static_cast<std::size_t>(j)];
      }
      if (products[i] != expected) fail("a product with a row of few bits");
    }
  }

  // Centres in bytes against plain loops, and lists of rows: all instruction sets find the same, of what filters let through, and
  // with all lists and floats for all the exact best.
  void search_rows_in_lists() {
    const std::int64_t width = between(1, 70), n_lists = between(1, chance(3) ? 60 : 5);
    const float size = chance(20) ? 1e30f : chance(20) ? 1e-30f : chance(15) ? 0.0f : 0.01f;
    const auto floats = [&](std::int64_t n) {
      std::vector<float> values(static_cast<std::size_t>(n));
      for (float& value : values) value = static_cast<float>(between(-99, 99)) * size;
      return values;
    };
    const std::vector<float> rows = floats((n_lists + 1) * width), items = floats(n_codes_ * width), asked = floats(std::max<std::int64_t>(n_queries_, 1) * width);
    std::vector<float> radii = floats(n_lists + 1);
    for (float& radius : radii) radius = std::abs(radius);
    const Centres centres(rows.data(), n_lists + 1, width, chance(3) ? nullptr : radii.data());
    const CentreGroups groups(*kernels_, centres, n_lists);
    const std::int64_t n_nearest = between(1, static_cast<int>(n_lists + 1));
    std::vector<std::int32_t> nearest(static_cast<std::size_t>(n_codes_)), plain = nearest;
    centres.nearest(*kernels_, items.data(), n_codes_, n_nearest, nearest.data(), 1);
    centres.nearest(*portable_kernels(), items.data(), n_codes_, n_nearest, plain.data(), 1);
    if (nearest != plain) fail("a nearest centre");
    for (const std::int32_t one : nearest)
      if (one < 0 || one >= n_nearest) fail("a centre that is not there");
    const std::int64_t n_looked_into = between(1, 20);
    groups.nearest(*kernels_, items.data(), n_codes_, nearest.data(), n_looked_into, n_threads_);
    groups.nearest(*portable_kernels(), items.data(), n_codes_, plain.data(), n_looked_into, 1);
    if (nearest != plain) fail("a nearest centre in groups");
    for (const std::int32_t one : nearest)
      if (one < 0 || one >= n_lists) fail("a centre in groups that is not there");
    multiply_centres();

    static constexpr int kBits[] = {2, 3, 4, 8};
    const int bits = kBits[between(0, 3)];
    const std::int64_t n_bytes = row_step(bits) * between(1, 4);
    const std::int64_t n_entries = between(1, static_cast<int>(std::min<std::int64_t>(entries_of(n_bytes, bits), width)));
    const std::int64_t n_columns = (n_entries + 15) / 16 * 16;
    const std::vector<float> matrix = floats(width * n_columns);
    const std::vector<float> zeros(static_cast<std::size_t>(width), 0.0f);
    const QuantisedRows table{nullptr, 0, n_bytes, bits, {width, n_entries, n_columns, matrix.data(), matrix.data(), zeros.data()}};
    const bool splits = chance(2);
    Lists32 main, later;
    deal(0, splits ? 2 : 1, n_lists, main);
    deal(1, 2, 1, later);
    std::vector<std::uint8_t> main_rows(main.slots.size() * static_cast<std::size_t>(n_bytes) + 1), later_rows(later.slots.size() * static_cast<std::size_t>(n_bytes) + 1);
    for (std::vector<std::uint8_t>* bytes : {&main_rows, &later_rows})
      for (std::uint8_t& byte : *bytes) byte = static_cast<std::uint8_t>(random_() & 0x3F);  // factors are finite
    main.view.rows = main_rows.data(), later.view.rows = later_rows.data();
    main.view.row_bytes = later.view.row_bytes = n_bytes;
    std::vector<std::int32_t> slots = slots_of(main.view, n_codes_), later_slots = slots_of(later.view, n_codes_);
    const bool is_exact = chance(2);
    ListedSearch index{&main.view, splits ? &later.view : nullptr, &centres, chance(2) ? &groups : nullptr, &table, is_exact ? n_lists : between(1, 3), n_codes_, 1.0, {}, {}};
    if (chance(2)) index.slots = [&] { return slots.data(); }, index.extra_slots = [&] { return later_slots.data(); };
    Filters filters = filters_;
    OwnLists own, own_later;
    Grown grown;
    InvertedLists view, view_later;
    if (filters.allowed != nullptr && chance(2)) {
      own_later = allowed_lists(later.view, filters.allowed);
      if (chance(2)) grow(main.view, slots, nullptr, filters.allowed, own, grown, view);
      else own = allowed_lists(main.view, filters.allowed), view = own.view();
      view_later = own_later.view();
      index.lists = &view;
      if (splits) index.extra = &view_later;
      index.slots = {};
      filters.allowed = nullptr;
    } else if (filters.allowed != nullptr) {
      index.share = chance(2) ? 0.1 : 0.6;
    }
    const Embeddings embeddings{items.data(), Entry::f32, width, nullptr};
    const bool with_floats = chance(2);
    const std::int64_t n_refined = is_exact ? std::max(k_, n_codes_) : between(static_cast<int>(k_), 500);
    const auto search = [&](const Kernels* kernels) {
      std::vector<std::vector<Scored>> found(static_cast<std::size_t>(n_queries_));
      const ListedPlan plan{kernels, k_, with_floats ? &embeddings : nullptr, n_refined, n_threads_};
      search_listed(index, asked.data(), n_queries_, filters, plan,
                    [&](std::int64_t q, const std::vector<Scored>& best) { found[static_cast<std::size_t>(q)] = best; });
      return found;
    };
    const auto found = search(kernels_), expected = search(portable_kernels());
    for (std::int64_t q = 0; q < n_queries_; ++q) {
      const auto& mine = found[static_cast<std::size_t>(q)];
      const auto& other = expected[static_cast<std::size_t>(q)];
      std::vector<Scored> all;
      for (std::int64_t i = 0; i < n_codes_; ++i) {
        const auto position = static_cast<std::int32_t>(i);
        if (!has_bit(alive_.data(), i)) continue;
        if (filters_.allowed != nullptr && !has_bit(allowed_.data(), i)) continue;
        if (filters_.block && std::binary_search(filters_.block.begin(q), filters_.block.end(q), position)) continue;
        if (filters_.allow && !std::binary_search(filters_.allow.begin(q), filters_.allow.end(q), position)) continue;
        all.push_back({static_cast<std::uint32_t>(i), 0.0f});
      }
      if (mine.size() != other.size() || mine.size() != std::min(static_cast<std::size_t>(k_), all.size())) fail("number of rows found");
      for (std::size_t i = 0; i < mine.size(); ++i) {
        if (mine[i].position != other[i].position || mine[i].score != other[i].score) fail("a row in lists");
        if (std::none_of(all.begin(), all.end(), [&](const Scored& one) { return one.position == mine[i].position; })) fail("a row that is left out");
      }
      if (!is_exact || !with_floats) continue;
      score_by_floats(*portable_kernels(), embeddings, asked.data() + q * width, all);
      keep_best(all, k_, true);
      for (std::size_t i = 0; i < mine.size(); ++i)
        if (mine[i].position != all[i].position || mine[i].score != all[i].score) fail("an exact row");
    }
  }

  // Products of bytes with groups of centres, as a plain loop does.
  void multiply_centres() {
    const std::int64_t n_asked = between(1, 19), n_quads = between(1, 20), n_groups = between(1, 6);
    std::vector<std::int8_t> asked(static_cast<std::size_t>(4 * n_quads * n_asked)), bytes(static_cast<std::size_t>(64 * n_quads * n_groups));
    for (std::vector<std::int8_t>* values : {&asked, &bytes})
      for (std::int8_t& value : *values) value = static_cast<std::int8_t>(chance(4) ? (chance(2) ? 127 : -127) : between(-127, 127));
    std::vector<std::int32_t> products(static_cast<std::size_t>(16 * n_groups * n_asked));
    kernels_->centre_products(asked.data(), n_asked, n_quads, bytes.data(), n_groups, products.data());
    for (std::int64_t a = 0; a < n_asked; ++a)
      for (std::int64_t i = 0; i < 16 * n_groups; ++i) {
        std::int32_t expected = 0;
        for (std::int64_t j = 0; j < 4 * n_quads; ++j)
          expected += asked[static_cast<std::size_t>(4 * n_quads * a + j)] * bytes[static_cast<std::size_t>(((i / 16) * n_quads + j / 4) * 64 + i % 16 * 4 + j % 4)];
        if (products[static_cast<std::size_t>(16 * n_groups * a + i)] != expected) fail("a product with a centre");
      }
    std::vector<std::int32_t> some(static_cast<std::size_t>(between(1, 20)));
    for (std::int32_t& group : some) group = between(0, static_cast<int>(n_groups) - 1);
    std::vector<std::int32_t> of_some(16 * some.size());
    kernels_->some_centre_products(asked.data(), n_quads, bytes.data(), some.data(), static_cast<std::int64_t>(some.size()), of_some.data());
    for (std::size_t i = 0; i < of_some.size(); ++i)
      if (of_some[i] != products[static_cast<std::size_t>(16 * some[i / 16]) + i % 16]) fail("a product with a centre of some");
  }

  // A choice of candidates that differ, against one that compares every candidate with all that are chosen, each time.
  // Every row holds distinct neighbours, all where they fit, and the transpose holds the same pairs.
  void draw_neighbours() {
    const std::int64_t n_nodes = between(1, 200), fan_out = chance(2) ? between(1, 5) : between(30, 60);
    std::vector<std::int64_t> starts{0}, parents(static_cast<std::size_t>(between(0, 20)));
    std::vector<std::int32_t> indices;
    for (std::int64_t node = 0; node < n_nodes; ++node) {
      const int sparse = between(1, 6);
      for (std::int32_t other = 0; other < n_nodes; ++other)
        if (chance(sparse)) indices.push_back(other);
      starts.push_back(static_cast<std::int64_t>(indices.size()));
    }
    for (std::int64_t& parent : parents) parent = between(0, static_cast<int>(n_nodes) - 1);
    const Neighbours graph{starts.data(), indices.data(), n_nodes};
    const auto n_parents = static_cast<std::int64_t>(parents.size());
    const DrawnHop hop = draw_hop(graph, parents.data(), n_parents, fan_out, random_());
    if (!std::is_sorted(hop.nodes.begin(), hop.nodes.end())) fail("the order of drawn nodes");
    std::vector<std::pair<std::int32_t, std::int32_t>> drew, owned;
    for (std::int32_t row = 0; row < n_parents; ++row) {
      const std::int64_t node = parents[static_cast<std::size_t>(row)];
      const auto first = indices.begin() + starts[static_cast<std::size_t>(node)];
      const auto last = indices.begin() + starts[static_cast<std::size_t>(node) + 1];
      std::vector<std::int64_t> found;
      for (std::int32_t i = hop.starts[static_cast<std::size_t>(row)]; i < hop.starts[static_cast<std::size_t>(row) + 1]; ++i) {
        drew.emplace_back(row, hop.places[static_cast<std::size_t>(i)]);
        found.push_back(hop.nodes[static_cast<std::size_t>(drew.back().second)]);
        if (!std::binary_search(first, last, static_cast<std::int32_t>(found.back()))) fail("a drawn neighbour");
      }
      std::sort(found.begin(), found.end());
      if (std::adjacent_find(found.begin(), found.end()) != found.end()) fail("distinct neighbours");
      if (static_cast<std::int64_t>(found.size()) != std::min<std::int64_t>(fan_out, last - first)) fail("number of neighbours");
    }
    for (std::int32_t place = 0; place < static_cast<std::int32_t>(hop.nodes.size()); ++place)
      for (std::int32_t i = hop.owner_starts[static_cast<std::size_t>(place)]; i < hop.owner_starts[static_cast<std::size_t>(place) + 1]; ++i)
        owned.emplace_back(hop.owners[static_cast<std::size_t>(i)], place);
    std::sort(drew.begin(), drew.end());
    std::sort(owned.begin(), owned.end());
    if (drew != owned) fail("the transpose of what was drawn");
    bool found[4];
    const std::int64_t from[4] = {0, n_nodes - 1, n_nodes / 2, n_nodes / 3}, to[4] = {0, 0, n_nodes - 1, n_nodes / 2};
    find_edges(graph, from, to, 4, found);
    for (int i = 0; i < 4; ++i) {
      const auto first = indices.begin() + starts[static_cast<std::size_t>(from[i])];
      const auto last = indices.begin() + starts[static_cast<std::size_t>(from[i]) + 1];
      if (found[i] != (std::find(first, last, static_cast<std::int32_t>(to[i])) != last)) fail("an edge");
    }
  }

  void choose_some() {
    const std::int64_t n = between(0, 60), n_words = between(1, 16), n_chosen = between(0, static_cast<int>(std::min<std::int64_t>(n, 3)));
    const std::int64_t n_caps = between(0, 2), k = between(0, 30);
    const auto n_bits = static_cast<std::uint32_t>(64 * n_words);
    std::vector<std::uint64_t> codes(static_cast<std::size_t>(n * n_words));
    for (std::uint64_t& word : codes) word = chance(2) ? random_() & random_() & random_() : 0;
    std::vector<double> relevance(static_cast<std::size_t>(n)), penalty(n_bits + 2, 0.0);
    for (double& value : relevance) value = between(0, 20) / 10.0;
    for (std::uint32_t d = 0; d <= n_bits; ++d) penalty[d] = 1.0 - static_cast<double>(d) / n_bits;
    std::vector<std::int32_t> groups(static_cast<std::size_t>(n * n_caps));
    std::vector<std::int64_t> caps(static_cast<std::size_t>(n_caps));
    for (std::int32_t& group : groups) group = between(-1, 3);
    for (std::int64_t& cap : caps) cap = between(1, 5);
    codes.reserve(1), relevance.reserve(1), groups.reserve(1), caps.reserve(1);  // data() of an empty vector may be null
    const Choices choices{codes.data(), n, n_words, n_bits, n_chosen, relevance.data(), penalty.data(), groups.data(), caps.data(), n_caps};
    const Chosen found = choose(*kernels_, choices, k);
    std::vector<std::int64_t> kept, expected, capped(caps.size(), 0);
    std::vector<bool> gone(static_cast<std::size_t>(n), false);
    for (std::int64_t i = 0; i < n_chosen; ++i) kept.push_back(i), gone[static_cast<std::size_t>(i)] = true;
    while (static_cast<std::int64_t>(expected.size()) < k) {
      std::int64_t best = -1;
      double most = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        if (gone[static_cast<std::size_t>(i)]) continue;
        std::uint32_t least = n_bits + 1;
        for (const std::int64_t j : kept) {
          std::uint32_t distance = 0;
          for (std::int64_t w = 0; w < n_words; ++w)
            distance += static_cast<std::uint32_t>(std::popcount(codes[static_cast<std::size_t>(i * n_words + w)] ^ codes[static_cast<std::size_t>(j * n_words + w)]));
          least = std::min(least, distance);
        }
        const double value = relevance[static_cast<std::size_t>(i)] - penalty[least];
        if (best < 0 || value > most) best = i, most = value;
      }
      if (best < 0) break;
      gone[static_cast<std::size_t>(best)] = true;
      std::int64_t full = -1;
      for (std::int64_t c = n_caps - 1; c >= 0; --c) {
        const std::int32_t group = groups[static_cast<std::size_t>(best * n_caps + c)];
        const auto same = std::count_if(kept.begin(), kept.end(), [&](std::int64_t j) { return groups[static_cast<std::size_t>(j * n_caps + c)] == group; });
        if (group >= 0 && same >= caps[static_cast<std::size_t>(c)]) full = c;
      }
      if (full >= 0) {
        ++capped[static_cast<std::size_t>(full)];
        continue;
      }
      kept.push_back(best);
      expected.push_back(best);
    }
    if (found.rows != expected || found.capped != capped) fail("a choice");
  }

  std::mt19937_64 random_;
  const Kernels* kernels_ = nullptr;
  int n_bits_ = 8, n_threads_ = 1;
  std::int64_t n_codes_ = 0, n_queries_ = 0, k_ = 1;
  bool biased_ = false;
  std::vector<std::uint8_t> codes_, query_codes_, penalty_;
  std::vector<float> floats_;
  std::vector<std::uint16_t> words_;
  std::vector<std::uint32_t> alive_, allowed_;
  std::vector<std::int64_t> block_starts_, allow_starts_;
  std::vector<std::int32_t> block_, allow_;
  Table table_;
  Filters filters_;
};

}  // namespace

int main(int argc, char** argv) {
  const long calls = argc > 1 ? std::atol(argv[1]) : 100000;
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  std::vector<const Kernels*> sets;
  for (const char* name : {"avx512", "avx2", "neon", "portable"})
    if (const Kernels* found = kernels_named(name)) sets.push_back(found);
  Fuzz fuzz(seed);
  for (long i = 0; i < calls; ++i) {
    fuzz.use(sets[static_cast<std::size_t>(i) % sets.size()]);
    fuzz.call();
  }
  std::printf("%ld calls agree, over:", calls);
  for (const Kernels* set : sets) std::printf(" %s", set->name);
  std::printf("\n");
}
