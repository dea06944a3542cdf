-- SPDX-License-Identifier: Apache-2.0
-- Sessions and their receivers.

CREATE TABLE sessions (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id         uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    version_id      uuid NOT NULL REFERENCES versions ON DELETE CASCADE,
    state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running',
                    'draining', 'finished', 'failed', 'cancelled', 'interrupted')),
    group_address   inet NOT NULL,
    port            integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    starts_at       timestamptz NOT NULL,
    started_at      timestamptz,
    ended_at        timestamptz,
    secret_sealed   bytea NOT NULL CHECK (octet_length(secret_sealed) BETWEEN 1 AND 128),
    instance_id     integer NOT NULL CHECK (instance_id BETWEEN 0 AND 65535),
    next_node_id    bigint NOT NULL DEFAULT 2 CHECK (next_node_id BETWEEN 2 AND 4294967294),
    object_id       integer NOT NULL CHECK (object_id BETWEEN 0 AND 65535),
    fec_id          integer NOT NULL CHECK (fec_id BETWEEN 0 AND 255),
    segment_size    integer NOT NULL CHECK (segment_size BETWEEN 1 AND 65535),
    max_block_len   integer NOT NULL CHECK (max_block_len BETWEEN 1 AND 65535),
    num_parity      integer NOT NULL CHECK (num_parity BETWEEN 0 AND 65535),
    content_size    bigint NOT NULL CHECK (content_size > 0),
    object_size     bigint NOT NULL,
    encrypt         boolean NOT NULL,
    bytes_sent      bigint NOT NULL DEFAULT 0,
    packets_sent    bigint NOT NULL DEFAULT 0,
    bytes_repair    bigint NOT NULL DEFAULT 0,
    nacks           bigint NOT NULL DEFAULT 0,
    rate_bps        bigint NOT NULL DEFAULT 0,
    bytes_position  bigint NOT NULL DEFAULT 0,
    forged          bigint NOT NULL DEFAULT 0,
    end_code        text NOT NULL DEFAULT '' CHECK (octet_length(end_code) <= 63),
    end_detail      text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sessions_group_check CHECK (
        (family(group_address) = 4 AND group_address <<= '224.0.0.0/4'
            AND masklen(group_address) = 32)
        OR (family(group_address) = 6 AND group_address <<= 'ff00::/8'
            AND masklen(group_address) = 128)),
    CONSTRAINT sessions_object_check CHECK (object_size >= content_size),
    CONSTRAINT sessions_ended_check CHECK (
        (state IN ('waiting', 'running', 'draining')) = (ended_at IS NULL)),
    CONSTRAINT sessions_started_check CHECK (
        state NOT IN ('running', 'draining', 'finished') OR started_at IS NOT NULL)
);
CREATE UNIQUE INDEX sessions_address_key ON sessions (group_address, port)
    WHERE state IN ('waiting', 'running', 'draining');
CREATE UNIQUE INDEX sessions_open_key ON sessions (node_id, version_id)
    WHERE state IN ('waiting', 'running');
CREATE INDEX sessions_waiting_index ON sessions (node_id, starts_at) WHERE state = 'waiting';
CREATE INDEX sessions_version_index ON sessions (version_id);
CREATE INDEX sessions_created_index ON sessions (created_at, id);
COMMENT ON TABLE sessions IS 'One multicast transmission of one version to one group address and port.';
COMMENT ON COLUMN sessions.id IS 'Identity of the session.';
COMMENT ON COLUMN sessions.node_id IS 'The node that sends.';
COMMENT ON COLUMN sessions.version_id IS 'What is sent.';
COMMENT ON COLUMN sessions.state IS 'waiting, running, draining; then finished, failed, cancelled or interrupted.';
COMMENT ON COLUMN sessions.group_address IS 'Multicast group; with its port used by one session at a time.';
COMMENT ON COLUMN sessions.port IS 'UDP port.';
COMMENT ON COLUMN sessions.starts_at IS 'When a waiting session starts.';
COMMENT ON COLUMN sessions.started_at IS 'When sending began.';
COMMENT ON COLUMN sessions.ended_at IS 'When it came to its end, whatever the end was.';
COMMENT ON COLUMN sessions.secret_sealed IS 'The session secret, sealed under the master key outside the database.';
COMMENT ON COLUMN sessions.instance_id IS 'NORM instance id of the sender.';
COMMENT ON COLUMN sessions.next_node_id IS 'NORM node id of the next receiver; never given out twice.';
COMMENT ON COLUMN sessions.object_id IS 'NORM transport id of the object.';
COMMENT ON COLUMN sessions.fec_id IS 'FEC scheme (RFC 5052).';
COMMENT ON COLUMN sessions.segment_size IS 'Bytes of a source symbol.';
COMMENT ON COLUMN sessions.max_block_len IS 'Source symbols of a FEC block at most.';
COMMENT ON COLUMN sessions.num_parity IS 'Parity symbols of a FEC block.';
COMMENT ON COLUMN sessions.content_size IS 'Bytes of the object before padding.';
COMMENT ON COLUMN sessions.object_size IS 'Bytes of the object with padding.';
COMMENT ON COLUMN sessions.encrypt IS 'The object is ciphertext.';
COMMENT ON COLUMN sessions.bytes_sent IS 'UDP payload sent, all packets.';
COMMENT ON COLUMN sessions.packets_sent IS 'Packets sent.';
COMMENT ON COLUMN sessions.bytes_repair IS 'Part of bytes_sent that was repair.';
COMMENT ON COLUMN sessions.nacks IS 'Repair requests received.';
COMMENT ON COLUMN sessions.rate_bps IS 'Present rate in bits per second.';
COMMENT ON COLUMN sessions.bytes_position IS 'Object bytes sent for the first time.';
COMMENT ON COLUMN sessions.forged IS 'Packets dropped because their authentication failed.';
COMMENT ON COLUMN sessions.end_code IS 'Code of the error catalogue with failed, cancelled and interrupted.';
COMMENT ON COLUMN sessions.end_detail IS 'Sentence to that code.';
COMMENT ON COLUMN sessions.created_at IS 'When the first join made it.';

-- Deleting a package or version takes its ended sessions along, never one that is under way.
CREATE FUNCTION sessions_protect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.ended_at IS NULL THEN
        RAISE EXCEPTION 'session % has not ended', OLD.id USING ERRCODE = 'CP002';
    END IF;
    RETURN OLD;
END $$;
COMMENT ON FUNCTION sessions_protect() IS 'Keeps sessions that have not ended from being deleted (SQLSTATE CP002).';
CREATE TRIGGER sessions_protect BEFORE DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION sessions_protect();

CREATE TABLE receivers (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id          uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    session_id       uuid REFERENCES sessions ON DELETE CASCADE,
    version_id       uuid NOT NULL REFERENCES versions ON DELETE CASCADE,
    account_id       uuid REFERENCES accounts ON DELETE SET NULL,
    account_name     text NOT NULL DEFAULT '',
    client_id        text NOT NULL CHECK (client_id ~ '^[A-Za-z0-9._-]{1,64}$'),
    client_name      text NOT NULL DEFAULT '' CHECK (octet_length(client_name) <= 63),
    client_version   text NOT NULL DEFAULT '' CHECK (octet_length(client_version) <= 31),
    address          text NOT NULL DEFAULT '' CHECK (octet_length(address) <= 45),
    norm_node_id     bigint CHECK (norm_node_id BETWEEN 2 AND 4294967294),
    state            text NOT NULL DEFAULT 'joined' CHECK (state IN ('joined', 'receiving',
                     'repairing', 'verifying', 'done', 'moved', 'failed', 'lost')),
    reason           text NOT NULL DEFAULT '' CHECK (octet_length(reason) <= 63),
    detail           text NOT NULL DEFAULT '',
    token_hash       bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    expires_at       timestamptz NOT NULL,
    bytes_done       bigint NOT NULL DEFAULT 0 CHECK (bytes_done >= 0),
    bytes_total      bigint NOT NULL DEFAULT 0 CHECK (bytes_total >= 0),
    bytes_multicast  bigint NOT NULL DEFAULT 0 CHECK (bytes_multicast >= 0),
    bytes_repair     bigint NOT NULL DEFAULT 0 CHECK (bytes_repair >= 0),
    bytes_https      bigint NOT NULL DEFAULT 0 CHECK (bytes_https >= 0),
    rate_bps         bigint NOT NULL DEFAULT 0 CHECK (rate_bps >= 0),
    loss_ppm         bigint NOT NULL DEFAULT 0 CHECK (loss_ppm BETWEEN 0 AND 1000000),
    nacks            bigint NOT NULL DEFAULT 0 CHECK (nacks >= 0),
    duration_ms      bigint NOT NULL DEFAULT 0 CHECK (duration_ms >= 0),
    correlation_id   text NOT NULL DEFAULT '' CHECK (octet_length(correlation_id) <= 63),
    joined_at        timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    result_at        timestamptz,
    CONSTRAINT receivers_node_check CHECK ((session_id IS NULL) = (norm_node_id IS NULL))
);
CREATE UNIQUE INDEX receivers_client_key ON receivers (session_id, client_id, account_name)
    WHERE session_id IS NOT NULL;
CREATE UNIQUE INDEX receivers_norm_key ON receivers (session_id, norm_node_id)
    WHERE session_id IS NOT NULL;
CREATE INDEX receivers_session_index ON receivers (session_id, id);
CREATE INDEX receivers_version_index ON receivers (version_id, client_id);
CREATE INDEX receivers_account_index ON receivers (account_id);
CREATE INDEX receivers_active_index ON receivers (node_id, updated_at)
    WHERE state IN ('joined', 'receiving', 'repairing', 'verifying');
COMMENT ON TABLE receivers IS 'One row per join: a machine that fetches a version, in a session or by HTTPS only.';
COMMENT ON COLUMN receivers.id IS 'Identity of the join.';
COMMENT ON COLUMN receivers.node_id IS 'The node that it joined.';
COMMENT ON COLUMN receivers.session_id IS 'Its session; NULL: HTTPS only.';
COMMENT ON COLUMN receivers.version_id IS 'What it fetches.';
COMMENT ON COLUMN receivers.account_id IS 'The account it came with; NULL: anonymous, or the account is gone.';
COMMENT ON COLUMN receivers.account_name IS 'That account''s name at the join; empty: anonymous.';
COMMENT ON COLUMN receivers.client_id IS 'Stable identity that the client gave itself.';
COMMENT ON COLUMN receivers.client_name IS 'Name for people, usually the host''s.';
COMMENT ON COLUMN receivers.client_version IS 'Version of castget.';
COMMENT ON COLUMN receivers.address IS 'Address that the join came from.';
COMMENT ON COLUMN receivers.norm_node_id IS 'NORM node id in its session.';
COMMENT ON COLUMN receivers.state IS 'joined, receiving, repairing, verifying; then done, moved, failed or lost.';
COMMENT ON COLUMN receivers.reason IS 'Code of the error catalogue with moved, failed and lost.';
COMMENT ON COLUMN receivers.detail IS 'Sentence to that code.';
COMMENT ON COLUMN receivers.token_hash IS 'SHA-256 of its receiver token.';
COMMENT ON COLUMN receivers.expires_at IS 'Its token is refused from then on.';
COMMENT ON COLUMN receivers.bytes_done IS 'Bytes of the stream that it has, verified or not.';
COMMENT ON COLUMN receivers.bytes_total IS 'Bytes of the stream that it wants.';
COMMENT ON COLUMN receivers.bytes_multicast IS 'Bytes that came by multicast.';
COMMENT ON COLUMN receivers.bytes_repair IS 'Part of them that was rebuilt from repair.';
COMMENT ON COLUMN receivers.bytes_https IS 'Bytes that came by HTTPS.';
COMMENT ON COLUMN receivers.rate_bps IS 'Its rate in bits per second.';
COMMENT ON COLUMN receivers.loss_ppm IS 'Packets lost on the way, per million.';
COMMENT ON COLUMN receivers.nacks IS 'Repair requests that it sent.';
COMMENT ON COLUMN receivers.duration_ms IS 'From join to result, by the client''s clock.';
COMMENT ON COLUMN receivers.correlation_id IS 'Request id of the join: in the ticket and in the client''s log.';
COMMENT ON COLUMN receivers.joined_at IS 'Last join.';
COMMENT ON COLUMN receivers.updated_at IS 'Last sign of life.';
COMMENT ON COLUMN receivers.result_at IS 'When its result came; the first one counts.';
