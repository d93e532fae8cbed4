#include "exo_device.h"

#include <string.h>

enum { VERSION_MAJOR = 2, VERSION_MINOR = 0, VERSION_PATCH = 0, N_JOINT = 2 };

static const uint16_t BLOCKING = EXO_OVER_TEMPERATURE | EXO_ENCODER_FAULT | EXO_DRIVE_FAULT;

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    value = value < high ? value : high;
    return value > low ? value : low;
}

/* `cap`, less where the room to an end is less than the taper, none beyond the end. */
static int64_t faded(int64_t cap, int64_t room, int64_t taper)
{
    if (room <= 0) {
        return 0;
    }
    return room >= taper ? cap : cap * room / taper;
}

static void send(struct exo_device *device, uint8_t kind, const uint8_t *body, uint64_t now_us)
{
    uint8_t frame[EXO_MAX_FRAME + 1];
    device->sequence++;
    const uint32_t length = exo_encode(kind, device->sequence, now_us, body, frame);
    if (device->out_length + length <= EXO_OUT_LIMIT) {
        memcpy(device->out + device->out_length, frame, length);
        device->out_length = (uint16_t)(device->out_length + length);
    }
}

static void send_fault(struct exo_device *device, uint16_t flag, int64_t detail, uint64_t now_us)
{
    uint8_t body[6];
    exo_put_i32(exo_put_u16(body, flag), (int32_t)clamp(detail, 0, INT32_MAX));
    send(device, EXO_FAULT_REPORT, body, now_us);
}

/* Torque off at once; an ESTOP stays until power goes off. */
static void switch_off(struct exo_device *device, enum exo_state state)
{
    for (int side = 0; side < N_JOINT; side++) {
        device->target_mnm[side] = 0;
        device->torque_mnm[side] = 0;
    }
    device->limited = false;
    device->by_itself = false;
    if (device->state != EXO_ESTOP) {
        device->state = (uint8_t)state;
    }
}

static void fail(struct exo_device *device, uint16_t flag, int64_t detail, uint64_t now_us)
{
    device->latched |= flag;
    switch_off(device, EXO_FAULT);
    send_fault(device, flag, detail, now_us);
}

static void greet(struct exo_device *device, const struct exo_packet *packet, uint64_t now_us)
{
    const struct exo_settings *s = &device->settings;
    uint8_t body[36];
    uint8_t *at = body;
    device->session = exo_get_u32(packet->body);
    device->window.started = false;
    exo_sequence_take(&device->window, packet->sequence);
    device->latched = 0;
    switch_off(device, EXO_IDLE);
    at = exo_put_u32(at, device->session);
    *at++ = VERSION_MAJOR;
    *at++ = VERSION_MINOR;
    *at++ = VERSION_PATCH;
    *at++ = N_JOINT;
    at = exo_put_u32(at, s->serial_number);
    at = exo_put_u32(at, s->period_us);
    at = exo_put_u32(at, s->watchdog_us);
    at = exo_put_u32(at, s->max_torque_mnm);
    at = exo_put_u32(at, s->rate_limit_mnm_per_s);
    at = exo_put_u32(at, s->power_limit_mw);
    exo_put_u32(at, device->controller_crc);
    send(device, EXO_DEVICE_FACTS, body, now_us);
}

static void command(struct exo_device *device, const struct exo_packet *packet, uint64_t now_us)
{
    const int32_t cap = (int32_t)device->settings.max_torque_mnm;
    device->command_sequence = packet->sequence;
    device->commanded_at = now_us;
    if (device->state != EXO_IDLE && device->state != EXO_ENABLED) {
        return;
    }
    const uint8_t enable = packet->body[12];
    const bool by_itself = enable == EXO_BY_ITSELF && device->controller != NULL;
    if (enable != EXO_COMMANDED && !by_itself) {
        switch_off(device, EXO_IDLE);
        return;
    }
    device->state = EXO_ENABLED;
    device->by_itself = by_itself;
    for (int side = 0; side < N_JOINT; side++) {
        const int32_t given = exo_get_i32(packet->body + 4 + 4 * side);
        if (by_itself) {
            device->allowed_mnm[side] = (int32_t)clamp(given, 0, cap);
        } else {
            device->target_mnm[side] = (int32_t)clamp(given, -cap, cap);
        }
    }
}

static void obey_in_session(struct exo_device *device, const struct exo_packet *packet,
                            uint64_t now_us)
{
    if (device->session == 0u || exo_get_u32(packet->body) != device->session) {
        device->session_refused++;
    } else if (!exo_sequence_take(&device->window, packet->sequence)) {
        device->sequence_refused++;
    } else if (packet->kind == EXO_TORQUE_COMMAND) {
        command(device, packet, now_us);
    } else if (device->state == EXO_FAULT) {
        device->latched = 0;
        switch_off(device, EXO_IDLE);
    }
}

static void obey(struct exo_device *device, const struct exo_packet *packet, uint64_t now_us)
{
    if (packet->kind == EXO_HELLO) {
        greet(device, packet, now_us);
    } else if (packet->kind == EXO_STOP) {
        const bool emergency = packet->body[0] != 0u;
        if (emergency || device->state == EXO_ENABLED) {
            switch_off(device, emergency ? EXO_ESTOP : EXO_IDLE);
        }
    } else {
        obey_in_session(device, packet, now_us);
    }
}

int32_t exo_limit(const struct exo_settings *s, int32_t before_mnm, int32_t wanted_mnm,
                  int32_t angle_urad, int32_t speed_urad_per_s)
{
    const int64_t angle = angle_urad, signed_speed = speed_urad_per_s;
    const int64_t speed = signed_speed < 0 ? -signed_speed : signed_speed;
    int64_t cap = s->max_torque_mnm;
    if (speed > 0) {
        cap = clamp((int64_t)s->power_limit_mw * 1000000 / speed, 0, cap);
    }
    cap = faded(cap, s->speed_limit_urad_per_s - speed, s->speed_taper_urad_per_s);
    const int64_t low = -faded(cap, angle - s->angle_low_urad, s->angle_taper_urad);
    const int64_t high = faded(cap, s->angle_high_urad - angle, s->angle_taper_urad);
    const int64_t step = (int64_t)s->rate_limit_mnm_per_s * s->tick_us / 1000000;
    const int64_t before = before_mnm;
    return (int32_t)clamp(clamp(wanted_mnm, before - step, before + step), low, high);
}

/* The device's own controller sets the target, within what the host's last command allows. */
static void act(struct exo_device *device, uint64_t now_us, const struct exo_measurement *seen)
{
    int32_t wanted[N_JOINT] = {0, 0};
    device->controller(device->context, now_us, seen, device->torque_mnm, wanted);
    for (int side = 0; side < N_JOINT; side++) {
        const int64_t allowed = device->allowed_mnm[side];
        device->target_mnm[side] = (int32_t)clamp(wanted[side], -allowed, allowed);
    }
}

void exo_device_init(struct exo_device *device, const struct exo_settings *settings)
{
    memset(device, 0, sizeof *device);
    device->settings = *settings;
}

void exo_device_attach(struct exo_device *device, exo_controller controller, void *context,
                       uint32_t crc)
{
    device->controller = controller;
    device->context = context;
    device->controller_crc = crc;
}

void exo_device_receive(struct exo_device *device, const uint8_t *data, uint32_t length,
                        uint64_t now_us)
{
    struct exo_packet packet;
    for (uint32_t i = 0; i < length; i++) {
        if (exo_decoder_take(&device->decoder, data[i], &packet)) {
            obey(device, &packet, now_us);
        }
    }
}

void exo_device_tick(struct exo_device *device, uint64_t now_us,
                     const struct exo_measurement *seen)
{
    if ((seen->flags & EXO_ESTOP_BUTTON) != 0 && device->state != EXO_ESTOP) {
        switch_off(device, EXO_ESTOP);
        send_fault(device, EXO_ESTOP_BUTTON, 0, now_us);
    }
    if (device->state == EXO_ENABLED) {
        const int64_t silence = (int64_t)now_us - (int64_t)device->commanded_at;
        if ((seen->flags & BLOCKING) != 0) {
            fail(device, seen->flags & BLOCKING, 0, now_us);
        } else if (silence > (int64_t)device->settings.watchdog_us) {
            device->watchdog_trips++;
            fail(device, EXO_WATCHDOG, silence, now_us);
        }
    }
    if (device->state == EXO_ENABLED) {
        if (device->by_itself) {
            act(device, now_us, seen);
        }
        for (int side = 0; side < N_JOINT; side++) {
            device->torque_mnm[side] =
                exo_limit(&device->settings, device->torque_mnm[side], device->target_mnm[side],
                          seen->angle_urad[side], seen->speed_urad_per_s[side]);
        }
        device->limited = device->torque_mnm[0] != device->target_mnm[0]
                          || device->torque_mnm[1] != device->target_mnm[1];
    }
}

static void send_status(struct exo_device *device, uint64_t now_us)
{
    uint8_t body[21];
    uint8_t *at = body;
    *at++ = device->state;
    at = exo_put_u32(at, device->decoder.good);
    at = exo_put_u32(at, device->decoder.bad);
    at = exo_put_u32(at, device->sequence_refused);
    at = exo_put_u32(at, device->session_refused);
    exo_put_u32(at, device->watchdog_trips);
    send(device, EXO_STATUS, body, now_us);
}

void exo_device_sample(struct exo_device *device, uint64_t now_us,
                       const struct exo_measurement *seen)
{
    uint8_t body[EXO_MAX_BODY];
    uint8_t *at = body;
    uint16_t flags = (uint16_t)(seen->flags | device->latched);
    flags |= device->state == EXO_ENABLED ? EXO_TORQUE_ON : 0;
    flags |= device->limited ? EXO_LIMITED : 0;
    const int32_t *pairs[] = {seen->angle_urad, seen->speed_urad_per_s, seen->thigh_urad,
                              seen->gyro_urad_per_s, seen->torque_mnm};
    for (unsigned k = 0; k < sizeof pairs / sizeof pairs[0]; k++) {
        at = exo_put_i32(exo_put_i32(at, pairs[k][0]), pairs[k][1]);
    }
    at = exo_put_u16(at, (uint16_t)seen->temperature_decidegc[0]);
    at = exo_put_u16(at, (uint16_t)seen->temperature_decidegc[1]);
    at = exo_put_u16(at, seen->battery_mv);
    at = exo_put_u16(at, flags);
    at = exo_put_u32(at, device->command_sequence);
    *at = device->state;
    send(device, EXO_SENSORS, body, now_us);
    device->samples++;
    if (device->samples % EXO_STATUS_EVERY == 0u) {
        send_status(device, now_us);
    }
}

uint16_t exo_device_take_output(struct exo_device *device, uint8_t *to)
{
    const uint16_t length = device->out_length;
    memcpy(to, device->out, length);
    device->out_length = 0;
    return length;
}
