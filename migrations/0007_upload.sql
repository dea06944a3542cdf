-- SPDX-License-Identifier: Apache-2.0
-- Uploads that can be resumed.

DO $$ BEGIN END $$;
