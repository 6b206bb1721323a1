// What one core of this machine can do of what the scans are made of, by which docs/measured/search.md judges them.
//
//     c++ -O3 -std=c++20 -march=native benchmarks/roof.cpp -o roof && ./roof
//
// Medians of fifteen rounds. Taken branches tell whether another thread shares the core: alone, a core also jumps once a
// cycle; beside a busy sibling it is fed every other cycle, and jumps half as often.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(__AVX2__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

// Billions a second, where a call of `work` does `n` of something.
template <class Work>
double rate(double n, Work work) {
  std::vector<double> seconds;
  for (int round = 0; round < 15; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + 7, seconds.end());
  return n / seconds[7] / 1e9;
}

constexpr int kTurns = 1 << 20;

double dependent() {  // one after another, sixteen a turn; some processors add constants before they execute anything
  return rate(16.0 * kTurns, [] {
    std::uint64_t sum = 1, other = 3;
    asm volatile("" : "+r"(other));
    for (int i = 0; i < kTurns; ++i) {
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) asm volatile("" : "+r"(sum ^= other));
    }
  });
}

double branches() {  // a taken one a turn
  return rate(16.0 * kTurns, [] {
    for (int i = 0; i < 16 * kTurns; ++i) asm volatile("");
  });
}

// Billions a second of `work` on one of eight registers, `n` operations each. It names its instructions: a compiler would do
// what is the same for all registers once.
template <class Register, class Work>
double of_eight(double n, Work work) {
  return rate(8.0 * n * kTurns, [&] {
    Register sums[8] = {};
    for (int i = 0; i < kTurns; ++i) {
#pragma GCC unroll 8
      for (auto& sum : sums) work(sum);
    }
  });
}

#if defined(__AVX2__)
double simple_operations() {  // additions and logic of 32 bytes
  return of_eight<__m256i>(2, [](__m256i& sum) { asm volatile("vpaddb %0, %0, %0\n\tvpand %0, %0, %0" : "+x"(sum)); });
}

double look_ups() {  // a shuffle of 32 bytes and an addition
  const __m256i table = _mm256_set1_epi8(3), halves = _mm256_set1_epi8(5);
  return of_eight<__m256i>(1, [=](__m256i& sum) {
    __m256i found;
    asm volatile("vpshufb %3, %2, %1\n\tvpaddb %1, %0, %0" : "+x"(sum), "=&x"(found) : "x"(table), "x"(halves));
  });
}
#endif

#if defined(__AVX512BITALG__) && defined(__AVX512VBMI__)
double counts() {  // of 16 bits of 32 codes: an exclusive or, a count and an addition of 64 bytes
  const __m512i code = _mm512_set1_epi8(3), query = _mm512_set1_epi8(5);
  return of_eight<__m512i>(1, [=](__m512i& sum) {
    __m512i differ;
    asm volatile("vpxord %3, %2, %1\n\tvpopcntw %1, %1\n\tvpaddw %1, %0, %0" : "+v"(sum), "=&v"(differ) : "v"(code), "v"(query));
  });
}

double wide_look_ups() {  // a permutation of 64 bytes and an addition
  const __m512i table = _mm512_set1_epi8(3), parts = _mm512_set1_epi8(5);
  return of_eight<__m512i>(1, [=](__m512i& sum) {
    __m512i found;
    asm volatile("vpermb %2, %3, %1\n\tvpaddb %1, %0, %0" : "+v"(sum), "=&v"(found) : "v"(table), "v"(parts));
  });
}
#endif

// Gigabytes a second of a buffer that is read again and again, asked for a page ahead.
double reading(std::size_t n_bytes) {
  auto* const bytes = static_cast<std::uint64_t*>(std::aligned_alloc(1 << 21, n_bytes));
  if (bytes == nullptr) return 0.0;
#if defined(__linux__)
  madvise(bytes, n_bytes, MADV_HUGEPAGE);
#endif
  std::memset(bytes, 1, n_bytes);
  const double speed = rate(static_cast<double>(n_bytes), [&] {
    std::uint64_t sums[8] = {};
    for (std::size_t i = 0; i < n_bytes / 8; i += 32) {
#pragma GCC unroll 4
      for (int line = 0; line < 4; ++line) __builtin_prefetch(bytes + i + 512 + 8 * line);
#pragma GCC unroll 4
      for (int line = 0; line < 4; ++line)
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) sums[j] ^= bytes[i + static_cast<std::size_t>(8 * line + j)];
    }
    for (auto& sum : sums) asm volatile("" : "+r"(sum));
  });
  std::free(bytes);
  return speed;
}

}  // namespace

int main() {
  std::printf("one after another             %6.2f billion/s (the clock)\n", dependent());
  std::printf("taken branches                %6.2f billion/s\n", branches());
#if defined(__AVX2__)
  std::printf("simple operations of 32 bytes %6.2f billion/s\n", simple_operations());
  std::printf("look-ups of 32 codes          %6.2f billion/s\n", look_ups());
#endif
#if defined(__AVX512BITALG__) && defined(__AVX512VBMI__)
  std::printf("counts of 16 bits, 32 codes   %6.2f billion/s\n", counts());
  std::printf("look-ups of 6 bits, 64 codes  %6.2f billion/s\n", wide_look_ups());
#endif
  for (const std::size_t megabytes : {4, 8, 16, 32, 64})
    std::printf("reading %2zu MB                 %6.1f GB/s\n", megabytes, reading(megabytes << 20));
  return 0;
}
