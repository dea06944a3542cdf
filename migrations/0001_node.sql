-- SPDX-License-Identifier: Apache-2.0
-- Nodes and what belongs to one: settings, keys, events; accounts and their tokens.
-- An applied migration is never edited: its digest is recorded. Changes come as a new number.

CREATE TABLE nodes (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    version     text NOT NULL DEFAULT '' CHECK (char_length(version) <= 31),
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz
);
COMMENT ON TABLE nodes IS 'Distribution points that share this database.';
COMMENT ON COLUMN nodes.id IS 'Identity of the node in tickets and in every row that belongs to it.';
COMMENT ON COLUMN nodes.name IS 'Name given by the node''s configuration; never changes.';
COMMENT ON COLUMN nodes.version IS 'Version of castpoint at its last start.';
COMMENT ON COLUMN nodes.created_at IS 'First start.';
COMMENT ON COLUMN nodes.started_at IS 'Last start.';

CREATE TABLE settings (
    node_id             uuid PRIMARY KEY REFERENCES nodes ON DELETE CASCADE,
    multicast_enabled   boolean NOT NULL DEFAULT true,
    address_first       inet NOT NULL DEFAULT '239.255.77.1',
    address_last        inet NOT NULL DEFAULT '239.255.77.250',
    port_first          integer NOT NULL DEFAULT 7001,
    port_last           integer NOT NULL DEFAULT 7100,
    interface           text NOT NULL DEFAULT '',
    ttl                 integer NOT NULL DEFAULT 1,
    rate_ceiling_bps    bigint,
    gathering_delay_ms  integer NOT NULL DEFAULT 3000,
    content_access      text NOT NULL DEFAULT 'authenticated',
    revision            bigint NOT NULL DEFAULT 1,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    -- IPv4 multicast, no netmask, not the link-local block that switches always flood, and few
    -- enough to be looked through.
    CONSTRAINT settings_addresses_check CHECK (
        family(address_first) = 4 AND family(address_last) = 4
        AND masklen(address_first) = 32 AND masklen(address_last) = 32
        AND address_first <<= '224.0.0.0/4' AND address_last <<= '224.0.0.0/4'
        AND NOT address_first <<= '224.0.0.0/24' AND address_first <= address_last
        AND address_last - address_first < 65536),
    CONSTRAINT settings_ports_check CHECK (
        port_first BETWEEN 1024 AND 65535 AND port_last BETWEEN port_first AND 65535),
    CONSTRAINT settings_interface_check CHECK (interface ~ '^[^/[:space:][:cntrl:]]{0,15}$'),
    CONSTRAINT settings_ttl_check CHECK (ttl BETWEEN 1 AND 255),
    CONSTRAINT settings_rate_check CHECK (rate_ceiling_bps >= 64000),
    CONSTRAINT settings_gathering_check CHECK (gathering_delay_ms BETWEEN 0 AND 600000),
    CONSTRAINT settings_access_check CHECK (content_access IN ('anonymous', 'authenticated'))
);
COMMENT ON TABLE settings IS 'Configured settings of each node. Effective values follow from them and the machine.';
COMMENT ON COLUMN settings.node_id IS 'The node.';
COMMENT ON COLUMN settings.multicast_enabled IS 'False: joins get no session, content goes by HTTPS.';
COMMENT ON COLUMN settings.address_first IS 'First group address of the range that sessions use.';
COMMENT ON COLUMN settings.address_last IS 'Last group address of the range, included.';
COMMENT ON COLUMN settings.port_first IS 'First UDP port of the range that sessions use.';
COMMENT ON COLUMN settings.port_last IS 'Last UDP port of the range, included.';
COMMENT ON COLUMN settings.interface IS 'Network interface that multicast leaves by; empty: by the routing table.';
COMMENT ON COLUMN settings.ttl IS 'IP TTL of multicast packets.';
COMMENT ON COLUMN settings.rate_ceiling_bps IS 'Highest rate of the node in bits per second; NULL: from the link''s speed.';
COMMENT ON COLUMN settings.gathering_delay_ms IS 'How long the first join of a session waits for others.';
COMMENT ON COLUMN settings.content_access IS 'Who may fetch content: anonymous or authenticated.';
COMMENT ON COLUMN settings.revision IS 'Counts changes; the ETag.';
COMMENT ON COLUMN settings.updated_at IS 'Last change.';

CREATE TABLE keys (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id         uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    kind            text NOT NULL CHECK (kind IN ('identity', 'multicast')),
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retired')),
    fingerprint     text NOT NULL,
    public_key      bytea NOT NULL,
    private_sealed  bytea NOT NULL,
    certificate     text NOT NULL DEFAULT '',
    not_before      timestamptz NOT NULL DEFAULT now(),
    not_after       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    retired_at      timestamptz,
    retired_reason  text NOT NULL DEFAULT '',
    last_used_at    timestamptz,
    checked_at      timestamptz,
    check_result    text NOT NULL DEFAULT '',
    CONSTRAINT keys_retired_check CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX keys_active_key ON keys (node_id, kind) WHERE state = 'active';
CREATE INDEX keys_node_index ON keys (node_id, created_at, id);
COMMENT ON TABLE keys IS 'Ed25519 keys of each node. A damaged or missing one is replaced at its next use.';
COMMENT ON COLUMN keys.id IS 'Identity of the row.';
COMMENT ON COLUMN keys.node_id IS 'Whose key.';
COMMENT ON COLUMN keys.kind IS 'identity: certifies; multicast: signs manifests and tickets.';
COMMENT ON COLUMN keys.state IS 'active (at most one per node and kind) or retired.';
COMMENT ON COLUMN keys.fingerprint IS 'SHA-256 of the public key in hexadecimal.';
COMMENT ON COLUMN keys.public_key IS 'The 32 raw public bytes.';
COMMENT ON COLUMN keys.private_sealed IS 'The private seed, sealed (AES-256-GCM) under the master key outside the database.';
COMMENT ON COLUMN keys.certificate IS 'For a multicast key: JWS by the identity key over its public part.';
COMMENT ON COLUMN keys.not_before IS 'Valid from.';
COMMENT ON COLUMN keys.not_after IS 'Valid until; NULL without end.';
COMMENT ON COLUMN keys.created_at IS 'When it was made.';
COMMENT ON COLUMN keys.retired_at IS 'When it was replaced.';
COMMENT ON COLUMN keys.retired_reason IS 'Why it was replaced, in plain words.';
COMMENT ON COLUMN keys.last_used_at IS 'Last signature, at most one minute old.';
COMMENT ON COLUMN keys.checked_at IS 'Last self-check.';
COMMENT ON COLUMN keys.check_result IS 'ok, or what the last self-check found.';

CREATE TABLE accounts (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name           text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._@-]{0,62}$'),
    description    text NOT NULL DEFAULT '' CHECK (octet_length(description) <= 255),
    role           text NOT NULL CHECK (role IN ('content', 'viewer', 'operator', 'admin')),
    enabled        boolean NOT NULL DEFAULT true,
    password_hash  text NOT NULL DEFAULT '' CHECK (octet_length(password_hash) <= 255),
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE accounts IS 'Who may administer, or fetch content when access is authenticated.';
COMMENT ON COLUMN accounts.id IS 'Identity of the account.';
COMMENT ON COLUMN accounts.name IS 'Name to log in with.';
COMMENT ON COLUMN accounts.description IS 'What it is for.';
COMMENT ON COLUMN accounts.role IS 'content < viewer < operator < admin.';
COMMENT ON COLUMN accounts.enabled IS 'False: neither password nor tokens work.';
COMMENT ON COLUMN accounts.password_hash IS 'scrypt with its parameters and salt; empty: tokens only.';
COMMENT ON COLUMN accounts.revision IS 'Counts changes; the ETag.';
COMMENT ON COLUMN accounts.created_at IS 'When it was made.';
COMMENT ON COLUMN accounts.updated_at IS 'Last change.';

CREATE TABLE tokens (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id    uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    hash          bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    name          text NOT NULL DEFAULT '' CHECK (octet_length(name) <= 63),
    scope         text NOT NULL CHECK (scope IN ('content', 'viewer', 'operator', 'admin')),
    enabled       boolean NOT NULL DEFAULT true,
    expires_at    timestamptz,
    last_used_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tokens_account_index ON tokens (account_id, id);
COMMENT ON TABLE tokens IS 'Revocable bearer secrets of accounts.';
COMMENT ON COLUMN tokens.id IS 'Identity of the token; not the secret.';
COMMENT ON COLUMN tokens.account_id IS 'Whose token.';
COMMENT ON COLUMN tokens.hash IS 'SHA-256 of the secret; the secret itself is shown once and never stored.';
COMMENT ON COLUMN tokens.name IS 'What its owner calls it.';
COMMENT ON COLUMN tokens.scope IS 'Role that the token gives at most; the account''s role limits it too.';
COMMENT ON COLUMN tokens.enabled IS 'False: refused.';
COMMENT ON COLUMN tokens.expires_at IS 'Refused from then on; NULL never.';
COMMENT ON COLUMN tokens.last_used_at IS 'Last use, at most one minute old.';
COMMENT ON COLUMN tokens.created_at IS 'When it was made.';

CREATE TABLE events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time        timestamptz NOT NULL DEFAULT now(),
    node_id     uuid REFERENCES nodes ON DELETE SET NULL,
    kind        text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9-]{0,62}$'),
    subject     text NOT NULL DEFAULT '',
    actor       text NOT NULL DEFAULT '',
    detail      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object'),
    request_id  text NOT NULL DEFAULT ''
);
CREATE INDEX events_kind_index ON events (kind, id);
CREATE INDEX events_node_index ON events (node_id, kind, id);
COMMENT ON TABLE events IS 'What happened, for the operator. Rows are only added.';
COMMENT ON COLUMN events.id IS 'Ascending number.';
COMMENT ON COLUMN events.time IS 'When.';
COMMENT ON COLUMN events.node_id IS 'On which node; NULL: none in particular.';
COMMENT ON COLUMN events.kind IS 'Fixed name of what happened, for instance multicast-key-replaced.';
COMMENT ON COLUMN events.subject IS 'What it happened to, for instance "package win11".';
COMMENT ON COLUMN events.actor IS 'Name of the account that did it; empty: the service, or anonymous.';
COMMENT ON COLUMN events.detail IS 'Figures and reasons, by name.';
COMMENT ON COLUMN events.request_id IS 'Correlation id of the request that led to it.';
