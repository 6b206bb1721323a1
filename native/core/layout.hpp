// How codes lie in memory, and how they get there.
//
// Codes are cut into slices of 16 bits and kept in blocks of 32 codes: a block holds slice 0 of its 32
// codes, then slice 1, and so on. One slice of a block is 64 bytes: a cache line, one AVX-512 register,
// two of AVX2, four of NEON. Lane i of every slice belongs to code i, so that distances add up lane by
// lane and no sum across lanes is ever needed.
//
// A run of blocks holds the first half of the slices of all its blocks, then the second half. Most codes are
// too far by their first half already, and the memory of their second half is then never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hashgnn {

inline constexpr std::int64_t kBlock = 32;       // codes in a block, lanes of 16 bits
inline constexpr int kMaxBits = 1024;            // widest code that the kernels take
inline constexpr std::int64_t kMaxCodes = (std::int64_t{1} << 31) - kBlock;  // positions fit int32

constexpr int slices_of(int n_bits) { return (n_bits + 15) / 16; }
// Slices in the first half of a run.
constexpr int near_slices_of(int n_slices) { return (n_slices + 1) / 2; }
constexpr std::int64_t blocks_of(std::int64_t n_codes) { return (n_codes + kBlock - 1) / kBlock; }
constexpr std::int64_t words_of(std::int64_t n_codes, int n_bits) {
  return blocks_of(n_codes) * slices_of(n_bits) * kBlock;
}

// One slice of a packed code. A width that is no multiple of 16 ends in a byte of zeros.
inline std::uint16_t slice_at(const std::uint8_t* code, int n_bytes, int slice) {
  std::uint8_t bytes[2] = {code[2 * slice], 0};
  if (2 * slice + 1 < n_bytes) bytes[1] = code[2 * slice + 1];
  std::uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Where the halves of a run of blocks lie; those of block b are b strides further.
struct Run {
  Run(const std::uint16_t* words, std::int64_t n_blocks, int n_bits)
      : n_slices(slices_of(n_bits)), n_near(near_slices_of(n_slices)), near(words), far(words + n_blocks * near_stride()) {}

  std::int64_t near_stride() const { return std::int64_t{n_near} * kBlock; }
  std::int64_t far_stride() const { return std::int64_t{n_slices - n_near} * kBlock; }

  // One slice of the code at a position.
  const std::uint16_t* word(std::int64_t position, int slice) const {
    const std::int64_t block = position / kBlock, lane = position % kBlock;
    return slice < n_near ? near + block * near_stride() + slice * kBlock + lane
                          : far + block * far_stride() + (slice - n_near) * kBlock + lane;
  }

  int n_slices, n_near;
  const std::uint16_t* near;
  const std::uint16_t* far;
};

// Both take a run of n_blocks blocks whole, and read or write the codes at positions first, first + 1, ... of it.
void pack_blocks(const std::uint8_t* packed, std::int64_t n_codes, int n_bits, std::int64_t first,
                 std::uint16_t* words, std::int64_t n_blocks);
void unpack_blocks(const std::uint16_t* words, std::int64_t n_blocks, std::int64_t first, std::int64_t n_codes,
                   int n_bits, std::uint8_t* packed);

}  // namespace hashgnn
