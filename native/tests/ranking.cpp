// Hits that are ranked again by embeddings and by rows of few bits.
#include <algorithm>

#include "../core/rerank.hpp"
#include "../core/rows.hpp"
#include "fuzz.hpp"

namespace hashgnn {

// Inner products agree with the portable ones to the last bit.
void Fuzz::rank_again(const std::vector<Hit>& hits) {
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

void Fuzz::compare(const Stages& stages, const float* query, const std::vector<Hit>& hits) {
  const auto found = rerank(*kernels_, stages, query, hits, k_), expected = rerank(*portable_kernels(), stages, query, hits, k_);
  if (found.size() != expected.size()) fail("number of ranked hits");
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].position != expected[i].position || found[i].score != expected[i].score) fail("a re-ranked score");
}

// Rows of few bits: written and asked alike by every instruction set, and their integers multiplied as a plain loop does.
void Fuzz::rank_by_rows(const Embeddings& embeddings, const std::vector<Hit>& hits) {
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

}  // namespace hashgnn
