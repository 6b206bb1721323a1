// AVX2 with F16C: x86 from Haswell and Zen.
#include "../core/kernels.hpp"

#if defined(__AVX2__) && defined(__F16C__)

#include <cpuid.h>
#include <immintrin.h>

#include <cstring>

#include "avx2_distances.hpp"
#include "avx2_values.hpp"
#include "centre_products.hpp"
#include "dot.hpp"
#include "least_distance.hpp"
#include "log_sigmoids.hpp"
#include "row_scan.hpp"
#include "turn.hpp"

namespace {

struct Floats {
  struct Sum {
    __m256 low, high;
  };
  static constexpr int kTurned = 4;  // blocks of columns at a time
  static Sum zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Sum add_product(Sum sum, const float* q, __m256 low, __m256 high) {
    return {_mm256_add_ps(sum.low, _mm256_mul_ps(_mm256_loadu_ps(q), low)),
            _mm256_add_ps(sum.high, _mm256_mul_ps(_mm256_loadu_ps(q + 8), high))};
  }
  static Sum f32(Sum sum, const float* q, const float* row) {
    return add_product(sum, q, _mm256_loadu_ps(row), _mm256_loadu_ps(row + 8));
  }
  static Sum f16(Sum sum, const float* q, const std::uint16_t* row) {
    const auto* from = reinterpret_cast<const __m128i*>(row);
    return add_product(sum, q, _mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1)));
  }
  static Sum i8(Sum sum, const float* q, const std::int8_t* row) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
    return add_product(sum, q, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                       _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))));
  }
  static void store(float* out, Sum sum) {
    _mm256_storeu_ps(out, sum.low);
    _mm256_storeu_ps(out + 8, sum.high);
  }
};

// Products of bytes with signed bytes are added up in pairs of 16 bits, where entries of 4 bits leave room for them.
struct Chunk {
  using Bytes = __m256i;
  using Sum = __m256i;
  static constexpr int kBytes = 32;
  static constexpr std::int64_t kLess = 0;
  static Bytes load(const std::uint8_t* from, std::int64_t n) {  // n is a multiple of 16
    if (n >= kBytes) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm256_inserti128_si256(_mm256_setzero_si256(), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), 0);
  }
  static Sum zero() { return _mm256_setzero_si256(); }
  template <int Bits, int Plane>
  static Bytes part(Bytes bytes) {
    if constexpr (Bits == 8) return bytes;
    else return _mm256_and_si256(_mm256_srli_epi16(bytes, Bits * Plane), _mm256_set1_epi8((1 << Bits) - 1));
  }
  template <int Bits>
  static Sum add(Sum sum, Bytes bytes, const std::int8_t* query) {
    const __m256i asked = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
    if constexpr (Bits < 8) {
      return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, asked), _mm256_set1_epi16(1)));
    } else {
      const __m256i low = _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes)),
                                            _mm256_cvtepi8_epi16(_mm256_castsi256_si128(asked)));
      const __m256i high = _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1)),
                                             _mm256_cvtepi8_epi16(_mm256_extracti128_si256(asked, 1)));
      return _mm256_add_epi32(sum, _mm256_add_epi32(low, high));
    }
  }
  static std::int64_t total(Sum sum) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
  }
  static void totals(const Sum& a, const Sum& b, const Sum& c, const Sum& d, std::int32_t* out) {
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
  }
  static std::uint32_t at_least(const float* scores, float least) {
    const __m256 limit = _mm256_set1_ps(least);
    std::uint32_t mask = 0;
    for (int i = 0; i < 4; ++i)
      mask |= static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(scores + 8 * i), limit, _CMP_GE_OQ))) << (8 * i);
    return mask;
  }
  static std::int64_t write_keys(const float* scores, const std::int32_t* positions, std::uint32_t lanes, std::uint64_t* keys) {
    return write_each_key(scores, positions, lanes, keys);
  }
};

// Two products of bytes up to 127 fit 16 bits: sizes of centres times what is asked, with the sign of both.
struct Quads {
  struct Row {
    __m256i part[2];
  };
  using Four = __m256i;
  using Sum = Row;
  static constexpr int kAsked = 4;
  static Row load(const std::int8_t* bytes) {
    const auto* from = reinterpret_cast<const __m256i*>(bytes);
    return {{_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)}};
  }
  static Four splat(const std::int8_t* bytes) {
    int four;
    std::memcpy(&four, bytes, sizeof four);
    return _mm256_set1_epi32(four);
  }
  static Sum zero() { return {{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
  static Sum add(Sum sum, const Row& row, Four four) {
    for (int i = 0; i < 2; ++i) {
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(row.part[i]), _mm256_sign_epi8(four, row.part[i]));
      sum.part[i] = _mm256_add_epi32(sum.part[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    return sum;
  }
  static void store(std::int32_t* sums, const Sum& sum, std::int32_t) {
    for (int i = 0; i < 2; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums) + i, sum.part[i]);
  }
};

// Few code queries are cheaper to count than to look up.
void scan_by_tables(const ScanJob& job) {
  if (job.n_planes > kTablePlanes || (job.n_planes == 1 && job.n_queries < Avx2::kRows)) return scan<Avx2>(job);
  if (job.n_planes > 1 && job.n_queries > 1) return scan_values<HalfBytes>(job);
  with_slices(job.n_slices, [&]<int Slices>() {
    if (job.n_planes > 1) scan_runs<Avx2, Slices, ValueQuery<Slices>>(job);
    else for_groups<HalfBytes>(job, [&](int first, int end) { scan_group_distances<Slices>(job, first, end); });
  });
}

std::int64_t collect_by_tables(const ScanJob& job, std::uint32_t* ids, std::uint16_t* values) {
  if (job.n_planes == 1 || job.n_planes > kTablePlanes) return collect<Avx2>(job, ids, values);
  std::int64_t n = 0;
  with_slices(job.n_slices, [&]<int Slices>() { n = collect_runs<Avx2, Slices, ValueQuery<Slices>>(job, ids, values); });
  return n;
}

// Not every compiler's own check knows the name of F16C.
bool has_f16c() {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace

namespace hashgnn {

const Kernels* avx2_kernels() {
  static const Kernels table = {"avx2", scan_by_tables, collect_by_tables, dot_f32<Floats>, dot_f16<Floats>, dot_i8<Floats>,
                                row_products<Chunk>, scan_rows<Chunk>, turn<Floats>, least_distance, centre_products<Quads>, some_centre_products<Quads>, nearest_centres<Quads>,
                                log_sigmoids<Brief>, log_sigmoids<Single>, times_derivatives<Brief>, times_derivatives<Single>};
  static const bool usable = __builtin_cpu_supports("avx2") && has_f16c();
  return usable ? &table : nullptr;
}

}  // namespace hashgnn

#else

namespace hashgnn {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace hashgnn

#endif
