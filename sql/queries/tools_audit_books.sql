-- Every account's life in the order of its versions, the account itself first (version 0); decisions with their record's position.
-- Two of one version are a fault; the id puts them in an order all the same.
SELECT tenant, account_id, account_version, kind, amount_minor, balance_minor, currency, reason, id, log_generation, src_partition, src_offset
FROM (
    SELECT tenant, account_id, 0::int8 AS account_version, state AS kind, floor_minor AS amount_minor, balance_minor, currency, NULL::text AS reason, version::text AS id,
        NULL::int8 AS log_generation, NULL::int4 AS src_partition, NULL::int8 AS src_offset
    FROM paybuf.account
    UNION ALL
    SELECT tenant, account_id, account_version, kind, amount_minor, NULL, NULL, NULL, adjustment_id, NULL, NULL, NULL
    FROM paybuf.adjustment
    UNION ALL
    SELECT tenant, account_id, account_version, outcome, amount_minor, balance_after_minor, currency, reason, order_id || '#' || attempt::text, log_generation, src_partition, src_offset
    FROM paybuf.payment
    WHERE account_version IS NOT NULL
) events
ORDER BY tenant, account_id, account_version, id COLLATE "C";
