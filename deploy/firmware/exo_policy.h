/* An exported policy on the device: readings in, wanted torque out.
 *
 * Windows, lags, bounds, normaliser, network, squashing, and fading where the readings are unlike
 * those of training. The limiter of exo_device.c comes after it and does not rely on it. The
 * constants come from osim-exo export.
 */
#ifndef EXO_POLICY_H
#define EXO_POLICY_H

#include "exo_device.h"
#include "exo_network.h"

/* What a sample is made of; right, then left. Torque is a share of the largest command. */
enum exo_channel {
    EXO_HIP_ANGLE = 0,
    EXO_HIP_SPEED = 2,
    EXO_THIGH_ANGLE = 4,
    EXO_THIGH_RATE = 6,
    EXO_OWN_TORQUE = 8,
    EXO_N_CHANNEL = 10
};

enum exo_squashing { EXO_CLIP = 0, EXO_SQUASH_TANH = 1, EXO_SIGMOID = 2 };

enum exo_self_test { EXO_SOUND = 0, EXO_WEIGHTS_CHANGED = 1, EXO_GOLDEN_DIFFERS = 2 };

struct exo_signal {
    uint8_t channel; /* enum exo_channel, plus one for the left side */
    uint8_t back;    /* periods ago */
    float low;
    float high;
};

struct exo_action {
    uint8_t output; /* of the network */
    uint8_t squashing;
    float gain;
    float offset;
    float low;
    float high;
};

struct exo_policy_data {
    struct exo_network network;
    const struct exo_signal *signals; /* network.n_input of them */
    struct exo_action actions[2];     /* for the right and the left hip */
    bool per_mass;                    /* commands are Nm/kg of body mass, not Nm */
    uint32_t period_us;
    uint16_t depth;      /* samples in `past` */
    float novelty_begin; /* |z| from which torque fades */
    float novelty_end;   /* |z| from which there is none */
    const float *golden_input;
    const float *golden_output;
    uint16_t n_golden;
    float *past;   /* depth * EXO_N_CHANNEL */
    float *window; /* network.history * network.n_input */
};

struct exo_policy {
    const struct exo_policy_data *data;
    float mass;
    uint16_t newest;
    bool started;
    uint64_t due_us;
    int32_t wanted_mnm[2];
};

/* The body's mass in kg; a policy whose self-test fails must not be used. */
void exo_policy_init(struct exo_policy *policy, const struct exo_policy_data *data, float mass);

/* Forget what was read. */
void exo_policy_reset(struct exo_policy *policy);

/* Commands (Nm or Nm/kg) of the network's outputs, each within its bounds for any input. */
void exo_policy_commands(const struct exo_policy_data *data, const float *output, float *command);

/* One period: channels (see enum exo_channel) in, torque in Nm out, right then left.
 * False, and zero torque, where a reading is not finite. */
bool exo_policy_step(struct exo_policy *policy, const float *channels, float *torque);

/* The torque that the policy wants now, 0.001 Nm; of type exo_controller, `policy` is its context.
 * It acts once per period of its own and holds its torque in between. */
void exo_policy_control(void *policy, uint64_t now_us, const struct exo_measurement *seen,
                        const int32_t *given_mnm, int32_t *wanted_mnm);

enum exo_self_test exo_policy_self_test(const struct exo_policy_data *data);

#endif
