// Results as NumPy arrays: rows of k, padded where a query has fewer.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <limits>
#include <memory>

namespace hashgnn::python {

namespace nb = nanobind;

// An array that is written without Python, then handed over to it.
template <class Value>
class Output {
 public:
  Output(std::int64_t n_rows, std::int64_t n_columns, Value padding)
      : n_rows_(n_rows), n_columns_(n_columns), values_(new Value[static_cast<std::size_t>(n_rows * n_columns)]) {
    std::fill_n(values_.get(), n_rows * n_columns, padding);
  }

  Value* row(std::int64_t i) { return values_.get() + i * n_columns_; }

  nb::object hand_over_rows() { return hand_over({static_cast<std::size_t>(n_rows_), static_cast<std::size_t>(n_columns_)}); }
  nb::object hand_over_flat() { return hand_over({static_cast<std::size_t>(n_rows_ * n_columns_)}); }

 private:
  nb::object hand_over(std::initializer_list<std::size_t> shape) {
    Value* raw = values_.release();
    const nb::capsule owner(raw, [](void* values) noexcept { delete[] static_cast<Value*>(values); });
    return nb::cast(nb::ndarray<nb::numpy, Value>(raw, shape, owner));
  }

  std::int64_t n_rows_, n_columns_;
  std::unique_ptr<Value[]> values_;
};

struct Results {
  Results(std::int64_t n_queries, std::int64_t k, bool with_distances)
      : positions(n_queries, k, -1),
        scores(n_queries, k, -std::numeric_limits<float>::infinity()),
        distances(with_distances ? n_queries : 0, k, -1),
        counts(n_queries, 1, 0),
        has_distances(with_distances) {}

  nb::tuple hand_over() {
    return nb::make_tuple(positions.hand_over_rows(), scores.hand_over_rows(), counts.hand_over_flat(),
                          has_distances ? distances.hand_over_rows() : nb::none());
  }

  Output<std::int64_t> positions;
  Output<float> scores;
  Output<std::int32_t> distances;
  Output<std::int64_t> counts;
  bool has_distances;
};

}  // namespace hashgnn::python
