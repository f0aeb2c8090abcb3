-- $1 tenant  $2 account; columns as in tools_list_accounts.
SELECT tenant, account_id, currency, balance_minor, floor_minor, state, version
FROM paybuf.account
WHERE tenant = $1::text AND account_id = $2::text;
