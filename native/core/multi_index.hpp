// Exact search by hash tables over parts of the codes: Norouzi, Punjani, Fleet, "Fast search in Hamming
// space with multi-index hashing", CVPR 2012.
#pragma once

#include <cstdint>
#include <vector>

#include "search.hpp"

namespace hashgnn {

// One table a part of the bits: codes by the value of that part.
class HashTables {
 public:
  HashTables(const std::uint8_t* packed, std::int64_t n_codes, int n_bits, int n_tables);

  // Codes at positions that `extra` lists (sorted) are compared in any case: they joined or changed since.
  void search(const Table& table, const std::int32_t* extra, std::int64_t n_extra, const std::uint8_t* queries,
              std::int64_t n_queries, const Filters& filters, const SearchPlan& plan, const Done& done) const;

  std::int64_t n_codes() const { return n_codes_; }
  int n_bits() const { return n_bits_; }
  std::int64_t n_bytes() const;

 private:
  struct Part {
    int first_bit, n_bits;
    std::vector<std::uint32_t> starts;    // of each value of the part, and one more
    std::vector<std::int32_t> positions;  // ascending for each value
  };
  class Seeker;

  std::int64_t n_codes_;
  int n_bits_;
  std::vector<Part> parts_;
};

inline constexpr int kMaxPartBits = 24;

}  // namespace hashgnn
