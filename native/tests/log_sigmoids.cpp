// Log-sigmoids of scores and their derivatives.
#include "../core/log_sigmoids.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "fuzz.hpp"

namespace hashgnn {
namespace {

float from_bf16(std::uint16_t half) { return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16); }
std::uint16_t to_bf16(float value) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16); }

struct Plain {
  float value(float entry) const { return entry; }
  float entry(float value) const { return value; }
  static constexpr double kError = 3e-6;
};
struct Upper {
  float value(std::uint16_t entry) const { return from_bf16(entry); }
  std::uint16_t entry(float value) const { return to_bf16(value); }
  static constexpr double kError = 5e-3;
};

}  // namespace

// Agrees with the functions of the standard library, and to the last bit with the portable kernels.
template <class Type, class Entry>
void Fuzz::turn_scores(const Type& type, Precision precision) {
  const std::int64_t n_rows = between(0, 4), n_items = between(0, 70);
  const auto n = static_cast<std::size_t>(n_rows * n_items);
  const float temperature = static_cast<float>(between(1, 40)) / 8.0f, size = static_cast<float>(between(1, 200));
  const auto draw = [&] { return static_cast<float>(between(-10000, 10000)) / 10000.0f; };
  std::vector<Entry> scores(n), values(n);
  for (Entry& score : scores) score = chance(9) ? type.entry(-std::numeric_limits<float>::infinity()) : type.entry(size * draw());
  for (Entry& value : values) value = type.entry(draw());
  std::vector<float> levels(static_cast<std::size_t>(n_rows)), above(levels.size()), again(levels.size()), logs, counts;
  for (float& level : levels) level = size * draw();
  if (chance(2))
    for (std::int64_t j = 0; j < n_items; ++j) {
      logs.push_back(std::abs(3.0f * draw()));
      counts.push_back(std::exp(logs.back()));
    }
  const SigmoidRows rows{precision, n_rows, n_items, temperature, logs.empty() ? nullptr : logs.data(), logs.empty() ? nullptr : counts.data()};
  std::vector<Entry> turned = scores, alike = scores, gradient = values, other = values;
  turn_to_log_sigmoids(*kernels_, rows, turned.data(), levels.data(), above.data(), n_threads_);
  turn_to_log_sigmoids(*portable_kernels(), rows, alike.data(), levels.data(), again.data(), 1);
  multiply_by_derivatives(*kernels_, rows, gradient.data(), turned.data(), n_threads_);
  multiply_by_derivatives(*portable_kernels(), rows, other.data(), turned.data(), 1);
  if (turned != alike || above != again || gradient != other) fail("a log-sigmoid of the portable kernels");
  for (std::int64_t row = 0; row < n_rows; ++row) {
    const auto level = static_cast<double>(levels[static_cast<std::size_t>(row)]);
    double n_above = 0;
    for (std::int64_t j = 0; j < n_items; ++j) {
      const auto at = static_cast<std::size_t>(row * n_items + j);
      const double x = (static_cast<double>(type.value(scores[at])) - level) / static_cast<double>(temperature);
      const double of_count = logs.empty() ? 0.0 : static_cast<double>(logs[static_cast<std::size_t>(j)]);
      if (x > 0) n_above += logs.empty() ? 1.0 : static_cast<double>(counts[static_cast<std::size_t>(j)]);
      const double expected = static_cast<double>(temperature) * (std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x)))) + of_count;
      const auto found = static_cast<double>(type.value(turned[at]));
      if (std::isinf(expected) ? found != expected : std::abs(found - expected) > Type::kError * (1 + std::abs(expected)))
        fail("a log-sigmoid");
      const double y = std::min(found - of_count, 0.0) / static_cast<double>(temperature);
      const double product = static_cast<double>(type.value(values[at])) * -std::expm1(y);
      if (std::abs(static_cast<double>(type.value(gradient[at])) - product) > 2 * Type::kError) fail("a derivative of a log-sigmoid");
    }
    if (std::abs(static_cast<double>(above[static_cast<std::size_t>(row)]) - n_above) > 1e-3) fail("the number above a level");
  }
}

void Fuzz::turn_to_sigmoids() {
  turn_scores<Plain, float>({}, Precision::f32);
  turn_scores<Upper, std::uint16_t>({}, Precision::bf16);
}

}  // namespace hashgnn
