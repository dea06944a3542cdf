-- SPDX-License-Identifier: Apache-2.0
-- Packages: labels, promotion, idempotency of requests, limits of requests.

ALTER TABLE packages
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT packages_labels_check CHECK (jsonb_typeof(labels) = 'object'),
    ADD COLUMN current_number integer;
COMMENT ON COLUMN packages.labels IS 'Words of the operator by name, to find packages by.';
COMMENT ON COLUMN packages.current_number IS 'Version that was promoted; NULL: the newest sealed one is current.';
-- No pending list: labels change seldom, and it would be read through by every search.
CREATE INDEX packages_labels_index ON packages USING gin (labels jsonb_path_ops)
    WITH (fastupdate = off);
CREATE INDEX packages_created_index ON packages (created_at, name);
CREATE INDEX packages_updated_index ON packages (updated_at, name);

-- Lists and exports have one order, whatever the database's collation.
ALTER TABLE accounts ALTER COLUMN name TYPE text COLLATE "C";
ALTER TABLE nodes ALTER COLUMN name TYPE text COLLATE "C";

ALTER TABLE versions
    ADD COLUMN description text NOT NULL DEFAULT ''
        CONSTRAINT versions_description_check CHECK (octet_length(description) <= 255),
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}'
        CONSTRAINT versions_labels_check CHECK (jsonb_typeof(labels) = 'object'),
    ADD COLUMN files_revision bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN versions.files_revision IS 'Counts changes of its files only: whether they are still those that a seal has read.';
COMMENT ON COLUMN versions.description IS 'What is in it, for people.';
COMMENT ON COLUMN versions.labels IS 'Words of the operator by name.';

-- A pinned version stays: it can be neither retired (the program refuses) nor deleted.
ALTER TABLE packages ADD CONSTRAINT packages_current_fkey
    FOREIGN KEY (id, current_number) REFERENCES versions (package_id, number);

-- What a package shows of its versions (how many, which is current) belongs to its ETag. Whoever
-- changes a version's state has the package's row lock already: no deadlock.
CREATE FUNCTION packages_count_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE packages SET revision = revision + 1
        WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.package_id ELSE NEW.package_id END;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION packages_count_version() IS 'A version that comes, goes or changes state changes its package''s ETag.';
CREATE TRIGGER packages_count_version AFTER INSERT OR DELETE OR UPDATE OF state ON versions
    FOR EACH ROW EXECUTE FUNCTION packages_count_version();

CREATE TABLE promotions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package_id  uuid NOT NULL REFERENCES packages ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('promote', 'rollback', 'unpin')),
    number      integer,
    previous    integer,
    open        boolean NOT NULL,
    actor       text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX promotions_package_index ON promotions (package_id, id);
CREATE INDEX promotions_open_index ON promotions (package_id, id) WHERE open;
COMMENT ON TABLE promotions IS 'Every change of the version that is current by decision of an operator.';
COMMENT ON COLUMN promotions.id IS 'Ascending number.';
COMMENT ON COLUMN promotions.package_id IS 'Its package.';
COMMENT ON COLUMN promotions.kind IS 'promote: pinned; rollback: back to the one before; unpin: the newest again.';
COMMENT ON COLUMN promotions.number IS 'Version that was pinned; NULL with unpin.';
COMMENT ON COLUMN promotions.previous IS 'Version that was current before; NULL: none was sealed.';
COMMENT ON COLUMN promotions.open IS 'A promotion that a rollback can still undo.';
COMMENT ON COLUMN promotions.actor IS 'Account that did it.';
COMMENT ON COLUMN promotions.created_at IS 'When.';

CREATE TABLE idempotency (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id      uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    key             text NOT NULL COLLATE "C" CHECK (key ~ '^[!-~]{1,64}$'),
    request_sha256  text NOT NULL CHECK (request_sha256 ~ '^[0-9a-f]{64}$'),
    status          integer NOT NULL CHECK (status BETWEEN 200 AND 299),
    answer_sealed   bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_key UNIQUE (account_id, key)
);
CREATE INDEX idempotency_created_index ON idempotency (created_at);
COMMENT ON TABLE idempotency IS 'Answers of requests that carried an Idempotency-Key, for a day.';
COMMENT ON COLUMN idempotency.id IS 'Identity of the row.';
COMMENT ON COLUMN idempotency.account_id IS 'Who asked.';
COMMENT ON COLUMN idempotency.key IS 'The header''s value.';
COMMENT ON COLUMN idempotency.request_sha256 IS 'SHA-256 of role, method, address, query and body: the same key for another request is refused.';
COMMENT ON COLUMN idempotency.status IS 'HTTP status of the answer.';
COMMENT ON COLUMN idempotency.answer_sealed IS 'Headers and body, sealed under the master key for "idempotency <account> <key>": they may hold a token.';
COMMENT ON COLUMN idempotency.created_at IS 'When.';

ALTER TABLE settings
    ADD COLUMN requests_per_minute integer NOT NULL DEFAULT 6000,
    ADD COLUMN cors_origins text NOT NULL DEFAULT '',
    ADD CONSTRAINT settings_requests_check CHECK (requests_per_minute BETWEEN 0 AND 10000000),
    ADD CONSTRAINT settings_origins_check CHECK (octet_length(cors_origins) <= 2079);
COMMENT ON COLUMN settings.requests_per_minute IS 'Most requests of one client address, and of one account; 0: no limit.';
COMMENT ON COLUMN settings.cors_origins IS 'Origins, with a space between them, whose pages may use the API; empty: none.';
