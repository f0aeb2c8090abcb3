-- One adjustment and what it makes of the account, which this transaction has locked at version $6 - 1.
--
-- $1 tenant  $2 account  $3 adjustment id  $4 kind  $5 amount  $6 version  $7 balance  $8 floor  $9 state  $10 note
WITH booked AS (
    INSERT INTO paybuf.adjustment (tenant, adjustment_id, account_id, kind, amount_minor, account_version, note)
    VALUES ($1::text, $3::text, $2::text, $4::text, $5::int8, $6::int8, $10::text)
)
UPDATE paybuf.account
SET balance_minor = $7::int8, floor_minor = $8::int8, state = $9::text, version = $6::int8
WHERE tenant = $1::text AND account_id = $2::text AND version = $6::int8 - 1;
