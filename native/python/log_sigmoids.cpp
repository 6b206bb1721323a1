#include "log_sigmoids.hpp"

#include <cmath>

#include "../core/log_sigmoids.hpp"

namespace hashgnn::python {
namespace {

// The counts beside their logarithms.
class CheckedRows {
 public:
  CheckedRows(Precision precision, std::size_t n_rows, std::size_t n_items, float temperature, const Counts& log_counts) {
    require(temperature > 0 && std::isfinite(temperature), "temperature must be above 0");
    if (log_counts) {
      require(log_counts->size() == n_items, "log_counts must have one value an item");
      for (std::size_t i = 0; i < n_items; ++i) counts_.push_back(std::exp(log_counts->data()[i]));
    }
    view_ = {precision, static_cast<std::int64_t>(n_rows), static_cast<std::int64_t>(n_items), temperature,
             log_counts ? log_counts->data() : nullptr, log_counts ? counts_.data() : nullptr};
  }
  CheckedRows(const CheckedRows&) = delete;
  const SigmoidRows& view() const { return view_; }

 private:
  std::vector<float> counts_;
  SigmoidRows view_;
};

template <class Value>
constexpr Precision kPrecision = sizeof(Value) == 2 ? Precision::bf16 : Precision::f32;

void check_threads(int n_threads) { require(n_threads >= 1 && n_threads <= 1024, "n_threads must be between 1 and 1024"); }

}  // namespace

template <class Value>
void log_sigmoids(const Changed<Value>& scores, const Array<float, 1>& levels, float temperature, const Counts& log_counts,
                  const nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>& n_above, int n_threads) {
  check_threads(n_threads);
  require(levels.size() == scores.shape(0) && n_above.size() == scores.shape(0), "levels and n_above must have one value a row");
  const CheckedRows rows(kPrecision<Value>, scores.shape(0), scores.shape(1), temperature, log_counts);
  const nb::gil_scoped_release release;
  turn_to_log_sigmoids(kernels(), rows.view(), scores.data(), levels.data(), n_above.data(), n_threads);
}

template <class Value>
void times_derivatives(const Changed<Value>& values, const Array<Value, 2>& turned, float temperature, const Counts& log_counts,
                       int n_threads) {
  check_threads(n_threads);
  require(values.shape(0) == turned.shape(0) && values.shape(1) == turned.shape(1), "values and turned must have one shape");
  const CheckedRows rows(kPrecision<Value>, values.shape(0), values.shape(1), temperature, log_counts);
  const nb::gil_scoped_release release;
  multiply_by_derivatives(kernels(), rows.view(), values.data(), turned.data(), n_threads);
}

using Levels = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template void log_sigmoids<float>(const Changed<float>&, const Array<float, 1>&, float, const Counts&, const Levels&, int);
template void log_sigmoids<std::int16_t>(const Changed<std::int16_t>&, const Array<float, 1>&, float, const Counts&, const Levels&, int);
template void times_derivatives<float>(const Changed<float>&, const Array<float, 2>&, float, const Counts&, int);
template void times_derivatives<std::int16_t>(const Changed<std::int16_t>&, const Array<std::int16_t, 2>&, float, const Counts&, int);

}  // namespace hashgnn::python
