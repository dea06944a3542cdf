-- SPDX-License-Identifier: Apache-2.0
-- Events in an order that readers can follow, the audit log, webhooks.

-- A reader that remembers "I have seen everything up to 5" must not miss 4, whose transaction may
-- commit after 5's. So who takes a number first publishes, as a shared advisory lock that lasts as
-- long as its transaction, the number that its own will be above. What is not above any published
-- number is settled: it is committed, or will never be. Writers do not wait for each other.
-- The lock's key is 17232 ('CP') in its upper 16 bits, the number in the lower 48.
-- A transaction's first one covers all numbers that it takes later; more would fill the server's
-- table of locks. That it has it says castpoint.events_floor, which a savepoint's rollback takes
-- back together with the lock.
ALTER TABLE events ALTER COLUMN id DROP IDENTITY;
CREATE SEQUENCE events_number AS bigint OWNED BY events.id;
SELECT setval('events_number', (SELECT coalesce(max(id), 0) + 1 FROM events), false);

CREATE INDEX events_subject_index ON events (subject, id);

CREATE FUNCTION events_number() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    floor bigint;
BEGIN
    IF coalesce(current_setting('castpoint.events_floor', true), '') = '' THEN
        SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO floor
            FROM events_number;
        PERFORM pg_advisory_xact_lock_shared((17232::bigint << 48) | floor);
        PERFORM set_config('castpoint.events_floor', floor::text, true);
    END IF;
    NEW.id := nextval('events_number');
    PERFORM pg_notify('castpoint_events', '');
    RETURN NEW;
END $$;
COMMENT ON FUNCTION events_number() IS 'Numbers events so that events_settled() can tell what is complete, and wakes readers.';
CREATE TRIGGER events_number BEFORE INSERT ON events
    FOR EACH ROW EXECUTE FUNCTION events_number();

-- The order of the two reads matters: a number up to `last` was taken before it was read, so its
-- transaction has ended or still shows its lock. To be followed by the reading in a statement of its
-- own (READ COMMITTED), whose snapshot then sees all that is settled.
CREATE FUNCTION events_settled(OUT settled bigint, OUT pending boolean) LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER AS $$
DECLARE
    last bigint;
    held bigint;
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO last
        FROM events_number;
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) INTO held FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ShareLock'
        AND classid::bigint >> 16 = 17232
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    settled := least(last, coalesce(held, last));
    pending := settled < last;
END $$;
COMMENT ON FUNCTION events_settled() IS 'No event up to this number will appear any more that is not there.';

-- Both run with the owner's rights: what a caller has put into its own pg_temp must not be found in
-- the place of a table, and nobody may hang the trigger on a table with types of its own.
REVOKE ALL ON FUNCTION events_number() FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION events_number() SET search_path = pg_catalog, %I, pg_temp',
        current_schema());
    EXECUTE format('ALTER FUNCTION events_settled() SET search_path = pg_catalog, %I, pg_temp',
        current_schema());
END $$;

CREATE TABLE audit (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time            timestamptz NOT NULL DEFAULT clock_timestamp(),
    node_id         uuid,
    account         text NOT NULL DEFAULT '' CHECK (octet_length(account) <= 63),
    role            text NOT NULL DEFAULT '' CHECK (octet_length(role) <= 15),
    authentication  text NOT NULL CHECK (octet_length(authentication) <= 15),
    address         text NOT NULL DEFAULT '' CHECK (octet_length(address) <= 63),
    operation       text NOT NULL DEFAULT '' CHECK (octet_length(operation) <= 63),
    method          text NOT NULL CHECK (octet_length(method) <= 7),
    path            text NOT NULL CHECK (octet_length(path) <= 1023),
    request_id      text NOT NULL DEFAULT '' CHECK (octet_length(request_id) <= 63),
    outcome         text NOT NULL CHECK (outcome IN ('done', 'accepted', 'refused')),
    code            text NOT NULL DEFAULT '' CHECK (octet_length(code) <= 63),
    subject         text NOT NULL DEFAULT '' CHECK (octet_length(subject) <= 255),
    before          jsonb,
    after           jsonb,
    left_out        bigint NOT NULL DEFAULT 0 CHECK (left_out >= 0),
    CONSTRAINT audit_refusal_check CHECK ((outcome = 'refused') = (code <> ''))
);
CREATE INDEX audit_account_index ON audit (account, id);
CREATE INDEX audit_subject_index ON audit (subject, id);
CREATE INDEX audit_operation_index ON audit (operation, id);
CREATE INDEX audit_address_index ON audit (address, id);
CREATE INDEX audit_request_index ON audit (request_id, id);
CREATE INDEX audit_time_index ON audit (time, id);
-- Refusals are few among what was done.
CREATE INDEX audit_refused_index ON audit (id) WHERE outcome = 'refused';
COMMENT ON TABLE audit IS 'Who changed what, or tried to and was refused. Rows are only added.';
COMMENT ON COLUMN audit.id IS 'Ascending number.';
COMMENT ON COLUMN audit.time IS 'When.';
COMMENT ON COLUMN audit.node_id IS 'The node that was asked. No reference: the entry outlives it.';
COMMENT ON COLUMN audit.account IS 'Name of the account; empty: none was shown, or it was not accepted.';
COMMENT ON COLUMN audit.role IS 'Role that the credentials gave.';
COMMENT ON COLUMN audit.authentication IS 'none, password, token, receiver, certificate or kerberos.';
COMMENT ON COLUMN audit.address IS 'Address that the request came from.';
COMMENT ON COLUMN audit.operation IS 'Operation of openapi.yaml; empty: none has this address.';
COMMENT ON COLUMN audit.method IS 'HTTP method.';
COMMENT ON COLUMN audit.path IS 'Path of the request, without its query.';
COMMENT ON COLUMN audit.request_id IS 'Correlation id of the request.';
COMMENT ON COLUMN audit.outcome IS 'done; accepted: a task was asked for; refused: credentials missing, wrong or too small.';
COMMENT ON COLUMN audit.code IS 'With refused: code of the error catalogue.';
COMMENT ON COLUMN audit.subject IS 'What was changed, for instance "package win11".';
COMMENT ON COLUMN audit.before IS 'What it was; NULL: it was not there, or nothing of it was changed.';
COMMENT ON COLUMN audit.after IS 'What it became, or what was asked for; NULL: it is gone. Never a secret.';
COMMENT ON COLUMN audit.left_out IS 'Refusals before this one that were not written, because there were too many.';

CREATE FUNCTION audit_protect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
COMMENT ON FUNCTION audit_protect() IS 'Refuses to change or remove entries of the audit log.';
CREATE TRIGGER audit_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_protect();

CREATE TABLE webhooks (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id           uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    name              text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    url               text NOT NULL CHECK (octet_length(url) <= 1023),
    allow_http        boolean NOT NULL DEFAULT false,
    kinds             text[] NOT NULL DEFAULT '{}',
    enabled           boolean NOT NULL DEFAULT true,
    secret_sealed     bytea NOT NULL CHECK (octet_length(secret_sealed) BETWEEN 1 AND 128),
    position          bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    attempts          integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    first_attempt_at  timestamptz,
    next_attempt_at   timestamptz NOT NULL DEFAULT now(),
    failing_since     timestamptz,
    last_success_at   timestamptz,
    last_error        text NOT NULL DEFAULT '' CHECK (octet_length(last_error) <= 255),
    disabled_reason   text NOT NULL DEFAULT '' CHECK (octet_length(disabled_reason) <= 255),
    revision          bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_due_index ON webhooks (node_id, next_attempt_at) WHERE enabled;
COMMENT ON TABLE webhooks IS 'Addresses that events are sent to, each event in order until it was taken.';
COMMENT ON COLUMN webhooks.id IS 'Identity of the webhook.';
COMMENT ON COLUMN webhooks.node_id IS 'The node that sends; its master key seals the secret.';
COMMENT ON COLUMN webhooks.name IS 'Name for people and addresses.';
COMMENT ON COLUMN webhooks.url IS 'Where events are posted.';
COMMENT ON COLUMN webhooks.allow_http IS 'Plain HTTP is allowed also to other machines.';
COMMENT ON COLUMN webhooks.kinds IS 'Only events of these kinds; empty: all.';
COMMENT ON COLUMN webhooks.enabled IS 'False: nothing is sent; what happens meanwhile is sent later.';
COMMENT ON COLUMN webhooks.secret_sealed IS 'Secret of the signature, sealed under the master key outside the database.';
COMMENT ON COLUMN webhooks.position IS 'Last event that was taken or given up.';
COMMENT ON COLUMN webhooks.attempts IS 'Failed attempts at the present event.';
COMMENT ON COLUMN webhooks.first_attempt_at IS 'First failed attempt at the present event.';
COMMENT ON COLUMN webhooks.next_attempt_at IS 'Nothing is sent before.';
COMMENT ON COLUMN webhooks.failing_since IS 'First failure after the last success; NULL: none.';
COMMENT ON COLUMN webhooks.last_success_at IS 'When something was last taken.';
COMMENT ON COLUMN webhooks.last_error IS 'Why the last attempt failed; empty: it did not.';
COMMENT ON COLUMN webhooks.disabled_reason IS 'Why the service switched it off; empty: it did not.';
COMMENT ON COLUMN webhooks.revision IS 'Counts changes by people; the ETag.';
COMMENT ON COLUMN webhooks.created_at IS 'When it was made.';
COMMENT ON COLUMN webhooks.updated_at IS 'Last change by people.';

CREATE TABLE webhook_deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    time         timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_id     bigint,
    kind         text NOT NULL CHECK (octet_length(kind) <= 63),
    attempt      integer NOT NULL CHECK (attempt >= 1),
    taken        boolean NOT NULL,
    status       integer NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 999),
    duration_ms  bigint NOT NULL DEFAULT 0 CHECK (duration_ms >= 0),
    error        text NOT NULL DEFAULT '' CHECK (octet_length(error) <= 255)
);
CREATE INDEX webhook_deliveries_index ON webhook_deliveries (webhook_id, id);
COMMENT ON TABLE webhook_deliveries IS 'Attempts of webhooks, the last thousand of each.';
COMMENT ON COLUMN webhook_deliveries.id IS 'Ascending number.';
COMMENT ON COLUMN webhook_deliveries.webhook_id IS 'The webhook.';
COMMENT ON COLUMN webhook_deliveries.time IS 'When the attempt ended.';
COMMENT ON COLUMN webhook_deliveries.event_id IS 'Number of the event; NULL: a test.';
COMMENT ON COLUMN webhook_deliveries.kind IS 'Kind of the event, or webhook-test.';
COMMENT ON COLUMN webhook_deliveries.attempt IS 'Which attempt at that event.';
COMMENT ON COLUMN webhook_deliveries.taken IS 'The receiver answered with 2xx.';
COMMENT ON COLUMN webhook_deliveries.status IS 'HTTP status of the answer; 0: there was none.';
COMMENT ON COLUMN webhook_deliveries.duration_ms IS 'How long it took.';
COMMENT ON COLUMN webhook_deliveries.error IS 'Why it failed; empty: it did not.';
