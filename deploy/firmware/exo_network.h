/* A small network on static buffers: linear layers, convolutions over blocks, a recurrent unit.
 *
 * The constants come from osim-exo export. No allocation, no recursion, single precision, no memory
 * from one run to the next. Windows lie oldest sample first, all numbers of a sample side by side.
 */
#ifndef EXO_NETWORK_H
#define EXO_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

enum exo_activation { EXO_LINEAR = 0, EXO_RELU = 1, EXO_TANH = 2, EXO_ELU = 3 };

/* Both take n_time rows of n_in numbers. A convolution whose blocks do not overlap is a dense layer
 * on rows as long as a block. */
enum exo_layer_kind {
    EXO_DENSE = 0, /* every row by itself: weight (n_out, n_in), bias (n_out) */
    EXO_GRU = 1    /* row after row from a zero state, gives the last state: weight (3 n_out, n_in),
                      then (3 n_out, n_out), bias (3 n_out) twice; reset, update, candidate */
};

/* Places are offsets into the network's constants. */
struct exo_layer {
    uint8_t kind;
    uint8_t activation;
    uint16_t n_time;
    uint16_t n_in;
    uint16_t n_out;
    uint32_t weight;
    uint32_t bias;
};

struct exo_network {
    const float *constants;
    uint32_t n_constant;
    uint32_t crc; /* CRC-32 of the constants' bytes, little-endian */
    const struct exo_layer *layers;
    uint16_t n_layer;
    uint16_t n_input; /* of one sample */
    uint16_t history; /* samples of the window */
    uint16_t n_output;
    uint32_t centre; /* places of the normaliser, one number per input of the window */
    uint32_t scale;
    float limit;
    float *scratch[2]; /* each as large as the widest layer's window */
};

/* False for NaN and infinity, also where a compiler assumes that there are none. */
bool exo_is_finite(float value);

/* `window` holds history * n_input numbers; false, and zeros, if one of them is not finite. */
bool exo_network_run(const struct exo_network *network, const float *window, float *output);

/* The constants are those that were exported. */
bool exo_network_is_whole(const struct exo_network *network);

/* Largest |z| of the newest sample, before it is clipped; infinite where one is not finite. */
float exo_network_novelty(const struct exo_network *network, const float *window);

#endif
