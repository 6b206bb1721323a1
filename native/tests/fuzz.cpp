// Random calls of the kernels against plain loops; run with sanitizers by native/check.sh.
// Usage: fuzz [calls] [seed]
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "../core/kernels.hpp"
#include "fuzz.hpp"

namespace hashgnn {

void Fuzz::call() {
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
  turn_to_sigmoids();
  gather_among_items();
  refine_some();
  if (n_codes_ <= 400) search_rows_in_lists();
}

std::vector<Hit> Fuzz::naive(const Queries& queries, std::int64_t q) const {
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
std::uint32_t Fuzz::plain_value(const Queries& queries, std::int64_t q, std::int64_t i) const {
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

}  // namespace hashgnn

int main(int argc, char** argv) {
  const long calls = argc > 1 ? std::atol(argv[1]) : 100000;
  const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  using namespace hashgnn;
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
