// From Python's arrays to the plain structs of the kernels, with every rule checked: what passes here
// cannot make a kernel read or write out of bounds.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <optional>
#include <string>
#include <vector>

#include "../core/errors.hpp"
#include "../core/table.hpp"

namespace hashgnn::python {

namespace nb = nanobind;

template <class Value, int Dimensions>
using Array = nb::ndarray<const Value, nb::ndim<Dimensions>, nb::c_contig, nb::device::cpu>;

// An array that is written to.
template <class Value>
using Changed = nb::ndarray<Value, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

[[noreturn]] inline void fail(const std::string& sentence) { throw InvalidArgument(sentence); }

inline void require(bool holds, const std::string& sentence) {
  if (!holds) fail(sentence);
}

// Lists of positions from a CSR pair, sorted where they were not.
class CheckedLists {
 public:
  using Pair = std::pair<Array<std::int64_t, 1>, Array<std::int32_t, 1>>;

  CheckedLists(const char* name, const std::optional<Pair>& pair, std::int64_t n_queries, std::int64_t n_codes);
  const Lists& view() const { return view_; }

 private:
  std::vector<std::int32_t> sorted_;
  Lists view_;
};

// A mask of codes: how many it is for, and a bit per code.
using Mask = std::pair<std::int64_t, Array<std::uint32_t, 1>>;

const std::uint32_t* checked_mask(const std::optional<Mask>& mask, std::int64_t n_codes);

}  // namespace hashgnn::python
