// Log-sigmoids of scores for Python.
#pragma once

#include "arguments.hpp"

namespace hashgnn::python {

using Counts = std::optional<Array<float, 1>>;

// Value is float, or std::int16_t for the bits of bfloat16.
template <class Value>
void log_sigmoids(const Changed<Value>& scores, const Array<float, 1>& levels, float temperature, const Counts& log_counts,
                  const nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>& n_above, int n_threads);

template <class Value>
void times_derivatives(const Changed<Value>& values, const Array<Value, 2>& turned, float temperature, const Counts& log_counts,
                       int n_threads);

}  // namespace hashgnn::python
