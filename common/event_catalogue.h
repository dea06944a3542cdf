/* SPDX-License-Identifier: Apache-2.0
 * The catalogue of events: X(kind, severity, sentence, fields of the detail). Only what stands here
 * can be written (db_event_add asserts it). docs/events.md is generated from it; the test
 * api.events_emitted holds that each kind is emitted by some test. Pure data.
 *
 * INFO: somebody did something, or it went as it should. WARNING: look at it when there is time.
 * ERROR: something does not work until somebody acts. */
#ifndef CP_COMMON_EVENT_CATALOGUE_H
#define CP_COMMON_EVENT_CATALOGUE_H

/* clang-format off */
#define CP_EVENT_CATALOGUE(X) \
    X("package-created", INFO, "A package was created.", "the package") \
    X("package-changed", INFO, "A package was changed.", "the package") \
    X("package-deleted", INFO, "A package was deleted with its versions.", "") \
    X("version-created", INFO, "A draft of a new version was created.", "") \
    X("version-sealed", INFO, "A version was sealed: its content is final.", "package, version, file_count, stream_size, content_size, manifest_sha256") \
    X("version-retired", INFO, "A version was retired: nobody gets it any more.", "") \
    X("version-deleted", INFO, "A version was deleted.", "") \
    X("settings-changed", INFO, "Settings of a distribution point were changed.", "the settings") \
    X("first-account-created", INFO, "The first administrator was made at the first start.", "") \
    X("account-created", INFO, "An account was created.", "the account") \
    X("account-changed", INFO, "An account was changed: role, password, or switched on or off.", "the account") \
    X("account-deleted", INFO, "An account was deleted with its tokens.", "") \
    X("token-created", INFO, "A token was made.", "the token, without its secret") \
    X("token-deleted", INFO, "A token was deleted.", "") \
    X("identity-key-created", INFO, "The identity key was made for the first time.", "reason, fingerprint") \
    X("identity-key-replaced", WARNING, "The identity key could not be used and was replaced.", "reason, fingerprint, old_fingerprint") \
    X("identity-key-rotated", INFO, "The identity key was rotated.", "reason, fingerprint, old_fingerprint") \
    X("multicast-key-created", INFO, "The multicast key was made for the first time.", "reason, fingerprint") \
    X("multicast-key-replaced", WARNING, "The multicast key could not be used and was replaced.", "reason, fingerprint, old_fingerprint") \
    X("multicast-key-rotated", INFO, "The multicast key was rotated.", "reason, fingerprint, old_fingerprint") \
    X("session-started", INFO, "A session began to send.", "package, version, group, port") \
    X("session-finished", INFO, "A session came to its end.", "package, version, group, port") \
    X("session-failed", ERROR, "A session failed.", "package, version, group, port, code, text") \
    X("session-cancelled", INFO, "A session was cancelled.", "package, version, group, port, code, text") \
    X("session-interrupted", WARNING, "The service stopped while a session was under way.", "package, version, group, port") \
    X("session-resumed", INFO, "A session that was interrupted goes on.", "package, version, group, port") \
    X("receiver-too-slow", WARNING, "A receiver could not keep up and was left behind.", "package, version, receiver, client_name, node_id, text, asked_symbols, loss_ppm, rate_bps, session_rate_bps") \
    X("task-cancelled", INFO, "A task was cancelled.", "task, kind") \
    X("webhook-created", INFO, "A webhook was created.", "the webhook, without its secret") \
    X("webhook-changed", INFO, "A webhook was changed.", "the webhook, without its secret") \
    X("webhook-deleted", INFO, "A webhook was deleted.", "") \
    X("webhook-failing", WARNING, "A webhook's receiver does not take what is sent to it; castpoint tries again.", "url, error") \
    X("webhook-recovered", INFO, "A webhook's receiver takes again what is sent to it.", "url, failing_since") \
    X("webhook-gave-up", WARNING, "An event was not taken by a webhook's receiver for a day and was left out.", "url, event, error") \
    X("webhook-disabled", ERROR, "A webhook was switched off: it failed for three days.", "url, failing_since, error")
/* clang-format on */

#endif
