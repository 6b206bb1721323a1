// Rows of few bits in lists around embeddings, and their centres.
#include <algorithm>

#include "../core/allowed.hpp"
#include "../core/listed_rows.hpp"
#include "fuzz.hpp"

namespace hashgnn {

// Centres in bytes against plain loops, and lists of rows: all instruction sets find the same, of what filters let through, and
// with all lists and floats for all the exact best.
void Fuzz::search_rows_in_lists() {
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
void Fuzz::multiply_centres() {
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

}  // namespace hashgnn
