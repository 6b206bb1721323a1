// Refining of codes for Python.
#pragma once

#include "arguments.hpp"

namespace hashgnn::python {

void drop_repeated_items(const Changed<std::int32_t>& items, std::int64_t n_items, int n_threads);

void score_items(const Array<float, 2>& queries, const Array<float, 2>& table, const Array<std::int32_t, 2>& items,
                 const Changed<float>& scores, int n_threads);

std::pair<double, std::int64_t> refine_signs(const Array<float, 2>& queries, const Array<std::int32_t, 2>& items,
                                             const Array<float, 2>& wanted, const Array<float, 1>& weights, const Array<float, 1>& bias,
                                             std::int64_t k, float temperature, float least_curvature, const Changed<std::int8_t>& signs,
                                             int n_threads);

}  // namespace hashgnn::python
