-- SPDX-License-Identifier: Apache-2.0
-- Pace: how a session's rate is controlled, what its sender decides, what it knows of its receivers.

ALTER TABLE settings
    ADD COLUMN rate_control       text NOT NULL DEFAULT 'lan',
    ADD COLUMN rate_start_percent integer NOT NULL DEFAULT 50,
    ADD COLUMN slow_share_percent integer NOT NULL DEFAULT 10,
    ADD COLUMN jumbo_frames       boolean NOT NULL DEFAULT false,
    -- As before, and IPv6: both ends of one family and not what stays within the machine, nor the
    -- link's and the low groups that are assigned. CASE, since operators on mixed families fail.
    DROP CONSTRAINT settings_addresses_check,
    ADD CONSTRAINT settings_addresses_check CHECK (
        CASE
        WHEN family(address_first) <> family(address_last) THEN false
        WHEN family(address_first) = 4 THEN
            masklen(address_first) = 32 AND masklen(address_last) = 32
            AND address_first <<= '224.0.0.0/4' AND address_last <<= '224.0.0.0/4'
            AND NOT address_first <<= '224.0.0.0/24'
            AND address_last - address_first BETWEEN 0 AND 65535
        WHEN NOT (address_first <<= 'ff00::/8' AND address_last <<= 'ff00::/8') THEN false
        ELSE
            masklen(address_first) = 128 AND masklen(address_last) = 128
            AND address_first <= address_last AND address_last - 65535 <= address_first
            AND (address_first & '000f::') >= '0002::'
            AND NOT address_first <<= 'ff02::/16'
            AND NOT (address_first <<= 'ff00::/12'
                AND (address_first & '0:ffff:ffff:ffff:ffff:ffff:ffff:ff00') = '::')
        END),
    ADD CONSTRAINT settings_rate_control_check CHECK (rate_control IN ('lan', 'tfmcc', 'fixed')),
    ADD CONSTRAINT settings_rate_start_check CHECK (rate_start_percent BETWEEN 1 AND 100),
    ADD CONSTRAINT settings_slow_share_check CHECK (slow_share_percent BETWEEN 0 AND 50);
COMMENT ON COLUMN settings.rate_control IS 'How the pace is found: lan, tfmcc or fixed.';
COMMENT ON COLUMN settings.rate_start_percent IS 'Pace that a session begins with, of its share of the ceiling.';
COMMENT ON COLUMN settings.slow_share_percent IS 'Part of the receivers that may be left behind; 0: none.';
COMMENT ON COLUMN settings.jumbo_frames IS 'Use an MTU of 9000 where the sender''s link has it; receivers need it too.';

ALTER TABLE sessions
    ADD COLUMN mac                text NOT NULL DEFAULT 'hmac-sha256-128'
               CHECK (mac IN ('hmac-sha256-128', 'aes-256-gmac')),
    ADD COLUMN rate_control       text NOT NULL DEFAULT 'lan'
               CHECK (rate_control IN ('lan', 'tfmcc', 'fixed')),
    ADD COLUMN rate_start_percent integer NOT NULL DEFAULT 50,
    ADD COLUMN slow_share_percent integer NOT NULL DEFAULT 10,
    ADD COLUMN rate_ceiling_bps   bigint NOT NULL DEFAULT 0,
    ADD COLUMN rate_reason        text NOT NULL DEFAULT '' CHECK (octet_length(rate_reason) <= 31),
    ADD COLUMN pace_setter        bigint NOT NULL DEFAULT 0,
    ADD COLUMN auto_parity        integer NOT NULL DEFAULT 0,
    ADD COLUMN over_budget        bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN sessions.mac IS 'What authenticates packets: hmac-sha256-128 or aes-256-gmac.';
COMMENT ON COLUMN sessions.rate_control IS 'As the settings were when it started.';
COMMENT ON COLUMN sessions.rate_start_percent IS 'As the settings were when it started.';
COMMENT ON COLUMN sessions.slow_share_percent IS 'As the settings were when it started.';
COMMENT ON COLUMN sessions.rate_ceiling_bps IS 'Its present share of the ceiling, bits of UDP payload per second.';
COMMENT ON COLUMN sessions.rate_reason IS 'Why the pace is what it is: ceiling, congestion, ...; empty: not known.';
COMMENT ON COLUMN sessions.pace_setter IS 'NORM node id of the receiver that decides the pace; 0: none.';
COMMENT ON COLUMN sessions.auto_parity IS 'Proactive parity symbols of a block at present.';
COMMENT ON COLUMN sessions.over_budget IS 'Receivers whose requests are not served any more.';

-- A ring: the newest 64 of a session stay.
CREATE TABLE session_decisions (
    session_id   uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    slot         integer NOT NULL CHECK (slot BETWEEN 0 AND 63),
    number       bigint NOT NULL CHECK (number > 0),
    time         timestamptz NOT NULL,
    what         text NOT NULL CHECK (octet_length(what) BETWEEN 1 AND 31),
    reason       text NOT NULL CHECK (octet_length(reason) <= 31),
    norm_node_id bigint NOT NULL,
    value_before bigint NOT NULL,
    value_after  bigint NOT NULL,
    loss_ppm     integer NOT NULL,
    rate_bps     bigint NOT NULL,
    PRIMARY KEY (session_id, slot)
);
COMMENT ON TABLE session_decisions IS 'What senders decided of late: at most 64 a session.';
COMMENT ON COLUMN session_decisions.session_id IS 'The session.';
COMMENT ON COLUMN session_decisions.slot IS 'number modulo 64: a new decision takes the place of the oldest.';
COMMENT ON COLUMN session_decisions.number IS 'Counts a session''s decisions from 1.';
COMMENT ON COLUMN session_decisions.time IS 'When it was decided.';
COMMENT ON COLUMN session_decisions.what IS 'What changed: rate, parity, budget, ...';
COMMENT ON COLUMN session_decisions.reason IS 'Why: ceiling, congestion, ...';
COMMENT ON COLUMN session_decisions.norm_node_id IS 'The receiver that it was decided for; 0: none.';
COMMENT ON COLUMN session_decisions.value_before IS 'What it was, in the unit of what changed.';
COMMENT ON COLUMN session_decisions.value_after IS 'What it became.';
COMMENT ON COLUMN session_decisions.loss_ppm IS 'Loss that was decided by, per million.';
COMMENT ON COLUMN session_decisions.rate_bps IS 'What that receiver received, bits per second.';

ALTER TABLE receivers
    ADD COLUMN seen_at          timestamptz,
    ADD COLUMN seen_loss_ppm    integer NOT NULL DEFAULT 0,
    ADD COLUMN seen_rate_bps    bigint NOT NULL DEFAULT 0,
    ADD COLUMN seen_asked       bigint NOT NULL DEFAULT 0,
    ADD COLUMN seen_slow        boolean NOT NULL DEFAULT false,
    ADD COLUMN seen_outlier     boolean NOT NULL DEFAULT false,
    ADD COLUMN seen_over_budget boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN receivers.seen_at IS 'When the sender''s knowledge of it last changed; NULL: not heard yet.';
COMMENT ON COLUMN receivers.seen_loss_ppm IS 'Loss before repair by its feedback, per million.';
COMMENT ON COLUMN receivers.seen_rate_bps IS 'Rate that it receives by its feedback, bits per second.';
COMMENT ON COLUMN receivers.seen_asked IS 'Repair symbols that it asked for.';
COMMENT ON COLUMN receivers.seen_slow IS 'Its own buffers fill.';
COMMENT ON COLUMN receivers.seen_outlier IS 'Left out of the choice of the pace.';
COMMENT ON COLUMN receivers.seen_over_budget IS 'Its requests are not served any more.';
