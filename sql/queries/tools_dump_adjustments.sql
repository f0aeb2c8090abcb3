-- Every adjustment in the order in which its account lived it.
SELECT tenant, adjustment_id, account_id, kind, amount_minor, account_version, note, (extract(epoch FROM created_at) * 1000000)::int8
FROM paybuf.adjustment
ORDER BY tenant, account_id, account_version, adjustment_id;
