-- SPDX-License-Identifier: Apache-2.0
-- Uploads that can be resumed, and how much room uploads may take.

ALTER TABLE settings
    ADD COLUMN upload_expiry_hours    integer NOT NULL DEFAULT 24
               CHECK (upload_expiry_hours BETWEEN 1 AND 8760),
    ADD COLUMN library_quota_bytes    bigint CHECK (library_quota_bytes > 0),
    ADD COLUMN library_reserve_bytes  bigint NOT NULL DEFAULT 1073741824
               CHECK (library_reserve_bytes >= 0);
COMMENT ON COLUMN settings.upload_expiry_hours IS 'Hours that a resumable upload waits for its next piece.';
COMMENT ON COLUMN settings.library_quota_bytes IS 'Most bytes of content that the node takes; NULL: no limit.';
COMMENT ON COLUMN settings.library_reserve_bytes IS 'Bytes of the library''s file system that uploads leave free.';

CREATE TABLE uploads (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    node_id      uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    version_id   uuid NOT NULL REFERENCES versions ON DELETE CASCADE,
    path         text NOT NULL COLLATE "C" CHECK (octet_length(path) BETWEEN 1 AND 1023),
    mode         integer NOT NULL CHECK (mode BETWEEN 0 AND 4095),
    size         bigint NOT NULL CHECK (size > 0),
    received     bigint NOT NULL DEFAULT 0,
    announced    text CHECK (announced ~ '^[0-9a-f]{64}$'),
    digest       text CHECK (digest ~ '^[0-9a-f]{64}$'),
    if_match      text NOT NULL DEFAULT '' CHECK (octet_length(if_match) <= 1039),
    if_none_match text NOT NULL DEFAULT '' CHECK (octet_length(if_none_match) <= 1039),
    metadata     text NOT NULL DEFAULT '' CHECK (octet_length(metadata) <= 1535),
    account      text NOT NULL DEFAULT '' CHECK (octet_length(account) <= 63),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    CONSTRAINT uploads_received_check CHECK (received BETWEEN 0 AND size),
    CONSTRAINT uploads_whole_check CHECK (digest IS NULL OR received = size),
    CONSTRAINT uploads_finished_check CHECK (finished_at IS NULL OR digest IS NOT NULL)
);
CREATE INDEX uploads_version_index ON uploads (version_id, number);
CREATE INDEX uploads_expires_index ON uploads (node_id, expires_at);
CREATE INDEX uploads_open_index ON uploads (node_id) INCLUDE (size, received)
    WHERE finished_at IS NULL;
COMMENT ON TABLE uploads IS 'Uploads that can be resumed. Their bytes lie in the content library''s folder partial.';
COMMENT ON COLUMN uploads.id IS 'Identity of the upload, and the name of its file.';
COMMENT ON COLUMN uploads.number IS 'Counts uploads; the order of lists.';
COMMENT ON COLUMN uploads.node_id IS 'The node that has its bytes.';
COMMENT ON COLUMN uploads.version_id IS 'The draft that gets the file.';
COMMENT ON COLUMN uploads.path IS 'The file''s path in that draft.';
COMMENT ON COLUMN uploads.mode IS 'The file''s permission bits.';
COMMENT ON COLUMN uploads.size IS 'Bytes that the file will have.';
COMMENT ON COLUMN uploads.received IS 'Bytes that are here and on the disk.';
COMMENT ON COLUMN uploads.announced IS 'SHA-256 that the client says the file has; NULL: it did not say.';
COMMENT ON COLUMN uploads.digest IS 'SHA-256 that the file has, once all of it is here.';
COMMENT ON COLUMN uploads.if_match IS 'What the file must replace: * any file, or one of these SHA-256; empty: no condition; -: nothing meets it.';
COMMENT ON COLUMN uploads.if_none_match IS 'What the file must not replace: * any file, or one of these SHA-256; empty: no condition.';
COMMENT ON COLUMN uploads.metadata IS 'Upload-Metadata as the client sent it.';
COMMENT ON COLUMN uploads.account IS 'Account that began it.';
COMMENT ON COLUMN uploads.created_at IS 'When it was begun.';
COMMENT ON COLUMN uploads.updated_at IS 'When bytes last came.';
COMMENT ON COLUMN uploads.expires_at IS 'When it is thrown away unless bytes come before.';
COMMENT ON COLUMN uploads.finished_at IS 'When the draft got the file; NULL: it has not yet.';

-- The sum of all sizes is asked for by every upload where there is a quota.
CREATE INDEX blobs_size_index ON blobs (size);
