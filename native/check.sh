#!/bin/sh
# Builds the kernels with AddressSanitizer and UndefinedBehaviorSanitizer and fuzzes them.
# Usage: native/check.sh [calls] [seed] [aarch64]
# The third builds for ARM and runs there or in an emulator, a hundred times slower. On Debian:
# apt-get install g++-aarch64-linux-gnu qemu-user
set -eu
here=$(dirname "$0")
build=$here/../build/sanitized
run=
set -- "${1:-1000000}" "${2:-1}" "${3:-}"
if [ "$3" = aarch64 ] && [ "$(uname -m)" != aarch64 ]; then
  build=$here/../build/sanitized-aarch64
  run="qemu-aarch64 -L /usr/aarch64-linux-gnu"
  cross="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++"
  export ASAN_OPTIONS=detect_leaks=0  # which the emulator cannot do
elif [ -n "$3" ] && [ "$3" != "$(uname -m)" ]; then
  echo "the third argument must be aarch64 or left out, got $3" >&2
  exit 2
fi
# shellcheck disable=SC2086
cmake -S "$here/.." -B "$build" ${cross:-} -DHASHGNN_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build "$build" --target hashgnn_fuzz --parallel 2
# shellcheck disable=SC2086
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $run "$build/hashgnn_fuzz" "$1" "$2"
