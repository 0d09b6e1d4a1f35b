/* SPDX-License-Identifier: Apache-2.0
 *
 * FC_SIMD_CLONES before a function compiles its loop for wider SIMD too; the loader picks the clone that
 * the processor runs, once. The build itself stays at the baseline (x86-64-v1), so that one wheel runs
 * everywhere. Only GCC on glibc has both the attribute levels and the loader's half (ifunc); elsewhere,
 * under AddressSanitizer (which cannot start before ifuncs run) and with -march=native it is empty. */
#ifndef FC_SIMD_H
#define FC_SIMD_H

#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) \
    && !defined(__clang__) && __GNUC__ >= 12 && !defined(__AVX2__) && !defined(__SANITIZE_ADDRESS__)
#define FC_SIMD_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define FC_SIMD_CLONES
#endif

#endif
