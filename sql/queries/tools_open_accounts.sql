-- Opens accounts: `open` is version 1 and carries the opening amount; a floor other than 0 is an adjustment of its own, version 2,
-- so that versions 1..n give every balance and every floor again. Plain inserts: an identity that is there raises 23505.
--
-- All in primary key order. $1 tenants  $2 accounts  $3 currencies  $4 opening amounts  $5 floors  $6 adjustment ids
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::text[])
        AS u (tenant, account_id, currency, opening_minor, floor_minor, adjustment_id)
), opened AS (
    INSERT INTO paybuf.account (tenant, account_id, currency, balance_minor, floor_minor, version)
    SELECT tenant, account_id, currency, opening_minor, floor_minor, CASE floor_minor WHEN 0 THEN 1 ELSE 2 END FROM asked
)
INSERT INTO paybuf.adjustment (tenant, adjustment_id, account_id, kind, amount_minor, account_version)
SELECT tenant, adjustment_id, account_id, 'open', opening_minor, 1 FROM asked
UNION ALL
SELECT tenant, adjustment_id || ':floor', account_id, 'floor', floor_minor, 2 FROM asked WHERE floor_minor <> 0;
