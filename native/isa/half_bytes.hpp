// Codes cut into half bytes, whose tables of 16 entries a shuffle of AVX2 looks up, see tables.hpp.
#pragma once

#include "avx2_lanes.hpp"
#include "tables.hpp"

namespace {

alignas(16) constexpr std::uint8_t kDistance[16][16] = {
    {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4}, {1, 0, 2, 1, 2, 1, 3, 2, 2, 1, 3, 2, 3, 2, 4, 3},
    {1, 2, 0, 1, 2, 3, 1, 2, 2, 3, 1, 2, 3, 4, 2, 3}, {2, 1, 1, 0, 3, 2, 2, 1, 3, 2, 2, 1, 4, 3, 3, 2},
    {1, 2, 2, 3, 0, 1, 1, 2, 2, 3, 3, 4, 1, 2, 2, 3}, {2, 1, 3, 2, 1, 0, 2, 1, 3, 2, 4, 3, 2, 1, 3, 2},
    {2, 3, 1, 2, 1, 2, 0, 1, 3, 4, 2, 3, 2, 3, 1, 2}, {3, 2, 2, 1, 2, 1, 1, 0, 4, 3, 3, 2, 3, 2, 2, 1},
    {1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3}, {2, 1, 3, 2, 3, 2, 4, 3, 1, 0, 2, 1, 2, 1, 3, 2},
    {2, 3, 1, 2, 3, 4, 2, 3, 1, 2, 0, 1, 2, 3, 1, 2}, {3, 2, 2, 1, 4, 3, 3, 2, 2, 1, 1, 0, 3, 2, 2, 1},
    {2, 3, 3, 4, 1, 2, 2, 3, 1, 2, 2, 3, 0, 1, 1, 2}, {3, 2, 4, 3, 2, 1, 3, 2, 2, 1, 3, 2, 1, 0, 2, 1},
    {3, 4, 2, 3, 2, 3, 1, 2, 2, 3, 1, 2, 1, 2, 0, 1}, {4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0}};

struct HalfBytes {
  using Isa = Avx2;
  using Bytes = __m256i;
  static constexpr int kBlocks = 1;
  static constexpr int kParts = 4;
  static constexpr int kEntries = 16;

  static Bytes zero() { return _mm256_setzero_si256(); }
  static Bytes add_bytes(Bytes a, Bytes b) { return _mm256_add_epi8(a, b); }
  static Bytes add_words(Bytes a, Bytes b) { return _mm256_add_epi16(a, b); }
  static Bytes sub_words(Bytes a, Bytes b) { return _mm256_sub_epi16(a, b); }
  static Bytes upper(Bytes a) { return _mm256_srli_epi16(a, 8); }
  static Bytes raised(Bytes a) { return _mm256_slli_epi16(a, 8); }

  // Even bytes belong to the first 16 codes of the block, odd ones to the others.
  static void cut(const std::uint16_t* words, std::int64_t, Vector<HalfBytes>* parts) {
    const Bytes low = Avx2::read(words), high = Avx2::read(words + 16);
    const Bytes even = _mm256_set1_epi16(255), nibble = _mm256_set1_epi8(15);
    const Bytes first = _mm256_or_si256(_mm256_and_si256(low, even), raised(high));
    const Bytes second = _mm256_or_si256(upper(low), _mm256_andnot_si256(even, high));
    parts[0].value = _mm256_and_si256(first, nibble);
    parts[1].value = _mm256_and_si256(_mm256_srli_epi16(first, 4), nibble);
    parts[2].value = _mm256_and_si256(second, nibble);
    parts[3].value = _mm256_and_si256(_mm256_srli_epi16(second, 4), nibble);
  }
  static void lanes(Bytes even, Bytes odd, Avx2::Lanes (&out)[1]) { out[0] = {even, odd}; }

  static void write_table(const std::uint32_t* planes, int n_planes, int stride, int part, std::uint8_t* table) {
    __m128i sum = _mm_setzero_si128();
    for (int p = 0; p < n_planes; ++p) {
      const std::uint32_t bits = (planes[p * stride] >> (4 * part)) & 15u;
      sum = _mm_add_epi8(_mm_add_epi8(sum, sum), _mm_load_si128(reinterpret_cast<const __m128i*>(kDistance[bits])));
    }
    _mm_store_si128(reinterpret_cast<__m128i*>(table), sum);
  }
  static Bytes table_at(const std::uint8_t* table) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
  }
  static Bytes look_up(Bytes table, Bytes part) { return _mm256_shuffle_epi8(table, part); }
};

}  // namespace
