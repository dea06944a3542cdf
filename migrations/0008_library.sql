-- SPDX-License-Identifier: Apache-2.0
-- The content library: references, validation, quarantine; how long history is kept.

ALTER TABLE blobs
    ADD COLUMN reference_count bigint NOT NULL DEFAULT 0 CHECK (reference_count >= 0),
    ADD COLUMN unused_since    timestamptz DEFAULT now(),
    ADD COLUMN state           text NOT NULL DEFAULT 'good'
               CHECK (state IN ('good', 'missing', 'damaged', 'size-differs')),
    ADD COLUMN checked_at      timestamptz,
    ADD COLUMN checked_node_id uuid REFERENCES nodes ON DELETE SET NULL,
    ADD CONSTRAINT blobs_unused_check CHECK ((reference_count = 0) = (unused_since IS NOT NULL));
COMMENT ON COLUMN blobs.reference_count IS 'Files that have these bytes; kept by triggers on files.';
COMMENT ON COLUMN blobs.unused_since IS 'When the last file let go of it; NULL while one has it.';
COMMENT ON COLUMN blobs.state IS 'What the last reading found: good, missing, damaged or size-differs; good when stored.';
COMMENT ON COLUMN blobs.checked_at IS 'When it was last read back; NULL: not since it was stored.';
COMMENT ON COLUMN blobs.checked_node_id IS 'The node that read it.';

UPDATE blobs SET (reference_count, unused_since) =
    (SELECT count(*), CASE WHEN count(*) = 0 THEN now() END FROM files WHERE files.sha256 = blobs.sha256);

CREATE INDEX blobs_unused_index ON blobs (sha256) WHERE unused_since IS NOT NULL;
CREATE INDEX blobs_bad_index ON blobs (sha256) WHERE state <> 'good';
-- Validation goes from what was not read for the longest time on.
CREATE INDEX blobs_checked_index ON blobs ((coalesce(checked_at, created_at)), sha256);
-- What an upload was killed in the middle of storing.
CREATE INDEX uploads_digest_index ON uploads (digest) WHERE finished_at IS NULL AND digest IS NOT NULL;
-- The library's figures without the table's pages.
CREATE INDEX blobs_figures_index ON blobs (state) INCLUDE (size, reference_count);

-- Statements that change many files count each blob once, and all lock blobs in one order.
CREATE FUNCTION files_count_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    digests text[];
    changes bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(sha256 ORDER BY sha256), array_agg(n ORDER BY sha256) INTO digests, changes
            FROM (SELECT sha256, count(*) AS n FROM files_new GROUP BY sha256) c;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(sha256 ORDER BY sha256), array_agg(-n ORDER BY sha256) INTO digests, changes
            FROM (SELECT sha256, count(*) AS n FROM files_old GROUP BY sha256) c;
    ELSE
        SELECT array_agg(sha256 ORDER BY sha256), array_agg(n ORDER BY sha256) INTO digests, changes
            FROM (SELECT sha256, sum(n)::bigint AS n
                FROM (SELECT sha256, 1 AS n FROM files_new UNION ALL SELECT sha256, -1 FROM files_old) b
                GROUP BY sha256 HAVING sum(n) <> 0) c;
    END IF;
    PERFORM 1 FROM blobs WHERE sha256 = ANY (digests) ORDER BY sha256 FOR NO KEY UPDATE;
    UPDATE blobs SET reference_count = greatest(reference_count + c.n, 0),
        unused_since = CASE WHEN reference_count + c.n > 0 THEN NULL ELSE coalesce(unused_since, now()) END
        FROM unnest(digests, changes) AS c (digest, n) WHERE blobs.sha256 = c.digest;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION files_count_references() IS 'Keeps blobs.reference_count and blobs.unused_since.';
CREATE TRIGGER files_count_inserted AFTER INSERT ON files REFERENCING NEW TABLE AS files_new
    FOR EACH STATEMENT EXECUTE FUNCTION files_count_references();
CREATE TRIGGER files_count_deleted AFTER DELETE ON files REFERENCING OLD TABLE AS files_old
    FOR EACH STATEMENT EXECUTE FUNCTION files_count_references();
CREATE TRIGGER files_count_updated AFTER UPDATE ON files
    REFERENCING OLD TABLE AS files_old NEW TABLE AS files_new
    FOR EACH STATEMENT EXECUTE FUNCTION files_count_references();

-- How much there is, without looking at every blob: the quota is asked for with each upload. Whoever
-- stores or deletes a blob holds one of sixteen rows to the end of the transaction, which touches one
-- blob only; a blob's size never changes.
CREATE TABLE library_totals (
    part  text PRIMARY KEY COLLATE "C" CHECK (part ~ '^[0-9a-f]$'),
    bytes bigint NOT NULL CHECK (bytes >= 0)
);
COMMENT ON TABLE library_totals IS 'Sums of the sizes of all blobs, in sixteen parts; kept by triggers on blobs.';
COMMENT ON COLUMN library_totals.part IS 'First digit of the digests of the part.';
COMMENT ON COLUMN library_totals.bytes IS 'Bytes of its blobs.';
INSERT INTO library_totals (part, bytes)
    SELECT part, coalesce((SELECT sum(size) FROM blobs WHERE left(sha256, 1) = part), 0)
    FROM regexp_split_to_table('0123456789abcdef', '') AS part;

CREATE FUNCTION blobs_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE library_totals t SET bytes = t.bytes + c.bytes
            FROM (SELECT left(sha256, 1) AS part, sum(size)::bigint AS bytes FROM blobs_new GROUP BY 1) c
            WHERE t.part = c.part;
    ELSE
        UPDATE library_totals t SET bytes = greatest(t.bytes - c.bytes, 0)
            FROM (SELECT left(sha256, 1) AS part, sum(size)::bigint AS bytes FROM blobs_old GROUP BY 1) c
            WHERE t.part = c.part;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION blobs_add_up() IS 'Keeps library_totals.';
CREATE TRIGGER blobs_add_up_inserted AFTER INSERT ON blobs REFERENCING NEW TABLE AS blobs_new
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_add_up();
CREATE TRIGGER blobs_add_up_deleted AFTER DELETE ON blobs REFERENCING OLD TABLE AS blobs_old
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_add_up();

ALTER TABLE settings
    ADD COLUMN library_grace_hours       integer NOT NULL DEFAULT 24,
    ADD COLUMN library_validate_days     integer NOT NULL DEFAULT 30,
    ADD COLUMN library_validate_rate_bps bigint DEFAULT 400000000,
    ADD COLUMN history_days              integer NOT NULL DEFAULT 90,
    ADD CONSTRAINT settings_library_grace_check CHECK (library_grace_hours BETWEEN 0 AND 8760),
    ADD CONSTRAINT settings_library_validate_check CHECK (library_validate_days BETWEEN 0 AND 3650),
    ADD CONSTRAINT settings_library_rate_check CHECK (library_validate_rate_bps >= 1000000),
    ADD CONSTRAINT settings_history_check CHECK (history_days BETWEEN 0 AND 3650);
COMMENT ON COLUMN settings.library_grace_hours IS 'How long content that nobody refers to is kept.';
COMMENT ON COLUMN settings.library_validate_days IS 'How often the whole library is read and compared; 0: never.';
COMMENT ON COLUMN settings.library_validate_rate_bps IS 'Bits per second that validation reads at most; NULL: no limit.';
COMMENT ON COLUMN settings.history_days IS 'How long ended sessions, receivers, tasks and events are kept; 0: for ever.';

-- What history forgets is found by its age; the newest task of a kind for a subject stays.
CREATE INDEX sessions_ended_index ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX receivers_https_index ON receivers (updated_at) WHERE session_id IS NULL;
CREATE INDEX events_time_index ON events (time);
CREATE INDEX tasks_subject_index ON tasks (node_id, kind, subject, number);
