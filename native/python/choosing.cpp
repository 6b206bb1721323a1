#include "choosing.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/choice.hpp"
#include "../core/layout.hpp"
#include "results.hpp"

namespace hashgnn::python {
namespace {

void check_values(const Array<double, 1>& relevance, const Array<double, 1>& penalty, std::int64_t n, std::int64_t n_bits) {
  require(static_cast<std::int64_t>(relevance.size()) == n, "relevance must have one value a code");
  require(static_cast<std::int64_t>(penalty.size()) == n_bits + 2, "penalty must have one value a distance and one for none");
  for (std::int64_t i = 0; i < n; ++i)
    if (!std::isfinite(relevance.data()[i])) fail("relevance must be finite, got NaN or infinity");
  for (std::int64_t i = 0; i < n_bits + 2; ++i)
    if (!std::isfinite(penalty.data()[i]) || (i > 0 && penalty.data()[i] > penalty.data()[i - 1]))
      fail("penalty must be finite and never rise with the distance");
}

nb::object as_array(const std::vector<std::int64_t>& values) {
  Output<std::int64_t> output(static_cast<std::int64_t>(values.size()), 1, 0);
  std::copy(values.begin(), values.end(), output.row(0));
  return output.hand_over_flat();
}

}  // namespace

nb::tuple choose_rows(const Array<std::uint8_t, 2>& codes, std::int64_t n_chosen, const Array<double, 1>& relevance,
                      const Array<double, 1>& penalty, const Array<std::int32_t, 2>& groups,
                      const Array<std::int64_t, 1>& caps, std::int64_t k) {
  const auto n = static_cast<std::int64_t>(codes.shape(0));
  const auto n_bytes = static_cast<std::int64_t>(codes.shape(1)), n_caps = static_cast<std::int64_t>(caps.size());
  require(n_bytes >= 1 && 8 * n_bytes <= kMaxBits, "n_bits must be a multiple of 8 from 8 to 1024");
  check_values(relevance, penalty, n, 8 * n_bytes);
  require(static_cast<std::int64_t>(groups.shape(0)) == n && static_cast<std::int64_t>(groups.shape(1)) == n_caps,
          "groups must have one row a code and one column a cap");
  require(k >= 0 && n_chosen >= 0 && n_chosen <= n, "k and n_chosen must be between 0 and the number of codes");
  Chosen chosen;
  {
    const nb::gil_scoped_release release;
    const std::int64_t n_words = (n_bytes + 7) / 8;
    std::vector<std::uint64_t> words(static_cast<std::size_t>(n * n_words), 0);
    for (std::int64_t i = 0; i < n; ++i)
      std::memcpy(words.data() + i * n_words, codes.data() + i * n_bytes, static_cast<std::size_t>(n_bytes));
    const Choices choices{words.data(), n, n_words, static_cast<std::uint32_t>(8 * n_bytes), n_chosen, relevance.data(),
                          penalty.data(), groups.data(), caps.data(), n_caps};
    chosen = choose(kernels(), choices, std::min(k, n));
  }
  return nb::make_tuple(as_array(chosen.rows), as_array(chosen.capped));
}

}  // namespace hashgnn::python
