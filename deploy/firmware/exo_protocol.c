#include "exo_protocol.h"

#include <string.h>

static const uint16_t BODY_SIZES[] = {0, 4, 36, 53, 17, 21, 6, 1, 4};

uint32_t exo_crc32(const uint8_t *data, uint32_t length)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xEDB88320u : 0u);
        }
    }
    return crc ^ 0xFFFFFFFFu;
}

uint32_t exo_cobs_encode(const uint8_t *data, uint32_t length, uint8_t *out)
{
    uint32_t code_at = 0, written = 1;
    uint8_t code = 1;
    for (uint32_t i = 0; i < length; i++) {
        if (data[i] != 0u) {
            out[written++] = data[i];
            code++;
        }
        /* A full block has no zero of its own, unless the data end with it. */
        if (data[i] == 0u || (code == 0xFFu && i + 1 < length)) {
            out[code_at] = code;
            code_at = written++;
            code = 1;
        }
    }
    out[code_at] = code;
    return written;
}

int32_t exo_cobs_decode(const uint8_t *data, uint32_t length, uint8_t *out)
{
    uint32_t read = 0, written = 0;
    while (read < length) {
        const uint8_t code = data[read++];
        if (code == 0u || code - 1u > length - read) {
            return -1;
        }
        for (uint8_t k = 1; k < code; k++) {
            if (data[read] == 0u) {
                return -1;
            }
            out[written++] = data[read++];
        }
        if (code < 0xFFu && read < length) {
            out[written++] = 0u;
        }
    }
    return (int32_t)written;
}

uint16_t exo_body_size(uint8_t kind)
{
    return kind < sizeof BODY_SIZES / sizeof BODY_SIZES[0] ? BODY_SIZES[kind] : 0u;
}

uint32_t exo_encode(uint8_t kind, uint32_t sequence, uint64_t time_us, const uint8_t *body,
                    uint8_t *out)
{
    uint8_t raw[EXO_MAX_RAW];
    const uint16_t size = exo_body_size(kind);
    uint8_t *at = raw;
    *at++ = EXO_PROTOCOL_VERSION;
    *at++ = kind;
    at = exo_put_u16(at, size);
    at = exo_put_u32(at, sequence);
    at = exo_put_u64(at, time_us);
    memcpy(at, body, size);
    at += size;
    at = exo_put_u32(at, exo_crc32(raw, (uint32_t)(at - raw)));
    const uint32_t length = exo_cobs_encode(raw, (uint32_t)(at - raw), out);
    out[length] = 0u;
    return length + 1u;
}

void exo_decoder_reset(struct exo_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
}

static enum exo_flaw parse(const struct exo_decoder *decoder, int32_t length,
                           struct exo_packet *packet)
{
    const uint8_t *raw = decoder->raw;
    if (length < 0) {
        return EXO_FLAW_FRAMING;
    }
    if (length < EXO_CRC_SIZE) {
        return EXO_FLAW_LENGTH;
    }
    const uint32_t content = (uint32_t)length - EXO_CRC_SIZE;
    if (exo_get_u32(raw + content) != exo_crc32(raw, content)) {
        return EXO_FLAW_CRC;
    }
    if (content < EXO_HEADER_SIZE) {
        return EXO_FLAW_LENGTH;
    }
    if (raw[0] != EXO_PROTOCOL_VERSION) {
        return EXO_FLAW_VERSION;
    }
    const uint16_t size = exo_body_size(raw[1]);
    if (size == 0u) {
        return EXO_FLAW_KIND;
    }
    if (exo_get_u16(raw + 2) != size || content != (uint32_t)EXO_HEADER_SIZE + size) {
        return EXO_FLAW_LENGTH;
    }
    packet->kind = raw[1];
    packet->sequence = exo_get_u32(raw + 4);
    packet->time_us = exo_get_u64(raw + 8);
    packet->body = raw + EXO_HEADER_SIZE;
    switch (packet->kind) {
    case EXO_HELLO:
    case EXO_TORQUE_COMMAND:
    case EXO_STOP:
    case EXO_CLEAR_FAULT:
        return EXO_FLAW_NONE;
    default: /* what a device sends is not for a device */
        return EXO_FLAW_KIND;
    }
}

bool exo_decoder_take(struct exo_decoder *decoder, uint8_t byte, struct exo_packet *packet)
{
    if (byte != 0u) {
        if (decoder->skipping) {
            return false;
        }
        if (decoder->length == EXO_MAX_FRAME) {
            decoder->skipping = true;
            decoder->length = 0;
            decoder->bad++;
            return false;
        }
        decoder->frame[decoder->length++] = byte;
        return false;
    }
    const uint16_t length = decoder->length;
    const bool ends_garbage = decoder->skipping;
    decoder->length = 0;
    decoder->skipping = false;
    if (ends_garbage || length == 0u) {
        return false;
    }
    const int32_t decoded = exo_cobs_decode(decoder->frame, length, decoder->raw);
    if (parse(decoder, decoded, packet) != EXO_FLAW_NONE) {
        decoder->bad++;
        return false;
    }
    decoder->good++;
    return true;
}

bool exo_sequence_take(struct exo_sequence *sequence, uint32_t number)
{
    const uint32_t forward = number - sequence->newest;
    if (sequence->started && (forward == 0u || forward > EXO_WINDOW)) {
        return false;
    }
    sequence->started = true;
    sequence->newest = number;
    return true;
}

uint8_t *exo_put_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

uint8_t *exo_put_u32(uint8_t *at, uint32_t value)
{
    at = exo_put_u16(at, (uint16_t)value);
    return exo_put_u16(at, (uint16_t)(value >> 16));
}

uint8_t *exo_put_i32(uint8_t *at, int32_t value)
{
    return exo_put_u32(at, (uint32_t)value);
}

uint8_t *exo_put_u64(uint8_t *at, uint64_t value)
{
    at = exo_put_u32(at, (uint32_t)value);
    return exo_put_u32(at, (uint32_t)(value >> 32));
}

uint16_t exo_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | (uint16_t)at[1] << 8);
}

uint32_t exo_get_u32(const uint8_t *at)
{
    return exo_get_u16(at) | (uint32_t)exo_get_u16(at + 2) << 16;
}

int32_t exo_get_i32(const uint8_t *at)
{
    const uint32_t value = exo_get_u32(at);
    /* Two's complement without relying on how the compiler converts. */
    return value < 0x80000000u ? (int32_t)value : (int32_t)(value - 0x80000000u) - INT32_MAX - 1;
}

uint64_t exo_get_u64(const uint8_t *at)
{
    return exo_get_u32(at) | (uint64_t)exo_get_u32(at + 4) << 32;
}
