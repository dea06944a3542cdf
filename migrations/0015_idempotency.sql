-- SPDX-License-Identifier: Apache-2.0
-- Idempotency-Key: which request an answer is for is sealed with the answer.

-- What is kept from before is for a request that nobody can compare any more.
DELETE FROM idempotency;
ALTER TABLE idempotency DROP COLUMN request_sha256;
COMMENT ON COLUMN idempotency.answer_sealed IS 'A digest of the request (role, method, address, query, body), headers and body of its answer, sealed under the master key for "idempotency <account> <key>": they may hold a password or a token.';
