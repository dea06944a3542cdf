-- SPDX-License-Identifier: Apache-2.0
-- What the service's role may do, and what became of a commit whose answer was lost.

CREATE TABLE commit_marks (
    slot       bigint PRIMARY KEY,
    mark       bigint NOT NULL,
    marked_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE commit_marks IS 'One row a connection of a service: the newest of its transactions that was committed. Read when the answer to a COMMIT was lost.';
COMMENT ON COLUMN commit_marks.slot IS 'The connection: a random number that it keeps while its process lives.';
COMMENT ON COLUMN commit_marks.mark IS 'The transaction: counts up from 1, 0 for none.';
COMMENT ON COLUMN commit_marks.marked_at IS 'When. Rows of processes that are long gone are deleted.';

-- What is read often of tables that grow, and had no index of its own.
CREATE INDEX sessions_live_index ON sessions (node_id, id) WHERE ended_at IS NULL;
CREATE INDEX accounts_admins_index ON accounts (id) WHERE role = 'admin' AND enabled;

-- Called by the owner of the schema after every migration; the one place that says what a service may do.
CREATE FUNCTION castpoint_grant(service name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    append_only CONSTANT name[] := ARRAY['audit'];
    read_only   CONSTANT name[] := ARRAY['schema_migrations'];
    place       CONSTANT name := current_schema();
    item        name;
BEGIN
    IF service = current_user THEN
        RAISE EXCEPTION 'the role ''%'' owns the schema: give the service (--database) a role of its own', service
            USING ERRCODE = 'CP002';
    END IF;
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', place, service);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', place, service);
    -- A service needs no temporary objects. Only the database's owner can say so.
    IF has_database_privilege(service, current_database(), 'TEMPORARY') AND
        pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, %I', current_database(), service);
    END IF;
    FOR item IN SELECT tablename FROM pg_tables WHERE schemaname = place ORDER BY tablename LOOP
        EXECUTE format('REVOKE ALL ON TABLE %I.%I FROM PUBLIC, %I', place, item, service);
        EXECUTE format('GRANT %s ON TABLE %I.%I TO %I',
            CASE WHEN item = ANY (append_only) THEN 'SELECT, INSERT'
                 WHEN item = ANY (read_only) THEN 'SELECT'
                 ELSE 'SELECT, INSERT, UPDATE, DELETE' END, place, item, service);
    END LOOP;
END $$;
COMMENT ON FUNCTION castpoint_grant(name) IS 'Lets a role do what a service does on every table, and no more.';
REVOKE ALL ON FUNCTION castpoint_grant(name) FROM PUBLIC;
