-- SPDX-License-Identifier: Apache-2.0
-- What the service's role may do.

DO $$ BEGIN END $$;
