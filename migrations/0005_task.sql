-- SPDX-License-Identifier: Apache-2.0
-- Tasks: long work that a request only asks for. A node's own workers do it, one at a time each.

CREATE TABLE tasks (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number            bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    node_id           uuid NOT NULL REFERENCES nodes ON DELETE CASCADE,
    kind              text NOT NULL CHECK (kind ~ '^[a-z][a-z-]{0,62}$'),
    subject           text NOT NULL DEFAULT '' CHECK (octet_length(subject) <= 255),
    state             text NOT NULL DEFAULT 'waiting'
                      CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    actor             text NOT NULL DEFAULT '' CHECK (octet_length(actor) <= 63),
    request_id        text NOT NULL DEFAULT '' CHECK (octet_length(request_id) <= 63),
    params            jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params) = 'object'),
    result            jsonb CHECK (jsonb_typeof(result) = 'object'),
    unit              text NOT NULL DEFAULT 'items' CHECK (unit IN ('items', 'bytes')),
    done              bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    total             bigint NOT NULL DEFAULT 0 CHECK (total >= 0),
    attempts          integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    cancel_requested  boolean NOT NULL DEFAULT false,
    code              text NOT NULL DEFAULT '' CHECK (octet_length(code) <= 63),
    detail            text NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL DEFAULT now(),
    started_at        timestamptz,
    ended_at          timestamptz,
    CONSTRAINT tasks_ended_check CHECK (
        (state IN ('done', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
    CONSTRAINT tasks_failure_check CHECK ((state IN ('failed', 'cancelled')) = (code <> ''))
);
-- The same work is not asked for twice at a time. A name may stand for another thing by now: params tell.
CREATE UNIQUE INDEX tasks_open_key ON tasks (node_id, kind, subject, params) WHERE ended_at IS NULL;
CREATE INDEX tasks_waiting_index ON tasks (node_id, number) WHERE state = 'waiting';
CREATE INDEX tasks_kind_index ON tasks (node_id, kind, number);
CREATE INDEX tasks_state_index ON tasks (state, number);
CREATE INDEX tasks_ended_index ON tasks (ended_at) WHERE ended_at IS NOT NULL;
COMMENT ON TABLE tasks IS 'Long work: sealing, validation, garbage collection and their like';
COMMENT ON COLUMN tasks.id IS 'Identity of the task.';
COMMENT ON COLUMN tasks.number IS 'Counts tasks; the order of lists and of work.';
COMMENT ON COLUMN tasks.node_id IS 'Whose workers do it.';
COMMENT ON COLUMN tasks.kind IS 'What is done: seal-version, collect-garbage and their like';
COMMENT ON COLUMN tasks.subject IS 'What it is done to, for instance "package win11 version 3".';
COMMENT ON COLUMN tasks.state IS 'waiting, running; then done, failed or cancelled.';
COMMENT ON COLUMN tasks.actor IS 'Account that asked for it; empty: the service itself.';
COMMENT ON COLUMN tasks.request_id IS 'Correlation id of the request that asked for it.';
COMMENT ON COLUMN tasks.params IS 'What it is to do, by name.';
COMMENT ON COLUMN tasks.result IS 'What came of it, by name; NULL until then.';
COMMENT ON COLUMN tasks.unit IS 'What done and total count.';
COMMENT ON COLUMN tasks.done IS 'How much is done.';
COMMENT ON COLUMN tasks.total IS 'Of how much; 0: not known yet.';
COMMENT ON COLUMN tasks.attempts IS 'How often it was begun: a killed service begins it again. Without those that a stop of the service ended.';
COMMENT ON COLUMN tasks.cancel_requested IS 'It ends at the next safe place.';
COMMENT ON COLUMN tasks.code IS 'Code of the error catalogue with failed and cancelled.';
COMMENT ON COLUMN tasks.detail IS 'Sentence to that code.';
COMMENT ON COLUMN tasks.created_at IS 'When it was asked for.';
COMMENT ON COLUMN tasks.started_at IS 'When it was last begun.';
COMMENT ON COLUMN tasks.ended_at IS 'When it ended, whatever the end was.';

CREATE TABLE task_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id  uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    time     timestamptz NOT NULL DEFAULT now(),
    level    text NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    text     text NOT NULL CHECK (octet_length(text) <= 1023)
);
CREATE INDEX task_log_task_index ON task_log (task_id, id);
COMMENT ON TABLE task_log IS 'What tasks said while they worked.';
COMMENT ON COLUMN task_log.id IS 'Ascending number.';
COMMENT ON COLUMN task_log.task_id IS 'The task.';
COMMENT ON COLUMN task_log.time IS 'When.';
COMMENT ON COLUMN task_log.level IS 'info, warning or error.';
COMMENT ON COLUMN task_log.text IS 'A sentence.';
