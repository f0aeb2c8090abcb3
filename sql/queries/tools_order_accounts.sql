-- $1 tenant  $2 order: the accounts its attempts named, as they are now.
SELECT a.tenant, a.account_id, a.currency, a.balance_minor, a.floor_minor, a.state, a.version
FROM paybuf.account a
WHERE a.tenant = $1::text AND a.account_id IN (SELECT p.account_id FROM paybuf.payment p WHERE p.tenant = $1::text AND p.order_id = $2::text)
ORDER BY a.account_id;
