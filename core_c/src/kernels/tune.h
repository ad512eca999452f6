// How kernels are cut for each instruction set: sizes of tiles and distances of prefetches, all found by measuring.
// They change the speed and no bit. simd.h has the words that they are cut from; `vectors` are of its W lanes.
//
// Products of quantised weights (matmul.inc.c): a tile is some tokens by some panels
//   TILE_T        most tokens of a tile of many tokens, which are a loop; 0: there is no such tile
//   TILE_P        its panels
//   TILE_G        vectors of them at a time
//   TILE_H        parts in which the codes of a block are unpacked
//   TILE_C        chains of additions in the integer sum of a token: 1, or 2 where TILE_H is 1
//   FEW_T G H     the same for tiles of few tokens, unrolled, of one panel: one for each number of tokens up to FEW_T
//   ONE_G         vectors at a time for one token
//   STREAMS       panels of one token that are read side by side, far from each other: many streams of memory may be
//                 faster than one
//   STREAM_BYTES  as PREFETCH_BYTES, for each of them
//   STREAMS_NB    fewest blocks in a row whose panels are read so, by their kind
//   PAIRS         whether tiles of many tokens, and of 2 and more, take them in pairs (matmul_pairs.inc.c)
//   WIDE_T G      tokens, and vectors at a time, of a tile of bytes in 16 bits (matmul_wide.inc.c); 0: there is none
// Products of F32, F16 and BF16 weights
//   FLOAT_T P     tokens and panels of a tile
//   FLOAT_FEW_T   most tokens of an unrolled tile, as FEW_T
// Attention over an F16 or F32 cache (attend_float.inc.c)
//   ATTEND_Q      queries of a tile
//   ATTEND_G      vectors of channels at a time
// Attention over a Q8_0 cache (attend_q8.inc.c)
//   Q8_Q          queries of a tile
//   SCORE_G       vectors of positions at a time, while scores are made
//   WEIGHTS_G     the same, while scores become weights
//   VALUES_G      vectors of channels at a time
//   STEPS         the steps of a score: unrolled, or a loop
//   EVERY         scores prefetch one of EVERY lines of the next block; the others follow while weights are made
// Recurrent layers (recurrent.inc.c)
//   DELTA_G       vectors of a delta rule's channels at a time
// All
//   PREFETCH_BYTES   how far in front of the weights of few tokens lines are prefetched; 0: nothing is
//   PREFETCH_T       fewest tokens for which they are: a CPU may read ahead better by itself while it only waits for
//                    memory
#pragma once

#if defined SIMD_AVX512
#define TILE_T 64
#define TILE_P 2
#define TILE_G 2
#define TILE_H 1
#define TILE_C 2
#define FEW_T 8
#define FEW_G 1
#define FEW_H 4
#define ONE_G 1
#define FLOAT_T 4
#define FLOAT_P 4
#define FLOAT_FEW_T 8
#define ATTEND_Q 8
#define ATTEND_G 2
#define DELTA_G 8
#define Q8_Q 8
#define SCORE_G 2
#define WEIGHTS_G 4
#define VALUES_G 2
#define EVERY 2   // scores are fast: a CPU can't wait for all lines at a time
#define PREFETCH_BYTES 4096
#define PREFETCH_T 3
#define STREAMS 4
#define STREAMS_NB(k) (kind_is_super(k) ? 0 : (k)->planes & P8 ? INT_MAX : 128)

#elif defined SIMD_AVX2
#define TILE_T 64
#define TILE_P 1
#define TILE_G 2
#define TILE_H 2
#define TILE_C 1
#define FEW_T 3
#define FEW_G 2
#define FEW_H 4
#define ONE_G 2
#define FLOAT_T 4
#define FLOAT_P 1
#define FLOAT_FEW_T 4
#define ATTEND_Q 4
#define ATTEND_G 2
#define DELTA_G 8
#define Q8_Q 4
#if defined SIMD_VNNI
#define SCORE_G 2
#else
#define SCORE_G 1
#endif
#define WEIGHTS_G 4
#define VALUES_G 2
#define EVERY 1
#define PREFETCH_BYTES 8192
#if !defined SIMD_VNNI
#define STREAMS 4
#define STREAM_BYTES 512
#endif

#elif defined SIMD_NEON
#if defined SIMD_I8MM
#define PAIRS 1
#define TILE_T 64
#else
#define TILE_T 0
#endif
#define TILE_P 1
#define TILE_G 4
#define TILE_H 1
#define TILE_C 1
#define FEW_T 4
#define FEW_G 4
#define FEW_H 1
#define ONE_G 4
#define FLOAT_T 4
#define FLOAT_P 1
#define FLOAT_FEW_T 4
#define ATTEND_Q 4
#define ATTEND_G 4
#define DELTA_G 8
#define Q8_Q 4
#define SCORE_G 4
#define WEIGHTS_G 4
#define VALUES_G 4
#define EVERY 1
#define PREFETCH_BYTES 4096

#elif defined SIMD_WASM   // small tiles: every byte of code is downloaded
#define TILE_T 16
#define TILE_P 1
#define TILE_G 4
#if defined SIMD_RELAXED
#define TILE_H 4
#else
#define TILE_H 1
#endif
#define TILE_C 1
#if !defined SIMD_RELAXED || defined SIMD_PAIRS
#define WIDE_T 4   // 8 sums, 2 vectors of codes, an activation and a product: V8 has 15 registers
#define WIDE_G 2
#endif
#define FEW_T 1
#define FEW_G 4
#define FEW_H 1
#define ONE_G 4
#define FLOAT_T 4
#define FLOAT_P 1
#define FLOAT_FEW_T 1
#define ATTEND_Q 4
#define ATTEND_G 2
#define DELTA_G 4
#define Q8_Q 4
#define SCORE_G 2
#define WEIGHTS_G 2
#define VALUES_G 2
#define STEPS(j, n) NO_UNROLL for (int j = 0; j < (n); j++)   // 16 registers are too few
#define EVERY 1
#define PREFETCH_BYTES 0

#else
#define TILE_T 0
#define TILE_P 1
#define TILE_G 1
#define TILE_H 1
#define TILE_C 1
#define FEW_T 4
#define FEW_G 1
#define FEW_H 1
#define ONE_G 1
#define FLOAT_T 4
#define FLOAT_P 1
#define FLOAT_FEW_T 4
#define ATTEND_Q 4
#define ATTEND_G 4
#define DELTA_G 4
#define Q8_Q 4
#define SCORE_G 4
#define WEIGHTS_G 4
#define VALUES_G 4
#define EVERY 1
#define PREFETCH_BYTES 0
#endif

#if !defined PREFETCH_T
#define PREFETCH_T 1
#endif
#if !defined STREAMS
#define STREAMS 1
#endif
#if !defined PAIRS
#define PAIRS 0
#endif
#if !defined WIDE_T
#define WIDE_T 0
#endif
#if !defined STREAM_BYTES
#define STREAM_BYTES 0
#endif
#if !defined STREAMS_NB
#define STREAMS_NB(k) 0
#endif
#if !defined STEPS
#define STEPS(j, n) TIMES (j, n)
#endif

// X(n, ...) for each n from 1 to `most`, a number of 1 to 8.
#define EACH_UP_TO_1(X, ...) X(1, __VA_ARGS__)
#define EACH_UP_TO_2(X, ...) EACH_UP_TO_1(X, __VA_ARGS__) X(2, __VA_ARGS__)
#define EACH_UP_TO_3(X, ...) EACH_UP_TO_2(X, __VA_ARGS__) X(3, __VA_ARGS__)
#define EACH_UP_TO_4(X, ...) EACH_UP_TO_3(X, __VA_ARGS__) X(4, __VA_ARGS__)
#define EACH_UP_TO_5(X, ...) EACH_UP_TO_4(X, __VA_ARGS__) X(5, __VA_ARGS__)
#define EACH_UP_TO_6(X, ...) EACH_UP_TO_5(X, __VA_ARGS__) X(6, __VA_ARGS__)
#define EACH_UP_TO_7(X, ...) EACH_UP_TO_6(X, __VA_ARGS__) X(7, __VA_ARGS__)
#define EACH_UP_TO_8(X, ...) EACH_UP_TO_7(X, __VA_ARGS__) X(8, __VA_ARGS__)
#define EACH_UP_TO_I(most, X, ...) EACH_UP_TO_##most(X, __VA_ARGS__)
#define EACH_UP_TO(most, X, ...) EACH_UP_TO_I(most, X, __VA_ARGS__)
