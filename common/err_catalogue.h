/* SPDX-License-Identifier: Apache-2.0
 * The catalogue of errors: X(NAME, code, HTTP status, castget exit status, HRESULT, title, cause,
 * remedy). docs/errors.md is generated from it. Pure data.
 *
 * castget's exit statuses: 1 our bug, 2 usage, 3 access, 4 no such content or not ready,
 * 5 service not reachable, 6 service not trusted, 7 multicast not possible, 8 content not as
 * signed, 9 output, 10 too late, 11 cancelled by the operator, 12 interrupted by a signal. */
#ifndef CP_COMMON_ERR_CATALOGUE_H
#define CP_COMMON_ERR_CATALOGUE_H

/* clang-format off */
#define CP_ERR_CATALOGUE(X) \
    X(INTERNAL, "internal-error", 500, 1, 0x80004005u, "Something in castpoint went wrong.", \
      "A defect in castpoint, or a part of the system it stands on failed in an unexpected way.", \
      "Report it with the request id; the service's log has the details under the same id.") \
    X(NO_MEMORY, "out-of-memory", 503, 1, 0x8007000Eu, "Out of memory.", \
      "The process could not get the memory it needs.", "Free memory on the machine and try again.") \
    X(INVALID, "invalid-request", 400, 2, 0x80070057u, "The request is not valid.", \
      "A field, parameter or option is missing, of the wrong type or outside its range.", \
      "Correct what the answer names and send the request again.") \
    X(USAGE, "usage", 400, 2, 0x80070057u, "The command line is not valid.", \
      "An option is unknown, lacks its value or contradicts another.", "See --help.") \
    X(MALFORMED, "malformed", 400, 8, 0x8007000Du, "The bytes are not of the expected form.", \
      "A packet, document or key could not be parsed.", "Look for a damaged file or a program of another version.") \
    X(NOT_FOUND, "not-found", 404, 4, 0x80070490u, "There is no such thing.", \
      "The name or id is unknown to this distribution point.", "Check the spelling, or list what there is.") \
    X(METHOD_NOT_ALLOWED, "method-not-allowed", 405, 2, 0u, "This address does not take that method.", \
      "The address exists, the method is not one of those it offers.", "Use one of the methods named in the Allow header.") \
    X(CONFLICT, "conflict", 409, 4, 0x800700B7u, "The request contradicts the present state.", \
      "Another thing of that name exists, or the state changed meanwhile.", "Read the present state and try again.") \
    X(PRECONDITION_FAILED, "precondition-failed", 412, 4, 0u, "The thing was changed by somebody else.", \
      "The ETag in If-Match is not the present one, or If-None-Match found one.", "Read it again, apply the change to what you find, and send the new ETag.") \
    X(PRECONDITION_REQUIRED, "precondition-required", 428, 2, 0u, "A change needs the ETag of what it changes.", \
      "The request has no If-Match header.", "Read the thing, and send its ETag in If-Match.") \
    X(TOO_LARGE, "too-large", 413, 2, 0x800700DFu, "The body is larger than allowed.", \
      "The body is over the limit of this address.", "Send less, or use an upload address for content.") \
    X(UNSUPPORTED_MEDIA, "unsupported-media-type", 415, 2, 0u, "The body's type is not understood here.", \
      "Content-Type is not one that this address takes.", "Send application/json.") \
    X(RANGE, "range-not-satisfiable", 416, 4, 0u, "The range lies outside the content.", \
      "The Range header asks for bytes that do not exist.", "Ask for a range within Content-Range's size.") \
    X(TOO_MANY_REQUESTS, "too-many-requests", 429, 5, 0u, "Too many requests.", \
      "The limit of this address was reached.", "Wait for as long as Retry-After says.") \
    X(TARGET_TOO_LONG, "target-too-long", 414, 2, 0u, "The address is too long.", \
      "Path and query are longer than the service takes (docs/limits.md).", "Send a shorter path or query.") \
    X(HEADERS_TOO_LARGE, "headers-too-large", 431, 2, 0u, "The header fields are too large.", \
      "There are more header fields, or longer ones, than the service takes (docs/limits.md).", "Send fewer and shorter ones.") \
    X(NODE_TAKEN, "already-running", 409, 5, 0x80070420u, "Another castpointd has this name.", \
      "A castpointd works on this database under the same --name, here or on another machine.", \
      "Stop that one, or give this one a --name and a --state-dir of its own.") \
    X(IDEMPOTENCY_REUSED, "idempotency-key-reused", 422, 2, 0u, "The Idempotency-Key was used for another request.", \
      "A request of the same account had this key within the last day, but another method, address, query or body.", \
      "Choose a new key for each new request; repeat a request unchanged to get its answer again.") \
    X(IDEMPOTENCY_BUSY, "idempotency-key-busy", 409, 5, 0u, "The request with this Idempotency-Key is under way.", \
      "The same account sent a request with this key, and it has not been answered yet.", "Send the request again after Retry-After.") \
    X(UNAVAILABLE, "unavailable", 503, 5, 0x800706BAu, "The service cannot do this right now.", \
      "The service is starting or stopping, or something it needs is away.", "Try again after Retry-After.") \
    X(DATABASE, "database-unavailable", 503, 5, 0x800706BAu, "The database does not answer.", \
      "PostgreSQL is down, restarting or not reachable.", "Start PostgreSQL or correct its address; the service recovers by itself.") \
    X(DATABASE_LOGIN, "database-login-refused", 503, 5, 0x8007052Eu, "The database refuses the service's login.", \
      "PostgreSQL runs, but the role in --database or --migrate-database does not exist, its password is wrong or missing, or pg_hba.conf and pg_ident.conf do not let it in.", \
      "Make the role (createuser), correct its name or password, or let it in: by pg_hba.conf, and with peer authentication by pg_ident.conf (docs/install.md). The log has PostgreSQL's words; a service that runs goes on by itself.") \
    X(DATABASE_MISSING, "database-missing", 503, 5, 0x80070002u, "PostgreSQL has no such database.", \
      "PostgreSQL runs, but the database named in --database or --migrate-database was not made yet, or its name is misspelt.", \
      "Make the database (createdb --owner=ROLE NAME, docs/install.md), or correct its name. The log has PostgreSQL's words; a service that runs goes on by itself.") \
    X(DB_RETRY, "database-retry", 503, 5, 0u, "The database asked to try again.", \
      "Two changes met; the transaction was retried as often as allowed.", "Send the request again.") \
    X(AUTH_REQUIRED, "authentication-required", 401, 3, 0x80070005u, "Credentials are required.", \
      "Access is authenticated and the request carried no credentials.", \
      "Give an account (--account with --password-file) or a token (--token-file), or allow anonymous access for this package.") \
    X(AUTH_FAILED, "authentication-failed", 401, 3, 0x8007052Eu, "The credentials are wrong.", \
      "The account is unknown or disabled, the password is wrong, or the token is unknown, disabled or expired.", \
      "Check the account's name and password, or make a new token.") \
    X(ACCOUNT_LOCKED, "account-locked", 429, 3, 0x80070775u, "Too many failed logins.", \
      "Too many wrong passwords were given for this account's name, or from this address.", \
      "Wait for as long as Retry-After says; tokens, client certificates and Kerberos are not locked. An administrator may unlock the account ('POST …/unlock').") \
    X(ACCESS_DENIED, "access-denied", 403, 3, 0x80070005u, "Access denied.", \
      "The account is known but its role or its token's scope does not allow this.", \
      "Use an account or token with the scope that the answer names.") \
    X(TLS_REQUIRED, "tls-required", 403, 3, 0x80070005u, "This needs HTTPS.", \
      "The request came over plain HTTP, where everybody on the way reads it, and carries credentials, needs some, or asks for something else than content.", \
      "Send it to the service's HTTPS address; change a password or token that was sent over plain HTTP.") \
    X(PACKAGE_NOT_FOUND, "package-not-found", 404, 4, 0x80070490u, "There is no such package.", \
      "No package of that name exists on this distribution point.", "Check the name; 'GET /api/v1/packages' lists them.") \
    X(VERSION_NOT_FOUND, "version-not-found", 404, 4, 0x80070490u, "There is no such version.", \
      "The package has no version of that number.", "Leave the version out to get the current one.") \
    X(VERSION_NOT_SEALED, "version-not-sealed", 503, 4, 0x80070015u, "The version is not sealed yet.", \
      "The package has no sealed version, or the version asked for is still a draft.", \
      "Seal the version ('POST …/seal'), then join again.") \
    X(VERSION_SEALED, "version-sealed", 409, 4, 0u, "A sealed version never changes.", \
      "Files of a sealed or retired version cannot be added, replaced or removed.", "Create a new version.") \
    X(VERSION_RETIRED, "version-retired", 410, 4, 0u, "The version is retired.", \
      "The version was taken out of service.", "Ask for the current version.") \
    X(CONTENT_EMPTY, "content-empty", 422, 4, 0x800705B4u, "Empty content is refused.", \
      "A file of the version has no bytes, or the version has no file.", "Upload the file again, or remove it, then seal.") \
    X(PATH_INVALID, "path-invalid", 422, 2, 0x800700A1u, "The file's path is refused.", \
      "The path is absolute, has an empty, '.' or '..' part, a backslash or a control character, or is too long.", \
      "Use a relative path of plain names, for instance 'sources/install.wim'.") \
    X(PATH_DUPLICATE, "path-duplicate", 409, 2, 0x800700B7u, "The path is already taken in this version.", \
      "Another file of the version has this path, or a path that differs only in case, or is a folder of it.", \
      "Choose another path, or delete the other file first.") \
    X(UPLOAD_INCOMPLETE, "upload-incomplete", 400, 5, 0u, "The upload ended early.", \
      "Fewer bytes arrived than Content-Length announced, or the connection broke.", "Upload the file again.") \
    X(UPLOAD_OFFSET, "upload-offset-mismatch", 409, 5, 0u, "The upload goes on at another place.", \
      "Upload-Offset is not where the service's part of the file ends: a chunk was lost, or sent twice.", \
      "Ask for the offset with HEAD and send the bytes from there on.") \
    X(UPLOAD_CHECKSUM, "upload-checksum-mismatch", 460, 8, 0x80091007u, "A chunk does not have the checksum that was announced.", \
      "The chunk changed on its way, or the checksum belongs to another one; none of it was kept.", "Send the chunk again.") \
    X(UPLOAD_LOCKED, "upload-locked", 423, 5, 0u, "Another request is at this upload.", \
      "An earlier request of the same upload has not ended, perhaps because its connection broke unnoticed.", \
      "Wait a moment, ask for the offset with HEAD and go on from there.") \
    X(TUS_VERSION, "tus-version", 412, 2, 0u, "The version of the tus protocol is not spoken here.", \
      "The header Tus-Resumable is missing or names another version than 1.0.0.", "Send 'Tus-Resumable: 1.0.0'.") \
    X(STORAGE_FULL, "storage-full", 507, 9, 0x80070070u, "The distribution point has no room.", \
      "The content library's quota or its file system, of which a reserve is kept free, has less room than the upload needs.", \
      "Delete versions that nobody needs, free space on the content library's file system, or change library_quota_bytes or library_reserve_bytes.") \
    X(STORAGE, "storage-failed", 500, 1, 0x8007045Du, "The content library failed.", \
      "Reading or writing a blob failed.", "Check the file system and its permissions; the log has the system's error.") \
    X(BLOB_MISSING, "blob-missing", 500, 4, 0x80070002u, "Content is missing from the library.", \
      "A file's bytes are not in the content library although the database names them.", "Upload the same file again: it heals the library.") \
    X(CONTENT_DAMAGED, "content-damaged", 503, 4, 0x80070017u, "Content of this version is damaged.", \
      "Validation of the content library found that bytes of a file are missing or are not what was uploaded; they were set aside.", \
      "Upload the same file again, to a draft of any package: it heals every version that has it. 'GET …/files' shows which one.") \
    X(LIBRARY_FOREIGN, "library-foreign", 409, 1, 0x8007045Du, "The content library belongs to another database.", \
      "The library's identity is not the one that this database knows, or the database knows hardly anything of what is in it: a wrong --database or --state-dir, or a start before the dump was restored. Nothing is removed from it; uploads and downloads go on.", \
      "Name the right database or restore it. Where this database is to have the library from now on: stop castpointd, run it once with --adopt-library, start it; what the database does not know then goes after library_grace_hours.") \
    X(KEY_UNUSABLE, "multicast-key-unusable", 503, 6, 0x80004005u, "A key cannot be used and could not be replaced.", \
      "The stored key is missing, damaged or sealed under another master key, and making a new one failed or is switched off (key_repair).", \
      "'GET …/distribution-points/local/keys/master' says what is wrong. Put the right master key back: castpointd goes on by itself where it was missing. Or make new keys with 'POST …/keys/identity/rotate' and 'POST …/keys/multicast/rotate'.") \
    X(MASTER_KEY, "master-key-unusable", 503, 6, 0x80004005u, "The master key's file cannot be used.", \
      "The file that --master-key names (STATE-DIR/master.key without it) belongs to another user, may be read or written by others, is not 32 bytes long, or is not the key in use.", \
      "The message names file and fault. Wrong mode: 'chmod 600 FILE'. Wrong owner: 'chown' it to the user that castpointd runs as. Another content: put it back from the backup; while castpointd runs, 'POST …/keys/master/rotate' writes a new one.") \
    X(SIGNATURE, "signature-invalid", 502, 6, 0x80096010u, "A signature is not valid.", \
      "A ticket, certificate or manifest was not signed by this distribution point's keys, or was changed on the way.", \
      "Check that you talk to the right service, and that an identity you pin is its present one; look for a proxy that rewrites content.") \
    X(MULTICAST_DISABLED, "multicast-disabled", 409, 7, 0u, "Multicast is switched off.", \
      "The distribution point's settings or the package's policy switch multicast off.", "Use HTTPS, or enable multicast in the settings.") \
    X(MULTICAST_ONLY, "multicast-only", 403, 7, 0u, "This package is delivered by multicast only.", \
      "The package's policy is 'require'.", "Use castget where multicast arrives, or set the policy to 'prefer'.") \
    X(NO_MULTICAST_HEARD, "no-multicast-heard", 504, 7, 0x800705B4u, "No multicast packet arrived.", \
      "Nothing was heard on the session's group and port: IGMP snooping without a querier, a firewall, the wrong interface, or Wi-Fi that filters multicast.", \
      "Check --interface, the switch's IGMP querier and the firewall for UDP to the session's address.") \
    X(SENDER_SILENT, "sender-silent", 504, 7, 0x800705B4u, "The transmission stopped in the middle.", \
      "Packets arrived at first, then none for the silence time-out.", "Look at the session on the service; castget goes on by HTTPS where that is allowed.") \
    X(RECEIVER_LOST, "receiver-lost", 504, 5, 0x800705B4u, "The receiver fell silent.", \
      "The receiver has not reported for 30 seconds: it was switched off, crashed, or cannot reach the service any more.", \
      "Look at the machine; castget goes on from what it has when it is started again.") \
    X(RECEIVER_TOO_SLOW, "receiver-too-slow", 504, 7, 0x800705B4u, "The receiver cannot keep up with the transmission.", \
      "It missed so much that repairing it would have held up all others: a link that is slower than theirs, much loss on its way, small socket buffers or a slow disk.", \
      "Compare its loss and rate with the others' (GET /api/v1/sessions/{session}/receivers); check its cable, port and net.core.rmem_max. What makes the others wait for it depends on rate_control: with 'lan', slow_share_percent 0 lets the slowest receiver set the pace; with 'tfmcc' it always does; with 'fixed', only a lower rate_ceiling_bps helps.") \
    X(ADDRESS_IN_USE, "address-in-use", 503, 7, 0x80072740u, "No free multicast address.", \
      "Every address and port of the configured ranges is in use.", "Widen the ranges in the distribution point's settings, or wait for a session to end.") \
    X(NETWORK, "network-error", 503, 5, 0x80072EFDu, "A network operation failed.", \
      "The system refused to open, bind, join or send.", "Check the interface's name and address and the route to the group.") \
    X(LISTEN, "listen-failed", 503, 5, 0x80072740u, "The address to listen on cannot be used.", \
      "Another program has the port, the address is not one of this machine, or the port is below 1024 and castpointd has no CAP_NET_BIND_SERVICE.", \
      "'ss -ltnp' shows who has the port, 'ip address' the addresses; stop that program, or give another --listen (--listen-http).") \
    X(INTERFACE, "interface-not-found", 422, 7, 0x80070490u, "There is no such network interface.", \
      "The interface named in the settings or with --interface does not exist or has no address.", "List interfaces with 'ip address', and name one that is up.") \
    X(SERVICE_UNREACHABLE, "service-unreachable", 503, 5, 0x80072EFDu, "The service is not reachable.", \
      "No connection to the address: wrong host or port, the service is down, a firewall, or this machine has no link, address or route.", \
      "Check this machine's link ('ip address', 'ip route get HOST'), then the URL, and that castpointd is running.") \
    X(TLS_UNTRUSTED, "tls-untrusted", 502, 6, 0x800B0109u, "The service's certificate is not trusted.", \
      "The certificate is not signed by a known authority, or its key is not the pinned one.", \
      "Give its authority with --cacert, or its key with --pin sha256//BASE64; castpointd prints that at start.") \
    X(PROTOCOL, "unexpected-answer", 502, 5, 0x8007000Du, "The service's answer was not understood.", \
      "The answer is not of the form that the API promises.", "Check that the URL is a castpoint service and that both sides have matching versions.") \
    X(WEBHOOK, "webhook-failed", 502, 5, 0u, "A webhook's receiver did not take what was sent.", \
      "The receiver is not reachable, its certificate is not trusted, it did not answer in time, or its answer was not 2xx.", \
      "Look at the attempt's error ('GET /api/v1/webhooks/{webhook}/deliveries'), and at the receiver's log.") \
    X(CHUNK_DIGEST, "chunk-digest-mismatch", 502, 8, 0x80091007u, "Content is not what was signed.", \
      "A chunk's SHA-256 differs from the signed manifest even after it was fetched again.", \
      "Validate the package on the distribution point; look for failing memory or disk on either side.") \
    X(DIGEST_MISMATCH, "digest-mismatch", 422, 8, 0x80091007u, "The bytes do not have the digest that was announced.", \
      "The body changed on its way, or the digest belongs to another file.", "Compute the digest again and repeat the upload.") \
    X(OUTPUT, "output-failed", 500, 9, 0x80070005u, "The output cannot be written.", \
      "The output path does not exist, may not be written, or its disk failed.", "Check the path given with -o and its permissions.") \
    X(OUTPUT_FULL, "output-full", 507, 9, 0x80070070u, "The output has not enough room.", \
      "The file system or device is smaller than the content.", "Free space, or choose another output.") \
    X(DEADLINE, "session-deadline", 504, 10, 0x800705B4u, "It took too long.", \
      "The session's or the request's deadline passed.", "Join again; look at the session's receivers for what held it up.") \
    X(SESSION_REKEYED, "session-rekeyed", 409, 7, 0u, "The session got a new secret.", \
      "Content access was changed while the session waited: tickets that were given before do not open it any more.", \
      "Join again; castget does that by itself.") \
    X(CANCELLED, "cancelled", 409, 11, 0x800704C7u, "It was cancelled.", \
      "An operator cancelled the session, or the service is stopping.", "Join again when the operator agrees.") \
    X(INTERRUPTED, "interrupted", 503, 12, 0x800704C7u, "Interrupted.", \
      "A signal ended the program.", "Start it again.")
/* clang-format on */

#endif
