# SPDX-License-Identifier: Apache-2.0
"""How this build was made, and what this processor offers: for `flinkcore info`."""

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(__i386__)
    static const char *fc_simd_level(void) {
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl")) return "avx512";
        if (__builtin_cpu_supports("avx2")) return "avx2";
        if (__builtin_cpu_supports("sse4.2")) return "sse4.2";
        return "sse2";
    }
    #elif defined(__aarch64__)
    static const char *fc_simd_level(void) { return "neon"; }
    #else
    static const char *fc_simd_level(void) { return "none"; }
    #endif
    #if defined(__clang__)
    #define FC_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define FC_COMPILER "gcc " __VERSION__
    #else
    #define FC_COMPILER "unknown"
    #endif
    """
    const char *FC_BUILD_FLAGS
    const char *FC_COMPILER
    const char *fc_simd_level()


def compiler():
    """Name and version of the compiler that built the kernels, e.g. "gcc 12.2.0"."""
    return FC_COMPILER.decode()


def flags():
    """The compiler flags the kernels were built with."""
    return FC_BUILD_FLAGS.decode()


def simd():
    """The widest vector instructions of the processor this runs on: avx512, avx2, sse4.2, sse2, neon or none."""
    return fc_simd_level().decode()
