#!/bin/sh
# The compiler with libFuzzer's coverage counters in percolate's crates. cargo calls it as
# RUSTC_WRAPPER. The options are stable, so that no other toolchain is needed.
case " $* " in
    *" --crate-type proc-macro "*) exec "$@" ;;
    *" --crate-name percolate_"*)
        exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
            -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    *) exec "$@" ;;
esac
