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
    X("version-promoted", INFO, "A version was made the current one.", "version, previous") \
    X("package-rolled-back", WARNING, "The version before is current again.", "version, previous") \
    X("package-unpinned", INFO, "The newest sealed version is current again.", "version, previous") \
    X("version-changed", INFO, "The description or labels of a version were changed.", "the version") \
    X("version-created", INFO, "A draft of a new version was created.", "") \
    X("file-stored", INFO, "A draft got a file, or another content of it.", "the file") \
    X("file-deleted", INFO, "A file of a draft was deleted.", "the file") \
    X("upload-created", INFO, "A resumable upload was begun.", "the upload") \
    X("upload-deleted", INFO, "A resumable upload was thrown away.", "the upload") \
    X("upload-expired", INFO, "A resumable upload was thrown away: nobody went on with it, or its version was sealed.", "id, path, size, received") \
    X("version-sealed", INFO, "A version was sealed: its content is final.", "package, version, file_count, stream_size, content_size, manifest_sha256") \
    X("version-retired", INFO, "A version was retired: nobody gets it any more.", "") \
    X("version-deleted", INFO, "A version was deleted.", "") \
    X("settings-changed", INFO, "Settings of a distribution point were changed.", "the settings") \
    X("configuration-imported", INFO, "A configuration document was imported.", "changes, pruned") \
    X("first-account-created", INFO, "The first administrator was made at the first start.", "") \
    X("account-created", INFO, "An account was created.", "name") \
    X("account-changed", INFO, "An account was changed: role, password, or switched on or off.", "name, changed (names of fields)") \
    X("account-deleted", INFO, "An account was deleted with its tokens.", "") \
    X("account-locked", WARNING, "Too many wrong passwords were given for a name: it is locked for a while.", "failures, seconds, address") \
    X("account-unlocked", INFO, "An administrator took the failed logins off an account.", "") \
    X("certificate-added", INFO, "A client certificate was given to an account.", "") \
    X("certificate-removed", INFO, "A client certificate was taken from an account.", "") \
    X("access-closed", WARNING, "Content is not for anonymous clients any more, and some had joined.", "revoked, running, sessions_rekeyed, sessions_cancelled, rejoining") \
    X("token-expires-soon", WARNING, "A token expires within 14 days: make another one in time.", "account, name, prefix, expires_at") \
    X("token-created", INFO, "A token was made.", "name") \
    X("token-changed", INFO, "A token was renamed, or switched on or off.", "name, changed (names of fields)") \
    X("token-deleted", INFO, "A token was deleted.", "") \
    X("identity-key-created", INFO, "The identity key was made for the first time.", "reason, fingerprint") \
    X("identity-key-replaced", WARNING, "A new identity key took the place of one that could not be used or was revoked.", "reason, fingerprint, old_fingerprint") \
    X("identity-key-rotated", INFO, "The identity key was rotated.", "reason, fingerprint, old_fingerprint") \
    X("multicast-key-created", INFO, "The multicast key was made for the first time.", "reason, fingerprint") \
    X("multicast-key-replaced", WARNING, "A new multicast key took the place of one that could not be used or was revoked.", "reason, fingerprint, old_fingerprint") \
    X("multicast-key-rotated", INFO, "The multicast key was rotated.", "reason, fingerprint, old_fingerprint") \
    X("identity-key-prepared", INFO, "The identity key that follows at the next rotation was made.", "reason, fingerprint, old_fingerprint") \
    X("identity-key-retired", INFO, "The overlap of a rotated identity key has ended.", "reason, fingerprint") \
    X("identity-key-revoked", WARNING, "An identity key was revoked: it is trusted no more.", "reason, fingerprint") \
    X("identity-key-damaged", ERROR, "An identity key cannot be used.", "reason, fingerprint") \
    X("identity-key-healed", INFO, "A damaged identity key can be used again.", "reason, fingerprint") \
    X("identity-key-restored", INFO, "An identity key that was damaged and replaced can be used again, and certifies for clients that know it.", "reason, fingerprint, overlap_until") \
    X("multicast-key-prepared", INFO, "The multicast key that follows at the next rotation was made.", "reason, fingerprint, old_fingerprint") \
    X("multicast-key-retired", INFO, "The overlap of a rotated multicast key has ended.", "reason, fingerprint") \
    X("multicast-key-revoked", WARNING, "A multicast key was revoked: it is trusted no more.", "reason, fingerprint") \
    X("multicast-key-damaged", ERROR, "A multicast key cannot be used.", "reason, fingerprint") \
    X("multicast-key-healed", INFO, "A damaged multicast key can be used again.", "reason, fingerprint") \
    X("multicast-key-certified", INFO, "The multicast key got another certificate.", "reason, fingerprint") \
    X("manifests-signed", INFO, "Manifests that a former multicast key had signed were signed anew.", "count") \
    X("master-key-changed", INFO, "The master key was changed, all secrets were sealed anew.", "fingerprint, old_fingerprint, sealed") \
    X("master-key-foreign", ERROR, "The master key is not the one that the secrets were sealed under.", "reason, fingerprint, old_fingerprint") \
    X("master-key-lost", ERROR, "The master key is not where it should be.", "reason, old_fingerprint") \
    X("master-key-found", INFO, "The master key is where it should be again.", "reason") \
    X("session-rekeyed", INFO, "A session that waits got a new secret.", "reason") \
    X("session-started", INFO, "A session began to send.", "package, version, group, port") \
    X("session-finished", INFO, "A session came to its end.", "package, version, group, port") \
    X("session-failed", ERROR, "A session failed.", "package, version, group, port, code, text") \
    X("session-cancelled", INFO, "A session was cancelled: its transmission ends, its receivers go on by HTTPS where the package's policy is not 'require'.", "package, version, group, port, code, text") \
    X("session-interrupted", WARNING, "The service stopped while a session was under way.", "package, version, group, port") \
    X("session-resumed", INFO, "A session that was interrupted goes on.", "package, version, group, port") \
    X("receiver-too-slow", WARNING, "A receiver could not keep up and was left behind.", "package, version, receiver, client_name, node_id, text, asked_symbols, loss_ppm, rate_bps, session_rate_bps") \
    X("library-collected", INFO, "Content that nobody refers to any more was removed.", "blobs, bytes, stray_files, stray_bytes, quarantined, quarantined_bytes") \
    X("library-foreign", ERROR, "The content library belongs to another database: nothing is removed from it.", "found, expected, files, known") \
    X("library-accepted", INFO, "The content library belongs to this database, again or from now on.", "library, found, adopted, files, known") \
    X("library-references-corrected", WARNING, "Counts of references to content were wrong and were corrected.", "blobs, example, stored, counted") \
    X("library-total-corrected", WARNING, "The sum of the library's sizes, which the quota is held against, was wrong and was corrected.", "part, stored, counted") \
    X("library-validated", INFO, "Content of the library was read and compared.", "scope, blobs, bytes, good, missing, damaged, healed, unreadable") \
    X("content-damaged", ERROR, "Content of the library is missing or damaged: upload the same file again.", "sha256, size, state, package, version, path, versions, sessions") \
    X("content-quarantined", WARNING, "Damaged content was set aside.", "sha256, size") \
    X("content-healed", INFO, "Content that was damaged or missing is whole again.", "sha256, size, was, by") \
    X("history-dropped", INFO, "What had ended long ago was forgotten.", "days, answers, sessions, receivers, tasks, events") \
    X("task-cancelled", INFO, "A task was cancelled.", "task, kind") \
    X("webhook-created", INFO, "A webhook was created.", "name, origin") \
    X("webhook-changed", INFO, "A webhook was changed.", "name, origin, changed (names of fields)") \
    X("webhook-deleted", INFO, "A webhook was deleted.", "") \
    X("webhook-failing", WARNING, "A webhook's receiver does not take what is sent to it; castpoint tries again.", "origin, error") \
    X("webhook-recovered", INFO, "A webhook's receiver takes again what is sent to it.", "origin, failing_since") \
    X("webhook-gave-up", WARNING, "An event was not taken by a webhook's receiver for a day and was left out.", "origin, event, error") \
    X("webhook-disabled", ERROR, "A webhook was switched off: it failed for three days.", "origin, failing_since, error")
/* clang-format on */

#endif
