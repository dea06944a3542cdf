-- SPDX-License-Identifier: Apache-2.0
-- Packages, versions, files and blobs. What is sealed is protected here, not only in the program.

CREATE TABLE packages (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name         text NOT NULL COLLATE "C" UNIQUE
                 CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    description  text NOT NULL DEFAULT '' CHECK (octet_length(description) <= 255),
    policy       text NOT NULL DEFAULT 'prefer' CHECK (policy IN ('off', 'prefer', 'require')),
    encrypt      boolean NOT NULL DEFAULT true,
    access       text NOT NULL DEFAULT 'inherit'
                 CHECK (access IN ('inherit', 'anonymous', 'authenticated')),
    last_number  integer NOT NULL DEFAULT 0 CHECK (last_number >= 0),
    revision     bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE packages IS 'Named content with its policies.';
COMMENT ON COLUMN packages.id IS 'Identity of the package.';
COMMENT ON COLUMN packages.name IS 'Name in addresses and on the command line; never changes.';
COMMENT ON COLUMN packages.description IS 'What it is, for people.';
COMMENT ON COLUMN packages.policy IS 'Multicast: off, prefer, or require (no HTTPS download).';
COMMENT ON COLUMN packages.encrypt IS 'Multicast carries ciphertext.';
COMMENT ON COLUMN packages.access IS 'Who may fetch it: inherit takes the distribution point''s setting.';
COMMENT ON COLUMN packages.last_number IS 'Highest version number given out; numbers are never used twice.';
COMMENT ON COLUMN packages.revision IS 'Counts changes; the ETag.';
COMMENT ON COLUMN packages.created_at IS 'When it was made.';
COMMENT ON COLUMN packages.updated_at IS 'Last change of its own fields.';

CREATE TABLE versions (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    package_id          uuid NOT NULL REFERENCES packages ON DELETE CASCADE,
    number              integer NOT NULL CHECK (number >= 1),
    state               text NOT NULL DEFAULT 'draft'
                        CHECK (state IN ('draft', 'sealed', 'retired')),
    file_count          integer NOT NULL DEFAULT 0 CHECK (file_count >= 0),
    file_bytes          bigint NOT NULL DEFAULT 0 CHECK (file_bytes >= 0),
    manifest            bytea,
    manifest_sha256     text CHECK (manifest_sha256 ~ '^[0-9a-f]{64}$'),
    manifest_signature  text CHECK (octet_length(manifest_signature) <= 511),
    manifest_key        text CHECK (manifest_key ~ '^[0-9a-f]{64}$'),
    stream_size         bigint CHECK (stream_size > 0),
    content_size        bigint CHECK (content_size BETWEEN 0 AND stream_size),
    sealed_at           timestamptz,
    retired_at          timestamptz,
    revision            bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT versions_number_key UNIQUE (package_id, number),
    CONSTRAINT versions_sealed_check CHECK (
        (state = 'draft' AND num_nonnulls(manifest, manifest_sha256, manifest_signature,
            manifest_key, stream_size, content_size, sealed_at) = 0)
        OR (state <> 'draft' AND num_nulls(manifest, manifest_sha256, manifest_signature,
            manifest_key, stream_size, content_size, sealed_at) = 0 AND file_count > 0)),
    CONSTRAINT versions_retired_check CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
CREATE INDEX versions_sealed_index ON versions (package_id, number) WHERE state = 'sealed';
COMMENT ON TABLE versions IS 'Sets of files of a package: draft, then sealed for ever, then retired.';
COMMENT ON COLUMN versions.id IS 'Identity of the version.';
COMMENT ON COLUMN versions.package_id IS 'Its package.';
COMMENT ON COLUMN versions.number IS 'Number within the package, from 1.';
COMMENT ON COLUMN versions.state IS 'draft, sealed or retired.';
COMMENT ON COLUMN versions.file_count IS 'Number of its files.';
COMMENT ON COLUMN versions.file_bytes IS 'Sum of its files'' sizes.';
COMMENT ON COLUMN versions.manifest IS 'Exact bytes of the manifest, as signed.';
COMMENT ON COLUMN versions.manifest_sha256 IS 'SHA-256 of the manifest in hexadecimal.';
COMMENT ON COLUMN versions.manifest_signature IS 'Detached JWS over the manifest; renewed when the key changes.';
COMMENT ON COLUMN versions.manifest_key IS 'Fingerprint of the key that made the signature.';
COMMENT ON COLUMN versions.stream_size IS 'Bytes of all files laid end to end.';
COMMENT ON COLUMN versions.content_size IS 'Bytes of the stream without its chunks of zeros: what multicast carries.';
COMMENT ON COLUMN versions.sealed_at IS 'When it was sealed.';
COMMENT ON COLUMN versions.retired_at IS 'When it was taken out of service.';
COMMENT ON COLUMN versions.revision IS 'Counts changes of the version and its files; the ETag.';
COMMENT ON COLUMN versions.created_at IS 'When the draft was made.';

CREATE TABLE blobs (
    sha256      text PRIMARY KEY COLLATE "C" CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size        bigint NOT NULL CHECK (size >= 0),
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE blobs IS 'Content by its digest. The bytes lie in the content library.';
COMMENT ON COLUMN blobs.sha256 IS 'SHA-256 of the bytes in hexadecimal.';
COMMENT ON COLUMN blobs.size IS 'Number of bytes.';
COMMENT ON COLUMN blobs.created_at IS 'When the first file with these bytes was stored, or stored again.';

CREATE TABLE files (
    version_id   uuid NOT NULL REFERENCES versions ON DELETE CASCADE,
    path         text NOT NULL COLLATE "C" CHECK (octet_length(path) BETWEEN 1 AND 1023),
    path_folded  text NOT NULL COLLATE "C" GENERATED ALWAYS AS (lower(path)) STORED,
    sha256       text NOT NULL COLLATE "C" REFERENCES blobs,
    size         bigint NOT NULL CHECK (size >= 0),
    mode         integer NOT NULL DEFAULT 420 CHECK (mode BETWEEN 0 AND 4095),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version_id, path),
    CONSTRAINT files_path_folded_key UNIQUE (version_id, path_folded),
    CONSTRAINT files_path_form_check CHECK (
        path !~ '^/' AND path !~ '(^|/)\.{0,2}(/|$)' AND path !~ '[[:cntrl:]\\]')
);
CREATE INDEX files_sha256_index ON files (sha256);
COMMENT ON TABLE files IS 'Files of a version.';
COMMENT ON COLUMN files.version_id IS 'Its version.';
COMMENT ON COLUMN files.path IS 'Relative path with / between its parts.';
COMMENT ON COLUMN files.path_folded IS 'Path without difference of case (ASCII): may be there only once.';
COMMENT ON COLUMN files.sha256 IS 'The blob that holds its bytes.';
COMMENT ON COLUMN files.size IS 'Number of bytes.';
COMMENT ON COLUMN files.mode IS 'Permission bits.';
COMMENT ON COLUMN files.updated_at IS 'When it was stored.';

-- Errors of these triggers carry SQLSTATE CP001, which the program reports as version-sealed.
CREATE FUNCTION versions_protect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.package_id <> OLD.package_id OR NEW.number <> OLD.number THEN
        RAISE EXCEPTION 'a version''s id, package and number never change' USING ERRCODE = 'CP001';
    END IF;
    IF OLD.state = 'draft' THEN
        IF NEW.state = 'retired' THEN
            RAISE EXCEPTION 'a draft cannot be retired' USING ERRCODE = 'CP001';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state = 'draft' OR (OLD.state = 'retired' AND NEW.state <> 'retired') THEN
        RAISE EXCEPTION 'a % version cannot become % again', OLD.state, NEW.state
            USING ERRCODE = 'CP001';
    END IF;
    IF (NEW.file_count, NEW.file_bytes, NEW.manifest, NEW.manifest_sha256, NEW.stream_size,
        NEW.content_size, NEW.sealed_at)
        IS DISTINCT FROM (OLD.file_count, OLD.file_bytes, OLD.manifest, OLD.manifest_sha256,
        OLD.stream_size, OLD.content_size, OLD.sealed_at) THEN
        RAISE EXCEPTION 'the content of a % version never changes', OLD.state
            USING ERRCODE = 'CP001';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION versions_protect() IS 'Keeps the content of sealed and retired versions unchanged.';
CREATE TRIGGER versions_protect BEFORE UPDATE ON versions
    FOR EACH ROW EXECUTE FUNCTION versions_protect();

-- The share lock makes a file's change and a seal of its version wait for each other. A version
-- that is not there any more is being deleted with its files.
CREATE FUNCTION files_protect() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found_state text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT state INTO found_state FROM versions WHERE id = OLD.version_id FOR SHARE;
        IF found_state IS NOT NULL AND found_state <> 'draft' THEN
            RAISE EXCEPTION 'the files of a % version never change', found_state
                USING ERRCODE = 'CP001';
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    SELECT state INTO found_state FROM versions WHERE id = NEW.version_id FOR SHARE;
    IF found_state IS NOT NULL AND found_state <> 'draft' THEN
        RAISE EXCEPTION 'the files of a % version never change', found_state
            USING ERRCODE = 'CP001';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION files_protect() IS 'Keeps the files of sealed and retired versions unchanged.';
CREATE TRIGGER files_protect BEFORE INSERT OR UPDATE OR DELETE ON files
    FOR EACH ROW EXECUTE FUNCTION files_protect();
