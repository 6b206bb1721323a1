#include "layout.hpp"

namespace hashgnn {

// Writes codes at positions first, first + 1, ...; the rest of their blocks is left as it is.
void pack_blocks(const std::uint8_t* packed, std::int64_t n_codes, int n_bits, std::int64_t first,
                 std::uint16_t* words) {
  const int n_bytes = n_bits / 8;
  const int n_slices = slices_of(n_bits);
  for (std::int64_t i = 0; i < n_codes; ++i) {
    const std::uint8_t* code = packed + i * n_bytes;
    std::uint16_t* target = words + word_offset(first + i, n_slices);
    for (int s = 0; s < n_slices; ++s) target[s * kBlock] = slice_at(code, n_bytes, s);
  }
}

void unpack_blocks(const std::uint16_t* words, std::int64_t first, std::int64_t n_codes, int n_bits,
                   std::uint8_t* packed) {
  const int n_bytes = n_bits / 8;
  const int n_slices = slices_of(n_bits);
  for (std::int64_t i = 0; i < n_codes; ++i) {
    const std::uint16_t* source = words + word_offset(first + i, n_slices);
    std::uint8_t* code = packed + i * n_bytes;
    for (int s = 0; s < n_slices; ++s) {
      std::uint8_t bytes[2];
      std::memcpy(bytes, source + s * kBlock, 2);
      code[2 * s] = bytes[0];
      if (2 * s + 1 < n_bytes) code[2 * s + 1] = bytes[1];
    }
  }
}

}  // namespace hashgnn
