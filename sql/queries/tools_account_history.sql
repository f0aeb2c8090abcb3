-- Every event of one account in the order of its versions: adjustments and decisions.
--
-- $1 tenant  $2 account  $3 the last so many
SELECT * FROM (
    SELECT account_version, kind AS event, adjustment_id AS id, NULL::int4 AS attempt, amount_minor, NULL::text AS reason, NULL::int8 AS balance_after_minor,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, note
    FROM paybuf.adjustment
    WHERE tenant = $1::text AND account_id = $2::text
    UNION ALL
    SELECT account_version, outcome, order_id, attempt, amount_minor, reason, balance_after_minor,
        to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), NULL
    FROM paybuf.payment
    WHERE tenant = $1::text AND account_id = $2::text AND account_version IS NOT NULL
    ORDER BY account_version DESC
    LIMIT $3::int8
) last
ORDER BY account_version;
