-- SPDX-License-Identifier: Apache-2.0
-- Packages: labels, promotion, idempotency of requests.

DO $$ BEGIN END $$;
