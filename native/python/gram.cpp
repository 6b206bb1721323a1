#include "gram.hpp"

#include "../core/gram.hpp"

namespace hashgnn::python {

LargestTable::LargestTable(const Array<std::int32_t, 2>& columns, const Array<float, 2>& values) : columns_(columns), values_(values) {
  require(columns.shape(0) == values.shape(0) && columns.shape(1) == values.shape(1), "columns and values must have one shape");
  const auto n_items = static_cast<std::int64_t>(columns.shape(0));
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns.data()[i] < 0 || columns.data()[i] > n_items) fail("columns must be in [0, n_items]");
}

void LargestTable::gather(const Array<std::int32_t, 1>& items,
                          const nb::ndarray<std::int16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>& places,
                          const nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>& gram) const {
  const LargestEntries entries{columns_.data(), values_.data(), static_cast<std::int64_t>(columns_.shape(0)),
                               static_cast<std::int64_t>(columns_.shape(1))};
  const auto n = static_cast<std::int64_t>(items.size());
  require(n <= kMostChosen, "items must be at most 32767");
  require(static_cast<std::int64_t>(places.size()) == entries.n_items + 1, "places must have one entry more than there are items");
  require(static_cast<std::int64_t>(gram.shape(0)) == n && static_cast<std::int64_t>(gram.shape(1)) == n,
          "gram must have one row and one column an item");
  for (std::int64_t i = 0; i < n; ++i)
    if (items.data()[i] < 0 || items.data()[i] >= entries.n_items) fail("items must be in [0, n_items)");
  const nb::gil_scoped_release release;
  gather_gram(entries, items.data(), n, places.data(), gram.data());
}

}  // namespace hashgnn::python
