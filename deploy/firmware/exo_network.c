#include "exo_network.h"

#include "exo_protocol.h"

#include <math.h>
#include <string.h>

bool exo_is_finite(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

static float activated(float value, uint8_t activation)
{
    switch (activation) {
    case EXO_RELU:
        return value > 0.0f ? value : 0.0f;
    case EXO_TANH:
        return tanhf(value);
    case EXO_ELU:
        return value > 0.0f ? value : expm1f(value);
    default:
        return value;
    }
}

static float sigmoid(float value)
{
    return 1.0f / (1.0f + expf(-value));
}

/* Four sums at a time: faster, and with less rounding than one long sum. */
static float product(const float *a, const float *b, uint32_t n)
{
    float first = 0.0f, second = 0.0f, third = 0.0f, fourth = 0.0f;
    for (; n >= 4u; n -= 4u, a += 4, b += 4) {
        first += a[0] * b[0];
        second += a[1] * b[1];
        third += a[2] * b[2];
        fourth += a[3] * b[3];
    }
    for (; n > 0u; n--) {
        first += *a++ * *b++;
    }
    return (first + second) + (third + fourth);
}

static void dense(const struct exo_layer *layer, const float *constants, const float *in,
                  float *out)
{
    const float *weight = constants + layer->weight, *bias = constants + layer->bias;
    for (uint32_t t = 0; t < layer->n_time; t++) {
        for (uint32_t j = 0; j < layer->n_out; j++) {
            const float sum = product(weight + j * layer->n_in, in, layer->n_in) + bias[j];
            *out++ = activated(sum, layer->activation);
        }
        in += layer->n_in;
    }
}

/* Runs over the rows from a zero state; `out` holds the last state, then room for the next. */
static void recur(const struct exo_layer *layer, const float *constants, const float *in,
                  float *out)
{
    const uint32_t n = layer->n_out, n_in = layer->n_in;
    const float *from_in = constants + layer->weight, *from_state = from_in + 3u * n * n_in;
    const float *bias_in = constants + layer->bias, *bias_state = bias_in + 3u * n;
    float *state = out, *next = out + n;
    memset(state, 0, n * sizeof *state);
    for (uint32_t t = 0; t < layer->n_time; t++, in += n_in) {
        for (uint32_t j = 0; j < n; j++) {
            float a[3], b[3];
            for (uint32_t gate = 0; gate < 3; gate++) {
                const uint32_t row = gate * n + j;
                a[gate] = product(from_in + row * n_in, in, n_in) + bias_in[row];
                b[gate] = product(from_state + row * n, state, n) + bias_state[row];
            }
            const float reset = sigmoid(a[0] + b[0]), update = sigmoid(a[1] + b[1]);
            const float candidate = tanhf(a[2] + reset * b[2]);
            next[j] = (1.0f - update) * candidate + update * state[j];
        }
        memcpy(state, next, n * sizeof *state);
    }
}

static bool normalise(const struct exo_network *network, const float *window, float *out)
{
    const float *centre = network->constants + network->centre;
    const float *scale = network->constants + network->scale;
    const uint32_t n = (uint32_t)network->history * network->n_input;
    for (uint32_t i = 0; i < n; i++) {
        if (!exo_is_finite(window[i])) {
            return false;
        }
        float z = (window[i] - centre[i]) * scale[i];
        z = z < network->limit ? z : network->limit;
        out[i] = z > -network->limit ? z : -network->limit;
    }
    return true;
}

bool exo_network_run(const struct exo_network *network, const float *window, float *output)
{
    float *in = network->scratch[0], *out = network->scratch[1];
    memset(output, 0, network->n_output * sizeof *output);
    if (!normalise(network, window, in)) {
        return false;
    }
    for (uint32_t i = 0; i < network->n_layer; i++) {
        const struct exo_layer *layer = &network->layers[i];
        if (layer->kind == EXO_DENSE) {
            dense(layer, network->constants, in, out);
        } else {
            recur(layer, network->constants, in, out);
        }
        float *const swap = in;
        in = out;
        out = swap;
    }
    for (uint32_t j = 0; j < network->n_output; j++) {
        if (!exo_is_finite(in[j])) {
            return false;
        }
    }
    memcpy(output, in, network->n_output * sizeof *output);
    return true;
}

bool exo_network_is_whole(const struct exo_network *network)
{
    const uint32_t size = network->n_constant * (uint32_t)sizeof(float);
    return exo_crc32((const uint8_t *)network->constants, size) == network->crc;
}

float exo_network_novelty(const struct exo_network *network, const float *window)
{
    const float *centre = network->constants + network->centre;
    const float *scale = network->constants + network->scale;
    const uint32_t n = (uint32_t)network->history * network->n_input;
    float most = 0.0f;
    for (uint32_t i = n - network->n_input; i < n; i++) {
        if (!exo_is_finite(window[i])) {
            return INFINITY;
        }
        const float z = fabsf((window[i] - centre[i]) * scale[i]);
        most = z > most ? z : most;
    }
    return most;
}
