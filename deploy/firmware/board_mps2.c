/* The firmware on an emulated board (mps2-an386, mps2-an500): sensors, drives and the host's line
 * all come through one serial port, in lock step with whoever plays the world around the device.
 *
 * A request is a frame as on the host's line (COBS, CRC-32, zero byte); its first byte is its kind:
 *   1 BEGIN  settings (12 * 4 bytes), body mass (float) -> result of the self-test, CRC
 *   2 TICK   time (8 bytes), measurement, bytes from the host -> state, torques, bytes for the host
 *   3 SAMPLE time, measurement                          -> bytes for the host
 *   4 RUN    how often (4 bytes)                        -> timer ticks that so many runs took
 */
#include "exo_policy_data.h"

#include <string.h>

enum { BEGIN = 1, TICK = 2, SAMPLE = 3, RUN = 4 };
enum { ROOM = 2048, N_SETTING = 12, MEASURED = 9 + 14 * 4 };

#define UART ((volatile uint32_t *)0x40004000u)
#define NVIC_ENABLE ((volatile uint32_t *)0xE000E100u)
#define NVIC_CLEAR ((volatile uint32_t *)0xE000E280u)
#define SYSTICK ((volatile uint32_t *)0xE000E010u)
#define FPU_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define TIMER_TOP 0xFFFFFFu

extern uint8_t first_zero[], last_zero[], stack_top[];
void start(void);

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)stack_top, (uintptr_t)start, (uintptr_t)start, (uintptr_t)start};

static struct exo_device device;
static struct exo_policy policy;
static uint8_t encoded[ROOM + ROOM / 254 + 8], request[ROOM + 16], reply[ROOM];

/* Sleeps until a byte is there, so that the emulator's processor time goes to who sends it. */
static uint8_t hear(void)
{
    while ((UART[1] & 2u) == 0u) {
        __asm__ volatile("wfi");
    }
    const uint8_t byte = (uint8_t)UART[0];
    UART[3] = 2u;
    *NVIC_CLEAR = 1u;
    return byte;
}

static void say(uint8_t byte)
{
    while ((UART[1] & 1u) != 0u) {
    }
    UART[0] = byte;
}

/* Length of the next whole request; what is damaged is passed over. */
static uint32_t next_request(void)
{
    uint32_t length = 0;
    for (;;) {
        const uint8_t byte = hear();
        if (byte != 0u) {
            length += length < sizeof encoded ? 1u : 0u;
            encoded[length - 1u] = byte;
            continue;
        }
        const int32_t size = length < ROOM ? exo_cobs_decode(encoded, length, request) : -1;
        length = 0;
        const uint32_t content = size > 4 ? (uint32_t)size - 4u : 0u;
        if (content > 0u && exo_get_u32(request + content) == exo_crc32(request, content)) {
            return content;
        }
    }
}

static void answer(uint32_t length)
{
    exo_put_u32(reply + length, exo_crc32(reply, length));
    const uint32_t size = exo_cobs_encode(reply, length + 4u, encoded);
    for (uint32_t i = 0; i < size; i++) {
        say(encoded[i]);
    }
    say(0u);
}

static struct exo_measurement measurement(const uint8_t *at)
{
    struct exo_measurement seen;
    int32_t *pairs[] = {seen.angle_urad, seen.speed_urad_per_s, seen.thigh_urad,
                        seen.gyro_urad_per_s, seen.torque_mnm};
    for (int k = 0; k < 10; k++, at += 4) {
        pairs[k / 2][k % 2] = exo_get_i32(at);
    }
    seen.temperature_decidegc[0] = (int16_t)exo_get_i32(at);
    seen.temperature_decidegc[1] = (int16_t)exo_get_i32(at + 4);
    seen.battery_mv = (uint16_t)exo_get_u32(at + 8);
    seen.flags = (uint16_t)exo_get_u32(at + 12);
    return seen;
}

static uint32_t begin(void)
{
    uint32_t words[N_SETTING];
    struct exo_settings settings;
    float mass;
    for (int k = 0; k < N_SETTING; k++) {
        words[k] = exo_get_u32(request + 1 + 4 * k);
    }
    memcpy(&settings, words, sizeof settings);
    memcpy(&mass, request + 1 + 4 * N_SETTING, sizeof mass);
    exo_device_init(&device, &settings);
    exo_policy_init(&policy, &EXO_POLICY_DATA, mass);
    const enum exo_self_test found = exo_policy_self_test(&EXO_POLICY_DATA);
    if (found == EXO_SOUND) {
        exo_device_attach(&device, exo_policy_control, &policy, EXO_POLICY_CRC);
    }
    reply[1] = (uint8_t)found;
    exo_put_u32(reply + 2, EXO_POLICY_CRC);
    return 6u;
}

static uint32_t run(uint32_t repeats)
{
    float output[2];
    SYSTICK[1] = TIMER_TOP;
    SYSTICK[2] = 0u;
    SYSTICK[0] = 5u;
    const uint32_t before = SYSTICK[2];
    for (uint32_t i = 0; i < repeats; i++) {
        exo_network_run(&EXO_POLICY_DATA.network, EXO_POLICY_DATA.golden_input, output);
    }
    exo_put_u32(reply + 1, (before - SYSTICK[2]) & TIMER_TOP);
    return 5u;
}

static uint32_t obey(uint32_t length)
{
    const uint64_t now = exo_get_u64(request + 1);
    struct exo_measurement seen;
    reply[0] = request[0];
    if ((request[0] == TICK || request[0] == SAMPLE) && length < MEASURED) {
        return 1u;
    }
    switch (request[0]) {
    case BEGIN:
        return begin();
    case TICK:
        seen = measurement(request + 9);
        exo_device_receive(&device, request + MEASURED, length - MEASURED, now);
        exo_device_tick(&device, now, &seen);
        reply[1] = device.state;
        exo_put_i32(exo_put_i32(reply + 2, device.torque_mnm[0]), device.torque_mnm[1]);
        return 10u + exo_device_take_output(&device, reply + 10);
    case SAMPLE:
        seen = measurement(request + 9);
        exo_device_sample(&device, now, &seen);
        return 1u + exo_device_take_output(&device, reply + 1);
    case RUN:
        return run(exo_get_u32(request + 1));
    default:
        return 1u;
    }
}

static void serve(void)
{
    UART[4] = 16u;
    UART[2] = 11u;
    /* The interrupt of the receiver wakes, and is never taken. */
    __asm__ volatile("cpsid i");
    *NVIC_ENABLE = 1u;
    for (;;) {
        answer(obey(next_request()));
    }
}

void start(void)
{
    FPU_ACCESS |= 0xF00000u;
    __asm__ volatile("dsb\n isb");
    for (uint8_t *at = first_zero; at < last_zero; at++) {
        *at = 0u;
    }
    serve();
}
