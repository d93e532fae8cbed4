/* Packets between host and device: bytes to structures and back. See docs/protocol.md.
 *
 * C99, no allocation, no recursion, no library but <stdint.h>, <stdbool.h> and <string.h>.
 */
#ifndef EXO_PROTOCOL_H
#define EXO_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    EXO_PROTOCOL_VERSION = 2,
    EXO_HEADER_SIZE = 16,
    EXO_CRC_SIZE = 4,
    EXO_MAX_FRAME = 96, /* encoded, without the delimiter */
    EXO_MAX_BODY = 53,
    EXO_MAX_RAW = EXO_HEADER_SIZE + EXO_MAX_BODY + EXO_CRC_SIZE,
    EXO_WINDOW = 100
};

enum exo_kind {
    EXO_HELLO = 1,
    EXO_DEVICE_FACTS = 2,
    EXO_SENSORS = 3,
    EXO_TORQUE_COMMAND = 4,
    EXO_STATUS = 5,
    EXO_FAULT_REPORT = 6,
    EXO_STOP = 7,
    EXO_CLEAR_FAULT = 8
};

/* What a torque command lets the device do. */
enum exo_enable { EXO_OFF = 0, EXO_COMMANDED = 1, EXO_BY_ITSELF = 2 };

enum exo_flaw {
    EXO_FLAW_NONE = 0,
    EXO_FLAW_FRAMING = 1,
    EXO_FLAW_CRC = 2,
    EXO_FLAW_LENGTH = 3,
    EXO_FLAW_VERSION = 4,
    EXO_FLAW_KIND = 5
};

/* A packet whose body is still in the bytes of the wire. */
struct exo_packet {
    uint8_t kind;
    uint32_t sequence;
    uint64_t time_us;
    const uint8_t *body;
};

/* Takes bytes one by one; keeps at most one frame. */
struct exo_decoder {
    uint8_t frame[EXO_MAX_FRAME];
    uint8_t raw[EXO_MAX_FRAME];
    uint16_t length;
    bool skipping;
    uint32_t good;
    uint32_t bad;
};

/* Takes sequence numbers that go forward by at most EXO_WINDOW. */
struct exo_sequence {
    uint32_t newest;
    bool started;
};

uint32_t exo_crc32(const uint8_t *data, uint32_t length);

/* COBS: `out` needs room for length + length / 254 + 1 bytes; returns the bytes written. */
uint32_t exo_cobs_encode(const uint8_t *data, uint32_t length, uint8_t *out);

/* Returns the bytes written, or -1 if `data` is no COBS; `out` needs room for `length` bytes. */
int32_t exo_cobs_decode(const uint8_t *data, uint32_t length, uint8_t *out);

uint16_t exo_body_size(uint8_t kind); /* 0 for an unknown kind */

/* Frame with its delimiter; `out` needs EXO_MAX_FRAME + 1 bytes. Returns its length. */
uint32_t exo_encode(uint8_t kind, uint32_t sequence, uint64_t time_us, const uint8_t *body,
                    uint8_t *out);

void exo_decoder_reset(struct exo_decoder *decoder);

/* True if `byte` completes a packet for a device; its body is valid until the next byte. */
bool exo_decoder_take(struct exo_decoder *decoder, uint8_t byte, struct exo_packet *packet);

bool exo_sequence_take(struct exo_sequence *sequence, uint32_t number);

uint8_t *exo_put_u16(uint8_t *at, uint16_t value);
uint8_t *exo_put_u32(uint8_t *at, uint32_t value);
uint8_t *exo_put_i32(uint8_t *at, int32_t value);
uint8_t *exo_put_u64(uint8_t *at, uint64_t value);
uint16_t exo_get_u16(const uint8_t *at);
uint32_t exo_get_u32(const uint8_t *at);
int32_t exo_get_i32(const uint8_t *at);
uint64_t exo_get_u64(const uint8_t *at);

#endif
