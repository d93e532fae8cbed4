#include "exo_policy.h"

#include <math.h>
#include <string.h>

static const float GOLDEN_TOLERANCE = 1e-5f, LARGEST_MNM = 1e8f;

static float bounded(float value, float low, float high)
{
    /* Written so that NaN becomes a bound. */
    value = value < high ? value : high;
    return value > low ? value : low;
}

void exo_policy_init(struct exo_policy *policy, const struct exo_policy_data *data, float mass)
{
    memset(policy, 0, sizeof *policy);
    policy->data = data;
    policy->mass = mass;
}

void exo_policy_reset(struct exo_policy *policy)
{
    exo_policy_init(policy, policy->data, policy->mass);
}

void exo_policy_commands(const struct exo_policy_data *data, const float *output, float *command)
{
    for (int side = 0; side < 2; side++) {
        const struct exo_action *a = &data->actions[side];
        const float raw = output[a->output];
        float x = raw * a->gain + a->offset;
        if (a->squashing != EXO_CLIP) {
            const float slope = a->squashing == EXO_SQUASH_TANH ? 2.0f : 1.0f;
            x = a->low + (a->high - a->low) / (1.0f + expf(bounded(-slope * x, -80.0f, 80.0f)));
        }
        command[side] = exo_is_finite(raw) ? bounded(x, a->low, a->high) : 0.0f;
    }
}

static void remember(struct exo_policy *policy, const float *channels)
{
    const struct exo_policy_data *data = policy->data;
    const uint16_t depth = data->depth;
    policy->newest = (uint16_t)((policy->newest + 1u) % depth);
    for (uint16_t k = 0; k < (policy->started ? 1u : depth); k++) {
        const uint32_t at = (uint32_t)(policy->newest + k) % depth;
        memcpy(data->past + at * EXO_N_CHANNEL, channels, EXO_N_CHANNEL * sizeof *channels);
    }
    policy->started = true;
}

/* What the network sees: each signal a while ago, within its bounds, oldest sample first. */
static void look(const struct exo_policy *policy)
{
    const struct exo_policy_data *data = policy->data;
    const uint32_t n = data->network.n_input, history = data->network.history;
    float *to = data->window;
    for (uint32_t h = 0; h < history; h++) {
        for (uint32_t i = 0; i < n; i++) {
            const struct exo_signal *signal = &data->signals[i];
            const uint32_t back = history - 1u - h + signal->back;
            const uint32_t row = (policy->newest + data->depth - back) % data->depth;
            const float value = data->past[row * EXO_N_CHANNEL + signal->channel];
            *to++ = bounded(value, signal->low, signal->high);
        }
    }
}

static float trust(const struct exo_policy_data *data)
{
    const float novelty = exo_network_novelty(&data->network, data->window);
    const float left = data->novelty_end - novelty;
    return bounded(left / (data->novelty_end - data->novelty_begin), 0.0f, 1.0f);
}

bool exo_policy_step(struct exo_policy *policy, const float *channels, float *torque)
{
    const struct exo_policy_data *data = policy->data;
    float output[2];
    torque[0] = 0.0f;
    torque[1] = 0.0f;
    for (uint32_t i = 0; i < EXO_N_CHANNEL; i++) {
        if (!exo_is_finite(channels[i])) {
            return false;
        }
    }
    remember(policy, channels);
    look(policy);
    if (!exo_network_run(&data->network, data->window, output)) {
        return false;
    }
    const float gain = trust(data) * (data->per_mass ? policy->mass : 1.0f);
    exo_policy_commands(data, output, torque);
    torque[0] *= gain;
    torque[1] *= gain;
    return true;
}

void exo_policy_control(void *context, uint64_t now_us, const struct exo_measurement *seen,
                        const int32_t *given_mnm, int32_t *wanted_mnm)
{
    struct exo_policy *policy = context;
    const struct exo_policy_data *data = policy->data;
    if (!policy->started || now_us >= policy->due_us) {
        float channels[EXO_N_CHANNEL], torque[2];
        const int32_t *pairs[] = {seen->angle_urad, seen->speed_urad_per_s, seen->thigh_urad,
                                  seen->gyro_urad_per_s};
        for (unsigned k = 0; k < 8u; k++) {
            channels[k] = (float)pairs[k / 2u][k % 2u] * 1e-6f;
        }
        for (unsigned side = 0; side < 2u; side++) {
            const float most = data->actions[side].high * (data->per_mass ? policy->mass : 1.0f);
            channels[EXO_OWN_TORQUE + side] =
                most > 0.0f ? (float)given_mnm[side] * 1e-3f / most : 0.0f;
        }
        /* Kept to the grid of periods; after a pause it begins anew. */
        if (!policy->started || now_us - policy->due_us > data->period_us) {
            exo_policy_reset(policy);
            policy->due_us = now_us;
        }
        policy->due_us += data->period_us;
        exo_policy_step(policy, channels, torque);
        for (unsigned side = 0; side < 2u; side++) {
            const float mnm = bounded(torque[side] * 1e3f, -LARGEST_MNM, LARGEST_MNM);
            policy->wanted_mnm[side] = (int32_t)mnm;
        }
    }
    wanted_mnm[0] = policy->wanted_mnm[0];
    wanted_mnm[1] = policy->wanted_mnm[1];
}

enum exo_self_test exo_policy_self_test(const struct exo_policy_data *data)
{
    const struct exo_network *network = &data->network;
    if (!exo_network_is_whole(network)) {
        return EXO_WEIGHTS_CHANGED;
    }
    const uint32_t size = (uint32_t)network->history * network->n_input;
    for (uint16_t k = 0; k < data->n_golden; k++) {
        float found[2];
        const float *expected = data->golden_output + k * 2u;
        if (!exo_network_run(network, data->golden_input + k * size, found)) {
            return EXO_GOLDEN_DIFFERS;
        }
        for (int j = 0; j < 2; j++) {
            const float allowed = GOLDEN_TOLERANCE * (1.0f + fabsf(expected[j]));
            if (!(fabsf(found[j] - expected[j]) <= allowed)) {
                return EXO_GOLDEN_DIFFERS;
            }
        }
    }
    return EXO_SOUND;
}
