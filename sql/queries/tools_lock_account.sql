-- $1 tenant  $2 account: locked as the settle locks it.
SELECT currency, balance_minor, floor_minor, state, version
FROM paybuf.account
WHERE tenant = $1::text AND account_id = $2::text
FOR NO KEY UPDATE;
