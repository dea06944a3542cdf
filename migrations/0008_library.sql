-- SPDX-License-Identifier: Apache-2.0
-- The content library: references, validation, quarantine.

DO $$ BEGIN END $$;
