/* SPDX-License-Identifier: Apache-2.0
 * The part of libnorm's C interface that nrl_peer.c uses. Debian's normApi.h (1.5.9) cannot be
 * included from C: it has references and default arguments outside its own macros. */
#ifndef TESTS_INTEROP_NORM_API_H
#define TESTS_INTEROP_NORM_API_H

#include <stdbool.h>
#include <stdint.h>

enum nrl_event_type {
    NRL_TX_FLUSH_COMPLETED = 3,
    NRL_TX_WATERMARK_COMPLETED = 4,
    NRL_TX_OBJECT_SENT = 6,
    NRL_REMOTE_SENDER_NEW = 10,
    NRL_REMOTE_SENDER_RESET = 11,
    NRL_REMOTE_SENDER_INACTIVE = 14,
    NRL_RX_CMD_NEW = 16,
    NRL_RX_OBJECT_NEW = 17,
    NRL_RX_OBJECT_INFO = 18,
    NRL_RX_OBJECT_UPDATED = 19,
    NRL_RX_OBJECT_COMPLETED = 20,
    NRL_RX_OBJECT_ABORTED = 21,
    NRL_CC_ACTIVE = 24
};

enum nrl_probing { NRL_PROBE_NONE, NRL_PROBE_PASSIVE, NRL_PROBE_ACTIVE };
enum nrl_sync { NRL_SYNC_CURRENT, NRL_SYNC_STREAM, NRL_SYNC_ALL };
enum nrl_acking { NRL_ACK_INVALID, NRL_ACK_FAILURE, NRL_ACK_PENDING, NRL_ACK_SUCCESS };

struct nrl_event {
    int type; /* enum nrl_event_type */
    const void *session;
    const void *sender;
    const void *object;
};

const void *NormCreateInstance(bool priority_boost);
void NormDestroyInstance(const void *instance);
bool NormSetCacheDirectory(const void *instance, const char *path);
bool NormGetNextEvent(const void *instance, struct nrl_event *event, bool wait);
int NormGetDescriptor(const void *instance);

const void *NormCreateSession(const void *instance, const char *address, uint16_t port,
                              uint32_t node_id);
void NormDestroySession(const void *session);
bool NormSetMulticastInterface(const void *session, const char *name);
bool NormSetTTL(const void *session, unsigned char ttl);
void NormSetTxLoss(const void *session, double percent);
void NormSetRxLoss(const void *session, double percent);

bool NormStartSender(const void *session, uint16_t instance_id, uint32_t buffer_space,
                     uint16_t segment_size, uint16_t num_data, uint16_t num_parity, uint8_t fec_id);
void NormStopSender(const void *session);
void NormSetTxRate(const void *session, double bits_per_second);
bool NormSetTxSocketBuffer(const void *session, unsigned int size);
void NormSetTxCacheBounds(const void *session, int64_t size_max, uint32_t count_min,
                          uint32_t count_max);
void NormSetAutoParity(const void *session, unsigned char auto_parity);
void NormLimitObjectInfo(const void *session, bool limit);
void NormSetCongestionControl(const void *session, bool enable, bool adjust_rate);
bool NormSetTxRateBounds(const void *session, double least, double most);
void NormSetGrttEstimate(const void *session, double seconds);
void NormSetGrttProbingMode(const void *session, int mode);
const void *NormFileEnqueue(const void *session, const char *name, const char *info,
                            unsigned int info_size);
const void *NormDataEnqueue(const void *session, const char *data, uint32_t size, const char *info,
                            unsigned int info_size);
bool NormSetWatermark(const void *session, const void *object, bool override_flush);
bool NormAddAckingNode(const void *session, uint32_t node_id);
int NormGetAckingStatus(const void *session, uint32_t node_id);

bool NormStartReceiver(const void *session, uint32_t buffer_space);
void NormStopReceiver(const void *session);
bool NormSetRxSocketBuffer(const void *session, unsigned int size);
void NormSetSilentReceiver(const void *session, bool silent, int max_delay);
void NormSetDefaultUnicastNack(const void *session, bool unicast);
void NormSetDefaultSyncPolicy(const void *session, int policy);

bool NormObjectHasInfo(const void *object);
uint16_t NormObjectGetInfo(const void *object, char *buffer, uint16_t size);
int64_t NormObjectGetSize(const void *object);
int64_t NormObjectGetBytesPending(const void *object);
void NormObjectCancel(const void *object);
bool NormFileGetName(const void *file, char *buffer, unsigned int size);
bool NormFileRename(const void *file, const char *name);
const char *NormDataAccessData(const void *object);
int NormObjectGetType(const void *object);
bool NormNodeGetCommand(const void *sender, char *buffer, unsigned int *size);

#endif
