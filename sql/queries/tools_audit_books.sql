-- Every account's life in the order of its versions, the account itself first (version 0).
SELECT tenant, account_id, account_version, kind, amount_minor, balance_minor, currency, reason, id
FROM (
    SELECT tenant, account_id, 0::int8 AS account_version, state AS kind, floor_minor AS amount_minor, balance_minor, currency, NULL::text AS reason, version::text AS id
    FROM paybuf.account
    UNION ALL
    SELECT tenant, account_id, account_version, kind, amount_minor, NULL, NULL, NULL, adjustment_id
    FROM paybuf.adjustment
    UNION ALL
    SELECT tenant, account_id, account_version, outcome, amount_minor, balance_after_minor, currency, reason, order_id || '#' || attempt::text
    FROM paybuf.payment
    WHERE account_version IS NOT NULL
) events
ORDER BY tenant, account_id, account_version;
