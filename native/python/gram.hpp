// Gram matrices of few items for Python.
#pragma once

#include "arguments.hpp"

namespace hashgnn::python {

// The rows of the largest entries, checked once.
class LargestTable {
 public:
  LargestTable(const Array<std::int32_t, 2>& columns, const Array<float, 2>& values);

  void gather(const Array<std::int32_t, 1>& items, const nb::ndarray<std::int16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>& places,
              const nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>& gram) const;

 private:
  Array<std::int32_t, 2> columns_;
  Array<float, 2> values_;
};

}  // namespace hashgnn::python
