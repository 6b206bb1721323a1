// Single queries of several planes by look-up tables; batches are in values.hpp.
#pragma once

#include "half_bytes.hpp"
#include "values.hpp"

namespace {

// One query of several planes, whose codes are cut as they are read: a tile of them would serve no other query.
template <int Slices>
struct TableQuery {
  const std::uint8_t* tables;

  __attribute__((always_inline)) Avx2::Lanes add(const std::uint16_t* words, int n_slices, Avx2::Lanes sums) const {
    const int total = Slices > 0 ? Slices : n_slices;
    ByteSums<HalfBytes> found;
#pragma GCC unroll 8
    for (int s = 0; s < total; ++s) {
      Vector<HalfBytes> halves[HalfBytes::kParts];
      HalfBytes::cut(words + s * kBlock, 16, halves);
      const std::uint8_t* const of_slice = tables + table_bytes<HalfBytes>(s);
      __m256i bytes = look_up(of_slice, halves[0]);
      for (int half = 1; half < HalfBytes::kParts; ++half)
        bytes = HalfBytes::add_bytes(bytes, look_up(of_slice + HalfBytes::kEntries * half, halves[half]));
      found.add(bytes);
    }
    return found.onto({{sums}}).lanes[0];
  }

 private:
  static __m256i look_up(const std::uint8_t* table, Vector<HalfBytes> half) {
    return HalfBytes::look_up(HalfBytes::table_at(table), half.value);
  }
};

// The interface of a query in RunScan, see scan.hpp.
template <int Slices>
class ValueQuery : public ScaledQuery<Avx2> {
 public:
  ValueQuery(const ScanJob& job, int query) : ScaledQuery<Avx2>(job, query), n_near_(near_slices_of(job.n_slices)) {
    write_tables<HalfBytes>(job, query, 0, job.n_slices, tables_);
  }

  TableQuery<near_slices_of(Slices)> near() const { return {tables_}; }
  TableQuery<Slices - near_slices_of(Slices)> far() const { return {tables_ + table_bytes<HalfBytes>(n_near_)}; }

 private:
  static constexpr int kMostSlices = Slices > 0 ? Slices : hashgnn::slices_of(hashgnn::kMaxBits);
  int n_near_;
  alignas(32) std::uint8_t tables_[table_bytes<HalfBytes>(kMostSlices)];
};

}  // namespace
