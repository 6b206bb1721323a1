// Codes cut into six, six and four bits, whose tables of 64 entries a permutation of AVX-512 VBMI looks up, see tables.hpp.
#pragma once

#include "avx512_lanes.hpp"
#include "tables.hpp"

namespace {

struct SixBits {
  using Isa = Avx512;
  using Bytes = __m512i;
  static constexpr int kBlocks = 2;
  static constexpr int kParts = 3;
  static constexpr int kEntries = 64;

  static Bytes zero() { return _mm512_setzero_si512(); }
  static Bytes add_bytes(Bytes a, Bytes b) { return _mm512_add_epi8(a, b); }
  static Bytes add_words(Bytes a, Bytes b) { return _mm512_add_epi16(a, b); }
  static Bytes sub_words(Bytes a, Bytes b) { return _mm512_sub_epi16(a, b); }
  static Bytes upper(Bytes a) { return _mm512_srli_epi16(a, 8); }
  static Bytes raised(Bytes a) { return _mm512_slli_epi16(a, 8); }

  // Even bytes belong to the codes of the first block, odd ones to those of the second. The two upper bits of a byte
  // mean nothing to a permutation, and hold what the shifts left there.
  static void cut(const std::uint16_t* words, std::int64_t apart, Vector<SixBits>* parts) {
    const Bytes low = _mm512_loadu_si512(words), high = _mm512_loadu_si512(words + apart);
    parts[0].value = woven(low, _mm512_slli_epi16(high, 8));
    parts[1].value = woven(_mm512_srli_epi16(low, 6), _mm512_slli_epi16(high, 2));
    parts[2].value = woven(_mm512_srli_epi16(low, 12), _mm512_srli_epi16(high, 4));
  }
  static void lanes(Bytes even, Bytes odd, Avx512::Lanes (&out)[2]) {
    out[0] = even;
    out[1] = odd;
  }

  static void write_table(const std::uint32_t* planes, int n_planes, int stride, int part, std::uint8_t* table) {
    alignas(64) static constexpr auto kEntry = [] {
      struct { std::uint8_t at[64]; } all{};
      for (int i = 0; i < 64; ++i) all.at[i] = static_cast<std::uint8_t>(i);
      return all;
    }();
    const Bytes entry = _mm512_load_si512(kEntry.at);
    Bytes sum = zero();
    for (int p = 0; p < n_planes; ++p) {
      const std::uint32_t bits = ((planes[p * stride] & 0xFFFFu) >> (6 * part)) & 63u;
      const Bytes differ = _mm512_popcnt_epi8(_mm512_xor_si512(entry, _mm512_set1_epi8(static_cast<char>(bits))));
      sum = add_bytes(add_bytes(sum, sum), differ);
    }
    _mm512_store_si512(table, sum);
  }
  static Bytes table_at(const std::uint8_t* table) { return _mm512_load_si512(table); }
  static Bytes look_up(Bytes table, Bytes part) { return _mm512_permutexvar_epi8(part, table); }

 private:
  // Even bytes of the one, odd bytes of the other.
  static Bytes woven(Bytes even, Bytes odd) { return _mm512_ternarylogic_epi32(_mm512_set1_epi16(255), even, odd, 0xCA); }
};

}  // namespace
