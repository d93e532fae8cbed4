/* The device's side: sessions, watchdog and limiter in whole numbers.
 *
 * The board's code calls exo_device_receive for bytes from the line, exo_device_tick at a fixed
 * rate for the torque of the drives, exo_device_sample once per period, and sends what lies in
 * `out`. Nothing here touches hardware. Research software; see docs/safety.md.
 */
#ifndef EXO_DEVICE_H
#define EXO_DEVICE_H

#include "exo_protocol.h"

enum { EXO_OUT_LIMIT = 1024, EXO_STATUS_EVERY = 100 };

enum exo_state { EXO_IDLE = 0, EXO_ENABLED = 1, EXO_FAULT = 2, EXO_ESTOP = 3 };

enum exo_flag {
    EXO_TORQUE_ON = 1,
    EXO_WATCHDOG = 2,
    EXO_OVER_TEMPERATURE = 4,
    EXO_LOW_BATTERY = 8,
    EXO_ENCODER_FAULT = 16,
    EXO_IMU_FAULT = 32,
    EXO_ESTOP_BUTTON = 64,
    EXO_LIMITED = 128,
    EXO_DRIVE_FAULT = 256
};

struct exo_settings {
    uint32_t serial_number;
    uint32_t period_us;
    uint32_t tick_us;
    uint32_t watchdog_us;
    uint32_t max_torque_mnm;
    uint32_t rate_limit_mnm_per_s;
    uint32_t power_limit_mw;
    int32_t angle_low_urad;
    int32_t angle_high_urad;
    int32_t angle_taper_urad;
    int32_t speed_limit_urad_per_s;
    int32_t speed_taper_urad_per_s;
};

/* What the sensors read; right, then left, flexion positive. */
struct exo_measurement {
    int32_t angle_urad[2];
    int32_t speed_urad_per_s[2];
    int32_t thigh_urad[2]; /* to gravity */
    int32_t gyro_urad_per_s[2];
    int32_t torque_mnm[2];
    int16_t temperature_decidegc[2];
    uint16_t battery_mv;
    uint16_t flags;
};

/* Gives the torque that a controller on the device wants, 0.001 Nm; `given_mnm` is what the drives
 * are asked for now. Whatever it gives, the limiter comes after it. */
typedef void (*exo_controller)(void *context, uint64_t now_us, const struct exo_measurement *seen,
                               const int32_t *given_mnm, int32_t *wanted_mnm);

struct exo_device {
    struct exo_settings settings;
    exo_controller controller; /* NULL: the device obeys torque commands only */
    void *context;
    uint32_t controller_crc; /* of its constants; 0 without one */
    bool by_itself;          /* the controller acts, within what the host allows */
    int32_t allowed_mnm[2];
    struct exo_decoder decoder;
    struct exo_sequence window;
    uint8_t state;
    bool limited;
    uint16_t latched;
    uint32_t session;
    uint32_t command_sequence;
    uint64_t commanded_at;
    int32_t target_mnm[2];
    int32_t torque_mnm[2];
    uint32_t sequence;
    uint32_t samples;
    uint32_t watchdog_trips;
    uint32_t session_refused;
    uint32_t sequence_refused;
    uint16_t out_length;
    uint8_t out[EXO_OUT_LIMIT];
};

void exo_device_init(struct exo_device *device, const struct exo_settings *settings);
void exo_device_receive(struct exo_device *device, const uint8_t *data, uint32_t length,
                        uint64_t now_us);

/* A controller of the device's own, for commands that let it act; call it after exo_device_init. */
void exo_device_attach(struct exo_device *device, exo_controller controller, void *context,
                       uint32_t crc);

/* Torque of one side (0.001 Nm) within the rate limit and, above all, the bounds of this instant:
 * largest torque, power, and fading near the ends of the joint's range and at high speed. */
int32_t exo_limit(const struct exo_settings *settings, int32_t before_mnm, int32_t wanted_mnm,
                  int32_t angle_urad, int32_t speed_urad_per_s);

/* One step of the torque loop; torque for the drives is in device->torque_mnm. */
void exo_device_tick(struct exo_device *device, uint64_t now_us,
                     const struct exo_measurement *seen);
void exo_device_sample(struct exo_device *device, uint64_t now_us,
                       const struct exo_measurement *seen);

/* Moves what is to be sent to `to`, which needs EXO_OUT_LIMIT bytes; returns how many. */
uint16_t exo_device_take_output(struct exo_device *device, uint8_t *to);

#endif
