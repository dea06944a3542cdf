-- SPDX-License-Identifier: Apache-2.0
-- States of keys, what is sealed under which master key, how keys are rotated and repaired.

ALTER TABLE keys
    DROP CONSTRAINT keys_state_check,
    DROP CONSTRAINT keys_retired_check,
    ADD COLUMN activated_at timestamptz,
    ADD COLUMN overlap_until timestamptz;
UPDATE keys SET activated_at = created_at;
-- What is retired signs nothing any more: nobody needs its private half.
UPDATE keys SET private_sealed = '' WHERE state = 'retired';
ALTER TABLE keys
    ALTER COLUMN state SET DEFAULT 'pending',
    ADD CONSTRAINT keys_state_check CHECK (state IN ('pending', 'active', 'overlap', 'retired',
        'revoked', 'damaged')),
    ADD CONSTRAINT keys_retired_check CHECK (
        (state IN ('retired', 'revoked') AND retired_at IS NOT NULL)
        OR (state IN ('pending', 'active', 'overlap') AND retired_at IS NULL)
        OR state = 'damaged'),
    ADD CONSTRAINT keys_overlap_check CHECK (state <> 'overlap' OR overlap_until IS NOT NULL);
-- A damaged key keeps its place until another one takes it.
DROP INDEX keys_active_key;
CREATE UNIQUE INDEX keys_active_key ON keys (node_id, kind)
    WHERE state = 'active' OR (state = 'damaged' AND retired_at IS NULL);
CREATE UNIQUE INDEX keys_pending_key ON keys (node_id, kind) WHERE state = 'pending';
CREATE INDEX keys_present_index ON keys (node_id, kind, created_at, id) WHERE retired_at IS NULL;
CREATE INDEX versions_manifest_key_index ON versions (manifest_key) WHERE state = 'sealed';
COMMENT ON COLUMN keys.state IS 'pending: made, not used yet; active; overlap: what it signed still holds, it signs nothing new; retired; revoked; damaged.';
COMMENT ON COLUMN keys.private_sealed IS 'The private seed, sealed (AES-256-GCM) under the master key outside the database; empty once it is retired or revoked.';
COMMENT ON COLUMN keys.activated_at IS 'When it became the active one; NULL not yet.';
COMMENT ON COLUMN keys.overlap_until IS 'When its overlap ends.';
COMMENT ON COLUMN keys.retired_at IS 'When it was replaced for good.';

CREATE TABLE master_keys (
    node_id      uuid PRIMARY KEY REFERENCES nodes ON DELETE CASCADE,
    fingerprint  text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    changed_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE master_keys IS 'Which master key seals the secrets of each node; the key itself is never in the database.';
COMMENT ON COLUMN master_keys.node_id IS 'The node.';
COMMENT ON COLUMN master_keys.fingerprint IS 'Hexadecimal SHA-256 over a fixed prefix and the master key.';
COMMENT ON COLUMN master_keys.changed_at IS 'Since when.';

ALTER TABLE settings
    ADD COLUMN key_rotation_days integer NOT NULL DEFAULT 365,
    ADD COLUMN key_overlap_hours integer NOT NULL DEFAULT 168,
    ADD COLUMN key_repair boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT settings_key_rotation_check CHECK (key_rotation_days BETWEEN 0 AND 3650),
    ADD CONSTRAINT settings_key_overlap_check CHECK (key_overlap_hours BETWEEN 0 AND 8760);
COMMENT ON COLUMN settings.key_rotation_days IS 'Age at which identity and multicast key are rotated; 0: never.';
COMMENT ON COLUMN settings.key_overlap_hours IS 'How long what a rotated key signed still holds, and how long before a rotation the next key is made.';
COMMENT ON COLUMN settings.key_repair IS 'True: damaged keys are replaced by themselves; false: reported, and refused until somebody rotates.';
