-- Which of these openings can't simply be made: the account is there, or one of the adjustment ids is. A row for each such one.
-- OFFSET 0 keeps it a nested loop over primary keys (see known_payments.sql).
--
-- $1 tenants  $2 accounts  $3 adjustment ids
SELECT u.nth, a.currency, o.account_id, o.kind, o.amount_minor, f.account_id, f.amount_minor
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS u (tenant, account_id, adjustment_id, nth)
LEFT JOIN LATERAL (SELECT x.currency FROM paybuf.account x WHERE x.tenant = u.tenant AND x.account_id = u.account_id OFFSET 0) a ON true
LEFT JOIN LATERAL (SELECT x.* FROM paybuf.adjustment x WHERE x.tenant = u.tenant AND x.adjustment_id = u.adjustment_id OFFSET 0) o ON true
LEFT JOIN LATERAL (SELECT x.* FROM paybuf.adjustment x WHERE x.tenant = u.tenant AND x.adjustment_id = u.adjustment_id || ':floor' OFFSET 0) f ON true
WHERE a.currency IS NOT NULL OR o.account_id IS NOT NULL OR f.account_id IS NOT NULL;
