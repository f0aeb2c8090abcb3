-- $1 tenant  $2 adjustment id. After the account's lock: a read before it would be older than the lock wait.
SELECT account_id, kind, amount_minor, account_version
FROM paybuf.adjustment
WHERE tenant = $1::text AND adjustment_id = $2::text;
