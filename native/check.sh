#!/bin/sh
# Builds the kernels with AddressSanitizer and UndefinedBehaviorSanitizer and fuzzes them.
# Usage: native/check.sh [calls] [seed]
set -eu
here=$(dirname "$0")
build=$here/../build/sanitized
cmake -S "$here/.." -B "$build" -DHASHGNN_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build "$build" --target hashgnn_fuzz --parallel 2
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$build/hashgnn_fuzz" "${1:-1000000}" "${2:-1}"
