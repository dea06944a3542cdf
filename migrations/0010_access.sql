-- SPDX-License-Identifier: Apache-2.0
-- Access: certificates and principals of accounts, what is known of a token, failed logins.

ALTER TABLE accounts ADD COLUMN principal text UNIQUE DEFERRABLE
    CHECK (octet_length(principal) BETWEEN 3 AND 255 AND principal ~ '^[^@[:cntrl:]]+@[^@[:cntrl:]]+$');
COMMENT ON COLUMN accounts.principal IS 'Kerberos principal that is this account; NULL: none.';

CREATE TABLE certificates (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id    uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name          text NOT NULL DEFAULT '' CHECK (octet_length(name) <= 63),
    sha256        text UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    subject       text CHECK (octet_length(subject) BETWEEN 1 AND 255),
    issuer        text CHECK (octet_length(issuer) BETWEEN 1 AND 255),
    last_used_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT certificates_match_check CHECK (
        (sha256 IS NULL) = (subject IS NOT NULL) AND (subject IS NULL) = (issuer IS NULL))
);
CREATE UNIQUE INDEX certificates_names_key ON certificates (subject, issuer);
CREATE INDEX certificates_account_index ON certificates (account_id, id);
COMMENT ON TABLE certificates IS 'Client certificates that stand for an account: one by its digest, or all of a name.';
COMMENT ON COLUMN certificates.id IS 'Identity of the row.';
COMMENT ON COLUMN certificates.account_id IS 'Whose certificate.';
COMMENT ON COLUMN certificates.name IS 'What people call it.';
COMMENT ON COLUMN certificates.sha256 IS 'SHA-256 of the one certificate, in hexadecimal; NULL: by names.';
COMMENT ON COLUMN certificates.subject IS 'Subject of every certificate meant (RFC 4514); NULL: by digest.';
COMMENT ON COLUMN certificates.issuer IS 'Their issuer (RFC 4514); NULL: by digest.';
COMMENT ON COLUMN certificates.last_used_at IS 'Last use, at most one minute old.';
COMMENT ON COLUMN certificates.created_at IS 'When it was made.';

ALTER TABLE tokens ADD COLUMN prefix text NOT NULL DEFAULT '' CHECK (octet_length(prefix) <= 8);
ALTER TABLE tokens ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE tokens ADD COLUMN warned_at timestamptz;
CREATE INDEX tokens_warn_index ON tokens (expires_at) WHERE enabled AND warned_at IS NULL;
COMMENT ON COLUMN tokens.prefix IS 'First characters of the secret, to recognise it by; empty: an older service made it.';
COMMENT ON COLUMN tokens.revision IS 'Counts changes; the ETag.';
COMMENT ON COLUMN tokens.warned_at IS 'When the event token-expires-soon was written.';

CREATE TABLE login_failures (
    name_hash     bytea PRIMARY KEY CHECK (octet_length(name_hash) = 32),
    failures      integer NOT NULL CHECK (failures > 0),
    since         timestamptz NOT NULL DEFAULT now(),
    locked_until  timestamptz
);
CREATE INDEX login_failures_since_index ON login_failures (since);
COMMENT ON TABLE login_failures IS 'Wrong passwords by name of the account, whether there is such an account or not.';
COMMENT ON COLUMN login_failures.name_hash IS 'SHA-256 of the name: people type passwords in its place.';
COMMENT ON COLUMN login_failures.failures IS 'Different wrong passwords since then.';
COMMENT ON COLUMN login_failures.since IS 'First of them; counting begins anew a quarter of an hour later.';
COMMENT ON COLUMN login_failures.locked_until IS 'Every password is refused until then; NULL: not locked.';

ALTER TABLE settings ADD COLUMN login_failures integer NOT NULL DEFAULT 10
    CONSTRAINT settings_login_failures_check CHECK (login_failures BETWEEN 0 AND 1000);
ALTER TABLE settings ADD COLUMN login_lockout_s integer NOT NULL DEFAULT 900
    CONSTRAINT settings_login_lockout_check CHECK (login_lockout_s BETWEEN 1 AND 86400);
COMMENT ON COLUMN settings.login_failures IS 'Different wrong passwords within 15 minutes that lock; 0: never.';
COMMENT ON COLUMN settings.login_lockout_s IS 'How long a name, or an address, is locked then, in seconds.';

-- Who was given the secret of a session that is there already was not noted.
ALTER TABLE sessions ADD COLUMN anonymous_joined boolean NOT NULL DEFAULT true;
ALTER TABLE sessions ALTER COLUMN anonymous_joined SET DEFAULT false;
COMMENT ON COLUMN sessions.anonymous_joined IS 'True: somebody without an account was given its present secret, and may have left since.';
