// The choice of results that differ, for Python.
#pragma once

#include "arguments.hpp"

namespace hashgnn::python {

nb::tuple choose_rows(const Array<std::uint8_t, 2>& codes, std::int64_t n_chosen, const Array<double, 1>& relevance,
                      const Array<double, 1>& penalty, const Array<std::int32_t, 2>& groups,
                      const Array<std::int64_t, 1>& caps, std::int64_t k);

}  // namespace hashgnn::python
