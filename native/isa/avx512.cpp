// AVX-512 with VPOPCNTW (BITALG), VPERMB (VBMI), VPCOMPRESSW (VBMI2) and VPDPBUSD (VNNI): Intel from Ice Lake, AMD from Zen 4.
#include "../core/kernels.hpp"

#if defined(__AVX512BITALG__) && defined(__AVX512BW__) && defined(__AVX512VBMI__) && defined(__AVX512VBMI2__) && defined(__AVX512VNNI__)

#include <immintrin.h>

#include <cstring>

#include "centre_products.hpp"
#include "dot.hpp"
#include "least_distance.hpp"
#include "log_sigmoids.hpp"
#include "row_scan.hpp"
#include "six_bits.hpp"
#include "turn.hpp"
#include "values.hpp"

namespace {

// Bits are counted, but for many queries of several planes, whose planes are looked up together.
void scan_by_counts(const ScanJob& job) {
  if (1 < job.n_planes && job.n_planes <= kTablePlanes && job.n_queries > 1) scan_values<SixBits>(job);
  else scan<Avx512>(job);
}

struct Floats {
  using Sum = __m512;
  static constexpr int kTurned = 8;  // blocks of columns at a time
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum add_product(Sum sum, const float* q, __m512 row) {
    return _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(q), row));
  }
  static Sum f32(Sum sum, const float* q, const float* row) { return add_product(sum, q, _mm512_loadu_ps(row)); }
  static Sum f16(Sum sum, const float* q, const std::uint16_t* row) {
    return add_product(sum, q, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row))));
  }
  static Sum i8(Sum sum, const float* q, const std::int8_t* row) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
    return add_product(sum, q, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
  }
  static void store(float* out, Sum sum) { _mm512_storeu_ps(out, sum); }
};

// Bytes times signed bytes are added up four at a time by VNNI.
struct Chunk {
  using Bytes = __m512i;
  using Sum = __m512i;
  static constexpr int kBytes = 64;
  static constexpr std::int64_t kLess = 0;
  static Bytes load(const std::uint8_t* from, std::int64_t n) {
    if (n >= kBytes) return _mm512_loadu_si512(from);
    return _mm512_maskz_loadu_epi8((1ull << n) - 1, from);
  }
  static Sum zero() { return _mm512_setzero_si512(); }
  template <int Bits, int Plane>
  static Bytes part(Bytes bytes) {
    if constexpr (Bits == 8) return bytes;
    else return _mm512_and_si512(_mm512_srli_epi16(bytes, Bits * Plane), _mm512_set1_epi8((1 << Bits) - 1));
  }
  template <int Bits>
  static Sum add(Sum sum, Bytes bytes, const std::int8_t* query) {
    return _mm512_dpbusd_epi32(sum, bytes, _mm512_loadu_si512(query));
  }
  static std::int64_t total(Sum sum) { return _mm512_reduce_add_epi32(sum); }
  static void totals(Sum a, Sum b, Sum c, Sum d, std::int32_t* out) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), four);
  }
  static std::uint32_t at_least(const float* scores, float least) {
    const __m512 limit = _mm512_set1_ps(least);
    const std::uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores), limit, _CMP_GE_OQ);
    const std::uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores + 16), limit, _CMP_GE_OQ);
    return low | high << 16;
  }
  static std::int64_t write_keys(const float* scores, const std::int32_t* positions, std::uint32_t lanes, std::uint64_t* keys) {
    std::int64_t n = 0;
    for (int half = 0; half < 32; half += 16) {
      const __m512i bits = _mm512_castps_si512(_mm512_add_ps(_mm512_loadu_ps(scores + half), _mm512_setzero_ps()));  // -0 is 0
      const __m512i flipped = _mm512_or_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32(INT32_MIN));
      const __m512i descending = _mm512_ternarylogic_epi32(bits, flipped, flipped, 0xC3);  // ~(bits ^ flipped)
      const __m512i at = _mm512_loadu_si512(positions + half);
      const __m256i scores_of[2] = {_mm512_castsi512_si256(descending), _mm512_extracti64x4_epi64(descending, 1)};
      const __m256i at_of[2] = {_mm512_castsi512_si256(at), _mm512_extracti64x4_epi64(at, 1)};
      for (int i = 0; i < 2; ++i) {
        const auto mask = static_cast<__mmask8>(lanes >> (half + 8 * i));
        const __m512i both = _mm512_or_si512(_mm512_slli_epi64(_mm512_cvtepu32_epi64(scores_of[i]), 32), _mm512_cvtepu32_epi64(at_of[i]));
        _mm512_storeu_si512(keys + n, _mm512_maskz_compress_epi64(mask, both));
        n += std::popcount(static_cast<std::uint32_t>(mask));
      }
    }
    return n;
  }
};

// Centres are made unsigned for VNNI: each product is then too large by 128 times what is asked.
struct Quads {
  using Row = __m512i;
  using Four = __m512i;
  using Sum = __m512i;
  static constexpr int kAsked = 8;
  static Row load(const std::int8_t* bytes) { return _mm512_xor_si512(_mm512_loadu_si512(bytes), _mm512_set1_epi8(-128)); }
  static Four splat(const std::int8_t* bytes) {
    int four;
    std::memcpy(&four, bytes, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static Sum zero() { return _mm512_setzero_si512(); }
  static Sum add(Sum sum, Row row, Four four) { return _mm512_dpbusd_epi32(sum, row, four); }
  static void store(std::int32_t* sums, Sum sum, std::int32_t total) {
    _mm512_storeu_si512(sums, _mm512_sub_epi32(sum, _mm512_set1_epi32(128 * total)));
  }
};

}  // namespace

namespace hashgnn {

const Kernels* avx512_kernels() {
  static const Kernels table = {"avx512", scan_by_counts, collect<Avx512>, dot_f32<Floats>, dot_f16<Floats>, dot_i8<Floats>,
                                row_products<Chunk>, scan_rows<Chunk>, turn<Floats>, least_distance, centre_products<Quads>, some_centre_products<Quads>, nearest_centres<Quads>,
                                log_sigmoids<Brief>, log_sigmoids<Single>, times_derivatives<Brief>, times_derivatives<Single>};
  static const bool usable = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                             __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vbmi") &&
                             __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni");
  return usable ? &table : nullptr;
}

}  // namespace hashgnn

#else

namespace hashgnn {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace hashgnn

#endif
